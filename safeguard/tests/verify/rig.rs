//! A tenant, a region's signer, STS, and an enrolment that holds.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use safeguard::verify::{Cluster, Denied, Settings, StsSettings, Tenant, Verified, Verifier};
use safeguard_aws::{Credentials, SdkConfig, SdkOptions, caller_proof, sdk_config};
use safeguard_protocol::{Code, Enrolment, IdentityProof, Program, Proofs, SigningKey, StsProof, VERSION, binding};
use safeguard_standins::{Account, Clock, IdentityCa, Principal, Sts, StsOptions};
use tempfile::TempDir;

pub(crate) const ACCOUNT: &str = "123456789012";
pub(crate) const INSTANCE: &str = "i-0123456789abcdef0";
pub(crate) const IMAGE: &str = "ami-0123456789abcdef0";
pub(crate) const REGION: &str = "eu-central-1";
pub(crate) const ROLE: &str = "node";
pub(crate) const NODE: &str = "ip-10-0-1-23.eu-central-1.compute.internal";
pub(crate) const NONCE: &str = "bm9uY2U";

/// 2026-03-14T15:09:26Z
pub(crate) const NOW: i64 = 1_773_500_966_000;

pub(crate) fn time(ms: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(ms).unwrap())
}

/// What a test stands on. The signer of `eu-west-1` is pinned too.
pub(crate) struct Rig {
    pub(crate) account: Arc<Account>,
    pub(crate) sts: Sts,
    pub(crate) ca: Arc<IdentityCa>,
    pub(crate) other_ca: IdentityCa,
    directory: TempDir,
}

impl Rig {
    pub(crate) async fn start() -> Rig {
        let account = Account::new(ACCOUNT).unwrap();
        let clock = Clock::new(|| NOW);
        let options =
            StsOptions { region: REGION.to_owned(), tls: true, clock, ..StsOptions::new(Arc::clone(&account)) };
        let sts = Sts::start(options).await.unwrap();
        let (ca, other_ca) = (Arc::new(IdentityCa::new(REGION).unwrap()), IdentityCa::new("eu-west-1").unwrap());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let index = [ca.as_ref(), &other_ca].map(|ca| ca.index_entry("2195-01-01T00:00:00Z")).concat();
        std::fs::write(path.join("index.toml"), index).unwrap();
        std::fs::write(path.join("one.pem"), ca.certificate_pem()).unwrap();
        std::fs::write(path.join("other.pem"), other_ca.certificate_pem()).unwrap();
        std::fs::write(path.join("sts.crt"), sts.ca_pem().unwrap()).unwrap();
        std::fs::write(path.join("token"), "own-token\n").unwrap();
        Rig { account, sts, ca, other_ca, directory }
    }

    pub(crate) fn tenant(&self) -> Tenant {
        Tenant {
            name: "acme".to_owned(),
            accounts: vec![ACCOUNT.to_owned()],
            roles: vec![ROLE.to_owned()],
            ..Tenant::default()
        }
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            tenants: vec![self.tenant()],
            certificates: Some(self.directory.path().to_owned()),
            sts: StsSettings {
                endpoint: Some(self.sts.url()),
                ca: Some(self.directory.path().join("sts.crt")),
                allow_global_host: false,
            },
            clusters: vec![],
        }
    }

    /// An API server for the cluster `prod`.
    pub(crate) fn cluster(&self, server: String) -> Cluster {
        Cluster {
            tenant: None,
            name: "prod".to_owned(),
            server,
            ca: Some(self.directory.path().join("sts.crt")),
            token_file: self.directory.path().join("token"),
            service_accounts: vec!["safeguard/agent".to_owned()],
            nodes: false,
        }
    }

    pub(crate) fn verifier(&self) -> Verifier {
        Verifier::new(&self.settings()).unwrap()
    }

    pub(crate) async fn verify(&self, enrolment: &Enrolment) -> Result<Verified, Denied> {
        self.verifier().verify(enrolment, NOW).await
    }

    /// Credentials of a session, as the instance's role has them.
    pub(crate) async fn session(&self, role: &str, session: &str) -> SdkConfig {
        let principal = Principal::session(format!("arn:aws:iam::{ACCOUNT}:role/{role}"), session);
        sdk(&self.account, principal).await
    }

    /// Everything that an honest node sends.
    pub(crate) async fn enrolment(&self) -> Enrolment {
        let mut enrolment = unproved();
        enrolment.proofs.identity = Some(self.identity(&document()));
        enrolment.proofs.sts = Some(sts_proof(&self.session(ROLE, INSTANCE).await, &enrolment).await);
        enrolment
    }

    pub(crate) fn identity(&self, document: &str) -> IdentityProof {
        IdentityProof { document: document.to_owned(), rsa2048: self.ca.rsa2048(document) }
    }
}

pub(crate) async fn sdk(account: &Account, principal: Principal) -> SdkConfig {
    let key = account.issue_temporary(principal, None);
    let credentials = Credentials::new(key.access_key_id, key.secret_access_key, key.session_token, None, "test");
    let options = SdkOptions { region: REGION.to_owned(), credentials: Some(credentials), ..SdkOptions::default() };
    sdk_config(&options).await.unwrap()
}

/// The request to STS that binds an enrolment's key.
pub(crate) async fn sts_proof(config: &SdkConfig, enrolment: &Enrolment) -> StsProof {
    let bound = binding(&enrolment.tenant, &enrolment.nonce, &enrolment.public_key);
    let proof = caller_proof(config, REGION, ("x-safeguard-bind", &bound), time(NOW)).await.unwrap();
    StsProof { url: proof.url, headers: proof.headers, body: proof.body }
}

pub(crate) fn document() -> String {
    format!(
        "{{\n  \"accountId\" : \"{ACCOUNT}\",\n  \"billingProducts\" : null,\n  \"imageId\" : \"{IMAGE}\",\n  \
         \"instanceId\" : \"{INSTANCE}\",\n  \"pendingTime\" : \"2026-03-14T15:00:00Z\",\n  \"region\" : \"{REGION}\",\n  \
         \"version\" : \"2017-09-30\"\n}}"
    )
}

/// An enrolment that nobody vouches for.
pub(crate) fn unproved() -> Enrolment {
    Enrolment {
        version: VERSION,
        tenant: "acme".to_owned(),
        nonce: NONCE.to_owned(),
        public_key: SigningKey::from_seed(&[7; 32]).unwrap().public(),
        cluster: "prod".to_owned(),
        node_group: None,
        node_name: NODE.to_owned(),
        boot_id: "11111111-2222-3333-4444-555555555555".to_owned(),
        program: Program { version: "0.1.0".to_owned(), binary: None },
        sent_at_ms: NOW,
        last_sequence: 0,
        proofs: Proofs::default(),
    }
}

/// It is refused by this code, and nothing that is said of it holds a secret.
pub(crate) fn refused(result: Result<Verified, Denied>, code: Code, why: &str) {
    let denied = result.expect_err(why);
    assert_eq!(denied.code, code, "{denied:?}");
    assert!(denied.detail.contains(why), "{why}: {denied:?}");
    for secret in ["Signature=", "own-token", "node-token"] {
        assert!(!format!("{denied:?}").contains(secret), "{denied:?}");
    }
}
