//! A Debian that runs: what only a running host has, seen from inside and from outside.

use std::collections::BTreeMap;
use std::fs;

use safeguard_checks::{Cause, Finding, Phase, Report, Status};
use safeguard_tests::machine::{Machine, Storage};

use super::debian::{Hardening, check, put};
use crate::program::agent;
use safeguard_tests::parts::{Part, here};

const PROGRAM: &str = "/usr/local/bin/safeguard-agent";

/// A booted machine with the program, and what makes it a node.
struct Node {
    machine: Machine,
}

impl Node {
    fn boot() -> Self {
        let node = Self { machine: Machine::boot(Storage::Persistent).unwrap() };
        let at = |path: &str| node.machine.root().join(path.trim_start_matches('/'));
        for (path, entry) in Hardening::read().node.iter().filter(|(path, _)| !path.starts_with("/etc/fstab")) {
            put(&at(path), entry);
        }
        fs::copy(agent(), at(PROGRAM)).unwrap();
        node
    }

    fn run(&self, line: &str) -> String {
        self.machine.run(&["sh", "-ec", line]).unwrap()
    }

    /// What the program says inside; `before` is put before its name.
    fn inside(&self, before: &str) -> Report {
        let line = format!("{before} {PROGRAM} check --format json --node node-1 --no-eks-exceptions --fail-on none");
        serde_json::from_str(&self.run(&line)).unwrap()
    }

    /// What becomes of a control of our own policy inside.
    fn status(&self, control: &str) -> Status {
        findings(&self.inside(""))[&format!("eks-node-hardening/{control}")].status
    }
}

fn findings(report: &Report) -> BTreeMap<String, &Finding> {
    report.findings().map(|(policy, finding)| (format!("{policy}/{}", finding.control), finding)).collect()
}

/// The cause why it is unknown.
fn cause(finding: &Finding) -> Option<Cause> {
    finding.unobserved.as_ref().map(|why| why.cause)
}

#[test]
fn from_outside_a_machine_is_what_it_is_inside_but_for_what_namespaces_hide() {
    if !here("checks::machine::from_outside_a_machine_is_what_it_is_inside_but_for_what_namespaces_hide", Part::Machine)
    {
        return;
    }
    let node = Node::boot();
    let (inside, outside) = (node.inside(""), check(&node.machine.root(), &[]));
    assert_eq!((inside.phase, outside.phase), (Phase::Run, Phase::Run));
    let (inside, outside) = (findings(&inside), findings(&outside));
    assert!(inside.keys().eq(outside.keys()));
    let different: Vec<_> = inside.keys().filter(|name| inside[*name].status != outside[*name].status).collect();
    for name in &different {
        let hidden = outside[*name].status == Status::Unknown
            && matches!(cause(outside[*name]), Some(Cause::Namespace | Cause::Permission));
        assert!(hidden, "{name}: inside {:#?}, outside {:#?}", inside[*name], outside[*name]);
    }
    // The parameters of the network are those of whoever asks.
    assert_eq!(outside["eks-node-hardening/KRN-06"].status, Status::Unknown);
    assert_eq!(cause(outside["eks-node-hardening/KRN-06"]), Some(Cause::Namespace));
    assert!(different.len() < 15, "{different:?}");
}

/// Installs the agent and its unit.
fn install(node: &Node) {
    let root = node.machine.root();
    fs::copy(agent(), root.join("usr/bin/safeguard-agent")).unwrap();
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/../systemd/safeguard-agent.service");
    fs::copy(unit, root.join("etc/systemd/system/safeguard-agent.service")).unwrap();
}

/// Does something with the unit; what the journal has of it is said when that fails.
fn systemctl(node: &Node, what: &str) {
    let journal = "journalctl -u safeguard-agent --no-pager >&2";
    node.run(&format!("systemctl daemon-reload; systemctl {what} safeguard-agent || ({journal}; exit 1)"));
}

