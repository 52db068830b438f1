//! The hardened disk as a node: the steps are taken inside of a booted machine, as on a builder, which then boots from what they
//! left. Around it are AWS and a cluster; in it are a stand-in of nodeadm, a kubelet that does nothing, and a real containerd.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use safeguard_checks::{Report, Status};
use safeguard_tests::built::program;
use safeguard_tests::machine::{Machine, Storage};
use safeguard_tests::parts::{Part, here};
use serde_json::Value;
use tokio::task::block_in_place;

use super::image::{ami, by_control, furnish, install};
use super::scripts::{claimed, files};
use crate::cloud::{self, Cloud, copy_program, kubeconfig, node_name};

const PATIENCE: Duration = Duration::from_secs(60);

/// Not below /tmp, as in the template.
const WORK: &str = "/opt/safeguard-build";

/// What the machine's disk lacks and a node has; copied from where the test runs, which is the same Debian.
const PROGRAMS: [&str; 7] = ["nft", "ip", "curl", "containerd", "containerd-shim-runc-v2", "ctr", "runc"];

/// Called and started as the kubelet is, and does nothing: see `checks::machine` of the other test program.
const KUBELET: &str = r#"#!/usr/bin/perl
$0 = join("\0", "/usr/bin/kubelet", @ARGV, "--v=000000000") . "\0";
my $name = "kubelet";
syscall(157, 15, $name); # prctl(PR_SET_NAME)
print STDERR "the kubelet of the test is up\n";
sleep 10000;
"#;

/// Writes what nodeadm writes at each boot, with its modes, before the kubelet is started.
const NODEADM: &str = r"#!/bin/sh
set -eu
umask 022
mkdir -p /etc/kubernetes/kubelet/config.json.d /etc/eks/kubelet /var/lib/kubelet
cp -r /srv/nodeadm/. /
";

struct Node {
    machine: Machine,
}

impl Node {
    fn write(&self, path: &str, mode: u32, text: &str) {
        let path = self.machine.root().join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn sh(&self, line: &str) -> String {
        self.machine.run(&["bash", "-euo", "pipefail", "-c", line]).unwrap()
    }

    fn until(&self, line: &str) {
        let late = Instant::now() + PATIENCE;
        loop {
            let Err(error) = self.machine.run(&["bash", "-euo", "pipefail", "-c", line]) else { return };
            if Instant::now() > late {
                let said = self.sh("journalctl --no-pager -o short-monotonic -b | grep -v audit | tail -n 60");
                panic!("{line}: {error}\n{said}");
            }
            std::thread::sleep(Duration::from_millis(300));
        }
    }

    /// A property of a unit.
    fn show(&self, unit: &str, property: &str) -> String {
        self.sh(&format!("systemctl show -P {property} {unit}")).trim().to_owned()
    }

    /// A machine with what the EKS image brings, and ours, and the directory of the AMI.
    fn builder() -> Self {
        let node = Self { machine: Machine::boot(Storage::Persistent).unwrap() };
        let root = node.machine.root();
        furnish(&root);
        install(&root, |line| {
            node.sh(line);
        });
        PROGRAMS.iter().for_each(|name| copy_program(name, &root));
        fs::copy("/bin/busybox", root.join("srv/busybox")).unwrap();
        for path in files(&ami()) {
            let text = fs::read_to_string(&path).unwrap();
            let mode = path.metadata().unwrap().permissions().mode();
            node.write(&format!("{WORK}/ami/{}", path.strip_prefix(ami()).unwrap().display()), mode, &text);
        }
        node.write("usr/bin/kubelet", 0o755, KUBELET);
        node.write("usr/bin/nodeadm", 0o755, NODEADM);
        node.write(
            "etc/systemd/system/nodeadm-run.service",
            0o644,
            "[Unit]\nBefore=kubelet.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/usr/bin/nodeadm\n\
             [Install]\nWantedBy=multi-user.target\n",
        );
        // As the package has it, but for the module, which the machine may not load.
        node.write(
            "etc/systemd/system/containerd.service",
            0o644,
            "[Unit]\nAfter=network.target local-fs.target\n[Service]\nExecStart=/usr/bin/containerd\nType=notify\n\
             Delegate=yes\nKillMode=process\n[Install]\nWantedBy=multi-user.target\n",
        );
        node.write(
            "etc/containerd/config.toml",
            0o644,
            "version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n",
        );
        // The metadata service, which tells the region, is there only once the machine has booted.
        let dropin = format!("{}Environment=AWS_REGION=us-east-1\n", cloud::endpoints());
        for unit in ["safeguard-agent", "safeguard-proxy"] {
            node.write(&format!("etc/systemd/system/{unit}.service.d/test.conf"), 0o644, &dropin);
        }
        node.sh("systemctl daemon-reload; systemctl --quiet enable kubelet containerd nodeadm-run");
        node
    }

    /// Puts down what nodeadm will write at the next boot: from user data, and over it from the image's own NodeConfig.
    fn user_data(&self) {
        let text = fs::read_to_string(self.machine.root().join("etc/eks/nodeadm.d/10-safeguard.yaml")).unwrap();
        let config: Value = serde_yaml_ng::from_str(&text).unwrap();
        let mut kubelet = config["spec"]["kubelet"]["config"].clone();
        assert!(kubelet["podPidsLimit"].is_number(), "{kubelet}");
        kubelet["kind"] = "KubeletConfiguration".into();
        kubelet["apiVersion"] = "kubelet.config.k8s.io/v1beta1".into();
        let at = |path: &str| format!("srv/nodeadm/{path}");
        self.write(
            &at("etc/kubernetes/kubelet/config.json"),
            0o644,
            r#"{"kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
                "authentication": {"x509": {"clientCAFile": "/etc/kubernetes/pki/ca.crt"}, "webhook": {"enabled": true}},
                "tlsCipherSuites": ["TLS_RSA_WITH_AES_128_GCM_SHA256"]}"#,
        );
        self.write(&at("etc/kubernetes/kubelet/config.json.d/40-nodeadm.conf"), 0o644, &kubelet.to_string());
        self.write(
            &at("etc/eks/kubelet/environment"),
            0o644,
            &format!(
                "NODEADM_KUBELET_ARGS='--config=/etc/kubernetes/kubelet/config.json \
                 --config-dir=/etc/kubernetes/kubelet/config.json.d --kubeconfig=/var/lib/kubelet/kubeconfig \
                 --hostname-override={}'\n",
                node_name()
            ),
        );
        self.write(&at("var/lib/kubelet/kubeconfig"), 0o644, &kubeconfig());
    }

