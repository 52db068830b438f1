//! The race at a pod's start, on the real thing: containerd starts pods through CRI, the bridge plugin gives them addresses, and the
//! first program of a container asks for credentials, once.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;

use safeguard_standins::Trouble;
use safeguard_standins::kubernetes::PodSpec;
use safeguard_standins::sts::StsOp;
use safeguard_tests::containerd::{Containerd, Network, Settings};
use safeguard_tests::fabric::{Place, Wiring};
use safeguard_tests::proxied::{NAMESPACE, NODE, Proxied};

use safeguard_tests::parts::{Part, here};

/// What a container does first: it asks once for each of what it needs, and says how long that took, by the clock that counts
/// hundredths of a second, and which key it got.
const FIRST: &str = r#"
read begun _ </proc/uptime
imds=http://169.254.169.254/latest/meta-data/iam/security-credentials/
role=$(wget -q -O - $imds) || echo "no role: $?"
document=$(wget -q -O - $imds$role) || echo "no credentials: $?"
read ended _ </proc/uptime
echo "$begun $ended $(echo "$document" | awk -F '"' '/"AccessKeyId"/ { print $4 }')"
sleep 0.2
"#;

/// How late Kubernetes tells of a pod's address, as on a busy cluster. The pod itself it knows before the kubelet does.
const STATUS_DELAY: Duration = Duration::from_secs(5);

/// The times from the first instruction to the credentials, sorted, in milliseconds.
#[derive(Debug)]
struct Times(Vec<u32>);

impl Times {
    fn percentile(&self, percent: usize) -> u32 {
        self.0[(self.0.len() - 1) * percent / 100]
    }

    /// Past the test runner's capture: it is what one wants to know when the test has passed.
    fn print(&self, what: &str) {
        let [p50, p90, most] = [50, 90, 100].map(|percent| self.percentile(percent));
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        self.0.iter().for_each(|time| *counts.entry(*time).or_default() += 1);
        let said =
            format!("{what}: {} starts, p50 {p50} ms, p90 {p90} ms, at most {most} ms: {counts:?}\n", self.0.len());
        std::io::stderr().write_all(said.as_bytes()).unwrap();
    }
}

/// A node whose containerd runs in the fabric's node, with redirect and proxy.
async fn node(test: &str) -> Option<(Proxied, Containerd, tempfile::TempDir)> {
    if !here(test, Part::Network) || !here(test, Part::Containerd) || !here(test, Part::BridgePlugin) {
        return None;
    }
    let mut node = Proxied::new(Wiring::Bridge, 0).await;
    node.put_role("one");
    node.up().await;
    node.api.set_status_delay(STATUS_DELAY);
    let dir = tempfile::tempdir().unwrap();
    let network = Network {
        namespace: node.fabric.path(Place::Node),
        results: node.dir().join("cni"),
        bridge: "cni0".to_owned(),
        subnet: "10.244.0.0/24".to_owned(),
    };
    let settings = Settings { network: Some(network), ..Settings::default() };
    let containerd = Containerd::start_with(dir.path(), &settings).await.unwrap();
    Some((node, containerd, dir))
}

/// Starts so many pods, one after the other, and holds each to having got a key of its own session at its first attempt.
async fn start(node: &Proxied, containerd: &Containerd, pods: u32) -> Times {
    let logs = node.dir().join("pods");
    let mut times = Vec::new();
    for number in 0..pods {
        let (name, uid) = (format!("pod-{number}"), format!("00000000-0000-4000-8000-{number:012}"));
        // The kubelet starts a pod because the API has told it of one.
        let spec = PodSpec::new(NAMESPACE, name.clone()).uid(uid.clone()).node(NODE).service_account("web");
        node.api.add_pod(spec.annotation("iam.amazonaws.com/role", "one"));
        let pod = containerd.run_pod(NAMESPACE, &name, &uid, &logs).await.unwrap();
        let container = containerd.run_container(&pod, "app", 0, &["sh", "-c", FIRST]).await.unwrap();
        assert_eq!(containerd.wait_exit(&container).await.unwrap(), 0);
        let log = std::fs::read_to_string(container.log_path()).unwrap();
        // Time, stream and tag come before what was written.
        let said: Vec<&str> = log.lines().filter_map(|line| line.splitn(4, ' ').nth(3)).collect();
        let fields: Vec<&str> = said.first().map(|line| line.split(' ').collect()).unwrap_or_default();
        let [begun, ended, key] = fields[..] else { panic!("start {number}: {said:?}\n{}", node.said()) };
        assert_eq!(said.len(), 1, "start {number}: {said:?}\n{}", node.said());
        let session = node.account.principal(key).map(|principal| principal.arn());
        let own = format!("arn:aws:sts::123456789012:assumed-role/one/{NAMESPACE}.{name}");
        assert_eq!(session, Some(own), "start {number}: {said:?}\n{}", node.said());
        times.push(hundredths(ended) - hundredths(begun));
        let known = node.api.pod(NAMESPACE, &name).unwrap();
        assert!(known["status"]["podIP"].is_null(), "Kubernetes tells of the address already: {known}");
        containerd.remove_pod(&pod).await.unwrap();
        node.api.delete_pod(NAMESPACE, &name);
    }
    times.sort_unstable();
    node.nothing_leaked();
    Times(times.into_iter().map(|hundredths| hundredths * 10).collect())
}

/// `/proc/uptime`, as a whole number.
fn hundredths(uptime: &str) -> u32 {
    uptime.replace('.', "").parse().unwrap()
}

/// jtblin/kube2iam#136, uswitch/kiam#47, research section 5c: the address is known from the runtime before the first instruction.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_pods_in_a_row_have_credentials_at_their_first_instruction() {
    let Some((node, containerd, _dir)) = node("proxy::fifty_pods_in_a_row").await else { return };
    let times = start(&node, &containerd, 50).await;
    times.print("credentials after a start, STS at 0 ms");
    assert!(times.percentile(50) <= 300 && times.percentile(100) < 1_000, "{times:?}");
    containerd.stop().await.unwrap();
}

/// STS is asked when the pod appears, not when it asks: its pods do not wait for as long as STS takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_slow_sts_has_answered_before_the_first_instruction() {
    let Some((node, containerd, _dir)) = node("proxy::a_slow_sts_has_answered").await else { return };
    let slow = Duration::from_millis(150);
    node.sts.troubles().when(move |call| (call.op == StsOp::AssumeRole).then_some(Trouble::Latency(slow)));
    let times = start(&node, &containerd, 20).await;
    times.print("credentials after a start, STS at 150 ms");
    assert!(times.percentile(50) < 150 && times.percentile(100) < 1_000, "{times:?}");
    containerd.stop().await.unwrap();
}
