//! The PKCS#7 message of an instance identity document, as whoever enrols sends it. Nothing but AWS's own is believed.
#![no_main]

use std::sync::LazyLock;

use base64_simd::STANDARD;
use libfuzzer_sys::fuzz_target;
use safeguard::verify::{Settings, Tenant, Verifier};
use safeguard_protocol::{Enrolment, IdentityProof, Program, Proofs, SigningKey, VERSION};
use tokio::runtime::{Builder, Runtime};

const DOCUMENT: &str = r#"{"accountId":"123456789012","region":"eu-central-1","instanceId":"i-1","imageId":"ami-1"}"#;

static VERIFIER: LazyLock<(Runtime, Verifier)> = LazyLock::new(|| {
    let accounts = vec!["123456789012".to_owned()];
    let roles = vec!["node".to_owned()];
    let tenants = vec![Tenant { name: "acme".to_owned(), accounts, roles, ..Tenant::default() }];
    let verifier = Verifier::new(&Settings { tenants, ..Settings::default() }).expect("these settings can be used");
    (Builder::new_current_thread().enable_all().build().expect("a runtime"), verifier)
});

fuzz_target!(|data: &[u8]| {
    let (runtime, verifier) = &*VERIFIER;
    let identity = IdentityProof { document: DOCUMENT.to_owned(), rsa2048: STANDARD.encode_to_string(data) };
    let enrolment = Enrolment {
        version: VERSION,
        tenant: "acme".to_owned(),
        nonce: "bm9uY2U".to_owned(),
        public_key: SigningKey::from_seed(&[1; 32]).expect("a seed").public(),
        cluster: "prod".to_owned(),
        node_group: None,
        node_name: "node".to_owned(),
        boot_id: "boot".to_owned(),
        program: Program { version: "0.1.0".to_owned(), binary: None },
        sent_at_ms: 1_773_500_966_000,
        last_sequence: 0,
        proofs: Proofs { identity: Some(identity), ..Proofs::default() },
    };
    assert!(runtime.block_on(verifier.verify(&enrolment, 1_773_500_966_000)).is_err(), "nobody but AWS can sign");
});
