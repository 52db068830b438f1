//! The proxy's two images in a pod as the chart makes one: first the redirect comes up, with `CAP_NET_ADMIN`; then pods are answered
//! without any capability.

use std::time::Duration;

use safeguard_daemon::admin::get_unix;
use safeguard_standins::kubernetes::PodSpec;
use safeguard_tests::containerd::{Bind, Container, Containerd, Network, Pod, Settings, Workload};
use safeguard_tests::fabric::{Place, Wiring};
use safeguard_tests::parts::{Part, here};
use safeguard_tests::proxied::{NAMESPACE, NODE, Proxied};
use tokio::time::Instant;

use super::{PATIENCE, archive, name, said};

const UID: &str = "11111111-2222-3333-4444-555555555555";

/// What a pod asks, and the key that it got.
const ASK: &str = r#"
imds=http://169.254.169.254/latest/meta-data/iam/security-credentials/
role=$(wget -q -O - $imds) || echo "no role: $?"
document=$(wget -q -O - $imds$role) || echo "no credentials: $?"
echo "$document" | awk -F '"' '/"AccessKeyId"/ { print $4 }'
sleep 1
"#;

/// A node with containerd and with what the proxy asks, but neither proxy nor redirect.
struct Rig {
    containerd: Containerd,
    node: Proxied,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn new(test: &str) -> Option<Self> {
        let parts = [Part::Buildah, Part::Containerd, Part::BridgePlugin, Part::Network];
        if !parts.into_iter().all(|part| here(test, part)) {
            return None;
        }
        let node = Proxied::new(Wiring::Bridge, 0).await;
        node.put_role("one");
        let dir = tempfile::tempdir().unwrap();
        let network = Network {
            namespace: node.fabric.path(Place::Node),
            results: dir.path().join("results"),
            bridge: "cni0".to_owned(),
            subnet: "10.244.0.0/24".to_owned(),
        };
        let settings = Settings { network: Some(network), ..Settings::default() };
        let containerd = Containerd::start_with(dir.path(), &settings).await.unwrap();
        for image in ["safeguard-proxy", "safeguard-redirect"] {
            containerd.import(&archive(image), &name(image)).await.unwrap();
        }
        for part in ["settings", "run"] {
            std::fs::create_dir(dir.path().join(part)).unwrap();
        }
        // What the image has by default stays as it is: sockets, state, the CNI's results.
        let text = format!(
            "[node]\nname = \"{NODE}\"\n[aws]\nregion = \"us-east-1\"\nsts_endpoint_url = \"{}\"\n\
             [kubernetes]\nmode = \"url\"\nurl = \"{}\"\ntoken_file = \"/etc/safeguard/token\"\n",
            node.sts_url(),
            node.api.url(),
        );
        std::fs::write(dir.path().join("settings/proxy.toml"), text).unwrap();
        let token = node.api.issue_token("system:serviceaccount:safeguard:proxy");
        std::fs::write(dir.path().join("settings/token"), token).unwrap();
        Some(Self { containerd, node, dir })
    }

    async fn pod(&self) -> Pod {
        let pods = self.dir.path().join("pods");
        self.containerd.run_host_pod("safeguard", "safeguard-proxy", UID, &pods, &[]).await.unwrap()
    }

    fn workload(&self, image: &str, args: &[&str], capabilities: &[&str]) -> Workload {
        let mut mounts = vec![
            Bind::read(self.dir.path().join("settings"), "/etc/safeguard"),
            Bind::write(self.dir.path().join("run"), "/run/safeguard"),
        ];
        if image == "safeguard-proxy" {
            mounts.push(Bind::read(self.dir.path().join("results"), "/var/lib/cni/results"));
        }
        let texts = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        Workload { image: name(image), args: texts(args), mounts, capabilities: texts(capabilities), env: Vec::new() }
    }

