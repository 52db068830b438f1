//! Steps of hardening guides that take a node away, each taken on a hardened image: the guard sees it and says why.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

use safeguard_tests::parts::{Part, here};

use super::image::{Image, ami};

/// A step of a guide: its guard, a file, and what is written to its end.
const STEPS: [(&str, &str, &str); 38] = [
    ("forwarding", "/etc/sysctl.d/99-zz-cis.conf", "net.ipv4.ip_forward = 0\n"),
    ("forwarding", "/etc/sysctl.conf", "net/ipv4/ip_forward=0\n"),
    ("forwarding", "/etc/sysctl.d/99-zz-cis.conf", "net.ipv6.conf.all.forwarding=0\n"),
    (
        "reverse-path",
        "/etc/sysctl.d/99-zz-cis.conf",
        "net.ipv4.conf.all.rp_filter = 1\nnet.ipv4.conf.default.rp_filter = 1\n",
    ),
    (
        "firewall",
        "/etc/systemd/system/multi-user.target.wants/firewalld.service",
        "[Service]\nExecStart=/usr/sbin/firewalld\n",
    ),
    (
        "firewall",
        "/etc/systemd/system/sysinit.target.wants/nftables.service",
        "[Service]\nExecStart=/usr/sbin/nft -f /etc/nftables.conf\n",
    ),
    ("firewall", "/etc/rc.local", "#!/bin/sh\niptables -F\n"),
    ("firewall", "/etc/rc.local", "#!/bin/sh\niptables -P FORWARD DROP\n"),
    ("firewall", "/etc/systemd/system/cis.service", "[Service]\nExecStart=/usr/sbin/nft flush ruleset\n"),
    (
        "mounts",
        "/etc/fstab",
        "/dev/xvdb /var xfs defaults,noexec 0 0\n/dev/xvdc /var/lib/containerd xfs defaults 0 0\n",
    ),
    ("mounts", "/etc/fstab", "/dev/xvdb /var/lib/containerd xfs nodev 0 0\n"),
    ("mounts", "/etc/fstab", "/dev/xvdb /var/lib/kubelet xfs nosuid 0 0\n"),
    ("mounts", "/etc/systemd/system/var-lib-kubelet.mount", "[Mount]\nWhere=/var/lib/kubelet\nOptions=noexec\n"),
    ("small-var", "/etc/fstab", "/dev/xvdb /var xfs defaults,nodev 0 0\n"),
    ("audit", "/etc/audit/auditd.conf", "space_left_action = halt\n"),
    ("audit", "/etc/audit/auditd.conf", "admin_space_left_action = SINGLE\n"),
    ("audit", "/etc/audit/rules.d/99-finalize.rules", "-e 2\n"),
    ("audit", "/etc/audit/rules.d/01-first.rules", "-f 2\n"),
    ("audit", "/etc/audit/rules.d/70-docker.rules", "-w /var/lib/containerd -p rwxa -k docker\n"),
    ("audit", "/etc/audit/rules.d/70-docker.rules", "-a always,exit -F dir=/var/lib/kubelet -F perm=wa\n"),
    ("modules", "/etc/modprobe.d/cis.conf", "install overlay /bin/true\n"),
    ("modules", "/etc/modprobe.d/cis.conf", "blacklist br-netfilter\n"),
    ("modules", "/usr/lib/modprobe.d/cis.conf", "install ip_tables /bin/false\n"),
    ("modules", "/etc/sysctl.d/99-zz-cis.conf", "kernel.modules_disabled = 1\n"),
    ("user-namespaces", "/etc/sysctl.d/99-zz-cis.conf", "user.max_user_namespaces = 0\n"),
    ("ptrace", "/etc/sysctl.d/99-zz-cis.conf", "kernel.yama.ptrace_scope = 3\n"),
    ("lockdown", "/etc/default/grub", "GRUB_CMDLINE_LINUX=\"quiet lockdown=confidentiality\"\n"),
    ("panic", "/etc/sysctl.d/99-zz-cis.conf", "kernel.panic = 60\n"),
    ("panic", "/etc/sysctl.d/99-zz-cis.conf", "vm.overcommit_memory = 2\n"),
    ("version-locks", "/etc/systemd/system/timers.target.wants/dnf-automatic.timer", "[Timer]\nOnCalendar=daily\n"),
    ("repository-signatures", "/etc/dnf/dnf.conf", "[main]\nrepo_gpgcheck=1\n"),
    ("repository-signatures", "/etc/yum.repos.d/amazonlinux.repo", "[amazonlinux]\nrepo_gpgcheck = True\n"),
    ("selinux", "/etc/selinux/config", "SELINUX=enforcing\n"),
    ("cryptography", "/etc/crypto-policies/config", "FUTURE\n"),
    ("cryptography", "/etc/crypto-policies/config", "FIPS\n"),
    ("masked", "/etc/systemd/system/amazon-ssm-agent.service", ""),
    ("masked", "/etc/systemd/system/containerd.service", ""),
    ("masked", "/etc/systemd/system/chrony.service", ""),
];

