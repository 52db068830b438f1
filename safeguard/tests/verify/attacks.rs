//! The request to STS: what it may be used for. STS verifies the signatures here as it does in AWS.

use safeguard_protocol::{Assurance, Code, Enrolment, SigningKey, StsProof};
use safeguard_standins::{Account, Principal};

use crate::rig::{ACCOUNT, INSTANCE, REGION, ROLE, Rig, document, refused, sdk, sts_proof};

fn header<'a>(enrolment: &'a mut Enrolment, name: &str) -> &'a mut String {
    let proof: &mut StsProof = enrolment.proofs.sts.as_mut().unwrap();
    &mut proof.headers.iter_mut().find(|header| header.0 == name).unwrap().1
}

#[tokio::test]
async fn sts_vouches_for_the_key_and_the_role() {
    let rig = Rig::start().await;
    let verified = rig.verify(&rig.enrolment().await).await.unwrap();
    assert_eq!(verified.assurance, Assurance::IdentitySts);
    assert_eq!(verified.role_arn.as_deref(), Some("arn:aws:sts::123456789012:assumed-role/node"));
    assert_eq!((verified.account.as_str(), verified.region.as_str()), (ACCOUNT, REGION));
    assert_eq!(rig.sts.calls().len(), 1);
}

#[tokio::test]
async fn a_proof_is_good_for_its_tenant_nonce_and_key_alone() {
    let rig = Rig::start().await;
    let right = rig.enrolment().await;
    let key = SigningKey::from_seed(&[8; 32]).unwrap().public();
    for other in
        [Enrolment { nonce: "b3RoZXI".to_owned(), ..right.clone() }, Enrolment { public_key: key, ..right.clone() }]
    {
        refused(rig.verify(&other).await, Code::ProofSts, "x-safeguard-bind");
    }
    let mut settings = rig.settings();
    settings.tenants.push(safeguard::verify::Tenant { name: "other".to_owned(), ..rig.tenant() });
    let verifier = safeguard::verify::Verifier::new(&settings).unwrap();
    let other = Enrolment { tenant: "other".to_owned(), ..right };
    refused(verifier.verify(&other, crate::rig::NOW).await, Code::ProofSts, "x-safeguard-bind");
    assert!(rig.sts.calls().is_empty(), "STS was asked about a proof that is for something else");
}

/// The signature covers the header, so that nobody can write another binding into a proof that was caught.
#[tokio::test]
async fn a_binding_that_is_exchanged_is_refused_by_sts() {
    let rig = Rig::start().await;
    let mut caught = rig.enrolment().await;
    caught.public_key = SigningKey::from_seed(&[8; 32]).unwrap().public();
    let bound = safeguard_protocol::binding(&caught.tenant, &caught.nonce, &caught.public_key);
    *header(&mut caught, "x-safeguard-bind") = bound;
    refused(rig.verify(&caught).await, Code::ProofSts, "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_signature_of_nobody_is_refused_by_sts() {
    let rig = Rig::start().await;
    let mut forged = rig.enrolment().await;
    let authorization = header(&mut forged, "authorization");
    let start = authorization.rfind('=').unwrap() + 1;
    authorization.replace_range(start.., &"0".repeat(64));
    refused(rig.verify(&forged).await, Code::ProofSts, "SignatureDoesNotMatch");

    let mut unknown = rig.enrolment().await;
    let stranger = Account::new(ACCOUNT).unwrap();
    let config = sdk(&stranger, Principal::session(format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"), INSTANCE)).await;
    unknown.proofs.sts = Some(sts_proof(&config, &unknown).await);
    refused(rig.verify(&unknown).await, Code::ProofSts, "InvalidClientTokenId");
}

/// Whoever may assume some role of the account can call the session by any instance; so the role has to be a node's.
#[tokio::test]
async fn other_roles_sessions_accounts_and_users_are_refused() {
    let rig = Rig::start().await;
    let base = rig.enrolment().await;
    let other_account = format!("arn:aws:iam::210987654321:role/{ROLE}");
    for (principal, why) in [
        (Principal::session(format!("arn:aws:iam::{ACCOUNT}:role/admin"), INSTANCE), "role admin"),
        (Principal::session(format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"), "i-0ffffffffffffffff"), "session"),
        (Principal::session(format!("arn:aws:iam::{ACCOUNT}:role/{ROLE}"), "me"), "session"),
        (Principal::session(&other_account, INSTANCE), "account"),
        (Principal::session(format!("arn:aws-cn:iam::{ACCOUNT}:role/{ROLE}"), INSTANCE), "partition"),
        (Principal::user(ACCOUNT, INSTANCE), "no session of a role"),
    ] {
        let mut enrolment = base.clone();
        enrolment.proofs.sts = Some(sts_proof(&sdk(&rig.account, principal).await, &enrolment).await);
        refused(rig.verify(&enrolment).await, Code::ProofSts, why);
    }
}

/// Another node's document with one's own role session.
#[tokio::test]
async fn a_document_of_another_instance_is_refused() {
    let rig = Rig::start().await;
    let mut enrolment = rig.enrolment().await;
    enrolment.proofs.identity = Some(rig.identity(&document().replace(INSTANCE, "i-0ffffffffffffffff")));
    refused(rig.verify(&enrolment).await, Code::ProofSts, "session");
}

/// A proof that does not hold is not passed over where none is required.
#[tokio::test]
async fn a_wrong_proof_is_worse_than_none() {
    let rig = Rig::start().await;
    let mut settings = rig.settings();
    settings.tenants = vec![safeguard::verify::Tenant { require: Some(vec![]), ..rig.tenant() }];
    let verifier = safeguard::verify::Verifier::new(&settings).unwrap();
    let mut enrolment = rig.enrolment().await;
    *header(&mut enrolment, "x-safeguard-bind") = "0".repeat(64);
    refused(verifier.verify(&enrolment, crate::rig::NOW).await, Code::ProofSts, "x-safeguard-bind");
}
