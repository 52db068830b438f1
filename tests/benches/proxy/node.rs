//! A node with as many pods as the smallest common one may have. All of them are known to Kubernetes and to the CNI; only those that
//! ask have a network namespace, since the proxy does not notice the difference.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use safeguard_standins::kubernetes::{PodSpec, namespace};
use safeguard_tests::fabric::Wiring;
use safeguard_tests::proxied::{PATIENCE, Proxied, Wish};
use tokio::time::{Instant, sleep};

/// Pods of a node (kubelet's `maxPods`).
pub(crate) const PODS: u8 = 110;

/// Roles that they share. Each pod has a session of its own all the same: its name is in it.
const ROLES: u8 = 20;

/// Namespaces of a large cluster.
const NAMESPACES: usize = 300;

pub(crate) const LIST: &str = "/latest/meta-data/iam/security-credentials/";

/// A wish of the pod of this number.
pub(crate) fn wish(number: u8) -> Wish {
    Wish::role(number, &role(number))
}

pub(crate) fn role(number: u8) -> String {
    format!("role-{}", number % ROLES)
}

/// Where the pod of this number gets its credentials.
pub(crate) fn credentials(number: u8) -> String {
    format!("{LIST}{}", role(number))
}

/// The addresses that a pod of this number has; the same as in [`safeguard_tests::fabric`].
pub(crate) fn addresses(number: u8) -> [IpAddr; 2] {
    let host = number + 2;
    [Ipv4Addr::new(10, 0, 1, host).into(), Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, host.into()).into()]
}

/// A node with so many pods, the first `real` of them with a network. Neither redirect nor proxy is up.
pub(crate) async fn node(pods: u8, real: u8, settings: &str, program: Option<PathBuf>) -> Proxied {
    let mut node = Proxied::new(Wiring::Vpc, real).await;
    node.set(settings);
    if let Some(program) = program {
        node.set_program(program);
    }
    for number in 0..ROLES {
        node.put_role(&role(number));
    }
    for number in 0..pods {
        if number < real {
            node.run_pod(number, wish(number));
        } else {
            node.write_result_at(&addresses(number), &wish(number));
            node.tell_api_at(&addresses(number), &wish(number));
        }
    }
    node
}

/// Tells Kubernetes of pods of other nodes, in many namespaces.
pub(crate) fn add_cluster(node: &Proxied, pods: usize) {
    for number in 0..NAMESPACES {
        node.api.add_namespace(namespace(
            &format!("team-{number}"),
            &[("iam.amazonaws.com/allowed-roles", r#"["team-*", "arn:aws:iam::123456789012:role/shared/*"]"#)],
        ));
    }
    for number in 0..pods {
        let [high, low] = u16::try_from(number).unwrap_or(u16::MAX).to_be_bytes();
        let pod = PodSpec::new(format!("team-{}", number % NAMESPACES), format!("worker-7d9f8b6c5d-{number:05}"))
            .uid(format!("6f9a1d1e-0000-4000-8000-{number:012}"))
            .node(format!("node-{}", 2 + number / usize::from(PODS)))
            .ip(Ipv4Addr::new(10, 1, high, low).to_string())
            .phase("Running")
            .service_account("worker")
            .annotation("iam.amazonaws.com/role", format!("team-{}", number % NAMESPACES));
        node.api.add_pod(pod);
    }
}

/// Redirect and proxy up, and the sessions of so many pods there.
pub(crate) async fn up(node: &mut Proxied, pods: u8) -> anyhow::Result<()> {
    node.up().await;
    let late = Instant::now() + PATIENCE;
    while node.sts.assumed().len() < usize::from(pods) {
        ensure!(Instant::now() < late, "sessions are not there: {}", node.said());
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}
