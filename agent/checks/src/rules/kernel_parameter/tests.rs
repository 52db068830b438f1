use crate::fixture::Fixture;

const NOW: &str = "{kernel_parameter: {name: audit, value: {is: 1}, when: now}}";
const BOOT: &str = "{kernel_parameter: {name: audit, value: {is: 1}, when: boot}}";
const ENTRY: &str = "/boot/loader/entries/al2023-6.12.conf";

#[test]
fn this_boot_is_what_the_kernel_was_started_with() {
    let fixture = Fixture::new();
    let verdict = fixture.file("/proc/cmdline", "root=/dev/x ro audit=0 audit=1\n").holds(NOW);
    assert_eq!(verdict.evidence[0].source, "/proc/cmdline: audit");
    fixture.file("/proc/cmdline", "audit=1 audit=0\n").fails(NOW);
    fixture.file("/proc/cmdline", "xaudit=1 audit_backlog_limit=1\n").fails(NOW);
    fixture.file("/proc/cmdline", "audit=10\n").fails(NOW);
    fixture.file("/proc/cmdline", "audit=on\n").unknown(NOW);
}

#[test]
fn a_parameter_without_a_value_has_the_empty_text() {
    let fixture = Fixture::new();
    fixture.file("/proc/cmdline", "quiet\n");
    fixture.holds("{kernel_parameter: {name: quiet, value: {is: ''}, when: now}}");
    fixture.holds("{kernel_parameter: {name: debug, value: {set: false}, when: now}}");
    fixture.fails("{kernel_parameter: {name: debug, value: {is: ''}, when: now}}");
}

#[test]
fn a_host_without_proc_is_unknown_and_a_dead_one_not_applicable() {
    let why = Fixture::new().unknown(NOW);
    assert!(why.contains("/proc/cmdline"), "{why}");
    Fixture::dead().not_applicable(NOW);
}

#[test]
fn a_grub_configuration_is_right_if_each_entry_is() {
    let fixture = Fixture::new();
    let right = "menuentry 'a' {\n\tlinux\t/vmlinuz root=/dev/x ro audit=1\n}\n";
    let verdict = fixture.file("/boot/grub2/grub.cfg", right).holds(BOOT);
    assert_eq!(verdict.evidence[0].source, "/boot/grub2/grub.cfg line 2: audit");
    fixture.file("/boot/grub2/custom.cfg", "linux /vmlinuz ro\n").fails(BOOT);
    fixture.file("/boot/grub2/custom.cfg", right).holds(BOOT);
    fixture.file("/boot/grub2/grub.cfg", format!("{right}menuentry 'b' {{\n linux /vmlinuz ro\n}}\n")).fails(BOOT);
}

/// `/etc/default/grub` is only what the next `grub2-mkconfig` would read.
#[test]
fn the_source_of_a_configuration_is_not_what_boots() {
    let fixture = Fixture::new();
    fixture.file("/etc/default/grub", "GRUB_CMDLINE_LINUX=\"audit=1\"\n").unknown(BOOT);
    fixture.file("/boot/grub/grub.cfg", "linux /vmlinuz ro\n").fails(BOOT);
}

#[test]
fn entries_are_read_with_the_variables_of_grub() {
    let fixture = Fixture::dead();
    fixture.file("/boot/grub2/grub.cfg", "set kernelopts=\"ro\"\nblscfg\n");
    fixture.file(ENTRY, "title x\nlinux /vmlinuz\noptions $kernelopts $tuned_params\n").fails(BOOT);
    fixture.file("/boot/grub2/grubenv", "# GRUB Environment Block\nkernelopts=ro audit=1\n####").holds(BOOT);
    fixture.file(ENTRY, "linux /vmlinuz\noptions ro\noptions audit=1 # no comment\n").holds(BOOT);
    fixture.file("/boot/loader/entries/b.conf", "linux /vmlinuz\noptions ro\n").fails(BOOT);
}

#[test]
fn a_grub_that_does_not_take_entries_does_not_boot_them() {
    let fixture = Fixture::new();
    fixture.file("/boot/grub2/grub.cfg", "linux /vmlinuz audit=1\n").file(ENTRY, "linux /vmlinuz\n").holds(BOOT);
}

#[test]
fn entries_alone_are_those_of_systemd_boot() {
    let fixture = Fixture::new();
    fixture.file(ENTRY, "linux /vmlinuz\noptions audit=1\n").holds(BOOT);
    let why = fixture.file(ENTRY, "efi /shell.efi\n").unknown(BOOT);
    assert!(why.contains(ENTRY), "{why}");
}

#[test]
fn a_loader_that_is_not_known_is_unknown() {
    let fixture = Fixture::new();
    let why = fixture.unknown(BOOT);
    assert!(why.contains("/boot"), "{why}");
    fixture.file("/boot/grub2/grub.cfg", "linux /vmlinuz audit=1\n").holds(BOOT);
    let why = fixture.file("/boot/efi/EFI/Linux/al.efi", "MZ").unknown(BOOT);
    assert!(why.contains("unified kernel image"), "{why}");
}

#[test]
fn both_boots_have_to_be_right() {
    let both = "{kernel_parameter: {name: audit, value: {is: 1}}}";
    let fixture = Fixture::new();
    fixture.file("/proc/cmdline", "audit=1\n").file("/boot/grub2/grub.cfg", "linux /vmlinuz\n").fails(both);
    fixture.file("/boot/grub2/grub.cfg", "linux /vmlinuz audit=1\n").holds(both);
    fixture.file("/proc/cmdline", "\n").fails(both);
}

#[test]
fn what_cannot_be_read_is_unknown() {
    let fixture = Fixture::new();
    fixture.dir("/boot/grub2/grub.cfg").unknown(BOOT);
    let fixture = Fixture::new();
    fixture.file("/boot/grub2/grub.cfg", b"\xff\xfe").unknown(BOOT);
    let fixture = Fixture::new();
    let why = fixture.file("/boot/grub2/grub.cfg", "set a=\"$a\"\nlinux /k $a\n").unknown(BOOT);
    assert!(why.contains("more ways"), "{why}");
}
