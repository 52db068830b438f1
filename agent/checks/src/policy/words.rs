//! What a predicate looks at and wants, in words: for pages and for `explain`.

use std::fmt;

use crate::rules::accounts::Accounts;
use crate::rules::audit_rule::AuditRule;
use crate::rules::certificate::Certificate;
use crate::rules::config::Config;
use crate::rules::file::{File, From, Kind};
use crate::rules::imds::Imds;
use crate::rules::listening::{Allowed, Listening, Protocol};
use crate::rules::module::State;
use crate::rules::mount::Mount;
use crate::rules::selinux::{Mode, Selinux};
use crate::rules::sysctl::Sysctl;
use crate::rules::unit::{Unit, UnitState};
use crate::rules::{Absent, Predicate, When};

/// A part of a sentence, such as `kubelet setting readOnlyPort: 0`.
impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(all) => f.write_str(&joined(all, "; and ")),
            Self::Any(any) => write!(f, "either {}", joined(any, "; or ")),
            Self::Not(other) => write!(f, "not ({other})"),
            Self::Accounts(it) => f.write_str(accounts(*it)),
            Self::AuditRule(it) => f.write_str(&audit_rule(it)),
            Self::Certificate(it) => f.write_str(&certificate(it)),
            Self::Clock(it) => write!(f, "the clock is kept in step, at most {} ms off", it.max_error_ms),
            Self::Config(it) => f.write_str(&config(it)),
            Self::File(it) => f.write_str(&file(it)),
            Self::Imds(Imds::RequiresTokens) => {
                f.write_str("the instance metadata service refuses a request without a token")
            }
            Self::KernelParameter(it) => {
                write!(f, "kernel command line {}{}: {}", it.name, when(it.when), it.value)
            }
            Self::Kubelet(it) => write!(f, "kubelet setting {}: {}", it.setting, it.value),
            Self::KubeletDrift(_) => f.write_str("the kubelet runs with what files and flags say now"),
            Self::Listening(it) => f.write_str(&listening(it)),
            Self::Module(it) => match it.is {
                State::Unavailable => write!(f, "kernel module {} cannot be loaded", it.name),
                State::Loaded => write!(f, "kernel module {} is loaded or built in", it.name),
                State::Available => write!(f, "kernel module {} can be loaded", it.name),
            },
            Self::Mount(it) => f.write_str(&mount(it)),
            Self::Package(it) => {
                let names = it.names.join(", ");
                write!(f, "{} of the packages {names} is installed", if it.installed { "one" } else { "none" })
            }
            Self::Process(it) => {
                write!(f, "process {} {}", it.name, if it.running { "runs" } else { "does not run" })
            }
            Self::Redirect(it) => write!(
                f,
                "the redirect of the metadata proxy is whole, by a check of the last {} s",
                it.max_age_seconds
            ),
            Self::Selinux(it) => f.write_str(&selinux(it)),
            Self::Sshd(it) => write!(f, "sshd option {}, whoever logs in: {}", it.option, it.value),
            Self::Swap(it) => {
                write!(f, "{} swap space{}", if it.allowed { "there may be" } else { "there is no" }, when(it.when))
            }
            Self::Sysctl(it) => f.write_str(&sysctl(it)),
            Self::Unit(it) => f.write_str(&unit(it)),
        }
    }
}

/// Those that are made of others in parentheses, where they stand beside others.
fn joined(predicates: &[Predicate], between: &str) -> String {
    let one = |predicate: &Predicate| match predicate {
        Predicate::All(of) | Predicate::Any(of) if of.len() > 1 && predicates.len() > 1 => format!("({predicate})"),
        _ => predicate.to_string(),
    };
    predicates.iter().map(one).collect::<Vec<_>>().join(between)
}

fn when(when: When) -> &'static str {
    match when {
        When::Now => " now",
        When::Boot => " after the next boot",
        When::Both => "",
    }
}

fn absent(absent: Absent) -> &'static str {
    match absent {
        Absent::Fails => "",
        Absent::Holds => ", or not there",
        Absent::NotApplicable => ", where it exists",
    }
}

