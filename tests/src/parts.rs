//! Real parts that a test needs: whether they are here, and what is said when they are not.
#![expect(
    clippy::disallowed_methods,
    reason = "whether a part is here is found out by trying it; only the agent is held to those seams"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::api_server;
use crate::fabric::Fabric;
use crate::machine::Machine;
use crate::moto::venv_program;

/// Something outside this repository.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    /// containerd with runc, busybox and the rights to use them.
    Containerd,
    /// The bridge plugin of CNI.
    BridgePlugin,
    /// A Debian that boots in a container, with a journald of its own.
    Machine,
    /// The disk of that Debian, and the rights to copy it.
    Debian,
    /// logrotate and the rights to use it.
    Logrotate,
    /// The Python environment with moto and boto3.
    Moto,
    /// The AWS CLI in the same.
    AwsCli,
    /// Node with AWS's clients for JavaScript.
    Node,
    /// Chromium, and what drives it.
    Chromium,
    /// Schemathesis in the Python environment.
    Schemathesis,
    /// What makes packages, and rpm, which installs some.
    Packagers,
    /// curl.
    Curl,
    /// promtool, which reads and tries the rules of Prometheus.
    Promtool,
    /// Network namespaces of one's own, iproute2 and nftables.
    Network,
    /// The same with iptables, as kube-proxy uses it.
    Iptables,
    /// The same with a kernel that has bridges call netfilter.
    BridgeNetfilter,
    /// strace, and the right to trace.
    Strace,
    /// helm, and what knows the objects of Kubernetes, in the Python environment.
    Helm,
    /// A real API server of Kubernetes, with etcd and kubectl.
    ApiServer,
    /// buildah, which builds container images.
    Buildah,
    /// shellcheck, which reads scripts.
    Shellcheck,
    /// packer, which reads the AMI's template.
    Packer,
    /// jq.
    Jq,
    /// A user namespace of one's own, in which limits can be lowered without touching the machine's.
    UserNamespace,
}