/// Guards that refuse, by name.
fn refused(output: &Output) -> Vec<String> {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let names: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("refused: ")).collect();
    assert_eq!(output.status.code(), Some(i32::from(!names.is_empty())), "{said}");
    assert!(
        names.iter().all(|line| line.split_once(": ").is_some_and(|(_, why)| why.len() > 20)),
        "without a reason: {said}"
    );
    names.iter().map(|line| line.split(':').next().unwrap().to_owned()).collect()
}

#[test]
fn each_step_that_takes_a_node_away_is_refused_with_its_reason() {
    if !here("ami::dangers::each_step_that_takes_a_node_away_is_refused_with_its_reason", Part::Debian) {
        return;
    }
    let image = Image::hardened();
    assert_eq!(refused(&image.run("validate/dangerous")), Vec::<String>::new(), "our own steps are not dangerous");
    for (guard, path, text) in STEPS {
        let at = image.at(path);
        let original = fs::read(&at).ok();
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        if text.is_empty() {
            symlink("/dev/null", &at).unwrap();
        } else {
            // What guides set by `sed` is a line of its own at the end here; a file of one word is replaced.
            let whole = path.ends_with("crypto-policies/config");
            let old = original.clone().filter(|_| !whole).unwrap_or_default();
            fs::write(&at, [old, text.as_bytes().to_vec()].concat()).unwrap();
        }
        let names = refused(&image.run("validate/dangerous"));
        assert!(!names.is_empty(), "{path}: {text} is let through");
        assert!(names.iter().all(|name| name == guard), "{path}: {text}: {names:?}, and not {guard}");
        match original {
            Some(original) => fs::write(&at, original).unwrap(),
            None => fs::remove_file(&at).unwrap(),
        }
    }
    let guards = fs::read_to_string(ami().join("validate/dangerous")).unwrap();
    let names = guards.split("refuse ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    for name in names.filter(|name| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')) {
        assert!(STEPS.iter().any(|(guard, ..)| *guard == name), "no step tries the guard {name}");
    }
}

/// Only what the last word is counts, and what is done right is let through.
#[test]
fn what_is_done_right_is_not_refused() {
    if !here("ami::dangers::what_is_done_right_is_not_refused", Part::Debian) {
        return;
    }
    let image = Image::hardened();
    for (path, text) in [
        // Overruled by 99-safeguard.conf.
        ("/etc/sysctl.d/50-cis.conf", "net.ipv4.ip_forward = 0\nkernel.panic = 0\n"),
        // "all" is loose, which is the higher number.
        ("/etc/sysctl.d/99-zz-eth0.conf", "net.ipv4.conf.eth0.rp_filter = 1\n"),
        ("/etc/audit/rules.d/70-more.rules", "-w /var/lib/kubelet/kubeconfig -p wa -k kubelet\n"),
        ("/etc/modprobe.d/more.conf", "blacklist overlayfs_of_somebody\noptions overlay metacopy=on\n"),
        // Enforcing with the policy for containers, and with labels to be made at boot.
        ("/usr/share/selinux/packages/container.pp.bz2", "policy"),
        ("/.autorelabel", ""),
        ("/etc/selinux/config", "SELINUX=enforcing\n"),
        // FIPS as fips-mode-setup leaves it.
        ("/etc/crypto-policies/config", "FIPS\n"),
        ("/boot/loader/entries/one.conf", "options root=/dev/nvme0n1p1 fips=1\n"),
    ] {
        fs::create_dir_all(image.at(path).parent().unwrap()).unwrap();
        fs::write(image.at(path), text).unwrap();
    }
    assert_eq!(refused(&image.run("validate/dangerous")), Vec::<String>::new());
}

