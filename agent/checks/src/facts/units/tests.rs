//! Drop-ins, command lines and names, where no predicate shows them.

use crate::fixture::Fixture;

use super::*;

fn commands(host: &Fixture, name: &str) -> Observed<Vec<String>> {
    host.with(|facts| {
        let unit = facts.units().as_ref().unwrap().find(facts.host(), name)?.unwrap();
        Ok(unit
            .commands(facts.host(), "ExecStart")?
            .into_iter()
            .map(|(source, words)| format!("{source}: {}", words.join(" ")))
            .collect())
    })
}

#[test]
fn drop_ins_apply_by_file_name_and_the_nearest_of_one_name_wins() {
    let host = Fixture::new();
    host.file("/usr/lib/systemd/system/a-b.service", "[Service]\nExecStart=/bin/first\n");
    host.file("/usr/lib/systemd/system/a-b.service.d/20.conf", "[Service]\nExecStart=/bin/lost\n");
    host.file("/etc/systemd/system/a-b.service.d/20.conf", "[Service]\nExecStart=\nExecStart=/bin/second\n");
    host.file("/etc/systemd/system/a-.service.d/30.conf", "[Service]\nExecStart=/bin/third\n");
    host.file("/etc/systemd/system/service.d/10.conf", "[Service]\nExecStart=/bin/taken-back\n");
    host.file("/etc/systemd/system/a-b.service.d/40.txt", "not a drop-in");
    host.link("/etc/systemd/system/a-b.service.d/30.conf", "/dev/null");
    assert_eq!(commands(&host, "a-b.service").unwrap(), ["/etc/systemd/system/a-b.service.d/20.conf:3: /bin/second",]);
    host.without("/etc/systemd/system/a-b.service.d/30.conf");
    assert_eq!(commands(&host, "a-b.service").unwrap().len(), 2);
}

#[test]
fn variables_come_from_the_unit_and_then_from_its_files() {
    let host = Fixture::new();
    let unit = "[Service]\nEnvironment=A=1 B=2\nEnvironmentFile=-/etc/sysconfig/x\nExecStart=/bin/x $A $B $C\n";
    host.file("/usr/lib/systemd/system/x.service", unit);
    assert!(commands(&host, "x.service").unwrap()[0].ends_with(":4: /bin/x 1 2"));
    host.file("/etc/sysconfig/x", "# comment\nB=\"3 4\"\nC='5'\n");
    assert!(commands(&host, "x.service").unwrap()[0].ends_with(":4: /bin/x 1 3 4 5"));
    host.file("/usr/lib/systemd/system/x.service", unit.replace("=-/etc", "=/etc")).without("/etc/sysconfig/x");
    assert_eq!(commands(&host, "x.service").unwrap_err().cause, crate::observed::Cause::Missing);
}

#[test]
fn links_are_followed_by_their_text_and_never_out_of_the_root() {
    let dir = Path::new("/etc/systemd/system");
    assert_eq!(lexically(dir, Path::new("../../../../../../dev/null")), Path::new("/dev/null"));
    assert_eq!(lexically(dir, Path::new("./b.service")), Path::new("/etc/systemd/system/b.service"));
}

#[test]
fn names_of_instances() {
    assert_eq!(template_of("a@b.c.service").unwrap(), "a@.service");
    assert_eq!(template_of("a@.service"), None);
    assert_eq!(instance_of("getty@.service", "autovt@tty1.service"), "getty@tty1.service");
    assert_eq!(dropin_names("a-b@c.service"), ["a-b@c.service.d", "a-b@.service.d", "a-.service.d", "service.d",]);
}

#[test]
fn odd_names_and_files_in_place_of_directories_are_passed_over() {
    let host = Fixture::new();
    host.file("/etc/systemd/system/x.target.wants", "no directory");
    host.file("/etc/systemd/system/x.service.d", "no directory");
    host.file("/etc/systemd/system/x.service", "[Service]\n");
    assert!(commands(&host, "x.service").unwrap().is_empty());
}
