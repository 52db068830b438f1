use std::path::Path;

use super::*;
use crate::fixture::Fixture;
use crate::policy;

const CONFIGURATION: &str = "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\n";

/// A host that has something of every kind of fact, and a unit that others lead to.
fn host() -> Fixture {
    let fixture = Fixture::new();
    fixture
        .file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\n")
        .file("/etc/group", "root:x:0:\n")
        .file("/etc/fstab", "tmpfs /tmp tmpfs nodev 0 0\n")
        .file("/etc/sysctl.d/10-a.conf", "kernel.randomize_va_space = 2\n")
        .file("/etc/ssh/sshd_config", "PermitRootLogin no\n")
        .file("/etc/audit/rules.d/10-a.rules", "-w /etc/passwd -p wa\n")
        .file("/etc/modprobe.d/a.conf", "install cramfs /bin/false\n")
        .file("/usr/lib/systemd/system/kubelet.service", "[Service]\nExecStart=/usr/bin/kubelet --config=/etc/k.yaml\n")
        .file("/etc/k.yaml", format!("{CONFIGURATION}readOnlyPort: 0\n"))
        .file("/usr/bin/kubelet", "")
        .file("/var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\n")
        .file("/proc/1/comm", "systemd\n")
        .file("/proc/sys/kernel/osrelease", "6.1.0\n")
        .file("/proc/modules", "")
        .file("/proc/sys/kernel/randomize_va_space", "2\n")
        .file("/proc/812/comm", "kubelet\n")
        .file("/proc/812/cmdline", "/usr/bin/kubelet\0--config=/etc/k.yaml\0")
        .file("/proc/812/status", "Name:\tkubelet\nState:\tS (sleeping)\nNSpid:\t812\n")
        .file("/proc/812/cgroup", "0::/runtime.slice/kubelet.service\n")
        .link("/proc/812/cwd", "/")
        .link("/proc/812/exe", "/usr/bin/kubelet")
        .file("/proc/cmdline", "audit=1\n")
        .file("/lib/modules/6.1.0/modules.dep", "kernel/fs/hfs/hfs.ko:\nkernel/fs/cramfs/cramfs.ko:\n")
        .file("/lib/modules/6.1.0/modules.builtin", "")
        .file("/usr/sbin/sshd", "")
        .file("/boot/grub2/grub.cfg", "linux /vmlinuz audit=1\n")
        .dir("/etc/systemd/system/multi-user.target.wants");
    fixture
}

/// Facts are shared between controls, and some rest on others: whatever changes, what is not asked again would have said the same.
#[test]
fn after_a_change_everything_is_as_if_it_were_all_asked_again() {
    let fixture = host();
    let (host, policies) = (fixture.host(), policy::embedded());
    let mut facts = Facts::new(&host, &fixture.inputs);
    let mut evaluation = Evaluation::new(&facts, &policies);
    let service = "[Service]\nExecStart=/usr/bin/kubelet --config=/etc/k.yaml";
    let changes = [
        ("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/:/bin/sh\n".to_owned()),
        ("/etc/fstab", "tmpfs /tmp tmpfs nodev,nosuid,noexec 0 0\n".to_owned()),
        ("/etc/sysctl.d/99-b.conf", "kernel.randomize_va_space = 0\n".to_owned()),
        ("/etc/ssh/sshd_config", "PermitRootLogin yes\n".to_owned()),
        ("/etc/audit/rules.d/20-b.rules", "-w /etc/group -p wa\n".to_owned()),
        ("/etc/modprobe.d/b.conf", "install hfs /bin/false\n".to_owned()),
        ("/etc/k.yaml", format!("{CONFIGURATION}readOnlyPort: 10255\n")),
        ("/etc/systemd/system/kubelet.service.d/10-a.conf", format!("{service} --read-only-port=10255\n")),
        ("/etc/systemd/system/auditd.service", "[Service]\n".to_owned()),
        ("/var/lib/dpkg/status", "Package: telnetd\nStatus: install ok installed\nVersion: 1\n".to_owned()),
        ("/boot/grub2/grub.cfg", "linux /vmlinuz mitigations=off\n".to_owned()),
    ];
    let (mut idle, mut before) = (Vec::new(), evaluation.report(&facts, &policies));
    for (path, text) in changes {
        // A directory that is new is what is announced, not the file in it.
        let dir = Path::new(path).parent().unwrap();
        let new = !fixture.at(dir.to_str().unwrap()).exists();
        fixture.file(path, text);
        let changed = BTreeSet::from([if new { dir.to_owned() } else { path.into() }]);
        facts.forget(&changed);
        evaluation.refresh(&facts, &policies, &changed);
        let after = evaluation.report(&facts, &policies);
        let fresh = fixture.with(|facts| evaluate(facts, &policies));
        for (was, is) in after.findings().zip(fresh.findings()) {
            assert_eq!(was, is, "{path}");
        }
        if after == before {
            idle.push(path);
        }
        before = after;
    }
    assert_eq!(idle, [""; 0], "what changes nothing proves nothing");
}
