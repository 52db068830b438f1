use crate::fixture::Fixture;

const ROOT: &str = "20 1 259:1 / / rw,noatime shared:1 - xfs /dev/nvme0n1p1 rw,seclabel\n";

const TMP: &str = "{mount: {at: /tmp, options: [nodev, nosuid], when: ";

/// A host that runs with these mounts besides its root.
fn with_mounts(mounts: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.file("/proc/1/mountinfo", format!("{ROOT}{mounts}"));
    fixture
}

fn now() -> String {
    format!("{TMP} now}}}}")
}

fn boot() -> String {
    format!("{TMP} boot}}}}")
}

#[test]
fn options_are_those_of_the_mount() {
    let fixture = with_mounts("30 20 0:1 / /tmp rw,nosuid,nodev shared:2 - tmpfs tmpfs rw,size=1G\n");
    let verdict = fixture.holds(&now());
    assert_eq!(verdict.evidence[0].source, "/proc/1/mountinfo: /tmp");
    assert_eq!(verdict.evidence[0].observed, "mounted tmpfs rw,nosuid,nodev");
    fixture.holds("{mount: {at: /tmp/, when: now, options: [size=1G], without: [noexec]}}");
    fixture.fails("{mount: {at: /tmp, when: now, without: [nodev]}}");
    let fixture = with_mounts("30 20 0:1 / /tmp rw,nosuid shared:2 - tmpfs tmpfs rw\n");
    assert_eq!(fixture.fails(&now()).evidence[0].observed, "mounted tmpfs rw,nosuid: without nodev");
}

/// An option whose name has another's in it passes where output is searched for text (aquasecurity/kube-bench, bloodhound).
#[test]
fn an_option_that_contains_another_is_not_that_option() {
    with_mounts("30 20 0:1 / /tmp rw,xnosuid,nodevx - tmpfs tmpfs rw\n").fails(&now());
}

#[test]
fn what_is_no_mount_point_is_what_the_policy_says() {
    let fixture = with_mounts("");
    fixture.fails(&now());
    fixture.not_applicable("{mount: {at: /tmp, options: [nodev], absent: not-applicable, when: now}}");
    fixture.holds("{mount: {at: /tmp, absent: holds, when: now}}");
}

#[test]
fn the_mount_on_top_counts() {
    let under = "30 20 0:1 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw\n";
    with_mounts(&format!("{under}31 30 0:2 / /tmp rw - ext4 /dev/x rw\n")).fails(&now());
}

/// Nothing is known of what will be mounted at the first use of an automount point.
#[test]
fn an_automount_point_that_nobody_used_is_unknown() {
    let why = with_mounts("30 20 0:1 / /tmp rw - autofs systemd-1 rw\n").unknown(&now());
    assert!(why.contains("first used"), "{why}");
    with_mounts("30 20 0:1 / /tmp rw - autofs systemd-1 rw\n31 30 0:2 / /tmp rw,nosuid,nodev - tmpfs tmpfs rw\n")
        .holds(&now());
}

#[test]
fn mounts_that_cannot_be_seen_are_unknown() {
    let why = Fixture::new().unknown(&now());
    assert!(why.contains("/proc/1/mountinfo"), "{why}");
    let why = with_mounts("\u{0}\u{1} garbage\n").unknown(&now());
    assert!(why.contains("mountinfo: line 2"), "{why}");
}

#[test]
fn a_dead_host_has_no_mounts_but_a_next_boot() {
    let fixture = Fixture::dead();
    let why = fixture.not_applicable(&now());
    assert!(why.contains("not applicable in this phase"), "{why}");
    fixture.file("/etc/fstab", "tmpfs /tmp tmpfs nodev,nosuid 0 0\n");
    fixture.holds("{mount: {at: /tmp, options: [nodev, nosuid]}}");
    fixture.fails("{mount: {at: /tmp, options: [noexec]}}");
}

#[test]
fn now_and_the_next_boot_both_have_to_be_right() {
    let both = "{mount: {at: /tmp, options: [nodev]}}";
    let fixture = with_mounts("30 20 0:1 / /tmp rw,nodev - tmpfs tmpfs rw\n");
    let verdict = fixture.fails(both);
    assert_eq!(verdict.evidence.len(), 2, "{verdict:#?}");
    fixture.file("/etc/fstab", "tmpfs /tmp tmpfs nodev 0 0\n").holds(both);
    fixture.file("/proc/1/mountinfo", ROOT).fails(both);
}

#[test]
fn fstab_says_how_something_is_mounted_at_boot() {
    let fixture = Fixture::new();
    fixture.file("/etc/fstab", "# x\nUUID=1 / xfs defaults 0 1\ntmpfs\t/tmp/\ttmpfs\tdefaults,nodev,nosuid 0 0\n");
    assert_eq!(fixture.holds(&boot()).evidence[0].source, "/etc/fstab line 3: /tmp");
    fixture.file("/etc/fstab", "tmpfs /tmp tmpfs defaults 0 0\n").fails(&boot());
    fixture.file("/etc/fstab", "tmpfs /tmp tmpfs nodev,nosuid,noauto 0 0\n").fails(&boot());
    fixture.file("/etc/fstab", "tmpfs /tmp tmpfs nodev,nosuid,dev 0 0\n").fails(&boot());
    fixture.file("/etc/fstab", "#tmpfs /tmp tmpfs nodev,nosuid 0 0\n").fails(&boot());
    fixture.file("/etc/fstab", "tmpfs /tmp tmpfs 0\ntmpfs /tmp tmpfs nodev,nosuid\n").fails(&boot());
}