fn accounts(it: Accounts) -> &'static str {
    match it {
        Accounts::OnlyRootHasUidZero => "root is the only user with UID 0",
        Accounts::RootGroupIsZero => "the primary group of root is GID 0",
        Accounts::NoEmptyPasswords => "no password in /etc/shadow is empty",
        Accounts::PasswordsAreShadowed => "every user of /etc/passwd has its password in /etc/shadow",
        Accounts::NoNisEntries => "no line of the account files takes in accounts of a network directory (NIS)",
        Accounts::UniqueUids => "no two users share a UID",
        Accounts::UniqueGids => "no two groups share a GID",
        Accounts::UniqueUserNames => "no two users share a name",
        Accounts::UniqueGroupNames => "no two groups share a name",
        Accounts::PrimaryGroupsExist => "every primary group exists",
        Accounts::SystemAccountsCannotLogIn => "no system account has both a login shell and a usable password",
        Accounts::NoPasswordLogin => "every password in /etc/shadow is locked",
    }
}

fn audit_rule(it: &AuditRule) -> String {
    let fields = if it.fields.is_empty() { String::new() } else { format!(" where {}", it.fields.join(" and ")) };
    match (&it.watch, it.immutable) {
        (Some(path), _) => format!("audit watch on {path} for {}", it.permissions.as_deref().unwrap_or_default()),
        (None, Some(true)) => "the last audit rule locks the others (-e 2)".to_owned(),
        (None, Some(false)) => "the audit rules can be changed without a boot (no -e 2)".to_owned(),
        (None, None) => {
            let architectures =
                if it.architectures.is_empty() { "b64, b32".to_owned() } else { it.architectures.join(", ") };
            format!("audit rule for the system calls {} ({architectures}){fields}", it.syscalls.join(", "))
        }
    }
}

fn certificate(it: &Certificate) -> String {
    let which = match (&it.path, it.from) {
        (Some(path), _) => format!("the certificate in {path}"),
        (None, Some(From::KubeletClientCa)) => "the CA of the kubelet's clients".to_owned(),
        (None, from) => from.map(named).unwrap_or_default().to_owned(),
    };
    let key = if it.rsa_bits == 0 { String::new() } else { format!(", RSA keys of at least {} bits", it.rsa_bits) };
    let left = match it.days_left {
        0 => String::new(),
        days => format!(" for {days} days more"),
    };
    format!("{which} is in force{left}{key}{}", absent(it.absent))
}

fn config(it: &Config) -> String {
    let section = it.section.as_ref().map(|section| format!("[{section}] ")).unwrap_or_default();
    let default = it.default.as_ref().map(|value| format!(" ({value} if not written)")).unwrap_or_default();
    format!("{}: {section}{}: {}{default}{}", it.file, it.key, it.value, absent(it.absent))
}

fn named(from: From) -> &'static str {
    match from {
        From::KubeletConfig => "the kubelet's configuration file and each of its drop-ins",
        From::KubeletKubeconfig => "the kubelet's kubeconfig",
        From::KubeletClientCa => "the kubelet's client CA file",
        From::KubeletServerCertificate => "the kubelet's serving certificate",
        From::KubeletServerKey => "the key of the kubelet's serving certificate",
        From::KubeletUnit => "the kubelet's unit file and each of its drop-ins",
        From::KubeProxyKubeconfig => "the kubeconfig of a kube-proxy that is a process of the host",
    }
}

fn file(it: &File) -> String {
    let which = match (&it.path, it.from) {
        (Some(path), _) => path.clone(),
        (None, Some(from)) => named(from).to_owned(),
        (None, None) => it.paths.join(", "),
    };
    if let Some(exists) = it.exists
        && it.mode.is_none()
        && it.owner.is_none()
        && it.kind.is_none()
    {
        return format!("{which} {}", if exists { "exists" } else { "does not exist" });
    }
    let mut wanted = Vec::new();
    wanted.extend(it.kind.and_then(|kind| match kind {
        Kind::File => Some("a regular file".to_owned()),
        Kind::Directory => Some("a directory".to_owned()),
        Kind::Special => Some("a socket, FIFO or device".to_owned()),
        Kind::Any => None,
    }));
    wanted.extend(it.mode.as_ref().map(|mode| format!("mode {mode} or stricter")));
    wanted.extend(it.owner.as_ref().map(|owner| format!("owner {owner}")));
    wanted.extend((!it.group.is_empty()).then(|| format!("group {}", it.group.join(" or "))));
    format!("{which}: {}{}", wanted.join(", "), absent(it.absent))
}

