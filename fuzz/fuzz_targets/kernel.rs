//! What the kernel says of itself, and what decides how it boots.
#![no_main]

use std::sync::LazyLock;

use safeguard_fuzz::Node;

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let files = [
        "/proc/1/mountinfo",
        "/proc/1/net/tcp",
        "/proc/1/net/tcp6",
        "/proc/cmdline",
        "/proc/modules",
        "/proc/swaps",
        "/proc/sys/kernel/osrelease",
        "/proc/sys/net/ipv4/ip_forward",
        "/etc/fstab",
        "/etc/sysctl.d/60-x.conf",
        "/etc/modprobe.d/x.conf",
        "/lib/modules/6.1.0/modules.dep",
        "/lib/modules/6.1.0/modules.builtin",
        "/boot/grub2/grub.cfg",
        "/boot/grub2/grubenv",
        "/boot/loader/entries/1.conf",
        "/etc/selinux/config",
    ];
    Node::new(&files, true)
});

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(NODE.judge(data)));