impl Part {
    fn lacking(self) -> Option<&'static str> {
        match self {
            Self::Containerd => {
                let programs = ["containerd", "ctr", "runc"].iter().all(|program| on_path(program));
                if !is_root() {
                    Some("it needs root")
                } else if !programs || !Path::new("/bin/busybox").exists() {
                    Some("it needs the packages containerd, runc and busybox-static")
                } else {
                    None
                }
            }
            Self::BridgePlugin => (!Path::new("/usr/lib/cni/bridge").exists())
                .then_some("it needs the package containernetworking-plugins"),
            Self::Machine => (!Machine::missing().is_empty())
                .then_some("it needs root, systemd-container and the Debian that tests/run makes"),
            Self::Debian => Machine::missing()
                .iter()
                .any(|part| ["root", "debian"].contains(part))
                .then_some("it needs root and the Debian that tests/run makes"),
            Self::Logrotate => {
                let here = is_root() && (on_path("logrotate") || Path::new("/usr/sbin/logrotate").exists());
                (!here).then_some("it needs root and the package logrotate")
            }
            Self::Moto | Self::AwsCli => {
                let program = if matches!(self, Self::Moto) { "moto_server" } else { "aws" };
                let here = venv_program(program).is_ok_and(|program| program.exists());
                (!here).then_some("it needs the Python environment that tests/run makes")
            }
            Self::Node => {
                let here =
                    on_path("node") && node_modules().is_some_and(|dir| dir.join("node_modules/@aws-sdk").exists());
                (!here).then_some("it needs the packages nodejs and npm, and the modules that tests/run installs")
            }
            Self::Chromium => {
                let driver = node_modules().is_some_and(|dir| dir.join("node_modules/playwright-core").exists());
                let here = on_path("chromium") && on_path("node") && driver;
                (!here).then_some("it needs the packages chromium and nodejs, and the modules that tests/run installs")
            }
            Self::Schemathesis => (!venv_program("schemathesis").is_ok_and(|program| program.exists()))
                .then_some("it needs the Python environment that tests/run makes"),
            Self::Packagers => {
                let made = tools().is_some_and(|dir| dir.join("bin/cargo-deb").exists());
                (!made || !on_path("rpm") || !on_path("readelf"))
                    .then_some("it needs the packages rpm and binutils, and the tools that tests/run installs")
            }
            Self::Helm => (!["helm", "kubernetes-validate"]
                .iter()
                .all(|program| venv_program(program).is_ok_and(|program| program.exists())))
            .then_some("it needs the Python environment that tests/run makes, with helm in it"),
            Self::ApiServer => {
                let built = api_server::program().is_some_and(|program| program.exists());
                let kubectl = venv_program("kubectl").is_ok_and(|program| program.exists());
                (!built || !kubectl || !on_path("etcd")).then_some(
                    "it needs the package etcd-server, and the API server and the kubectl that tests/run brings",
                )
            }
            Self::Curl => (!on_path("curl")).then_some("it needs the package curl"),
            Self::Promtool => (!on_path("promtool")).then_some("it needs the package prometheus"),
            Self::Network | Self::Iptables | Self::BridgeNetfilter => {
                let lacks = |program: &&str| !on_path(program) && !Path::new("/usr/sbin").join(program).exists();
                if !Fabric::missing().is_empty() || lacks(&"nft") {
                    Some("it needs root and the packages iproute2 and nftables")
                } else if matches!(self, Self::BridgeNetfilter) {
                    (!Path::new("/proc/sys/net/bridge").exists()).then_some("it needs the kernel's module br_netfilter")
                } else {
                    let iptables = ["iptables-nft-restore", "ip6tables-nft-restore"].iter().any(lacks);
                    (iptables && matches!(self, Self::Iptables)).then_some("it needs the package iptables")
                }
            }
            Self::Strace => {
                let mut try_it = Command::new("strace");
                try_it.args(["-o", "/dev/null", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
                let works = try_it.status().is_ok_and(|status| status.success());
                (!works).then_some("it needs the package strace, and the right to trace")
            }
            Self::Buildah => (!is_root() || !on_path("buildah")).then_some("it needs root and the package buildah"),
            Self::Shellcheck => (!on_path("shellcheck")).then_some("it needs the package shellcheck"),
            Self::Packer => (!on_path("packer")).then_some("it needs the package packer"),
            Self::Jq => (!on_path("jq")).then_some("it needs the package jq"),
            Self::UserNamespace => {
                let mut try_it = Command::new("unshare");
                try_it.args(["--user", "--map-root-user", "true"]).stdout(Stdio::null()).stderr(Stdio::null());
                let works = try_it.status().is_ok_and(|status| status.success());
                (!works).then_some("it needs unshare(1) and user namespaces")
            }
        }
    }
}

/// Whether a test can run. If not, says so by the test's name; where `CI=true`, that is a failure.
pub fn here(test: &str, part: Part) -> bool {
    let Some(lacking) = part.lacking() else { return true };
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{test} cannot run: {lacking}");
    // Past the test runner's capture, which would keep it to itself: a test that did not run counts as passed.
    let said = format!("not run: {test}: {lacking}\n");
    std::io::stderr().write_all(said.as_bytes()).expect("standard error takes a line");
    false
}

/// Where `tests/run` installs the modules of `tests/clients/package.json`.
pub fn node_modules() -> Option<PathBuf> {
    place("SAFEGUARD_TEST_NODE", "node")
}

/// Where `tests/run` installs what makes packages, in `bin`.
pub fn tools() -> Option<PathBuf> {
    place("SAFEGUARD_TEST_TOOLS", "tools")
}

pub(crate) fn place(variable: &str, default: &str) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set(variable).or_else(|| Some(set("HOME")?.join(".cache/safeguard").join(default)))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).exists())
}

/// `/proc/self` belongs to the effective user of this process (proc(5)).
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|m| m.uid() == 0)
}
