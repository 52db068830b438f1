#![expect(clippy::disallowed_methods, reason = "the tests build a host")]

use super::*;
use std::fs;
use tempfile::TempDir;

struct Host(TempDir);

impl Host {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, path: &str, content: impl AsRef<[u8]>) -> Self {
        let path = self.0.path().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    fn process(self, pid: u32, name: &str, parent: u32, line: &[&str]) -> Self {
        let status = format!("Name:\t{name}\nUmask:\t0022\nPid:\t{pid}\nPPid:\t{parent}\nUid:\t0\t0\t0\t0\n");
        self.with(&format!("/proc/{pid}/status"), status).with(&format!("/proc/{pid}/cmdline"), line.join("\0"))
    }

    fn root(&self) -> HostRoot {
        HostRoot::open(self.0.path()).unwrap()
    }
}

fn kubeconfig(args: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster: {{certificate-authority: /etc/kubernetes/pki/ca.crt}}\n  \
         name: kubernetes\nusers:\n- name: kubelet\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1\n      \
         command: aws\n      args: {args}\n"
    )
}

#[test]
fn the_cluster_is_in_the_kubelets_token_command() {
    for args in [
        "[eks, get-token, --cluster-name, prod-1, --region, eu-central-1]",
        "[eks, get-token, --cluster-name=prod-1]",
        "[token, -i, prod-1, --region, eu-central-1]",
    ] {
        let host = Host::new().with(KUBECONFIG, kubeconfig(args));
        assert_eq!(cluster(&host.root()).as_deref(), Some("prod-1"), "{args}");
    }
}

#[test]
fn a_kubeconfig_that_makes_no_sense_gives_no_cluster() {
    let bomb: String = (1..30).fold("a0: &a0 [x, x]\n".to_owned(), |text, i| {
        let before = i - 1;
        format!("{text}a{i}: &a{i} [*a{before}, *a{before}, *a{before}, *a{before}]\n")
    });
    for text in [
        String::new(),
        "]".to_owned(),
        kubeconfig("[token, -i]"),
        kubeconfig("[token, -i, \"../../etc\"]"),
        kubeconfig("[token, -i, \"{node}\"]"),
        kubeconfig("7"),
        "users: [{user: {}}]".to_owned(),
        "[".repeat(100_000),
        format!("{bomb}users: *a29\n"),
        "x".repeat(300_000),
    ] {
        let host = Host::new().with(KUBECONFIG, &text);
        assert_eq!(cluster(&host.root()), None, "{:.40}", text);
    }
    assert_eq!(cluster(&Host::new().root()), None);
}

#[test]
fn the_node_is_what_the_running_kubelet_was_told() {
    let host = Host::new()
        .process(7, "systemd-journal", 1, &["journald", "--hostname-override=wrong"])
        .process(812, "kubelet", 1, &["/usr/bin/kubelet", "--v=2", "--hostname-override=IP-10-0-0-1.ec2.internal"])
        .with("/etc/hostname", "other\n");
    assert_eq!(node_of_kubelet(&host.root()).as_deref(), Some("ip-10-0-0-1.ec2.internal"));
}

#[test]
fn a_process_of_a_container_is_not_the_kubelet_whatever_it_calls_itself() {
    let host = Host::new().process(90, "kubelet", 77, &["kubelet", "--hostname-override", "evil"]);
    assert_eq!(node_of_kubelet(&host.root()), None);
    let host = Host::new().process(90, "kubelet", 1, &["kubelet", "--hostname-override", "no:name*"]);
    assert_eq!(node_of_kubelet(&host.root()), None, "it is no name");
    let host = Host::new().process(90, "kubelet", 1, &["kubelet", "--v=2"]).process(91, "x", 1, &[]);
    assert_eq!(node_of_kubelet(&host.root()), None, "it was told none");
    assert_eq!(node_of_kubelet(&Host::new().root()), None, "there is no /proc");
}

#[test]
fn the_hosts_own_name_is_taken_as_the_kubelet_takes_it() {
    for (text, name) in [
        ("ip-10-0-0-1.ec2.internal\n", Some("ip-10-0-0-1.ec2.internal")),
        ("# from the AMI\n\n  Node-7  \n", Some("node-7")),
        ("localhost\n", None),
        ("localhost.localdomain\n", None),
        ("", None),
        ("two words\n", None),
        ("\u{1b}[31mred\n", None),
    ] {
        let host = Host::new().with("/etc/hostname", text);
        assert_eq!(host_name(&host.root()).as_deref(), name, "{text:?}");
    }
    assert_eq!(host_name(&Host::new().with("/etc/hostname", "x".repeat(10_000)).root()), None);
}

#[test]
fn a_link_out_of_the_host_leads_nowhere() {
    let outside = Host::new().with("/secret", kubeconfig("[token, -i, stolen]"));
    let host = Host::new();
    fs::create_dir_all(host.0.path().join("var/lib/kubelet")).unwrap();
    std::os::unix::fs::symlink(outside.0.path().join("secret"), host.0.path().join("var/lib/kubelet/kubeconfig"))
        .unwrap();
    assert_eq!(cluster(&host.root()), None);
}
