use crate::fixture::Fixture;

const NOW: &str = "{selinux: {modes: [enforcing], when: now}}";
const BOOT: &str = "{selinux: {modes: [enforcing], when: boot}}";
const OFF: &str = "{selinux: {modes: [disabled], when: now}}";

const ROOT: &str = "20 1 259:1 / / rw - xfs /dev/x rw\n";

#[test]
fn the_running_kernel_says_whether_it_denies() {
    let fixture = Fixture::new();
    fixture.file("/sys/fs/selinux/enforce", "1").holds(NOW);
    fixture.file("/proc/1/attr/current", "system_u:system_r:init_t:s0\0");
    let verdict = fixture.file("/sys/fs/selinux/enforce", "0").fails(NOW);
    assert_eq!(verdict.evidence[0].observed, "permissive");
    assert_eq!(verdict.evidence[0].source, "/sys/fs/selinux/enforce");
    fixture.holds("{selinux: {modes: [enforcing, permissive], when: now}}");
    let why = fixture.file("/sys/fs/selinux/enforce", "yes").unknown(NOW);
    assert!(why.contains("/sys/fs/selinux/enforce"), "{why}");
}

/// `SELINUX=disabled` on Linux 6.4 and later: its file system is there and says 0.
#[test]
fn a_kernel_without_a_policy_is_not_permissive() {
    let fixture = Fixture::new();
    let why = fixture.file("/sys/fs/selinux/enforce", "0").unknown(NOW);
    assert!(why.contains("/proc/1/attr/current"), "{why}");
    fixture.file("/proc/1/attr/current", "kernel\0");
    fixture.holds(OFF);
    fixture.fails("{selinux: {modes: [enforcing, permissive], when: now}}");
}

#[test]
fn a_host_without_its_file_system_has_it_off() {
    let fixture = Fixture::new();
    fixture.file("/proc/1/mountinfo", ROOT);
    fixture.fails(NOW);
    fixture.holds(OFF);
}

#[test]
fn that_the_agent_does_not_see_it_does_not_say_that_it_is_off() {
    Fixture::new().unknown(OFF);
    let fixture = Fixture::new();
    fixture.file("/proc/1/mountinfo", format!("{ROOT}21 20 0:1 / /sys/fs/selinux rw - selinuxfs selinuxfs rw\n"));
    let why = fixture.unknown(OFF);
    assert!(why.contains("not there for the agent"), "{why}");
    Fixture::dead().not_applicable(OFF);
}

/// A host that will boot with this configuration and these command lines.
fn boots(config: &str, lines: &[&str]) -> Fixture {
    let fixture = Fixture::dead();
    fixture.file("/etc/selinux/config", config);
    let grub: String = lines.iter().map(|line| format!("linux /vmlinuz {line}\n")).collect();
    fixture.file("/boot/grub2/grub.cfg", grub);
    fixture
}

#[test]
fn the_configuration_says_what_holds_after_a_boot() {
    let verdict = boots("# SELINUX=disabled\nSELINUX=enforcing\nSELINUXTYPE=targeted\n", &["ro"]).holds(BOOT);
    assert_eq!(verdict.evidence[0].source, "/etc/selinux/config line 2");
    boots("SELINUX=Enforcing \n", &["ro"]).holds(BOOT);
    boots("SELINUX=permissive\n", &["ro"]).fails(BOOT);
    boots("SELINUX=disabled\nSELINUX=enforcing\n", &["ro"]).fails(BOOT);
}

#[test]
fn the_command_line_goes_before_the_configuration() {
    let enforcing = "SELINUX=enforcing\n";
    let verdict = boots(enforcing, &["ro selinux=0"]).fails(BOOT);
    assert_eq!(verdict.evidence[0].observed, "disabled");
    assert_eq!(verdict.evidence[0].source, "/boot/grub2/grub.cfg line 1");
    boots(enforcing, &["ro enforcing=0"]).fails(BOOT);
    boots(enforcing, &["ro security=apparmor"]).fails(BOOT);
    boots(enforcing, &["ro lsm=lockdown,yama"]).fails(BOOT);
    boots(enforcing, &["ro lsm=lockdown,selinux security=apparmor"]).holds(BOOT);
    boots(enforcing, &["ro xselinux=0 selinux=1"]).holds(BOOT);
    boots("SELINUX=permissive\n", &["ro enforcing=1"]).holds(BOOT);
    boots("SELINUX=disabled\n", &["ro enforcing=1"]).fails(BOOT);
    boots(enforcing, &["ro", "ro single selinux=0"]).fails(BOOT);
}

#[test]
fn a_host_without_a_configuration_has_it_off() {
    let fixture = Fixture::dead();
    let verdict = fixture.fails(BOOT);
    assert_eq!(verdict.evidence[0].source, "/etc/selinux/config: not there");
}

#[test]
fn what_makes_no_sense_is_unknown() {
    let why = boots("SELINUX=enforcingish\n", &["ro"]).unknown(BOOT);
    assert!(why.contains("/etc/selinux/config: line 1"), "{why}");
    boots("SELINUXTYPE=targeted\n", &["ro"]).unknown(BOOT);
    let fixture = Fixture::dead();
    let why = fixture.file("/etc/selinux/config", "SELINUX=enforcing\n").unknown(BOOT);
    assert!(why.contains("/boot"), "{why}");
}