    /// Runs the redirect's image to its end. The exit code, and what it said.
    async fn redirect(&self, pod: &Pod, attempt: u32, args: &[&str], capabilities: &[&str]) -> (i32, String) {
        let workload = self.workload("safeguard-redirect", args, capabilities);
        let container = self.containerd.run_workload(pod, "redirect", attempt, &workload).await.unwrap();
        let code = self.containerd.wait_exit(&container).await.unwrap();
        (code, said(&container))
    }

    async fn serve(&self, pod: &Pod) -> Container {
        let workload = self.workload("safeguard-proxy", &[], &[]);
        let proxy = self.containerd.run_workload(pod, "proxy", 0, &workload).await.unwrap();
        self.says(&proxy, "/v1/health").await;
        proxy
    }

    /// Waits until the proxy's admin socket answers with 200.
    async fn says(&self, proxy: &Container, path: &str) {
        let socket = self.dir.path().join("run/proxy.sock");
        let late = Instant::now() + PATIENCE;
        loop {
            let answer = get_unix(&socket, path, Duration::from_secs(5)).await;
            if let Ok((200, _)) = answer {
                return;
            }
            assert!(Instant::now() < late, "{answer:?}: {}", said(proxy));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a new pod prints that asks for credentials.
    async fn ask(&self, name: &str) -> String {
        let uid = format!("uid-of-{name}");
        let spec = PodSpec::new(NAMESPACE, name).uid(uid.clone()).node(NODE).service_account("web");
        self.node.api.add_pod(spec.annotation("iam.amazonaws.com/role", "one"));
        let pods = self.dir.path().join("pods");
        let pod = self.containerd.run_pod(NAMESPACE, name, &uid, &pods).await.unwrap();
        let app = self.containerd.run_container(&pod, "app", 0, &["sh", "-c", ASK]).await.unwrap();
        assert_eq!(self.containerd.wait_exit(&app).await.unwrap(), 0);
        said(&app)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_proxys_pod_gives_another_pod_its_own_credentials() {
    let Some(rig) = Rig::new("images::the_proxys_pod").await else { return };
    let pod = rig.pod().await;
    let (code, told) = rig.redirect(&pod, 0, &[], &["NET_ADMIN"]).await;
    assert_eq!(code, 0, "{told}");
    let proxy = rig.serve(&pod).await;
    // The side-car's look at it, by a connection from a network namespace of its own: only then is the proxy ready.
    let (code, told) = rig.redirect(&pod, 1, &["redirect", "check", "--repair"], &["NET_ADMIN", "SYS_ADMIN"]).await;
    assert_eq!(code, 0, "{told}");
    rig.says(&proxy, "/v1/ready").await;

    let key = rig.ask("pod-1").await;
    let session = rig.node.account.principal(&key).map(|principal| principal.arn());
    let own = format!("arn:aws:sts::123456789012:assumed-role/one/{NAMESPACE}.pod-1");
    assert_eq!(session.as_ref(), Some(&own), "{key:?}: {}", said(&proxy));

    // Once the proxy is gone pods are refused: the redirect stays, and nothing of the node's reaches them.
    rig.containerd.stop_container(&proxy, Duration::from_secs(20)).await.unwrap();
    assert_eq!(rig.containerd.wait_exit(&proxy).await.unwrap(), 0, "{}", said(&proxy));
    let refused = rig.ask("pod-2").await;
    assert!(refused.contains("no role") && refused.contains("no credentials"), "{refused}");
    rig.node.nothing_leaked();
    rig.containerd.stop().await.unwrap();
}

/// Without its one capability the redirect says what is missing, and the pod does not start.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_redirect_does_not_come_up_without_its_capability() {
    let Some(rig) = Rig::new("images::the_redirect_does_not_come_up").await else { return };
    let (code, told) = rig.redirect(&rig.pod().await, 0, &[], &[]).await;
    assert!(code != 0 && told.contains("CAP_NET_ADMIN"), "{code}: {told}");
    rig.containerd.stop().await.unwrap();
}
