#![expect(
    clippy::disallowed_methods,
    reason = "a test writes what the CNI would write, and waits for the file system's clock"
)]

use std::time::Duration;

use tempfile::TempDir;

use super::*;

struct Rig {
    root: TempDir,
    cache: CniCache,
}

fn now() -> i128 {
    let since = safeguard_daemon::clock::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i128::try_from(since.as_nanos()).unwrap()
}

fn result(uid: &str, addresses: &[&str]) -> String {
    let ips: Vec<_> = addresses.iter().map(|a| serde_json::json!({ "address": a, "gateway": "10.0.0.1" })).collect();
    serde_json::json!({
        "kind": "cniCacheV1",
        "containerId": "1f",
        "config": "e30=",
        "ifName": "eth0",
        "networkName": "aws-cni",
        "cniArgs": [
            ["IgnoreUnknown", "1"],
            ["K8S_POD_NAMESPACE", "shop"],
            ["K8S_POD_NAME", format!("name-of-{uid}")],
            ["K8S_POD_INFRA_CONTAINER_ID", "1f"],
            ["K8S_POD_UID", uid],
        ],
        "result": { "cniVersion": "1.0.0", "interfaces": [], "ips": ips },
    })
    .to_string()
}

impl Rig {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("var/lib/cni/results")).unwrap();
        let cache = CniCache::new(HostRoot::open(root.path()).unwrap(), Path::new("/var/lib/cni/results"));
        Self { root, cache }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("var/lib/cni/results").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(name)).unwrap();
    }

    fn owner(&self, address: &str) -> Owner {
        self.cache.owner(address.parse().unwrap(), now()).unwrap()
    }

    /// The UID of the one pod that has an address.
    fn uid(&self, address: &str) -> Option<String> {
        match self.owner(address) {
            Owner::Pod(result) => Some(result.uid.to_string()),
            _ => None,
        }
    }
}

#[test]
fn an_address_is_its_pods_as_soon_as_the_file_is_there_and_no_longer() {
    let rig = Rig::new();
    // Without a pause between them: more than one change in one tick of the clock.
    for round in 0..200 {
        let uid = format!("uid-{round}");
        rig.write(&format!("aws-cni-{round}-eth0"), &result(&uid, &["10.0.0.9/32", "fd00::9/128"]));
        assert_eq!(rig.uid("10.0.0.9").as_deref(), Some(uid.as_str()));
        assert_eq!(rig.uid("fd00::9").as_deref(), Some(uid.as_str()));
        rig.remove(&format!("aws-cni-{round}-eth0"));
        assert_eq!(rig.owner("10.0.0.9"), Owner::Nobody { unreadable: None });
    }
}

/// libcni cuts a file and writes it in place: half of it says nothing, and the whole counts at once.
#[test]
fn a_file_that_is_being_written_is_never_trusted() {
    let rig = Rig::new();
    let whole = result("uid-1", &["10.0.0.9/32"]);
    for end in [0, 1, whole.len() / 2, whole.len() - 1] {
        rig.write("aws-cni-1-eth0", whole.get(..end).unwrap());
        assert!(matches!(rig.owner("10.0.0.9"), Owner::Nobody { unreadable: Some(_) }), "{end} bytes");
    }
    rig.write("aws-cni-1-eth0", &whole);
    assert_eq!(rig.uid("10.0.0.9").as_deref(), Some("uid-1"));
}

/// The same when the half stood there for long, so that neither file nor directory were looked at meanwhile.
#[test]
fn a_file_that_is_finished_late_counts_at_once() {
    let rig = Rig::new();
    rig.write("aws-cni-1-eth0", "{");
    assert_eq!(rig.uid("10.0.0.9"), None);
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(rig.uid("10.0.0.9"), None);
    assert_eq!(rig.uid("10.0.0.9"), None);
    rig.write("aws-cni-1-eth0", &result("uid-1", &["10.0.0.9/32"]));
    assert_eq!(rig.uid("10.0.0.9").as_deref(), Some("uid-1"));
}

