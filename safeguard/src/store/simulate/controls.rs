//! What a simulated node fails now and then. The words are our own; the numbers are those of the policies.

/// Policies with their number of controls: 134 in all.
pub(super) const POLICIES: [(&str, u32); 3] =
    [("cis-al2023-1.0.0", 96), ("cis-eks-1.8.0", 13), ("eks-node-hardening", 25)];

/// A control that some nodes do not pass.
#[derive(Debug)]
pub(super) struct Control {
    pub(super) policy: &'static str,
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) section: &'static str,
    pub(super) level: u32,
    /// On how many nodes of a thousand it does not hold.
    pub(super) fails: u32,
    /// Whether a node that fails it is non-compliant by that alone.
    pub(super) critical: bool,
    pub(super) source: &'static str,
    pub(super) observed: &'static str,
    pub(super) expected: &'static str,
    pub(super) remedy: &'static str,
}

const AL2023: &str = "cis-al2023-1.0.0";
const EKS: &str = "cis-eks-1.8.0";
const OURS: &str = "eks-node-hardening";

macro_rules! control {
    ($policy:ident $id:literal $title:literal in $section:literal, level $level:literal, $fails:literal, $critical:literal;
     $source:literal: $observed:literal, wanted $expected:literal; $remedy:literal) => {
        Control {
            policy: $policy,
            id: $id,
            title: $title,
            section: $section,
            level: $level,
            fails: $fails,
            critical: $critical,
            source: $source,
            observed: $observed,
            expected: $expected,
            remedy: $remedy,
        }
    };
}

pub(super) static CONTROLS: [Control; 18] = [
    control!(AL2023 "1.1.2.1" "/tmp is a file system of its own" in "Filesystem", level 1, 180, false;
        "/proc/1/mountinfo": "no mount at /tmp", wanted "a mount at /tmp"; "Enable tmp.mount in the AMI, or give /tmp a partition."),
    control!(AL2023 "1.1.5.1" "/var/log is a file system of its own" in "Filesystem", level 2, 140, false;
        "/proc/1/mountinfo": "no mount at /var/log", wanted "a mount at /var/log"; "Give /var/log a volume in the launch template."),
    control!(AL2023 "1.5.3" "Core dumps are not kept" in "Process hardening", level 1, 60, false;
        "/etc/systemd/coredump.conf": "Storage=external", wanted "Storage=none"; "Set Storage=none in /etc/systemd/coredump.conf.d/."),
    control!(AL2023 "1.6.1.5" "SELinux is enforcing" in "Mandatory access control", level 2, 90, false;
        "/sys/fs/selinux/enforce": "0", wanted "1"; "Install container-selinux, relabel the AMI, then set SELINUX=enforcing."),
    control!(AL2023 "3.3.4" "Packets with impossible addresses are logged" in "Network parameters", level 1, 75, false;
        "/proc/sys/net/ipv4/conf/all/log_martians": "0", wanted "1"; "Set net.ipv4.conf.all.log_martians=1 in /etc/sysctl.d/."),
    control!(AL2023 "4.2.7" "Root does not log in over SSH" in "SSH", level 1, 22, true;
        "/etc/ssh/sshd_config:38": "PermitRootLogin prohibit-password", wanted "no"; "Set PermitRootLogin no and reload sshd."),
    control!(AL2023 "4.2.16" "SSH gives up after four wrong passwords" in "SSH", level 1, 45, false;
        "/etc/ssh/sshd_config": "MaxAuthTries 6 (default)", wanted "4 or less"; "Set MaxAuthTries 4."),
    control!(AL2023 "5.2.3.4" "Changes of users and groups are audited" in "Auditing", level 2, 110, false;
        "/etc/audit/rules.d": "no rule for /etc/passwd", wanted "-w /etc/passwd -p wa"; "Install the audit rules of the hardened AMI."),
    control!(AL2023 "6.1.3" "/etc/shadow belongs to root and nobody reads it" in "File permissions", level 1, 8, true;
        "/etc/shadow": "mode 0640, owner 0:0", wanted "mode 0000, owner 0:0"; "chmod 0000 /etc/shadow"),
    control!(EKS "3.1.1" "The kubeconfig is 0644 or stricter" in "Configuration files", level 1, 12, false;
        "/var/lib/kubelet/kubeconfig": "mode 0664", wanted "mode 0644 or stricter"; "chmod 0644 /var/lib/kubelet/kubeconfig"),
    control!(EKS "3.2.1" "The kubelet refuses anonymous requests" in "Kubelet", level 1, 6, true;
        "/etc/kubernetes/kubelet/config.json": "authentication.anonymous.enabled=true", wanted "false";
        "Remove --anonymous-auth from the kubelet's flags; flags win over its file."),
    control!(EKS "3.2.7" "The kubelet does not drop its events" in "Kubelet", level 2, 52, false;
        "/etc/kubernetes/kubelet/config.json": "eventRecordQPS=0 (no limit)", wanted "1 to 50"; "Set eventRecordQPS: 50 in nodeadm's drop-in."),
    control!(EKS "3.2.9" "The kubelet's certificate is renewed" in "Kubelet", level 1, 16, false;
        "kubelet flags": "RotateKubeletServerCertificate=false", wanted "true"; "Remove the feature gate from user data."),
    control!(OURS "N1" "Pods reach no credentials of the node" in "Metadata", level 1, 18, true;
        "/run/safeguard/redirect.json": "ok=false, 14 min old", wanted "ok=true, under 5 min old"; "Look at `safeguard-proxy redirect check`."),
    control!(OURS "N4" "The metadata service asks for a token" in "Metadata", level 1, 14, true;
        "http://169.254.169.254/": "200 without a token", wanted "401"; "Set HttpTokens=required in the launch template."),
    control!(OURS "N7" "No pod is on the host's network that need not be" in "Pods", level 1, 64, false;
        "pods of this node": "batch/report-runner is on the host's network", wanted "only what is listed"; "Remove hostNetwork, or list the pod."),
    control!(OURS "N9" "Swap is off" in "Memory", level 1, 20, false;
        "/proc/swaps": "/dev/zram0", wanted "none"; "Mask the zram generator."),
    control!(OURS "N12" "Container logs are not left out without a reason" in "Logs", level 1, 24, false;
        "exclusions": "payments/ledger by annotation, no ticket", wanted "each has a reason"; "Remove the annotation, or name the ticket in it."),
];
