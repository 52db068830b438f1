//! What a unit's state is, on hosts as systemd leaves them.

use crate::fixture::Fixture;

const WANTED: &str = "[Unit]\nDescription=x\n[Service]\nExecStart=/bin/x\n[Install]\nWantedBy=multi-user.target\n";
const STATIC: &str = "[Service]\nExecStart=/bin/x\n";
const ENABLED: &str = "unit: {names: [x.service], state: [enabled]}";
const MASKED: &str = "unit: {names: [x.service], state: [masked]}";
const DISABLED: &str = "unit: {names: [x.service], state: [disabled]}";

fn host() -> Fixture {
    let host = Fixture::new();
    host.file("/usr/lib/systemd/system/x.service", WANTED);
    host
}

#[test]
fn a_link_in_wants_enables() {
    let host = host();
    host.holds(DISABLED);
    host.link("/etc/systemd/system/multi-user.target.wants/x.service", "/usr/lib/systemd/system/x.service");
    let verdict = host.holds(ENABLED);
    assert_eq!(verdict.evidence[0].observed, "enabled by /etc/systemd/system/multi-user.target.wants/x.service");
    host.fails(DISABLED);
}

#[test]
fn what_the_distribution_wants_is_enabled_and_can_be_masked_in_the_same_place() {
    let host = host();
    host.link("/usr/lib/systemd/system/sysinit.target.wants/x.service", "../x.service");
    host.holds(ENABLED);
    host.link("/etc/systemd/system/sysinit.target.wants/x.service", "/dev/null");
    host.fails(ENABLED);
}

#[test]
fn a_link_to_null_or_an_empty_file_masks_whatever_wants_it() {
    for mask in ["/dev/null", "../../../dev/null", "../../../../../../dev/null"] {
        let host = host();
        host.link("/etc/systemd/system/multi-user.target.wants/x.service", "/usr/lib/systemd/system/x.service");
        host.link("/etc/systemd/system/x.service", mask);
        host.holds(MASKED);
        host.fails(ENABLED);
    }
    let host = host();
    host.file("/etc/systemd/system/x.service", "");
    host.holds(MASKED);
}

#[test]
fn a_unit_that_is_only_masked_is_there() {
    let host = Fixture::new();
    host.link("/etc/systemd/system/x.service", "/dev/null");
    host.holds(MASKED);
}

#[test]
fn what_is_below_run_is_gone_after_a_boot() {
    let host = host();
    host.link("/run/systemd/system/multi-user.target.wants/x.service", "/usr/lib/systemd/system/x.service");
    host.fails(ENABLED);
    host.link("/run/systemd/system/x.service", "/dev/null");
    host.fails(MASKED);
}

#[test]
fn without_install_it_is_static() {
    let host = Fixture::new();
    host.file("/usr/lib/systemd/system/x.service", STATIC);
    host.holds("unit: {names: [x.service], state: [static]}");
    host.fails(DISABLED);
    host.file("/etc/systemd/system/x.service.d/install.conf", "[Install]\nWantedBy=multi-user.target\n");
    host.holds(DISABLED);
}

#[test]
fn an_alias_is_followed_and_enables() {
    let host = Fixture::new();
    host.file("/lib/systemd/system/ssh.service", "[Install]\nWantedBy=multi-user.target\nAlias=sshd.service\n");
    host.link("/etc/systemd/system/sshd.service", "/lib/systemd/system/ssh.service");
    host.link("/etc/systemd/system/multi-user.target.wants/ssh.service", "/lib/systemd/system/ssh.service");
    let verdict = host.holds("unit: {names: [sshd.service], state: [enabled]}");
    assert!(verdict.evidence[0].observed.ends_with("multi-user.target.wants/ssh.service"), "{verdict:?}");
    host.without("/etc/systemd/system/multi-user.target.wants/ssh.service");
    host.holds("unit: {names: [ssh.service], state: [enabled]}");
}

#[test]
fn aliases_in_a_circle_are_not_decided() {
    let host = Fixture::new();
    host.link("/etc/systemd/system/x.service", "y.service").link("/etc/systemd/system/y.service", "x.service");
    assert!(host.unknown(ENABLED).contains("in a circle"));
}

