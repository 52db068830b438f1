//! The identity document: who signed it, and for what.

use safeguard::verify::{Proof, Tenant, Verifier};
use safeguard_protocol::{Assurance, Code, Enrolment, IdentityProof};
use safeguard_standins::IdentityCa;

use crate::rig::{INSTANCE, NOW, Rig, document, refused, unproved};

fn with(identity: IdentityProof) -> Enrolment {
    let mut enrolment = unproved();
    enrolment.proofs.identity = Some(identity);
    enrolment
}

/// A verifier that asks for nothing but the document.
fn lax(rig: &Rig) -> Verifier {
    let mut settings = rig.settings();
    settings.tenants = vec![Tenant { require: Some(vec![Proof::Identity]), ..rig.tenant() }];
    Verifier::new(&settings).unwrap()
}

#[tokio::test]
async fn a_document_alone_is_worth_what_it_is() {
    let rig = Rig::start().await;
    let verified = lax(&rig).verify(&with(rig.identity(&document())), NOW).await.unwrap();
    assert_eq!((verified.assurance, verified.role_arn), (Assurance::Identity, None));
    assert_eq!((verified.instance_id.as_str(), verified.pending_time_ms), (INSTANCE, Some(1_773_500_400_000)));
    assert!(rig.sts.calls().is_empty());
    refused(rig.verify(&with(rig.identity(&document()))).await, Code::ProofMissing, "STS");
    refused(lax(&rig).verify(&unproved(), NOW).await, Code::ProofMissing, "identity document");
}

/// spiffe/spire before 1.13.6.
#[tokio::test]
async fn another_document_under_a_valid_signature_is_refused() {
    let rig = Rig::start().await;
    let signed = rig.identity(&document());
    for changed in [
        document().replace(INSTANCE, "i-0ffffffffffffffff"),
        document().replace("ami-0", "ami-1"),
        format!("{}\n", document()),
        document().replace('\n', "\r\n"),
        document().replace(" : ", ": "),
    ] {
        let proof = IdentityProof { document: changed.clone(), rsa2048: signed.rsa2048.clone() };
        refused(lax(&rig).verify(&with(proof), NOW).await, Code::ProofIdentity, "not what the message signs");
    }
}

#[tokio::test]
async fn a_signature_of_another_region_or_a_stranger_is_refused() {
    let rig = Rig::start().await;
    let stranger = IdentityCa::new("eu-central-1").unwrap();
    for ca in [&rig.other_ca, &stranger] {
        let proof = IdentityProof { document: document(), rsa2048: ca.rsa2048(&document()) };
        refused(lax(&rig).verify(&with(proof), NOW).await, Code::ProofIdentity, "no pinned certificate");
    }
    // The right signature for a document that says it is elsewhere.
    let moved = document().replace("eu-central-1", "eu-west-1");
    refused(lax(&rig).verify(&with(rig.identity(&moved)), NOW).await, Code::ProofIdentity, "no pinned certificate");
}

#[tokio::test]
async fn regions_without_a_certificate_that_is_valid_now_are_refused() {
    let rig = Rig::start().await;
    for (region, why) in [
        ("ap-nowhere-9", "no pinned certificate"),
        ("us-iso-east-1", "not known"),
        ("", "not known"),
        ("../x", "not known"),
    ] {
        let document = document().replace("eu-central-1", region);
        refused(lax(&rig).verify(&with(rig.identity(&document)), NOW).await, Code::ProofIdentity, why);
    }
    let after_2195 = 7_200_000_000_000;
    let verifier = lax(&rig);
    let result = verifier.verify(&with(rig.identity(&document())), after_2195).await;
    refused(result, Code::ProofIdentity, "valid now");
    assert!(verifier.expiring(NOW).is_empty());
    assert!(verifier.expiring(after_2195).iter().any(|expiring| expiring.region == "eu-central-1"));
}

#[tokio::test]
async fn what_is_no_document_or_no_signature_is_refused() {
    let rig = Rig::start().await;
    let twice = document().replace("\"region\"", "\"region\" : \"eu-west-1\",\n  \"region\"");
    let huge = format!("{}{}", document(), " ".repeat(9000));
    for text in [
        "",
        "{}",
        "[]",
        "null",
        "\u{feff}{}",
        &twice,
        &huge,
        &document().replace("123456789012", "12345678901"),
        &document().replace(INSTANCE, "i-x"),
        &document().replace("ami-", "emi-"),
        &document().replace("2026-03-14T15:00:00Z", "yesterday"),
    ] {
        refused(lax(&rig).verify(&with(rig.identity(text)), NOW).await, Code::ProofIdentity, "document");
    }
    let right = rig.identity(&document()).rsa2048;
    for rsa2048 in
        [String::new(), "AAAA".to_owned(), "not base64!".to_owned(), "A".repeat(40_000), right.replace('\n', "-")]
    {
        let proof = IdentityProof { document: document(), rsa2048 };
        refused(lax(&rig).verify(&with(proof), NOW).await, Code::ProofIdentity, "");
    }
    // Lines may end otherwise.
    let proof = IdentityProof { document: document(), rsa2048: format!("{}\r\n", right.replace('\n', "\r\n")) };
    assert!(lax(&rig).verify(&with(proof), NOW).await.is_ok());
}

#[tokio::test]
async fn a_tenant_has_its_accounts_regions_clusters_and_images() {
    let rig = Rig::start().await;
    let enrolment = with(rig.identity(&document()));
    let own = |text: &str| vec![text.to_owned()];
    let base = Tenant { require: Some(vec![]), ..rig.tenant() };
    for (tenant, code, why) in [
        (Tenant { name: "other".to_owned(), ..base.clone() }, Code::Tenant, "unknown tenant"),
        (Tenant { accounts: own("210987654321"), ..base.clone() }, Code::Tenant, "account"),
        (Tenant { regions: own("eu-west-1"), ..base.clone() }, Code::Tenant, "region"),
        (Tenant { clusters: own("staging"), ..base.clone() }, Code::Tenant, "cluster"),
        (Tenant { images: own("ami-0000000000000000f"), ..base.clone() }, Code::Image, "not approved"),
    ] {
        let mut settings = rig.settings();
        settings.tenants = vec![tenant];
        refused(Verifier::new(&settings).unwrap().verify(&enrolment, NOW).await, code, why);
    }
    let mut settings = rig.settings();
    settings.tenants = vec![Tenant {
        regions: own("eu-central-1"),
        clusters: own("prod"),
        images: own("ami-0123456789abcdef0"),
        ..base
    }];
    assert!(Verifier::new(&settings).unwrap().verify(&enrolment, NOW).await.is_ok());
}
