use crate::fixture::Fixture;

const ASLR: &str = "{sysctl: {key: kernel.randomize_va_space, value: {is: 2}, when: ";
const FORWARD: &str = "{sysctl: {key: net.ipv4.ip_forward, value: {is: 1}, when: now}}";

fn now() -> String {
    format!("{ASLR} now}}}}")
}

fn boot() -> String {
    format!("{ASLR} boot}}}}")
}

/// A host in whose network namespace the agent is.
fn on_the_host() -> Fixture {
    let fixture = Fixture::new();
    fixture.link("/proc/1/ns/net", "net:[4026531840]").link("/proc/self/ns/net", "net:[4026531840]");
    fixture
}

#[test]
fn the_running_value_is_compared_as_a_number() {
    let fixture = Fixture::new();
    let verdict = fixture.file("/proc/sys/kernel/randomize_va_space", "2\n").holds(&now());
    assert_eq!(verdict.evidence[0].source, "/proc/sys: kernel.randomize_va_space");
    fixture.file("/proc/sys/kernel/randomize_va_space", "1\n").fails(&now());
    fixture.fails("{sysctl: {key: kernel.randomize_va_space, value: {at_least: 2}, when: now}}");
}

/// bloodhound searches for `= 1` and finds it in `= 10` too.
#[test]
fn a_number_that_begins_with_another_is_not_that_number() {
    let fixture = Fixture::new();
    fixture.file("/proc/sys/kernel/randomize_va_space", "22\n").fails(&now());
    fixture.file("/etc/sysctl.d/x.conf", "kernel.randomize_va_space = 20\n").fails(&boot());
}

#[test]
fn values_of_several_words_are_one_text() {
    let fixture = Fixture::new();
    fixture.file("/proc/sys/vm/x", "4096\t131072  6291456\n");
    fixture.holds("{sysctl: {key: vm.x, value: {is: 4096 131072 6291456}, when: now}}");
    fixture.file("/proc/sys/kernel/core_pattern", "|/bin/false\n");
    fixture.holds("{sysctl: {key: kernel.core_pattern, value: {is: '|/bin/false'}, when: now}}");
}

#[test]
fn a_value_that_is_no_number_is_unknown_where_one_is_wanted() {
    let why = Fixture::new().file("/proc/sys/kernel/randomize_va_space", "two\n").unknown(&now());
    assert!(why.contains("randomize_va_space"), "{why}");
    let big = "99999999999999999999\n";
    Fixture::new().file("/proc/sys/kernel/randomize_va_space", big).unknown(&now());
}

#[test]
fn a_parameter_that_the_kernel_does_not_have_is_what_the_policy_says() {
    let fixture = Fixture::new();
    fixture.dir("/proc/sys").fails(&now());
    let with = |absent: &str| format!("{{sysctl: {{key: net.ipv6.x, value: {{is: 0}}, absent: {absent}, when: now}}}}");
    let fixture = on_the_host();
    // Without `/proc/sys` nobody knows what the kernel has.
    fixture.unknown(&with("holds"));
    fixture.dir("/proc/sys").not_applicable(&with("not-applicable"));
    fixture.holds(&with("holds"));
    fixture.fails(&with("fails"));
}

#[test]
fn where_nobody_knows_whether_there_is_such_a_parameter_the_disk_does_not_decide() {
    let with =
        |absent: &str| format!("{{sysctl: {{key: net.ipv6.conf.all.accept_ra, value: {{is: 0}}, absent: {absent}}}}}");
    // In another network namespace than the host's, and nothing on disk.
    let fixture = Fixture::new();
    fixture.dir("/proc/sys");
    for absent in ["holds", "not-applicable"] {
        fixture.unknown(&with(absent));
    }
    fixture.fails(&with("fails"));
    fixture.file("/etc/sysctl.d/x.conf", "net.ipv6.conf.all.accept_ra = 1\n").unknown(&with("holds"));
    // A dead host has nothing but its disk.
    Fixture::dead().fails(&with("holds"));
}

/// `/proc/sys/net` has the values of whoever reads it (osquery/osquery#6056 asks for the host's).
#[test]
fn values_of_another_network_namespace_are_unknown() {
    let fixture = Fixture::new();
    fixture.file("/proc/sys/net/ipv4/ip_forward", "1\n");
    fixture.unknown(FORWARD);
    fixture.link("/proc/1/ns/net", "net:[4026531840]").link("/proc/self/ns/net", "net:[4026532001]");
    let why = fixture.unknown(FORWARD);
    assert!(why.contains("another net namespace"), "{why}");
    on_the_host().file("/proc/sys/net/ipv4/ip_forward", "1\n").holds(FORWARD);
}

#[test]
fn a_pattern_wants_the_same_of_every_interface() {
    let every = "{sysctl: {key: net.ipv4.conf.*.rp_filter, value: {one_of: [1, 2]}, when: now}}";
    let fixture = on_the_host();
    for interface in ["all", "default", "eth0", "eth0.100", "lo"] {
        fixture.file(&format!("/proc/sys/net/ipv4/conf/{interface}/rp_filter"), "1\n");
    }
    assert_eq!(fixture.holds(every).evidence.len(), 5);
    fixture.file("/proc/sys/net/ipv4/conf/eth0.100/rp_filter", "0\n");
    let verdict = fixture.fails(every);
    let bad: Vec<_> = verdict.evidence.iter().filter(|e| e.holds == Some(false)).collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].source, "/proc/sys: net.ipv4.conf.eth0/100.rp_filter");
}