#[test]
fn an_fstab_that_makes_no_sense_is_unknown() {
    let fixture = Fixture::new();
    fixture.file("/etc/fstab", "tmpfs /tmp tmpfs nodev,nosuid\n\nx\n");
    let why = fixture.unknown(&boot());
    assert!(why.contains("/etc/fstab: line 3"), "{why}");
    fixture.file("/etc/fstab", b"a b \xff\n");
    let why = fixture.unknown(&boot());
    assert!(why.contains("fstab: line 1") && why.contains("UTF-8"), "{why}");
}

const UNIT: &str = "[Mount]\nWhat=tmpfs\nWhere=/tmp\nType=tmpfs\nOptions=mode=1777,nosuid,nodev\n";

#[test]
fn a_mount_unit_counts_if_a_target_wants_it() {
    let fixture = Fixture::new();
    fixture.file("/usr/lib/systemd/system/tmp.mount", UNIT);
    fixture.fails(&boot());
    fixture.link("/usr/lib/systemd/system/local-fs.target.wants/tmp.mount", "../tmp.mount");
    assert_eq!(fixture.holds(&boot()).evidence[0].source, "/usr/lib/systemd/system/tmp.mount: /tmp");
    fixture.file("/etc/systemd/system/tmp.mount", "[Mount]\nOptions=nodev\n").fails(&boot());
}

#[test]
fn a_masked_unit_or_a_masked_link_is_not_mounted() {
    let fixture = Fixture::new();
    fixture.file("/usr/lib/systemd/system/tmp.mount", UNIT);
    fixture.link("/usr/lib/systemd/system/local-fs.target.wants/tmp.mount", "../tmp.mount").holds(&boot());
    fixture.link("/etc/systemd/system/local-fs.target.wants/tmp.mount", "/dev/null").fails(&boot());
    fixture.without("/etc/systemd/system/local-fs.target.wants/tmp.mount").holds(&boot());
    fixture.link("/etc/systemd/system/tmp.mount", "/dev/null").fails(&boot());
    fixture.without("/etc/systemd/system/tmp.mount").file("/etc/systemd/system/tmp.mount", "").fails(&boot());
}

#[test]
fn fstab_wins_over_a_unit_of_the_distribution_and_loses_to_one_of_the_operator() {
    let fixture = Fixture::new();
    fixture.file("/usr/lib/systemd/system/tmp.mount", UNIT).file("/etc/fstab", "tmpfs /tmp tmpfs defaults\n");
    fixture.link("/usr/lib/systemd/system/local-fs.target.wants/tmp.mount", "../tmp.mount").fails(&boot());
    fixture.file("/etc/systemd/system/tmp.mount", UNIT).holds(&boot());
}

#[test]
fn a_drop_in_changes_the_options_of_a_unit_and_of_an_entry() {
    let fixture = Fixture::new();
    fixture.file("/etc/fstab", "tmpfs /tmp tmpfs defaults\n").fails(&boot());
    let drop_in = "/etc/systemd/system/tmp.mount.d/10-options.conf";
    fixture.file(drop_in, "[Mount]\nOptions=nodev,nosuid\n");
    assert_eq!(fixture.holds(&boot()).evidence[0].source, format!("{drop_in}: /tmp"));
    fixture.file("/usr/lib/systemd/system/tmp.mount.d/90.conf", "[Mount]\nOptions=nodev\n").fails(&boot());
}

#[test]
fn what_systemd_mounts_itself_is_there_unless_fstab_says_otherwise() {
    let shm = "{mount: {at: /dev/shm, options: [nodev, nosuid], when: boot}}";
    let fixture = Fixture::new();
    fixture.fails(shm);
    fixture.file("/usr/lib/systemd/systemd", "");
    assert_eq!(fixture.holds(shm).evidence[0].source, "systemd's own mounts: /dev/shm");
    fixture.fails("{mount: {at: /dev/shm, options: [noexec], when: boot}}");
    // Too late: it is mounted by then.
    fixture.file("/etc/systemd/system/dev-shm.mount", "[Mount]\nOptions=noexec\n");
    fixture.fails("{mount: {at: /dev/shm, options: [noexec], when: boot}}");
    fixture.file("/etc/fstab", "tmpfs /dev/shm tmpfs defaults\n").fails(shm);
}

#[test]
fn a_unit_that_is_a_directory_or_too_large_is_unknown() {
    let fixture = Fixture::new();
    fixture.dir("/etc/systemd/system/tmp.mount").unknown(&boot());
    let fixture = Fixture::new();
    fixture.file("/etc/systemd/system/tmp.mount", vec![b'#'; (1 << 20) + 1]);
    let why = fixture.unknown(&boot());
    assert!(why.contains("larger than"), "{why}");
}
