//! From end to end: the node's own code reads the metadata service and signs; the verifier asks STS.

use std::sync::Arc;

use safeguard_aws::{SdkOptions, identity_proof, sdk_config};
use safeguard_protocol::{Assurance, IdentityProof};
use safeguard_standins::imds::Instance;
use safeguard_standins::{Imds, ImdsOptions};

use crate::rig::{INSTANCE, REGION, Rig, sts_proof, unproved};

#[tokio::test]
async fn a_node_proves_who_it_is_with_what_the_metadata_service_gives_it() {
    let rig = Rig::start().await;
    let instance = Instance { region: REGION.to_owned(), ..Instance::default() };
    let identity_ca = Some(Arc::clone(&rig.ca));
    let imds = Imds::start(ImdsOptions { instance, identity_ca, ..ImdsOptions::new(Arc::clone(&rig.account)) });
    let imds = imds.await.unwrap();

    let texts = identity_proof(Some(&imds.url())).await.unwrap();
    let options = SdkOptions { region: REGION.to_owned(), imds_endpoint: Some(imds.url()), ..SdkOptions::default() };
    let config = sdk_config(&options).await.unwrap();
    let mut enrolment = unproved();
    enrolment.proofs.identity = Some(IdentityProof { document: texts.document, rsa2048: texts.rsa2048 });
    enrolment.proofs.sts = Some(sts_proof(&config, &enrolment).await);

    let verified = rig.verify(&enrolment).await.unwrap();
    assert_eq!((verified.instance_id.as_str(), verified.assurance), (INSTANCE, Assurance::IdentitySts));
    assert_eq!(verified.role_arn.as_deref(), Some("arn:aws:sts::123456789012:assumed-role/node"));
}