/// uswitch/kiam#499, jtblin/kube2iam#244, #178: an address of two pods is nobody's until one of them is gone.
#[test]
fn two_files_with_one_address_refuse_until_one_is_gone() {
    let rig = Rig::new();
    rig.write("aws-cni-1-eth0", &result("uid-1", &["10.0.0.9/32"]));
    rig.write("aws-cni-2-eth0", &result("uid-2", &["10.0.0.9/32"]));
    assert!(matches!(rig.owner("10.0.0.9"), Owner::Several(both) if both.len() == 2));
    rig.remove("aws-cni-1-eth0");
    assert_eq!(rig.uid("10.0.0.9").as_deref(), Some("uid-2"));
}

#[test]
fn two_interfaces_of_one_pod_are_one_pod() {
    let rig = Rig::new();
    rig.write("aws-cni-1-eth0", &result("uid-1", &["10.0.0.9/32"]));
    rig.write("other-1-net1", &result("uid-1", &["10.0.0.9/32", "10.1.0.9/24"]));
    rig.write("cni-loopback-1-lo", &result("uid-1", &["127.0.0.1/8", "::1/128"]));
    assert_eq!(rig.uid("10.0.0.9").as_deref(), Some("uid-1"));
    assert_eq!(rig.uid("10.1.0.9").as_deref(), Some("uid-1"));
    assert_eq!(rig.uid("127.0.0.1"), None);
}

#[test]
fn what_is_no_result_of_a_pod_is_passed_over() {
    let rig = Rig::new();
    rig.write("garbage", "\0\u{1}[[[");
    rig.write("of-another-kind", r#"{"kind":"cniCacheV9","result":{"ips":[{"address":"10.0.0.9/32"}]}}"#);
    rig.write("without-a-pod", r#"{"kind":"cniCacheV1","result":{"ips":[{"address":"10.0.0.9/32"}]}}"#);
    rig.write("bad-address", &result("uid-1", &["10.0.0.9999/32"]));
    rig.write("huge", &"x".repeat(2 * 1024 * 1024));
    std::os::unix::fs::symlink("/etc/hostname", rig.path("link")).unwrap();
    std::fs::create_dir(rig.path("directory")).unwrap();
    nix::unistd::mkfifo(&rig.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    rig.write("good", &result("uid-2", &["10.0.0.8/32"]));
    assert_eq!(rig.uid("10.0.0.9"), None);
    assert_eq!(rig.uid("10.0.0.8").as_deref(), Some("uid-2"));
    assert_eq!(rig.cache.all(now()).unwrap().len(), 1);
}

#[test]
fn results_of_old_plugins_are_understood() {
    let text = r#"{"kind":"cniCacheV1","cniArgs":[["K8S_POD_NAMESPACE","n"],["K8S_POD_NAME","p"],["K8S_POD_UID","u"]],
        "result":{"cniVersion":"0.2.0","ip4":{"ip":"10.0.0.9/24"},"ip6":{"ip":"::ffff:10.0.0.7/128"}}}"#;
    let parsed = CniResult::parse("f", text.as_bytes()).unwrap();
    assert_eq!(parsed.addresses, ["10.0.0.9", "10.0.0.7"].map(|a| a.parse::<IpAddr>().unwrap()));
}

#[test]
fn a_directory_that_appears_late_or_is_made_again_is_read() {
    let rig = Rig::new();
    std::fs::remove_dir_all(rig.root.path().join("var")).unwrap();
    assert!(!rig.cache.exists());
    assert!(rig.cache.owner("10.0.0.9".parse().unwrap(), now()).is_err());
    for uid in ["uid-1", "uid-2"] {
        std::fs::create_dir_all(rig.root.path().join("var/lib/cni/results")).unwrap();
        rig.write("aws-cni-1-eth0", &result(uid, &["10.0.0.9/32"]));
        assert!(rig.cache.exists());
        assert_eq!(rig.uid("10.0.0.9").as_deref(), Some(uid));
        std::fs::remove_dir_all(rig.root.path().join("var")).unwrap();
    }
}

/// Where the cache cannot be read, nobody falls back to whoever else may know the address.
#[test]
fn a_directory_that_cannot_be_read_is_not_taken_for_none() {
    let rig = Rig::new();
    std::fs::remove_dir_all(rig.root.path().join("var/lib/cni/results")).unwrap();
    std::fs::write(rig.root.path().join("var/lib/cni/results"), "").unwrap();
    assert!(rig.cache.exists());
    assert!(rig.cache.owner("10.0.0.9".parse().unwrap(), now()).is_err());
}