#[test]
fn much_evidence_is_cut_and_leads_with_what_is_wrong() {
    let fixture = on_the_host();
    for at in 0..40 {
        fixture.file(&format!("/proc/sys/net/ipv4/conf/veth{at:02}/rp_filter"), if at == 33 { "0" } else { "1" });
    }
    let verdict = fixture.fails("{sysctl: {key: net.ipv4.conf.*.rp_filter, value: {is: 1}, when: now}}");
    assert_eq!(verdict.evidence.len(), 8);
    assert!(verdict.evidence[0].source.contains("veth33"));
    assert!(verdict.evidence[7].source.ends_with("and 32 more"));
}

#[test]
fn a_key_that_leads_out_of_proc_sys_is_unknown() {
    let fixture = Fixture::new();
    fixture.file("/etc/secret", "1\n");
    fixture.unknown("{sysctl: {key: kernel/../../../etc/secret, value: {is: 1}, when: now}}");
}

#[test]
fn a_parameter_that_is_a_directory_is_unknown() {
    let fixture = Fixture::new();
    fixture.dir("/proc/sys/kernel/randomize_va_space").unknown(&now());
}

#[test]
fn sysctl_d_says_what_holds_after_a_boot() {
    let fixture = Fixture::new();
    fixture.fails(&boot());
    fixture.file("/etc/sysctl.d/60-cis.conf", "# CIS\n\nkernel.randomize_va_space = 2\n");
    let verdict = fixture.holds(&boot());
    assert_eq!(verdict.evidence[0].source, "/etc/sysctl.d/60-cis.conf line 3: kernel.randomize_va_space");
    fixture.file("/usr/lib/sysctl.d/99-vendor.conf", "kernel/randomize_va_space=0\n").fails(&boot());
    fixture.link("/etc/sysctl.d/99-vendor.conf", "/dev/null").holds(&boot());
}

#[test]
fn sysctl_conf_is_read_only_where_a_link_leads_to_it() {
    let fixture = Fixture::new();
    fixture.file("/etc/sysctl.conf", "kernel.randomize_va_space = 2\n").fails(&boot());
    fixture.link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf").holds(&boot());
}

#[test]
fn numbers_on_disk_are_read_as_the_kernel_reads_them() {
    let fixture = Fixture::new();
    for same in ["2", "0x2", "02", "2  "] {
        fixture.file("/etc/sysctl.d/x.conf", format!("kernel.randomize_va_space={same}\n")).holds(&boot());
    }
    fixture.file("/etc/sysctl.d/x.conf", "kernel.randomize_va_space=\n").unknown(&boot());
}

#[test]
fn what_nothing_sets_is_the_kernels_default_if_that_is_known() {
    let with = "{sysctl: {key: kernel.x, value: {is: 1}, kernel_default: 1, when: boot}}";
    let fixture = Fixture::new();
    assert!(fixture.holds(with).evidence[0].source.contains("default"));
    fixture.file("/etc/sysctl.d/x.conf", "kernel.x = 0\n").fails(with);
    fixture.fails("{sysctl: {key: kernel.y, value: {is: 1}, when: boot}}");
}

#[test]
fn a_pattern_at_boot_wants_the_same_of_all_that_are_set_and_of_the_others() {
    let every = "{sysctl: {key: net.ipv4.conf.*.rp_filter, value: {is: 2}, when: boot}}";
    let fixture = Fixture::new();
    fixture.fails(every);
    fixture.file("/etc/sysctl.d/a.conf", "net.ipv4.conf.*.rp_filter = 2\n").holds(every);
    fixture.file("/etc/sysctl.d/b.conf", "net.ipv4.conf.eth1.rp_filter = 0\n").fails(every);
    // Interfaces of IPv4 take over what is set for `default`.
    let fixture = Fixture::new();
    let two = "net.ipv4.conf.all.rp_filter = 2\nnet.ipv4.conf.default.rp_filter = 2\n";
    fixture.file("/etc/sysctl.d/a.conf", two).holds(every);
    fixture.file("/etc/sysctl.d/a.conf", "net.ipv4.conf.all.rp_filter = 2\n").fails(every);
    let ipv6 = "{sysctl: {key: net.ipv6.conf.*.accept_ra, value: {is: 0}, when: boot}}";
    let two = "net.ipv6.conf.all.accept_ra = 0\nnet.ipv6.conf.default.accept_ra = 0\n";
    fixture.file("/etc/sysctl.d/a.conf", two).fails(ipv6);
}

#[test]
fn a_dead_host_is_judged_by_its_disk() {
    let fixture = Fixture::dead();
    fixture.not_applicable(&now());
    fixture.not_applicable(FORWARD);
    fixture.file("/etc/sysctl.d/x.conf", "kernel.randomize_va_space = 2\n");
    fixture.holds("{sysctl: {key: kernel.randomize_va_space, value: {is: 2}}}");
}

#[test]
fn files_that_cannot_be_read_are_unknown() {
    let fixture = Fixture::new();
    fixture.file("/etc/sysctl.d/a.conf", b"kernel.x = 1\n\xff\xfe\n");
    let why = fixture.unknown(&boot());
    assert!(why.contains("/etc/sysctl.d/a.conf: line 2"), "{why}");
    let fixture = Fixture::new();
    fixture.dir("/etc/sysctl.d/a.conf").unknown(&boot());
    let fixture = Fixture::new();
    fixture.link("/etc/sysctl.d/a.conf", "a.conf").unknown(&boot());
    let fixture = Fixture::new();
    fixture.file("/etc/sysctl.d/a.conf", vec![b'\n'; (1 << 20) + 1]).unknown(&boot());
}
