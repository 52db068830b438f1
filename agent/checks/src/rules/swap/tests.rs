use super::zram_devices;
use crate::fixture::Fixture;

const NOW: &str = "{swap: {allowed: false, when: now}}";
const BOOT: &str = "{swap: {allowed: false, when: boot}}";
const HEADER: &str = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";

#[test]
fn swap_in_use_is_listed_by_the_kernel() {
    let fixture = Fixture::new();
    fixture.file("/proc/swaps", HEADER).holds(NOW);
    fixture.file("/proc/swaps", format!("{HEADER}/dev/zram0   partition\t8388604\t\t0\t\t100\n"));
    assert_eq!(fixture.fails(NOW).evidence[0].observed, "/dev/zram0");
    fixture.holds("{swap: {allowed: true, when: now}}");
    let why = fixture.file("/proc/swaps", "").unknown(NOW);
    assert!(why.contains("/proc/swaps"), "{why}");
}

#[test]
fn a_host_without_proc_is_unknown_and_a_dead_one_not_applicable() {
    Fixture::new().unknown(NOW);
    Fixture::dead().not_applicable(NOW);
    Fixture::dead().holds("{swap: {allowed: false}}");
}

#[test]
fn entries_of_fstab_are_swap_after_a_boot() {
    let fixture = Fixture::new();
    fixture.holds(BOOT);
    fixture.file("/etc/fstab", "#/swapfile none swap sw 0 0\n/dev/x /mnt/swap ext4 defaults\n").holds(BOOT);
    fixture.file("/etc/fstab", "/swapfile none swap noauto 0 0\n").holds(BOOT);
    fixture.file("/etc/fstab", "\n/swapfile none swap sw 0 0\n");
    assert_eq!(fixture.fails(BOOT).evidence[0].observed, "/etc/fstab line 2");
    fixture.file("/etc/fstab", "/swapfile\n").unknown(BOOT);
}

#[test]
fn swap_units_that_a_target_wants_are_swap_after_a_boot() {
    let fixture = Fixture::new();
    fixture.file("/etc/systemd/system/swapfile.swap", "[Swap]\nWhat=/swapfile\n").holds(BOOT);
    fixture.link("/etc/systemd/system/swap.target.wants/swapfile.swap", "/etc/systemd/system/swapfile.swap");
    fixture.fails(BOOT);
}

#[test]
fn compressed_memory_is_swap_after_a_boot_if_its_program_is_there() {
    let fixture = Fixture::new();
    fixture.file("/usr/lib/systemd/zram-generator.conf", "[zram0]\nzram-size = ram / 2\n").holds(BOOT);
    fixture.file("/usr/lib/systemd/system-generators/zram-generator", "").fails(BOOT);
    fixture.file("/etc/systemd/zram-generator.conf", "# nothing\n").holds(BOOT);
    fixture.file("/etc/systemd/zram-generator.conf.d/x.conf", "[zram1]\n").fails(BOOT);
}

#[test]
fn sections_are_devices_only_with_a_number() {
    assert_eq!(zram_devices("[zram0]\n[zram]\n[zramx]\n#[zram1]\n [zram2] \n").collect::<Vec<_>>(), ["zram0", "zram2"]);
}
