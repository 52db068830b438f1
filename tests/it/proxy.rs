//! The metadata proxy as pods meet it: the real program, the real redirect, network namespaces, and strict services behind it.

mod churn;
mod clients;
mod host_network;
mod life;
mod ready;
mod serve;
mod sessions;
mod start;

use safeguard_tests::fabric::Wiring;
use safeguard_tests::proxied::Proxied;

use safeguard_tests::parts::{Part, here};

const LIST: &str = "/latest/meta-data/iam/security-credentials/";

/// A node with so many interfaces for pods, the redirect up and the proxy answering; roles `one` to `five` can be assumed. `None` where
/// it cannot be built.
async fn node(test: &str, pods: u8) -> Option<Proxied> {
    let mut node = without_proxy(test, pods).await?;
    node.up().await;
    Some(node)
}

/// The same before redirect and proxy are there.
async fn without_proxy(test: &str, pods: u8) -> Option<Proxied> {
    if !here(test, Part::Network) {
        return None;
    }
    let node = Proxied::new(Wiring::Vpc, pods).await;
    for role in ["one", "two", "three", "four", "five"] {
        node.put_role(role);
    }
    Some(node)
}

/// What GetCallerIdentity says of a pod of `run_pod`.
fn session(role: &str, number: u8) -> String {
    format!("arn:aws:sts::123456789012:assumed-role/{role}/shop.pod-{number}-{role}")
}
