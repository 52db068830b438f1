//! A real journald writes, in a machine of its own; the log room reads its files from outside. `journalctl` is the oracle.

use std::collections::BTreeMap;
use std::time::Duration;

use safeguard_logs::{Format, JournalSettings, UnitGlob};
use safeguard_tests::machine::{Machine, Storage};
use serde_json::Value;
use tokio::time::Instant;

use crate::rig::{PATIENCE, Rig};
use safeguard_tests::parts::{Part, here};

const GROUPS: [&str; 2] = ["/aws/containerinsights/prod/host", "/aws/containerinsights/prod/dataplane"];

/// What an entry says: unit, identifier, pid, priority, boot id, milliseconds, message.
type Said = (String, String, String, String, String, i64, String);

async fn rig() -> Rig {
    let mut rig = Rig::new().await;
    rig.settings.format = Format::Json;
    rig.settings.journal = Some(JournalSettings {
        dirs: vec!["/var/log/journal".into(), "/run/log/journal".into()],
        dataplane: vec![UnitGlob::new("kubelet.service").unwrap()],
        exclude: Vec::new(),
    });
    rig
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        // What is not UTF-8 is a list of bytes.
        Value::Array(bytes) => {
            let bytes: Vec<u8> = bytes.iter().map(|b| u8::try_from(b.as_u64().unwrap()).unwrap()).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        }
        _ => String::new(),
    }
}

/// The entries as journalctl knows them.
fn oracle(machine: &Machine) -> Vec<Said> {
    let entry = |line: &String| {
        let entry: Value = serde_json::from_str(line).unwrap();
        let of = |name: &str| text(&entry[name]);
        let ms = of("__REALTIME_TIMESTAMP").parse::<i64>().unwrap() / 1_000;
        (of("_SYSTEMD_UNIT"), of("SYSLOG_IDENTIFIER"), of("_PID"), of("PRIORITY"), of("_BOOT_ID"), ms, of("MESSAGE"))
    };
    machine.journal_json(&[]).unwrap().iter().map(entry).collect()
}

/// How often each entry was delivered.
fn delivered(rig: &Rig) -> BTreeMap<Said, usize> {
    let mut found = BTreeMap::new();
    for group in GROUPS {
        for stream in rig.service.streams(group) {
            for event in rig.service.events(group, &stream) {
                let entry: Value = serde_json::from_str(&event.message).unwrap();
                let of = |name: &str| text(&entry[name]);
                let unit = of("systemd_unit");
                assert_eq!(group == GROUPS[1], unit == "kubelet.service", "{unit} is in {group}");
                let said =
                    (unit, of("identifier"), of("pid"), of("priority"), of("boot_id"), event.timestamp, of("message"));
                *found.entry(said).or_default() += 1;
            }
        }
    }
    found
}