/// What hides the host from the agent's own view of the file system hides nothing that it looks at: the root of the first
/// process is what it reads.
#[test]
fn in_the_sandbox_of_its_unit_it_says_what_it_says_outside() {
    if !here("checks::machine::in_the_sandbox_of_its_unit_it_says_what_it_says_outside", Part::Machine) {
        return;
    }
    let node = Node::boot();
    install(&node);
    let root = node.machine.root();
    // The same sandbox, for one look.
    let once = "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecStart=\nExecStart=/usr/bin/safeguard-agent check \
                --root /proc/1/root --format json --node node-1 --no-eks-exceptions --fail-on none\n\
                StandardOutput=file:/srv/inside.json\nStandardError=journal\n";
    fs::create_dir(root.join("etc/systemd/system/safeguard-agent.service.d")).unwrap();
    fs::write(root.join("etc/systemd/system/safeguard-agent.service.d/once.conf"), once).unwrap();
    systemctl(&node, "start");
    let inside: Report = serde_json::from_slice(&fs::read(root.join("srv/inside.json")).unwrap()).unwrap();
    let outside = node.inside("");
    let (inside, outside) = (findings(&inside), findings(&outside));
    assert!(inside.keys().eq(outside.keys()));
    for (name, finding) in &inside {
        assert_eq!(finding.status, outside[name].status, "{name}: inside {finding:#?}, outside {:#?}", outside[name]);
    }
}

#[test]
fn its_unit_starts_it_reads_its_settings_again_and_ends_it() {
    if !here("checks::machine::its_unit_starts_it_reads_its_settings_again_and_ends_it", Part::Machine) {
        return;
    }
    let node = Node::boot();
    install(&node);
    let settings = "[node]\nname = \"node-1\"\nhost_root = \"/proc/1/root\"\n[logs]\nenabled = false\n";
    fs::write(node.machine.root().join("etc/safeguard/agent.toml"), settings).unwrap();
    // `start` waits until the agent says that it is ready.
    systemctl(&node, "start");
    let show = |property: &str| node.run(&format!("systemctl show -P {property} safeguard-agent")).trim().to_owned();
    assert_eq!((show("ActiveState"), show("SubState")), ("active".to_owned(), "running".to_owned()));
    let seccomp = node.run(&format!("grep -h '^Seccomp:\\|^CapEff:\\|^NoNewPrivs:' /proc/{}/status", show("MainPID")));
    // CAP_DAC_READ_SEARCH (2) and CAP_SYS_PTRACE (19): linux/capability.h.
    assert_eq!(
        seccomp.split_whitespace().collect::<Vec<_>>(),
        ["CapEff:", "0000000000080004", "NoNewPrivs:", "1", "Seccomp:", "2"]
    );
    systemctl(&node, "kill --signal=HUP");
    node.run(
        "for i in $(seq 100); do journalctl -u safeguard-agent | grep -i 'settings' && exit 0; sleep 0.1; done; exit 1",
    );
    assert_eq!(show("NRestarts"), "0");
    systemctl(&node, "stop");
    assert_eq!((show("Result"), show("ExecMainStatus")), ("success".to_owned(), "0".to_owned()));
}

/// osquery/osquery#6056: inside, but in another network namespace than the first process.
#[test]
fn in_another_network_namespace_the_hosts_parameters_are_unknown() {
    if !here("checks::machine::in_another_network_namespace_the_hosts_parameters_are_unknown", Part::Machine) {
        return;
    }
    let node = Node::boot();
    let (same, other) = (node.inside(""), node.inside("unshare --net"));
    let (same, other) = (findings(&same), findings(&other));
    let different: Vec<_> = same.keys().filter(|name| same[*name].status != other[*name].status).cloned().collect();
    assert!(!different.is_empty());
    for name in different {
        assert_eq!((other[&name].status, cause(other[&name])), (Status::Unknown, Some(Cause::Namespace)), "{name}");
        assert!(name.starts_with("eks-node-hardening/KRN") || name.starts_with("eks-node-hardening/SYS"), "{name}");
    }
}

