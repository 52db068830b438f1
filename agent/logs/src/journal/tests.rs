#![expect(clippy::disallowed_methods, reason = "a test writes the files it reads")]

use super::*;
use proptest::prelude::*;
use safeguard_standins::{Journald, Shape};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

fn journal(shape: Shape) -> (tempfile::TempDir, PathBuf, Journald) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("system.journal");
    let writer = Journald::create(&path, 7, 100, shape).unwrap();
    (dir, path, writer)
}

fn open(path: &PathBuf) -> JournalFile {
    JournalFile::open(File::open(path).unwrap()).unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const BOTH: [Shape; 2] = [Shape { compact: false }, Shape { compact: true }];

#[test]
fn entries_say_what_was_written() {
    for shape in BOTH {
        let (_dir, path, mut writer) = journal(shape);
        for n in 0..5_000u64 {
            let message = format!("message {n}");
            let unit = if n % 3 == 0 { "kubelet.service" } else { "sshd.service" };
            let fields: [(&str, &[u8]); 6] = [
                ("MESSAGE", message.as_bytes()),
                ("PRIORITY", b"6"),
                ("_SYSTEMD_UNIT", unit.as_bytes()),
                ("SYSLOG_IDENTIFIER", b"me"),
                ("_PID", b"42"),
                ("_TRANSPORT", b"stdout"),
            ];
            writer.append(1_000_000 + n, &fields).unwrap();
        }
        let mut file = open(&path);
        let numbering = Numbering { seqnum_id: [0x5e; 16], head: 100, tail: 5_099 };
        assert_eq!((file.entries(), file.id(), file.numbering()), (5_000, [7; 16], numbering));
        let mut entry = Entry::default();
        // In order, and from anywhere.
        for n in (0..5_000).chain([17, 4_999, 0, 2_500]) {
            file.read(n, &mut entry).unwrap();
            assert_eq!((entry.seqnum, entry.realtime_us), (100 + n, 1_000_000 + n));
            assert_eq!(text(&entry.message), format!("message {n}"));
            assert_eq!(text(&entry.unit), if n % 3 == 0 { "kubelet.service" } else { "sshd.service" });
            assert_eq!((&*entry.identifier, &*entry.pid, entry.priority), (&b"me"[..], &b"42"[..], Some(6)));
            assert_eq!((entry.damaged, entry.is_longer(), entry.boot_id), (0, false, [0xb0; 16]));
        }
    }
}

#[test]
fn what_journald_adds_is_seen_at_the_next_look() {
    let (_dir, path, mut writer) = journal(Shape::default());
    let mut file = open(&path);
    let mut entry = Entry::default();
    for n in 0..300u64 {
        writer.append(n, &[("MESSAGE", n.to_string().as_bytes())]).unwrap();
        assert_eq!(file.look().unwrap(), n + 1);
        file.read(n, &mut entry).unwrap();
        assert_eq!(text(&entry.message), n.to_string());
        assert!(file.read(n + 1, &mut entry).is_err());
    }
    assert!(!file.is_archived());
    writer.archive().unwrap();
    file.look().unwrap();
    assert!(file.is_archived());
}

#[test]
fn a_message_of_64_megabytes_is_read_in_parts() {
    let (_dir, path, mut writer) = journal(Shape::default());
    let long: Vec<u8> = (0..64_000_000u32).map(|i| b'a' + u8::try_from(i % 26).unwrap()).collect();
    writer.append(1, &[("MESSAGE", &long), ("_SYSTEMD_UNIT", b"a.service"), ("OTHER", &long[1..])]).unwrap();
    writer.append(2, &[("MESSAGE", b"next")]).unwrap();
    let mut file = open(&path);
    let mut entry = Entry::default();
    file.read(0, &mut entry).unwrap();
    assert_eq!((text(&entry.unit), entry.is_longer()), ("a.service".to_owned(), true));
    let mut read = entry.message.clone();
    while entry.is_longer() {
        assert!(entry.message.len() <= MESSAGE_AT_ONCE);
        entry.message.clear();
        file.read_on(&mut entry, read.len() as u64).unwrap();
        read.extend_from_slice(&entry.message);
    }
    assert!(read == long, "{} of {} bytes", read.len(), long.len());
    file.read(1, &mut entry).unwrap();
    assert_eq!(text(&entry.message), "next");
}

#[test]
fn several_messages_of_an_entry_become_its_lines() {
    let (_dir, path, mut writer) = journal(Shape::default());
    writer.append(1, &[("MESSAGE", b"one"), ("MESSAGE", b"two"), ("PRIORITY", b"9")]).unwrap();
    let mut entry = Entry::default();
    open(&path).read(0, &mut entry).unwrap();
    assert_eq!((text(&entry.message), entry.priority), ("one\ntwo".to_owned(), None));
}

/// A damaged entry is an error; those before and behind it are read.
#[test]
fn damage_costs_what_is_damaged() {
    let (_dir, path, mut writer) = journal(Shape::default());
    let mut ends = Vec::new();
    for n in 0..100u64 {
        writer.append(n, &[("MESSAGE", format!("message {n}").as_bytes())]).unwrap();
        ends.push(writer.end());
    }
    let raw = File::options().write(true).open(&path).unwrap();
    // Somewhere in the data of entry 50.
    raw.write_all_at(&[0xff; 24], ends[49]).unwrap();
    let mut file = open(&path);
    let mut entry = Entry::default();
    for n in 0..100 {
        let whole = file.read(n, &mut entry).is_ok() && entry.damaged == 0;
        assert_eq!(whole, n != 50, "{n}");
    }
    // And cut in the middle: what is there is read.
    raw.set_len(ends[79]).unwrap();
    let mut file = open(&path);
    assert_eq!((0..100).filter(|n| file.read(*n, &mut entry).is_ok()).count(), 80, "one of them without its message");
}

#[test]
fn other_files_are_refused_with_the_reason() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.journal");
    for (bytes, why) in [(&b""[..], "header"), (&[0; 300][..], "not a journal"), (b"LPKSHHRH", "header")] {
        std::fs::write(&path, bytes).unwrap();
        let error = JournalFile::open(File::open(&path).unwrap()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let (_dir, path, _writer) = journal(Shape::default());
    File::options().write(true).open(&path).unwrap().write_all_at(&[0xff; 4], 12).unwrap();
    assert!(JournalFile::open(File::open(&path).unwrap()).unwrap_err().to_string().contains("flags"));
}

proptest! {
    /// Whatever is in the file: no panic, no endless loop, no unbounded memory.
    #[test]
    fn hostile_bytes_are_errors(damage in prop::collection::vec((0u64..6_000, any::<[u8; 8]>()), 1..12), compact: bool) {
        let (_dir, path, mut writer) = journal(Shape { compact });
        for n in 0..30u64 {
            writer.append(n, &[("MESSAGE", b"hello"), ("_PID", b"1"), ("N", &n.to_le_bytes())]).unwrap();
        }
        let raw = File::options().write(true).open(&path).unwrap();
        for (at, bytes) in damage {
            raw.write_all_at(&bytes, at).unwrap();
        }
        if let Ok(mut file) = JournalFile::open(File::open(&path).unwrap()) {
            let mut entry = Entry::default();
            for n in [0, 1, 29, 30, 1 << 20, u64::MAX] {
                if file.read(n, &mut entry).is_ok() {
                    prop_assert!(entry.message.len() <= MESSAGE_AT_ONCE);
                }
                drop(file.look());
            }
        }
    }
}
