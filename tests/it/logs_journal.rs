//! The systemd journal, written by the stand-in of journald: groups, rotation, damage, vacuuming, restarts, clocks.

use std::path::PathBuf;
use std::time::Duration;

use safeguard_logs::{Format, JournalSettings, LogName, Status, UnitGlob};
use safeguard_standins::{Fault, Journald, Shape};
use serde_json::Value;

use crate::rig::{PATIENCE, Rig};

const HOST: &str = "/aws/containerinsights/prod/host";
const DATAPLANE: &str = "/aws/containerinsights/prod/dataplane";
const MACHINE: &str = "0123456789abcdef0123456789abcdef";

async fn rig() -> Rig {
    let mut rig = Rig::new().await;
    rig.settings.journal = Some(JournalSettings {
        dirs: vec!["/var/log/journal".into(), "/run/log/journal".into()],
        dataplane: vec![UnitGlob::new("kubelet.service").unwrap()],
        exclude: vec![UnitGlob::new("secret.*").unwrap()],
    });
    std::fs::create_dir_all(path(&rig, "")).unwrap();
    rig
}

fn path(rig: &Rig, name: &str) -> PathBuf {
    rig.root.path().join("var/log/journal").join(MACHINE).join(name)
}

fn now_us() -> u64 {
    u64::try_from(safeguard_daemon::clock::now_ms()).unwrap() * 1_000
}

/// Entries `message N`; every third one is the kubelet's.
fn write(journal: &mut Journald, from: u64, to: u64) {
    for n in from..to {
        let unit: &[u8] = if n % 3 == 0 { b"kubelet.service" } else { b"sshd.service" };
        let message = format!("message {n}");
        let fields: [(&str, &[u8]); 4] =
            [("MESSAGE", message.as_bytes()), ("_SYSTEMD_UNIT", unit), ("PRIORITY", b"6"), ("_PID", b"7")];
        journal.append(now_us(), &fields).unwrap();
    }
}

fn messages(rig: &Rig, group: &str) -> Vec<String> {
    let streams = rig.service.streams(group);
    streams.iter().flat_map(|s| rig.service.events(group, s)).map(|e| e.message).collect()
}

