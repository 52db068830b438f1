//! The units: as hard as each can be, understood by systemd, and the safeguard's at work.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safeguard_tests::machine::{Machine, Storage};

use safeguard_tests::built::program;
use safeguard_tests::parts::{Part, here};

/// The exposure that `systemd-analyze security` may give, in tenths; the reasons for what is open are in the units.
const EXPOSURE: [(&str, u32); 5] = [
    // Reads every file and every process of the host.
    ("safeguard-agent.service", 25),
    // Makes rules, routes, and a network namespace to prove them from.
    ("safeguard-proxy-redirect-check.service", 29),
    ("safeguard-proxy-redirect.service", 25),
    // What pods can reach.
    ("safeguard-proxy.service", 20),
    ("safeguard.service", 15),
];

fn systemd() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../systemd")
}

#[test]
fn no_unit_is_more_exposed_than_it_has_to_be() {
    if !here("units::no_unit_is_more_exposed_than_it_has_to_be", Part::Machine) {
        return;
    }
    let services = fs::read_dir(systemd()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut services: Vec<String> = services.filter(|name| name.ends_with(".service")).collect();
    services.sort();
    assert_eq!(services, EXPOSURE.map(|(name, _)| name), "each unit has its bound");
    for (name, most) in EXPOSURE {
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--no-pager", &format!("--threshold={most}")])
            .arg(systemd().join(name))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{name} may have {most} tenths: {}", text.lines().last().unwrap_or_default());
    }
}

/// With the account that sysusers makes for it, an empty set of capabilities, and its state where nobody else can read it.
#[test]
fn the_safeguard_starts_by_its_unit_and_ends() {
    if !here("units::the_safeguard_starts_by_its_unit_and_ends", Part::Machine) {
        return;
    }
    let machine = Machine::boot(Storage::Persistent).unwrap();
    let root = machine.root();
    fs::copy(program("safeguard"), root.join("usr/bin/safeguard")).unwrap();
    fs::copy(systemd().join("safeguard.service"), root.join("etc/systemd/system/safeguard.service")).unwrap();
    fs::copy(systemd().join("safeguard.sysusers.conf"), root.join("usr/lib/sysusers.d/safeguard.conf")).unwrap();
    fs::create_dir_all(root.join("etc/safeguard")).unwrap();
    fs::write(root.join("etc/safeguard/safeguard.toml"), "[page]\nopen = true\n").unwrap();
    let run = |line: &str| machine.run(&["sh", "-ec", line]).unwrap();
    // `start` waits until it says that it is ready.
    run(
        "systemd-sysusers; systemctl daemon-reload; systemctl start safeguard || (journalctl -u safeguard --no-pager >&2; exit 1)",
    );
    let show = |property: &str| run(&format!("systemctl show -P {property} safeguard")).trim().to_owned();
    assert_eq!((show("ActiveState"), show("SubState")), ("active".to_owned(), "running".to_owned()));
    let status = run(&format!("grep -h '^CapEff:\\|^NoNewPrivs:\\|^Uid:' /proc/{}/status", show("MainPID")));
    assert!(status.contains("CapEff:\t0000000000000000") && status.contains("NoNewPrivs:\t1"), "{status}");
    assert!(!status.contains("Uid:\t0"), "{status}");
    let listing = run("ls -ld /var/lib/safeguard-server /var/lib/safeguard-server/reply.key");
    assert!(listing.contains("drwx------") && listing.contains("-rw-------"), "{listing}");
    // Killed, it comes back by itself.
    run(
        "systemctl kill --signal=KILL safeguard; for i in $(seq 100); do systemctl is-active -q safeguard && exit 0; sleep 0.1; done; exit 1",
    );
    run("systemctl stop safeguard");
    assert_eq!((show("Result"), show("ExecMainStatus")), ("success".to_owned(), "0".to_owned()));
}