    /// A safeguard on the same machine, where only this test would have it, and the settings of the agent that speak to it.
    fn report_to_a_safeguard(&self, cloud: &Cloud) {
        let root = self.machine.root();
        fs::copy(program("safeguard"), root.join("usr/bin/safeguard")).unwrap();
        let systemd = Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd");
        for (from, to) in [
            ("safeguard.service", "etc/systemd/system/safeguard.service"),
            ("safeguard.sysusers.conf", "etc/sysusers.d/safeguard.conf"),
        ] {
            self.write(to, 0o644, &fs::read_to_string(systemd.join(from)).unwrap());
        }
        for (path, text) in cloud.safeguard() {
            self.write(path, 0o644, &text);
        }
        self.sh("systemd-sysusers && systemctl daemon-reload && systemctl start safeguard");
        let more = cloud::heartbeat(&self.sh("safeguard key show"));
        let settings = fs::read_to_string(root.join("etc/safeguard/agent.toml")).unwrap();
        self.write("etc/safeguard/agent.toml", 0o644, &format!("{settings}{more}"));
        self.sh("systemctl restart safeguard-agent");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hardened_image_boots_as_a_node_that_ships_its_logs_and_beats() {
    const NAME: &str = "ami::node::the_hardened_image_boots_as_a_node_that_ships_its_logs_and_beats";
    if !here(NAME, Part::Machine)
        || !here(NAME, Part::Containerd)
        || !here(NAME, Part::Network)
        || !here(NAME, Part::Curl)
    {
        return;
    }
    let mut node = block_in_place(Node::builder);
    block_in_place(|| {
        node.sh(&format!("ROOT=/ {WORK}/ami/provision/run"));
        node.user_data();
        node.sh(&format!("ROOT=/ REPORTS={WORK}/reports {WORK}/ami/validate/run >/run/validate.txt || {{ cat /run/validate.txt >&2; exit 1; }}"));
        node.sh(&format!("rm -rf {WORK}"));
        node.machine.reboot().unwrap();
    });
    let cloud = Cloud::around(&node.machine).await;
    block_in_place(|| {
        let ca = cloud.api.ca_pem().unwrap();
        node.write("etc/kubernetes/pki/ca.crt", 0o644, &ca);
        node.write("etc/ssl/certs/ca-certificates.crt", 0o644, &ca);

        comes_up_in_order(&node);

        // Each node is a machine of its own.
        let id = fs::read_to_string(node.machine.root().join("etc/machine-id")).unwrap();
        assert_eq!(id.trim().len(), 32, "{id}");

        // Logs arrive: of the kubelet, and of whatever else speaks.
        node.sh("logger -t sshd 'somebody logged in'");
        let late = Instant::now() + PATIENCE;
        let arrived = |group: &str, text: &str| {
            cloud.logs.all_events().iter().any(|(g, _, event)| g.ends_with(group) && event.message.contains(text))
        };
        while !arrived("/dataplane", "the kubelet of the test is up") || !arrived("/host", "somebody logged in") {
            assert!(
                Instant::now() < late,
                "{:?}\n{}",
                cloud.logs.groups(),
                node.sh("journalctl --no-pager -b -u safeguard-agent | tail -n 30")
            );
            std::thread::sleep(Duration::from_millis(300));
        }

        // What could not be judged in the image: the kubelet as it runs.
        claims_hold(&node);

        // The safeguard hears of it.
        node.report_to_a_safeguard(&cloud);
        // How it stands is decided by the kernel that the machine shares; that it is judged is not.
        node.until("safeguard-agent status | grep -E '^state +(non-)?compliant' >/dev/null");
        let nodes: Value =
            serde_json::from_str(&node.sh("curl --silent --fail http://127.0.0.1:8420/v1/nodes")).unwrap();
        assert_eq!(nodes["items"][0]["assurance"], "iid+sts", "{nodes:#}");
        assert_eq!(nodes["items"][0]["name"], node_name().as_str(), "{nodes:#}");

        container_starts(&node);
    });
}

/// The redirect is there before the container runtime and the kubelet, and the settings of nodeadm before the kubelet.
fn comes_up_in_order(node: &Node) {
    for unit in
        ["safeguard-proxy-redirect", "containerd", "kubelet", "safeguard-agent", "safeguard-proxy", "nodeadm-run"]
    {
        node.until(&format!("systemctl is-active -q {unit}"));
    }
    let when = |unit: &str, property: &str| node.show(unit, property).parse::<u64>().unwrap();
    let redirect = when("safeguard-proxy-redirect", "ActiveEnterTimestampMonotonic");
    for unit in ["containerd", "kubelet"] {
        let started = when(unit, "ExecMainStartTimestampMonotonic");
        assert!(0 < redirect && redirect < started, "the redirect came up at {redirect}, {unit} at {started}");
    }
    assert!(node.show("kubelet", "Requires").contains("safeguard-proxy-redirect.service"));
    assert_eq!(node.show("safeguard-proxy-redirect-check.timer", "ActiveState"), "active");
    node.sh("nft list tables | grep -q safeguard");
}

/// Every control that a step is for holds on the node, or is not one of what a machine without a kernel of its own can show.
fn claims_hold(node: &Node) {
    let text = node.sh("safeguard-agent check --phase run --format json --fail-on none");
    let report: Report = serde_json::from_str(&text).unwrap();
    let findings = by_control(&report);
    let mut broken = Vec::new();
    for control in claimed() {
        let finding = &findings[&control];
        let holds = matches!(finding.status, Status::Pass | Status::Excepted | Status::NotApplicable);
        // The machine shares the kernel of where the test runs, and has neither auditd nor a clock to set.
        let shared = ["SYS-", "KRN-", "MOD-", "AUD-01", "OPS-01", "OPS-03", "OPS-04", "IMD-02", "MNT-"];
        if !holds && !shared.iter().any(|family| control.starts_with(family)) {
            broken.push(format!("{control} {:?} {:?} {:?}", finding.status, finding.reason, finding.evidence));
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
    for control in [
        "3.1.1", "3.2.1", "4.1.1", "4.1.5", "4.1.9", "4.2.12", "4.2.13", "4.2.14", "KUB-01", "KUB-05", "AGT-04",
        "AGT-05",
    ] {
        assert_eq!(findings[control].status, Status::Pass, "{control}: {:#?}", findings[control]);
    }
    let eks = report.policies.iter().find(|policy| policy.policy == "cis-eks-1.8.0").unwrap();
    assert_eq!(eks.counts.pass, 13, "{:?}", eks.counts);
}

/// containerd of the hardened image still starts a container. What systemd-nspawn keeps from every program of a machine is not asked of
/// it: keyrings (seccomp), an overlay upon the machine's own overlay, and, on a host with cgroups of version 1, their files.
fn container_starts(node: &Node) {
    node.write(
        "srv/runc",
        0o755,
        "#!/bin/bash\nargs=()\nfor word in \"$@\"; do args+=(\"$word\"); [[ $word != create ]] || args+=(--no-new-keyring); done\n\
         exec runc \"${args[@]}\"\n",
    );
    let cgroup = format!("safeguard-ami-{}", std::process::id());
    let said = node.sh(&format!(
        "for dir in /sys/fs/cgroup /sys/fs/cgroup/*/; do mount -o remount,rw,bind $dir 2>/dev/null || true; done
         mkdir -p /srv/rootfs/bin && cp /srv/busybox /srv/rootfs/bin/busybox
         timeout 40 ctr run --rm --runc-binary /srv/runc --cgroup {cgroup} --rootfs /srv/rootfs one \
             /bin/busybox echo a container speaks 2>&1 || journalctl --no-pager -o cat -u containerd | tail -n 20
         rmdir /sys/fs/cgroup/{cgroup} /sys/fs/cgroup/*/{cgroup} 2>/dev/null || true"
    ));
    assert_eq!(said.trim(), "a container speaks");
}
