//! Packages, installed or not, of dpkg's database; rpm's is tested beside its reader.

use crate::fixture::Fixture;

const WITH: &str = "package: {names: [telnet, nc], installed: true}";
const WITHOUT: &str = "package: {names: [telnet, nc], installed: false}";

fn host(packages: &[(&str, &str)]) -> Fixture {
    let host = Fixture::new();
    let paragraph = |(name, status): &(&str, &str)| format!("Package: {name}\nStatus: {status}\nVersion: 1.0-1\n\n");
    host.file("/var/lib/dpkg/status", packages.iter().map(paragraph).collect::<String>());
    host
}

#[test]
fn one_of_the_names_is_enough() {
    let host = host(&[("bash", "install ok installed"), ("nc", "install ok installed")]);
    let verdict = host.holds(WITH);
    assert_eq!(verdict.evidence[0].observed, "nc 1.0-1");
    assert_eq!(verdict.evidence[0].source, "/var/lib/dpkg/status, 2 packages");
    host.fails(WITHOUT);
}

#[test]
fn what_is_not_installed_or_was_removed_is_not_there() {
    for status in ["deinstall ok config-files", "purge ok not-installed"] {
        let host = host(&[("bash", "install ok installed"), ("nc", status)]);
        host.holds(WITHOUT);
        host.fails(WITH);
    }
}

#[test]
fn a_longer_name_is_another_package() {
    let host = host(&[
        ("telnet-server", "install ok installed"),
        ("xnc", "install ok installed"),
        ("n", "install ok installed"),
    ]);
    host.holds(WITHOUT);
}

#[test]
fn a_package_that_is_held_is_installed_and_half_of_one_is_neither() {
    host(&[("nc", "hold ok installed")]).fails(WITHOUT);
    let half = host(&[("nc", "install reinstreq half-installed")]);
    assert!(half.unknown(WITHOUT).contains("cut short"));
    half.unknown(WITH);
}

#[test]
fn without_a_database_nothing_is_known_of_what_is_not_there() {
    assert!(Fixture::new().unknown(WITHOUT).contains("no package database"));
    host(&[]).unknown(WITHOUT);
    host(&[("nc", "deinstall ok config-files")]).unknown(WITHOUT);
}

#[test]
fn what_cannot_be_read_is_named() {
    let host = Fixture::new();
    host.dir("/var/lib/dpkg/status").unknown(WITHOUT);
    let broken = Fixture::new();
    broken.file("/var/lib/dpkg/status", "Package: a\nwhat\n");
    assert!(broken.unknown(WITHOUT).contains("/var/lib/dpkg/status: line 2"));
}

#[test]
fn a_dead_host_is_judged_by_its_database() {
    let dead = Fixture::dead();
    dead.file("/var/lib/dpkg/status", "Package: bash\nStatus: install ok installed\nVersion: 1\n").holds(WITHOUT);
}