/// What holds now and what will hold after a boot are asked separately, and each is seen when it changes.
#[test]
fn what_holds_now_is_seen_to_change() {
    if !here("checks::machine::what_holds_now_is_seen_to_change", Part::Machine) {
        return;
    }
    let node = Node::boot();

    // A parameter that is right on disk and wrong now, and the other way round.
    node.run("echo net.ipv4.ip_forward=1 > /etc/sysctl.d/99-node.conf; echo 0 > /proc/sys/net/ipv4/ip_forward");
    assert_eq!(node.status("SYS-01"), Status::Fail);
    node.run("echo 1 > /proc/sys/net/ipv4/ip_forward");
    assert_eq!(node.status("SYS-01"), Status::Pass);
    node.run("rm /etc/sysctl.d/99-node.conf");
    assert_eq!(node.status("SYS-01"), Status::Fail);

    // A unit that is enabled, and one that also runs.
    node.run("printf '[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n' > /etc/systemd/system/auditd.service; \
              systemctl daemon-reload; systemctl enable -q auditd");
    assert_eq!(node.status("AUD-01"), Status::Fail);
    node.run("systemctl start auditd");
    assert_eq!(node.status("AUD-01"), Status::Pass);
    node.run("systemctl stop auditd");
    assert_eq!(node.status("AUD-01"), Status::Fail);

    // A mount as fstab has it, and then as somebody made it.
    node.run("echo 'tmpfs /tmp tmpfs nodev,nosuid 0 0' > /etc/fstab; mount -t tmpfs -o nodev,nosuid tmpfs /tmp");
    assert_eq!(node.status("MNT-02"), Status::Pass);
    node.run("mount -o remount,suid,nodev /tmp");
    assert_eq!(node.status("MNT-02"), Status::Fail);

    // A port that nobody should listen on.
    assert_eq!(node.status("NET-01"), Status::Pass);
    node.run(
        "systemd-run -q --unit=port systemd-socket-activate -l 10255 /bin/true; \
              for i in $(seq 100); do grep -q ':280F ' /proc/net/tcp /proc/net/tcp6 && break; sleep 0.05; done",
    );
    assert_eq!(node.status("NET-01"), Status::Fail);
    node.run("systemctl stop port");
    assert_eq!(node.status("NET-01"), Status::Pass);
}

/// A program that is called and was started as the kubelet is, and does nothing. Perl is what the machine has; its own name, which
/// the kernel puts before that of a script, is overwritten, and what that leaves is filled by a flag of the same length.
const KUBELET: &str = r#"#!/usr/bin/perl
$0 = join("\0", "/usr/bin/kubelet", @ARGV, "--v=000000000") . "\0";
my $name = "kubelet";
syscall(157, 15, $name); # prctl(PR_SET_NAME)
sleep 1000;
"#;

/// Waits until it is.
const STARTED: &str = "for i in $(seq 100); do \
     tr '\\0' ' ' < /proc/$(systemctl show -P MainPID kubelet)/cmdline | grep -q '^/usr/bin/kubelet ' && exit; sleep 0.05; done; exit 1";

/// What the kubelet was started with decides, whatever its unit says by now.
#[test]
fn the_kubelet_that_runs_is_asked_and_not_the_one_on_disk() {
    if !here("checks::machine::the_kubelet_that_runs_is_asked_and_not_the_one_on_disk", Part::Machine) {
        return;
    }
    let node = Node::boot();
    let anonymous = || {
        let report = node.inside("");
        let finding = findings(&report)["cis-eks-1.8.0/3.2.1"].clone();
        let source = finding.evidence.first().map(|e| e.source.clone());
        (finding.status, source.or(finding.reason).unwrap_or_default())
    };
    // On disk a drop-in allows it.
    node.run("systemctl daemon-reload");
    let (status, source) = anonymous();
    assert_eq!(status, Status::Fail);
    assert!(source.contains("90-debug.conf"), "{source}");

    // Started with a flag that forbids it.
    fs::write(node.machine.root().join("usr/bin/kubelet"), KUBELET).unwrap();
    node.run(
        "sed -i 's/^ExecStart=.*/& --anonymous-auth=false/' /etc/systemd/system/kubelet.service; systemctl daemon-reload",
    );
    node.run(&format!("systemctl start kubelet; {STARTED}"));
    let (status, source) = anonymous();
    assert_eq!(status, Status::Pass, "{source}");
    assert!(source.contains("--anonymous-auth"), "{source}");

    // The flag goes from the unit; the kubelet is still the one that was started.
    node.run("sed -i 's/ --anonymous-auth=false//' /etc/systemd/system/kubelet.service; systemctl daemon-reload");
    assert_eq!(anonymous().0, Status::Pass);
    node.run(&format!("systemctl restart kubelet; {STARTED}"));
    assert_eq!(anonymous().0, Status::Fail);
}
