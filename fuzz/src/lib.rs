//! A host on which one file after the other is what the fuzzer makes of it: parsers are reached as they are at work, through the
//! door to the host's files, and what they say becomes a status.

use std::fs;
use std::path::{Path, PathBuf};

use safeguard_checks::policy::embedded;
use safeguard_checks::{Control, Facts, Host, Inputs, Phase, Policy, Status, evaluate};
use safeguard_host::HostRoot;

/// What lies there while another file is fuzzed, so that a control comes as far as to look at that one.
const REST: &[(&str, &str)] = &[
    ("/proc/1/ns/net", "link:net:[1]"),
    ("/proc/self/ns/net", "link:net:[1]"),
    ("/proc/1/comm", "systemd"),
    ("/proc/1/mountinfo", "22 1 259:1 / / rw - xfs /dev/nvme0n1p1 rw\n"),
    ("/proc/1/net/tcp", "  sl  local_address rem_address   st\n"),
    ("/proc/1/net/tcp6", "  sl  local_address rem_address   st\n"),
    ("/proc/cmdline", "root=/dev/nvme0n1p1 ro\n"),
    ("/proc/swaps", "Filename\tType\tSize\tUsed\tPriority\n"),
    ("/proc/sys/kernel/osrelease", "6.1.0\n"),
    ("/proc/sys/net/ipv4/ip_forward", "1\n"),
    ("/proc/modules", "overlay 1 0 - Live 0x0\n"),
    ("/proc/812/comm", "kubelet"),
    ("/proc/812/cmdline", "/usr/bin/kubelet\0--config=/etc/kubernetes/kubelet/config.json\0--config-dir=/etc/kubernetes/kubelet/config.json.d\0"),
    ("/proc/812/status", "Name:\tkubelet\nState:\tS (sleeping)\nNSpid:\t812\n"),
    ("/proc/812/cgroup", "0::/runtime.slice/kubelet.service\n"),
    ("/proc/812/cwd", "link:/"),
    ("/proc/812/exe", "link:/usr/bin/kubelet"),
    ("/etc/kubernetes/kubelet/config.json", "{\"kind\": \"KubeletConfiguration\", \"apiVersion\": \"kubelet.config.k8s.io/v1beta1\", \"authentication\": {\"x509\": {\"clientCAFile\": \"/etc/ca.crt\"}}}"),
    ("/etc/kubernetes/kubelet/config.json.d/40-x.conf", "{\"kind\": \"KubeletConfiguration\", \"apiVersion\": \"kubelet.config.k8s.io/v1beta1\"}"),
    ("/lib/modules/6.1.0/modules.dep", "kernel/fs/overlayfs/overlay.ko:\n"),
    ("/lib/modules/6.1.0/modules.builtin", "kernel/fs/ext4/ext4.ko\n"),
    ("/boot/grub2/grub.cfg", "insmod blscfg\nblscfg\n"),
    ("/boot/loader/entries/1.conf", "linux /vmlinuz\noptions ro\n"),
    ("/usr/sbin/sshd", ""),
    ("/etc/passwd", "root:x:0:0:::/bin/sh\n"),
    ("/etc/group", "root:x:0:\n"),
    ("/etc/shadow", "root:*:1::::::\n"),
    ("/etc/ssh/sshd_config", "Include /etc/ssh/sshd_config.d/*.conf\n"),
    ("/usr/lib/systemd/system/auditd.service", "[Service]\nExecStart=/sbin/auditd\nExecStartPost=-/sbin/augenrules --load\n"),
];

/// A host in memory; it goes with the process.
pub struct Node {
    root: tempfile::TempDir,
    /// The files that are fuzzed, each with the controls that look at it.
    files: Vec<(PathBuf, Vec<Policy>)>,
    live: bool,
}

impl Node {
    /// A host whose fuzzed files are these. `live` is one that runs.
    ///
    /// # Panics
    /// If the host cannot be written, or nobody looks at one of the files.
    #[must_use]
    pub fn new(files: &[&str], live: bool) -> Self {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let mut node = Self { root: root.expect("a directory"), files: Vec::new(), live };
        REST.iter().for_each(|(path, content)| node.put(path, content));
        for file in files {
            if !REST.iter().any(|(path, _)| path == file) {
                node.put(file, "");
            }
        }
        node.files = files.iter().map(|file| (PathBuf::from(file), node.who_looks_at(file))).collect();
        let unseen: Vec<_> = node.files.iter().filter(|(_, policies)| policies.is_empty()).map(|(file, _)| file).collect();
        assert!(unseen.is_empty(), "nobody looks at {unseen:?}");
        node
    }

    /// The first byte chooses the file, the rest is what is in it. Gives what becomes of the controls that look at it.
    ///
    /// # Panics
    /// If the agent does, or if the host cannot be written.
    pub fn judge(&self, data: &[u8]) -> Vec<Status> {
        let Some((which, content)) = data.split_first() else { return Vec::new() };
        let (path, policies) = &self.files[usize::from(*which) % self.files.len()];
        let at = self.at(path);
        let before = fs::read(&at).expect("it is there");
        fs::write(&at, content).expect("room");
        let statuses = self.evaluate(policies, &Inputs::default());
        fs::write(&at, before).expect("room");
        statuses
    }

    /// What becomes of the controls that look at the first of the files, where others were asked too.
    #[must_use]
    pub fn told(&self, inputs: &Inputs) -> Vec<Status> {
        self.files.first().map(|(_, policies)| self.evaluate(policies, inputs)).unwrap_or_default()
    }

    fn evaluate(&self, policies: &[Policy], inputs: &Inputs) -> Vec<Status> {
        let host = self.host();
        let report = evaluate(&Facts::new(&host, inputs), policies);
        report.findings().map(|(_, finding)| finding.status).collect()
    }

    /// Each of those controls as a policy of its own. What the kernel makes up is not remembered as looked at: then all are asked.
    fn who_looks_at(&self, file: &str) -> Vec<Policy> {
        let mut found = Vec::new();
        for policy in embedded() {
            let looks = |control: &Control| {
                let host = self.host();
                let one = Policy { sections: Vec::new(), controls: vec![control.clone()], ..policy.clone() };
                drop(evaluate(&Facts::new(&host, &Inputs::default()), std::slice::from_ref(&one)));
                file.starts_with("/proc") || host.take_touched().contains(Path::new(file))
            };
            let controls: Vec<Control> = policy.controls.iter().filter(|control| looks(control)).cloned().collect();
            found.push(Policy { sections: Vec::new(), controls, ..policy });
        }
        found.retain(|policy| !policy.controls.is_empty());
        found
    }

    fn host(&self) -> Host {
        let phase = if self.live { Phase::Run } else { Phase::Build };
        Host::new(HostRoot::open(self.root.path()).expect("it is there"), phase)
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.path().join(path.strip_prefix("/").expect("paths of hosts are absolute"))
    }

    fn put(&self, path: &str, content: &str) {
        let at = self.at(Path::new(path));
        fs::create_dir_all(at.parent().expect("a directory")).expect("room");
        match content.strip_prefix("link:") {
            Some(target) => std::os::unix::fs::symlink(target, at).expect("room"),
            None => fs::write(at, content).expect("room"),
        }
    }
}