fn listening(it: &Listening) -> String {
    let protocol = match it.protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    match it.allowed {
        Allowed::Nobody => format!("nothing listens on {protocol} port {}", it.port),
        Allowed::Loopback => format!("{protocol} port {} is open on loopback addresses only", it.port),
    }
}

fn mount(it: &Mount) -> String {
    let mut wanted = Vec::new();
    wanted.extend((!it.options.is_empty()).then(|| format!("with {}", it.options.join(", "))));
    wanted.extend((!it.without.is_empty()).then(|| format!("without {}", it.without.join(", "))));
    let wanted = if wanted.is_empty() { String::new() } else { format!(" {}", wanted.join(" and ")) };
    let absent = if it.absent == Absent::NotApplicable { ", where it is a mount point" } else { absent(it.absent) };
    format!("{} is mounted{wanted}{}{absent}", it.at, when(it.when))
}

fn selinux(it: &Selinux) -> String {
    let mode = |mode: &Mode| match mode {
        Mode::Enforcing => "enforcing",
        Mode::Permissive => "permissive",
        Mode::Disabled => "disabled",
    };
    format!("SELinux is {}{}", it.modes.iter().map(mode).collect::<Vec<_>>().join(" or "), when(it.when))
}

fn sysctl(it: &Sysctl) -> String {
    let default = it.kernel_default.map(|value| format!(" (at boot {value} if nothing sets it)")).unwrap_or_default();
    format!("sysctl {}{}: {}{default}{}", it.key, when(it.when), it.value, absent(it.absent))
}

fn unit(it: &Unit) -> String {
    let state = |state: &UnitState| match state {
        UnitState::Enabled => "enabled",
        UnitState::Disabled => "disabled",
        UnitState::Masked => "masked",
        UnitState::Static => "static",
    };
    let mut wanted = Vec::new();
    wanted.extend((!it.state.is_empty()).then(|| it.state.iter().map(state).collect::<Vec<_>>().join(" or ")));
    wanted.extend(it.running.map(|running| if running { "running" } else { "not running" }.to_owned()));
    let wanted = if wanted.is_empty() { "there".to_owned() } else { wanted.join(" and ") };
    format!("unit {} is {wanted}{}", it.names.join(" or "), absent(it.absent))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(predicate: &str) -> String {
        let yaml = serde_yaml_ng::Deserializer::from_str(predicate);
        let predicate: Predicate = serde_yaml_ng::with::singleton_map_recursive::deserialize(yaml).unwrap();
        predicate.to_string()
    }

    #[test]
    fn a_predicate_reads_as_a_sentence() {
        assert_eq!(words("kubelet: {setting: readOnlyPort, value: {is: 0}}"), "kubelet setting readOnlyPort: 0");
        assert_eq!(
            words(
                "file: {from: kubelet-config, mode: '0600', owner: root, group: [root, wheel], absent: not-applicable}"
            ),
            "the kubelet's configuration file and each of its drop-ins: mode 0600 or stricter, owner root, group root or \
             wheel, where it exists"
        );
        assert_eq!(
            words(
                "any: [{all: [{swap: {allowed: false}}, {accounts: unique-uids}]}, {listening: {port: 22, allowed: nobody}}]"
            ),
            "either (there is no swap space; and no two users share a UID); or nothing listens on TCP port 22"
        );
        assert_eq!(
            words("sysctl: {key: kernel.panic, value: {is: 10}, when: boot, kernel_default: 0}"),
            "sysctl kernel.panic after the next boot: 10 (at boot 0 if nothing sets it)"
        );
        assert_eq!(words("file: {path: /run/docker.sock, exists: false}"), "/run/docker.sock does not exist");
        assert_eq!(
            words("unit: {names: [chronyd.service, ntpd.service], state: [enabled], running: true}"),
            "unit chronyd.service or ntpd.service is enabled and running"
        );
    }
}