/// Waits until every entry was delivered, and nothing that is none. Returns how many came twice.
async fn until_all(rig: &Rig, expected: impl Fn() -> Vec<Said>) -> usize {
    let late = Instant::now() + PATIENCE;
    loop {
        let expected = expected();
        let mut found = delivered(rig);
        let missing: Vec<_> = expected.iter().filter(|said| !found.contains_key(said)).collect();
        if missing.is_empty() {
            let mut twice = 0;
            for said in &expected {
                if let Some(times) = found.get_mut(said) {
                    *times -= 1;
                    twice += *times;
                    *times = 0;
                }
            }
            return twice;
        }
        let status = || rig.logs.as_ref().unwrap();
        if Instant::now() > late {
            let status = status().status(Duration::from_secs(2)).await;
            panic!("{} of {} are missing: {:?} {status:#?}", missing.len(), expected.len(), missing.first());
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Lines of a unit, a message of many lines, one that journald compresses, one that is not UTF-8, and errors.
fn write(machine: &Machine, unit: &str, from: u32, to: u32) {
    let lines = format!("seq -f 'line %.0f of {unit}' {from} {to}");
    machine.run(&["systemd-run", "--wait", "-q", "--unit", unit, "sh", "-c", &lines]).unwrap();
    let odd = "printf 'MESSAGE=first\\nPRIORITY=3\\n' | logger --journald; \
               logger -t big \"$(head -c 100000 /dev/zero | tr '\\0' x)\"; \
               printf 'not \\377 UTF-8\\n' | systemd-cat -t odd -p warning; logger -p auth.crit -t sshd 'login failed'";
    machine.run(&["sh", "-c", odd]).unwrap();
}

/// fluent/fluent-bit#11455 and the like, for the journal: every entry of a real journald arrives, through rotation, an outage
/// in which its files are vacuumed, crashes of the agent, a restart of journald, and a reboot.
#[tokio::test(flavor = "multi_thread")]
async fn every_entry_of_a_real_journald_arrives() {
    if !here("journald::every_entry_of_a_real_journald_arrives", Part::Machine) {
        return;
    }
    let mut machine = Machine::boot(Storage::Persistent).unwrap();
    let mut rig = rig().await;
    rig.host = Some(machine.disk());
    rig.start();
    write(&machine, "kubelet.service", 1, 3_000);
    assert_eq!(until_all(&rig, || oracle(&machine)).await, 0, "nothing went wrong, so nothing comes twice");

    // Rotated and vacuumed while the service is away: the files are gone before they are delivered.
    rig.service.go_down().await;
    write(&machine, "a.service", 1, 3_000);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let before = oracle(&machine);
    machine.run(&["journalctl", "--rotate"]).unwrap();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    machine.run(&["journalctl", "--vacuum-files=1"]).unwrap();
    assert!(oracle(&machine).len() < before.len(), "the vacuum took nothing");
    write(&machine, "b.service", 1, 100);
    rig.service.come_up().await.unwrap();
    until_all(&rig, || before.clone()).await;
    until_all(&rig, || oracle(&machine)).await;

    // Killed while it delivers, and while journald is restarted.
    write(&machine, "c.service", 1, 20_000);
    rig.restart().await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    rig.restart().await;
    machine.run(&["systemctl", "restart", "systemd-journald"]).unwrap();
    write(&machine, "d.service", 1, 100);
    until_all(&rig, || oracle(&machine)).await;

    // A second boot in the same journal.
    machine.reboot().unwrap();
    write(&machine, "e.service", 1, 100);
    until_all(&rig, || oracle(&machine)).await;
    let boots: std::collections::BTreeSet<String> = delivered(&rig).into_keys().map(|said| said.4).collect();
    assert_eq!(boots.len(), 2);
    let status = rig.status().await;
    let journal = status.journal.as_ref().unwrap();
    assert_eq!((journal.vacuumed_entries, journal.damaged_entries), (0, 0), "{journal:?}");
    assert!(status.logs.iter().any(|log| log.name.to_string() == "e.service"));
    crate::rig::balances(&status);
}

/// A journal in memory, read through the machine's own root, as `/proc/1/root` is on a node.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_in_memory_is_read() {
    if !here("journald::a_journal_in_memory_is_read", Part::Machine) {
        return;
    }
    let machine = Machine::boot(Storage::Volatile).unwrap();
    let mut rig = rig().await;
    rig.host = Some(machine.root());
    write(&machine, "early.service", 1, 500);
    rig.start();
    write(&machine, "late.service", 1, 500);
    assert_eq!(until_all(&rig, || oracle(&machine)).await, 0);
}

/// A message of 64 MB, which journald compresses: it arrives in parts, and nothing waits behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_64_megabytes_that_journald_compressed_arrives() {
    const LENGTH: usize = 64_000_000;
    if !here("journald::a_message_of_64_megabytes_that_journald_compressed_arrives", Part::Machine) {
        return;
    }
    let machine = Machine::boot(Storage::Persistent).unwrap();
    let big = "(printf MESSAGE=; head -c 64000000 /dev/zero | tr '\\0' y; printf '\\nPRIORITY=2\\n') >/tmp/big \
               && logger --journald=/tmp/big";
    machine.run(&["sh", "-c", big]).unwrap();
    machine.run(&["logger", "-t", "me", "behind it"]).unwrap();
    let mut rig = rig().await;
    rig.host = Some(machine.disk());
    rig.start();
    let late = Instant::now() + PATIENCE;
    loop {
        let found = delivered(&rig);
        let parts = found.iter().filter(|(said, _)| said.6.starts_with("yyyy"));
        let length: usize = parts.map(|(said, times)| said.6.len() * times).sum();
        if length == LENGTH && found.keys().any(|said| said.6 == "behind it") {
            break;
        }
        assert!(Instant::now() < late, "{length} of {LENGTH} bytes: {:#?}", rig.status().await);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}