/// On Amazon Linux the kernel and containerd have to be locked, as the EKS image leaves them.
#[test]
fn a_kernel_that_any_update_replaces_is_refused() {
    if !here("ami::dangers::a_kernel_that_any_update_replaces_is_refused", Part::Debian) {
        return;
    }
    let image = Image::hardened();
    fs::remove_file(image.at("/etc/os-release")).unwrap();
    fs::write(image.at("/etc/os-release"), "NAME=\"Amazon Linux\"\nVERSION_ID=\"2023\"\nID=\"amzn\"\n").unwrap();
    assert_eq!(refused(&image.run("validate/dangerous")), ["version-locks", "version-locks"]);
    fs::create_dir_all(image.at("/etc/dnf/plugins")).unwrap();
    let locks = "kernel6.12-0:6.12.40-63.114.amzn2023.*\ncontainerd-0:2.1.4-1.eks.amzn2023.0.1.*\n";
    fs::write(image.at("/etc/dnf/plugins/versionlock.list"), locks).unwrap();
    assert_eq!(refused(&image.run("validate/dangerous")), Vec::<String>::new());
}

/// What the builder leaves behind is refused, and the last step takes it away.
#[test]
fn residue_of_the_builder_is_refused_and_cleaned() {
    if !here("ami::dangers::residue_of_the_builder_is_refused_and_cleaned", Part::Debian) {
        return;
    }
    let image = Image::hardened();
    assert!(image.run("validate/residue").status.success());
    let residue = [
        "/etc/ssh/ssh_host_rsa_key",
        "~/.ssh/authorized_keys",
        "~/.aws/credentials",
        "~/.bash_history",
        "/var/lib/cloud/instance/boot-finished",
        "/var/lib/systemd/random-seed",
        "/var/lib/safeguard/node.key",
        "/var/lib/kubelet/pki/kubelet-server-current.pem",
        "/var/log/journal/0123/system.journal",
        "/var/log/audit/audit.log",
        "/var/log/cloud-init-output.log",
        "/var/log/secure-20261127",
        "/var/cache/dnf/packages.db",
        "/var/lib/apt/lists/debian",
        "/etc/machine-id",
    ];
    // root's home, and that of somebody whose account is gone.
    let homes = ["/root".to_owned(), format!("{}/ec2-user", "/home")];
    let paths = residue.iter().flat_map(|path| match path.strip_prefix('~') {
        Some(rest) => homes.iter().map(|home| format!("{home}{rest}")).collect(),
        None => vec![(*path).to_owned()],
    });
    for path in paths {
        let path = path.as_str();
        fs::create_dir_all(image.at(path).parent().unwrap()).unwrap();
        fs::write(image.at(path), "0123456789abcdef0123456789abcdef\n").unwrap();
        let output = image.run("validate/residue");
        assert_eq!(output.status.code(), Some(1), "{path} is let through");
        // A directory that is residue stands for what is in it.
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let named = said.lines().filter_map(|line| line.strip_prefix("refused: ")?.split(": ").next());
        assert!(named.clone().count() == 1 && named.clone().all(|name| path.starts_with(name)), "{path}: {said}");
        image.works("provision/run");
        image.works("validate/residue");
    }
    fs::remove_file(image.at("/etc/machine-id")).unwrap();
    assert_eq!(image.run("validate/residue").status.code(), Some(1), "without the file each boot is the first");
}
