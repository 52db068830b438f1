use crate::fixture::Fixture;

const OFF: &str = "{module: {name: usb-storage, is: unavailable}}";
const LOADED: &str = "{module: {name: overlay, is: loaded}}";
const THERE: &str = "{module: {name: overlay, is: available}}";

const KERNEL: &str = "6.12.40-63.114.amzn2023.x86_64";
const DEP: &str = "kernel/drivers/usb/storage/usb-storage.ko.xz: kernel/drivers/scsi/scsi_mod.ko.xz\nkernel/fs/overlayfs/overlay.ko.xz:\n";

/// A host that runs a kernel with these lists.
fn running(loaded: &str, built_in: &str, dep: &str) -> Fixture {
    let fixture = Fixture::new();
    fixture.file("/proc/sys/kernel/osrelease", format!("{KERNEL}\n")).file("/proc/modules", loaded);
    with_kernel(&fixture, KERNEL, built_in, dep);
    fixture
}

fn with_kernel(fixture: &Fixture, version: &str, built_in: &str, dep: &str) {
    fixture.file(&format!("/usr/lib/modules/{version}/modules.builtin"), built_in);
    fixture.file(&format!("/usr/lib/modules/{version}/modules.dep"), dep);
    if !fixture.at("/lib").exists() {
        fixture.link("/lib", "usr/lib");
    }
}

const BOTH: &str = "install usb-storage /bin/false\nblacklist usb-storage\n";

#[test]
fn a_module_that_the_kernel_does_not_have_is_unavailable() {
    let verdict = running("", "", "kernel/fs/overlayfs/overlay.ko.xz:\n").holds(OFF);
    assert!(verdict.evidence.iter().any(|e| e.source.ends_with("modules.dep: usb-storage")), "{verdict:#?}");
}

#[test]
fn a_module_on_disk_has_to_be_kept_out_by_both_lines() {
    let fixture = running("", "", DEP);
    fixture.fails(OFF);
    fixture.file("/etc/modprobe.d/cis.conf", BOTH);
    let verdict = fixture.holds(OFF);
    let sources: Vec<_> = verdict.evidence.iter().map(|e| e.source.as_str()).collect();
    assert!(sources.contains(&"/etc/modprobe.d/cis.conf line 1: usb-storage"), "{sources:?}");
    fixture.file("/etc/modprobe.d/cis.conf", "install usb-storage /bin/false\n").fails(OFF);
}

/// `blacklist` alone is what Lynis looks for; the module is loaded by its name all the same.
#[test]
fn blacklist_alone_does_not_keep_a_module_out() {
    let fixture = running("", "", DEP);
    let verdict = fixture.file("/etc/modprobe.d/cis.conf", "blacklist usb_storage\n").fails(OFF);
    let against: Vec<_> = verdict.evidence.iter().filter(|e| e.holds == Some(false)).collect();
    assert_eq!(against.len(), 1);
    assert_eq!(against[0].observed, "no install line");
}

#[test]
fn a_stronger_file_of_the_same_name_counts() {
    let fixture = running("", "", DEP);
    fixture.file("/usr/lib/modprobe.d/cis.conf", BOTH).holds(OFF);
    fixture.file("/etc/modprobe.d/cis.conf", "# nothing\n").fails(OFF);
    let fixture = running("", "", DEP);
    fixture.file("/usr/lib/modprobe.d/cis.conf", BOTH).link("/etc/modprobe.d/cis.conf", "/dev/null").fails(OFF);
}

#[test]
fn a_module_that_is_loaded_or_built_in_is_not_unavailable() {
    let fixture = running("usb_storage 81920 0 - Live 0x0\n", "", "");
    assert_eq!(fixture.fails(OFF).evidence[0].observed, "Live");
    running("usb_storage 81920 0 - Loading 0x0\n", "", "").fails(OFF);
    let fixture = running("", "kernel/drivers/usb/storage/usb-storage.ko\n", "");
    fixture.file("/etc/modprobe.d/cis.conf", BOTH).fails(OFF);
}

#[test]
fn a_kernel_whose_modules_are_not_on_disk_is_unknown() {
    let fixture = Fixture::new();
    fixture.file("/proc/sys/kernel/osrelease", "6.1.0\n").file("/proc/modules", "");
    fixture.file("/lib/modules/5.10.0/modules.dep", "").file("/lib/modules/5.10.0/modules.builtin", "");
    let why = fixture.unknown(OFF);
    assert!(why.contains("/lib/modules"), "{why}");
    fixture.unknown(THERE);
    fixture.file("/lib/modules/6.1.0/modules.dep", "");
    let why = fixture.unknown(OFF);
    assert!(why.contains("6.1.0/modules.builtin"), "{why}");
}

#[test]
fn a_host_without_proc_is_unknown() {
    let fixture = Fixture::new();
    let why = fixture.unknown(OFF);
    assert!(why.contains("osrelease"), "{why}");
    fixture.file("/proc/sys/kernel/osrelease", "../../etc\n").unknown(OFF);
}

#[test]
fn a_kernel_that_cannot_load_modules_has_none_loaded() {
    let fixture = running("", "", "");
    fixture.without("/proc/modules").holds(OFF);
    fixture.fails(LOADED);
}

#[test]
fn loaded_is_what_is_in_the_kernel() {
    running("overlay 1 0 - Live 0x0\n", "", DEP).holds(LOADED);
    running("", "kernel/fs/overlayfs/overlay.ko\n", "").holds(LOADED);
    running("overlay 1 0 - Unloading 0x0\n", "", DEP).fails(LOADED);
    running("overlayx 1 0 - Live 0x0\n", "", DEP).fails(LOADED);
    running("overlay\n", "", DEP).unknown(LOADED);
    Fixture::dead().not_applicable(LOADED);
}

#[test]
fn available_is_what_can_be_loaded() {
    running("", "", DEP).holds(THERE);
    running("", "kernel/fs/overlayfs/overlay.ko\n", "").holds(THERE);
    running("", "", "").fails(THERE);
    running("", "", DEP).file("/etc/modprobe.d/x.conf", "install overlay /bin/true\n").fails(THERE);
}

#[test]
fn a_dead_host_is_judged_by_each_kernel_on_disk() {
    let fixture = Fixture::dead();
    fixture.unknown(OFF);
    with_kernel(&fixture, "6.1.0", "", "kernel/x/overlay.ko:\n");
    fixture.holds(OFF);
    fixture.holds(THERE);
    fixture.file("/usr/lib/modules/5.10.0/weak-updates/left", "").file("/usr/lib/modules/README", "").holds(OFF);
    with_kernel(&fixture, "6.12.0", "", "kernel/x/usb-storage.ko:\n");
    fixture.fails(OFF);
    fixture.fails(THERE);
    fixture.file("/etc/modprobe.d/cis.conf", BOTH).holds(OFF);
}

#[test]
fn lists_that_cannot_be_read_are_unknown() {
    let fixture = running("", "", DEP);
    fixture.file("/etc/modprobe.d/x.conf", b"\xff\n");
    let why = fixture.unknown(OFF);
    assert!(why.contains("/etc/modprobe.d/x.conf: line 1"), "{why}");
    let fixture = running("", "", DEP);
    fixture.without(&format!("/usr/lib/modules/{KERNEL}/modules.dep"));
    fixture.dir(&format!("/usr/lib/modules/{KERNEL}/modules.dep")).unknown(OFF);
}