/// The numbers that have arrived, of both groups, sorted.
fn numbers(rig: &Rig) -> Vec<u64> {
    let all = [messages(rig, HOST), messages(rig, DATAPLANE)].concat();
    let mut numbers: Vec<u64> = all.iter().filter_map(|m| m.strip_prefix("message ")?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}

async fn delivered(rig: &Rig, expected: u64) {
    let late = tokio::time::Instant::now() + PATIENCE;
    while !numbers(rig).iter().copied().eq(0..expected) {
        let found = numbers(rig);
        assert!(tokio::time::Instant::now() < late, "{} of {expected}: {:#?}", found.len(), rig.status().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn settled(rig: &Rig) -> Status {
    for _ in 0..400 {
        let status = rig.status().await;
        if status.total.in_flight.events == 0 && status.journal.as_ref().unwrap().behind_entries == 0 {
            crate::rig::balances(&status);
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never settled: {:#?}", rig.status().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_go_to_the_group_of_their_unit() {
    let mut rig = rig().await;
    rig.settings.format = Format::Json;
    let mut journal = Journald::create(&path(&rig, "system.journal"), 1, 1, Shape::default()).unwrap();
    let entry = |unit: &'static [u8], message: &'static [u8]| -> Vec<(&'static str, &'static [u8])> {
        vec![("MESSAGE", message), ("_SYSTEMD_UNIT", unit), ("PRIORITY", b"3"), ("SYSLOG_IDENTIFIER", b"id")]
    };
    let at = now_us();
    journal.append(at, &entry(b"kubelet.service", b"from the \"kubelet\"")).unwrap();
    journal.append(at, &entry(b"sshd.service", b"login")).unwrap();
    journal.append(at, &entry(b"secret.service", b"hidden")).unwrap();
    journal.append(at, &[("MESSAGE", b"oops"), ("_TRANSPORT", b"kernel"), ("_PID", b"0")]).unwrap();
    rig.start();
    rig.until("three events", |r| messages(r, HOST).len() == 2 && messages(r, DATAPLANE).len() == 1).await;
    let event: Value = serde_json::from_str(&messages(&rig, DATAPLANE)[0]).unwrap();
    let expected = serde_json::json!({
        "message": "from the \"kubelet\"", "systemd_unit": "kubelet.service", "priority": 3, "identifier": "id",
        "boot_id": "b0".repeat(16),
    });
    assert_eq!(event, expected);
    let times = rig.service.events(DATAPLANE, "node-1")[0].timestamp;
    assert_eq!(times, i64::try_from(at / 1_000).unwrap());
    let status = settled(&rig).await;
    let units: Vec<String> = status.logs.iter().filter(|l| l.shipped).map(|l| l.name.to_string()).collect();
    assert_eq!(units, ["kernel", "kubelet.service", "sshd.service"]);
    assert!(status.logs.iter().all(|l| matches!(l.name, LogName::Unit { .. })));
    assert_eq!(status.total.delivered.events, 3);
}

/// vectordotdev/vector#7934 and the like, for the journal: rotated while it is written, renamed, and vacuumed while it is
/// still unread; an agent that is killed goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn rotation_vacuuming_and_crashes_lose_nothing() {
    let mut rig = rig().await;
    rig.start();
    let mut next = 1;
    for round in 0..6u64 {
        if round == 2 {
            rig.service.go_down().await;
        }
        let name = path(&rig, "system.journal");
        let mut journal =
            Journald::create(&name, u8::try_from(round).unwrap() + 1, next, Shape { compact: round % 2 == 0 }).unwrap();
        write(&mut journal, round * 1_000, round * 1_000 + 500);
        tokio::time::sleep(Duration::from_millis(200)).await;
        write(&mut journal, round * 1_000 + 500, round * 1_000 + 1_000);
        next = journal.archive().unwrap();
        let archived = path(&rig, &format!("system@{round}.journal"));
        std::fs::rename(&name, &archived).unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
        if round == 2 {
            std::fs::remove_file(&archived).unwrap();
        }
        if round == 3 {
            rig.service.come_up().await.unwrap();
            delivered(&rig, 4_000).await;
            settled(&rig).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            rig.restart().await;
        }
    }
    delivered(&rig, 6_000).await;
    let status = settled(&rig).await;
    assert_eq!(status.journal.unwrap().vacuumed_entries, 0);
}

/// What was deleted while nobody read is counted.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_were_vacuumed_unread_are_counted() {
    let mut rig = rig().await;
    rig.start();
    let mut journal = Journald::create(&path(&rig, "system.journal"), 1, 1, Shape::default()).unwrap();
    write(&mut journal, 0, 100);
    delivered(&rig, 100).await;
    settled(&rig).await;
    rig.drain().await;
    write(&mut journal, 100, 150);
    let next = journal.archive().unwrap();
    std::fs::remove_file(path(&rig, "system.journal")).unwrap();
    // A whole file came and went as well.
    let mut journal = Journald::create(&path(&rig, "system.journal"), 2, next + 200, Shape::default()).unwrap();
    write(&mut journal, 100, 200);
    rig.start();
    delivered(&rig, 200).await;
    assert_eq!(settled(&rig).await.journal.unwrap().vacuumed_entries, 250);
}

/// systemd's journal is ordered by number, and so are we: a clock that is set back hides nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_hides_no_entry() {
    let mut rig = rig().await;
    rig.start();
    let mut journal = Journald::create(&path(&rig, "system.journal"), 1, 1, Shape::default()).unwrap();
    write(&mut journal, 0, 50);
    delivered(&rig, 50).await;
    for n in 50..100u64 {
        if n == 75 {
            rig.restart().await;
            journal.reboot(9);
        }
        let message = format!("message {n}");
        journal.append(now_us() - 3_600_000_000, &[("MESSAGE", message.as_bytes())]).unwrap();
    }
    rig.until("all", |r| numbers(r).len() >= 100).await;
    let mut found = numbers(&rig);
    found.dedup();
    assert!(found.iter().copied().eq(0..100), "{found:?}");
}

/// One group that is refused does not hold the other one up, and gets what is its own later.
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_group_does_not_hold_the_other_one_up() {
    let mut rig = rig().await;
    rig.service.faults().when(|r| (r.group == DATAPLANE).then(Fault::denied));
    rig.start();
    let mut journal = Journald::create(&path(&rig, "system.journal"), 1, 1, Shape::default()).unwrap();
    write(&mut journal, 0, 30_000);
    rig.until("the host's", |r| messages(r, HOST).len() == 20_000).await;
    assert_eq!(messages(&rig, DATAPLANE).len(), 0);
    rig.service.faults().clear();
    delivered(&rig, 30_000).await;
    settled(&rig).await;
}

/// A damaged file and a cut one beside a good one: what can be read is, the rest is said.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_cost_what_is_damaged() {
    use std::os::unix::fs::FileExt;
    let mut rig = rig().await;
    let mut next = 1;
    let mut ends = Vec::new();
    for file in 0..3u8 {
        let mut journal =
            Journald::create(&path(&rig, &format!("system@{file}.journal")), file + 1, next, Shape::default()).unwrap();
        for n in 0..100 {
            write(&mut journal, u64::from(file) * 100 + n, u64::from(file) * 100 + n + 1);
            ends.push(journal.end());
        }
        next = journal.archive().unwrap();
    }
    let open = |name: &str| std::fs::File::options().write(true).open(path(&rig, name)).unwrap();
    open("system@0.journal").write_all_at(&[0xee; 8], ends[49]).unwrap();
    open("system@1.journal").set_len(ends[159]).unwrap();
    std::fs::write(path(&rig, "system@3.journal"), b"no journal at all").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path(&rig, "system@4.journal")).unwrap();
    rig.start();
    rig.until("what can be read", |r| numbers(r).len() >= 259).await;
    let status = rig.status().await;
    let found = numbers(&rig);
    let expected: Vec<u64> = (0..300).filter(|n| *n != 50 && !(160..200).contains(n)).collect();
    assert_eq!(found, expected);
    let journal = status.journal.unwrap();
    assert!(journal.damaged_entries >= 41, "{journal:?}");
    assert!(journal.last_error.is_some());
}

/// A field of 64 MB: the message in parts, within the usual memory, and the entries around it.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_64_megabytes_arrives_in_parts() {
    let mut rig = rig().await;
    let mut journal = Journald::create(&path(&rig, "system.journal"), 1, 1, Shape::default()).unwrap();
    write(&mut journal, 0, 1);
    let long: Vec<u8> = (0..64_000_000u32).map(|i| b'a' + u8::try_from(i % 25).unwrap()).collect();
    journal.append(now_us(), &[("MESSAGE", &long), ("_SYSTEMD_UNIT", b"big.service")]).unwrap();
    write(&mut journal, 1, 2);
    rig.start();
    delivered(&rig, 2).await;
    settled(&rig).await;
    let parts: Vec<String> = messages(&rig, HOST).into_iter().filter(|m| !m.starts_with("message")).collect();
    assert!(parts.len() > 60, "{}", parts.len());
    let length: usize = parts.iter().map(|p| p.strip_suffix(" [continues in the next event]").unwrap_or(p).len()).sum();
    assert_eq!(length, long.len());
}

/// A journal that appears late, and one in memory.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_appears_later_is_read() {
    let mut rig = rig().await;
    std::fs::remove_dir_all(rig.root.path().join("var/log/journal")).unwrap();
    rig.start();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let run = rig.root.path().join("run/log/journal").join(MACHINE);
    std::fs::create_dir_all(&run).unwrap();
    let mut journal = Journald::create(&run.join("system.journal"), 1, 1, Shape::default()).unwrap();
    write(&mut journal, 0, 10);
    delivered(&rig, 10).await;
    std::fs::create_dir_all(path(&rig, "")).unwrap();
    let mut journal = Journald::create(&path(&rig, "system.journal"), 2, 11, Shape::default()).unwrap();
    write(&mut journal, 10, 20);
    delivered(&rig, 20).await;
    settled(&rig).await;
}
