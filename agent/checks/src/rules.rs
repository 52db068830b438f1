//! What a policy can ask of a host: a closed set of typed predicates, one kind a file.

pub(crate) mod accounts;
pub(crate) mod audit_rule;
pub(crate) mod certificate;
pub(crate) mod clock;
pub(crate) mod config;
pub(crate) mod file;
pub(crate) mod imds;
pub(crate) mod kernel_parameter;
pub(crate) mod kubelet;
pub(crate) mod kubelet_drift;
pub(crate) mod listening;
pub(crate) mod module;
pub(crate) mod mount;
pub(crate) mod package;
pub(crate) mod process;
pub(crate) mod redirect;
pub(crate) mod selinux;
pub(crate) mod sshd;
pub(crate) mod swap;
pub(crate) mod sysctl;
pub(crate) mod unit;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::verdict::Verdict;

/// Something that holds of a host or does not. Written as a map with one key, the kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Predicate {
    /// Every one holds.
    All(Vec<Predicate>),
    /// At least one holds.
    Any(Vec<Predicate>),
    /// The other does not hold.
    Not(Box<Predicate>),
    /// A property of all accounts of the host.
    Accounts(accounts::Accounts),
    /// A rule of the audit system, on disk.
    AuditRule(audit_rule::AuditRule),
    /// An X.509 certificate on disk.
    Certificate(certificate::Certificate),
    /// The host's clock against its time source.
    Clock(clock::Clock),
    /// A value in a configuration file.
    Config(config::Config),
    /// Files: there or not, and who may do what with them.
    File(file::File),
    /// What the instance metadata service answers.
    Imds(imds::Imds),
    /// A parameter of the kernel's command line.
    KernelParameter(kernel_parameter::KernelParameter),
    /// A setting of the kubelet, in effect.
    Kubelet(kubelet::Kubelet),
    /// The kubelet runs with what it is configured with.
    KubeletDrift(kubelet_drift::KubeletDrift),
    /// What listens on the network.
    Listening(listening::Listening),
    /// A kernel module.
    Module(module::Module),
    /// A mount point.
    Mount(mount::Mount),
    /// Packages, installed or not.
    Package(package::Package),
    /// A process, running or not.
    Process(process::Process),
    /// The redirect of the metadata proxy.
    Redirect(redirect::Redirect),
    /// The mode of SELinux.
    Selinux(selinux::Selinux),
    /// An option of sshd, whoever logs in.
    Sshd(sshd::Sshd),
    /// Swap space, in use or configured.
    Swap(swap::Swap),
    /// A kernel parameter (`sysctl`).
    Sysctl(sysctl::Sysctl),
    /// A systemd unit.
    Unit(unit::Unit),
}

/// When something has to hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum When {
    /// In the running system.
    Now,
    /// After the next boot, by what is on disk.
    Boot,
    /// Both. In the build phase, which has no "now", after the next boot.
    #[default]
    Both,
}

impl When {
    /// Whether the running system is asked.
    pub(crate) fn now(self) -> bool {
        self != Self::Boot
    }

    /// Whether the disk is asked.
    pub(crate) fn boot(self) -> bool {
        self != Self::Now
    }
}

/// What it means that the thing a predicate speaks of is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Absent {
    /// The predicate fails.
    #[default]
    Fails,
    /// It holds: the benchmark says that absence is right.
    Holds,
    /// There is nothing to decide.
    NotApplicable,
}

impl Absent {
    /// The verdict on something that is not there. `source` is where it was looked for, `expected` what was wanted of it.
    pub(crate) fn verdict(self, source: &str, expected: &str) -> Verdict {
        use crate::verdict::Evidence;
        match self {
            Self::Fails => Verdict::of(Evidence::new(source, "not there", expected, false)),
            Self::Holds => Verdict::of(Evidence::new(source, "not there", expected, true)),
            Self::NotApplicable => Verdict::not_applicable(format!("{source}: not there")),
        }
    }
}

impl Predicate {
    /// Asks the facts.
    #[must_use]
    pub fn judge(&self, facts: &Facts<'_>) -> Verdict {
        match self {
            Self::All(all) => Verdict::all(all.iter().map(|p| p.judge(facts))),
            Self::Any(any) => Verdict::any(any.iter().map(|p| p.judge(facts))),
            Self::Not(other) => other.judge(facts).negated(),
            Self::Accounts(p) => p.judge(facts),
            Self::AuditRule(p) => p.judge(facts),
            Self::Certificate(p) => p.judge(facts),
            Self::Clock(p) => p.judge(facts),
            Self::Config(p) => p.judge(facts),
            Self::File(p) => p.judge(facts),
            Self::Imds(p) => p.judge(facts),
            Self::KernelParameter(p) => p.judge(facts),
            Self::Kubelet(p) => p.judge(facts),
            Self::KubeletDrift(p) => p.judge(facts),
            Self::Listening(p) => p.judge(facts),
            Self::Module(p) => p.judge(facts),
            Self::Mount(p) => p.judge(facts),
            Self::Package(p) => p.judge(facts),
            Self::Process(p) => p.judge(facts),
            Self::Redirect(p) => p.judge(facts),
            Self::Selinux(p) => p.judge(facts),
            Self::Sshd(p) => p.judge(facts),
            Self::Swap(p) => p.judge(facts),
            Self::Sysctl(p) => p.judge(facts),
            Self::Unit(p) => p.judge(facts),
        }
    }
}