#[test]
fn an_instance_comes_from_its_template_and_enables_it() {
    let host = Fixture::new();
    host.file("/usr/lib/systemd/system/getty@.service", WANTED);
    host.link("/etc/systemd/system/getty.target.wants/getty@tty1.service", "/usr/lib/systemd/system/getty@.service");
    host.holds("unit: {names: [getty@tty1.service], state: [enabled]}");
    host.holds("unit: {names: [getty@.service], state: [enabled]}");
    host.holds("unit: {names: [getty@tty2.service], state: [disabled]}");
}

#[test]
fn the_first_name_that_is_there_is_meant() {
    let host = host();
    host.holds("unit: {names: [w.service, x.service], state: [disabled]}");
    host.fails("unit: {names: [w.service], state: [disabled]}");
    host.holds("unit: {names: [w.service], state: [enabled], absent: holds}");
    host.not_applicable("unit: {names: [w.service], absent: not-applicable}");
    host.holds("unit: {names: [x.service]}");
}

#[test]
fn a_service_runs_if_its_control_group_has_processes() {
    let host = host();
    let (runs, rests) = ("unit: {names: [x.service], running: true}", "unit: {names: [x.service], running: false}");
    assert!(host.unknown(runs).contains("control groups are not visible"));
    host.dir("/sys/fs/cgroup/system.slice");
    host.fails(runs);
    host.holds(rests);
    host.file("/sys/fs/cgroup/system.slice/x.service/cgroup.procs", "");
    host.holds(rests);
    host.file("/sys/fs/cgroup/system.slice/x.service/cgroup.procs", "812\n");
    host.holds(runs);
    host.fails(rests);
}

#[test]
fn control_groups_of_version_1_of_other_slices_and_below_are_seen() {
    let runs = "unit: {names: [x.service], running: true}";
    let v1 = host();
    v1.file("/sys/fs/cgroup/systemd/system.slice/x.service/cgroup.procs", "1\n");
    v1.holds(runs);

    let slice = host();
    slice.dir("/sys/fs/cgroup/system.slice");
    slice.file("/etc/systemd/system/x.service.d/slice.conf", "[Service]\nSlice=runtime-pods.slice\n");
    slice.fails(runs);
    slice.file("/sys/fs/cgroup/runtime.slice/runtime-pods.slice/x.service/cgroup.events", "populated 1\nfrozen 0\n");
    slice.holds(runs);

    let delegated = host();
    delegated.file("/sys/fs/cgroup/system.slice/x.service/cgroup.procs", "");
    delegated.file("/sys/fs/cgroup/system.slice/x.service/init/cgroup.procs", "7\n");
    delegated.holds(runs);

    let instance = Fixture::new();
    instance.file("/usr/lib/systemd/system/a-b@.service", WANTED);
    instance.file("/sys/fs/cgroup/system.slice/system-a\\x2db.slice/a-b@c.service/cgroup.procs", "7\n");
    instance.holds("unit: {names: [a-b@c.service], running: true}");
}

#[test]
fn what_runs_is_not_asked_of_a_dead_host_and_its_files_are() {
    let host = Fixture::dead();
    host.file("/usr/lib/systemd/system/x.service", WANTED);
    host.not_applicable("unit: {names: [x.service], running: true}");
    host.holds("unit: {names: [x.service], running: true, state: [disabled]}");
    host.fails("unit: {names: [x.service], running: true, state: [enabled]}");
}

#[test]
fn a_file_that_makes_no_sense_is_named_with_its_line() {
    let host = Fixture::new();
    host.file("/etc/systemd/system/x.service", "[Service]\nExecStart=/bin/x\nwhat is this\n");
    assert!(host.unknown(DISABLED).contains("x.service: line 3: "));
    host.file("/etc/systemd/system/x.service", b"[Service]\n\xff\n");
    assert!(host.unknown(DISABLED).contains("line 2: is not UTF-8"));
}

#[test]
fn a_host_without_systemd_has_no_units() {
    Fixture::new().fails(ENABLED);
}
