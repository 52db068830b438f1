//! aws-config, of the AWS SDK for Rust. The proxy uses it too, for the node's credentials; here it is what runs in a pod.

use std::time::Instant;

use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sdk_sts::config::{BehaviorVersion, Region};
use aws_smithy_http_client::Builder;
use safeguard_tests::fabric::{Fabric, Place};

use super::client::Said;

/// Runs it on a thread in the pod's namespace, on a runtime that has no other threads.
pub(super) async fn whoami(fabric: &Fabric, pod: u8, sts: &str) -> Said {
    let (entrance, sts) = (fabric.entrance(Place::Pod(pod)).unwrap(), sts.to_owned());
    let (tell, told) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        entrance.enter().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let begun = Instant::now();
        let mut said = runtime.block_on(ask(&sts));
        said.took = begun.elapsed();
        tell.send(said).unwrap();
    });
    told.await.unwrap()
}

async fn ask(sts: &str) -> Said {
    let http = Builder::new().build_http();
    let bare = ProviderConfig::empty().with_http_client(http.clone());
    let bare = bare.with_behavior_version(Some(BehaviorVersion::latest()));
    let provider = ImdsCredentialsProvider::builder().configure(&bare).build();
    let credentials = match provider.provide_credentials().await {
        Ok(credentials) => credentials,
        Err(error) => return Said { error: format!("{error:?}"), ..Said::default() },
    };
    let config = aws_sdk_sts::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .http_client(http)
        .credentials_provider(credentials)
        .endpoint_url(sts)
        .build();
    match aws_sdk_sts::Client::from_conf(config).get_caller_identity().send().await {
        Ok(identity) => Said { arn: identity.arn, ..Said::default() },
        Err(error) => Said { error: format!("{error:?}"), ..Said::default() },
    }
}
