#![expect(clippy::disallowed_methods, reason = "tests look at and damage what is on the disk")]

use std::path::PathBuf;

use safeguard_protocol::{Assurance, Digest, Envelope, Posture as Verdict, SequenceRange, State as NodeState};
use tempfile::TempDir;

use super::*;
use crate::posture::tests::posture;

const MOST: (u64, Duration) = (1 << 20, Duration::from_secs(86_400));

fn open(dir: &TempDir) -> Chain {
    Chain::open(dir.path(), "acme").unwrap()
}

fn at(now_ms: i64) -> Now {
    Now { now_ms, uptime_ms: 1, next_due_s: 60, ..Now::default() }
}

/// A chain that is enrolled for the boot of [`posture`].
fn enrolled(dir: &TempDir) -> Chain {
    let mut chain = open(dir);
    chain.new_key(&posture().node).unwrap();
    let reply = reply_of(&chain);
    chain.enrolled(&posture().node, &reply, 1).unwrap();
    chain
}

fn acknowledge(chain: &mut Chain, sent: &Stored, received: Received) {
    let acknowledgement = Acknowledgement {
        version: 1,
        in_reply_to: sent.digest,
        key_id: sent.statement.key_id,
        sequence: sent.statement.beat.sequence,
        received,
        server_time_ms: 1,
        nonce: "n".to_owned(),
        interval_s: 60,
        want: Vec::new(),
        posture: Verdict { state: NodeState::Compliant, since_ms: 1, reasons: Vec::new() },
    };
    chain.acknowledged(&sent.statement, &acknowledgement, 2).unwrap();
}

/// Three beats of an enrolled chain, each acknowledged at once.
fn three_acknowledged(dir: &TempDir) -> Chain {
    let mut chain = enrolled(dir);
    for n in 1..=3 {
        chain.make(&posture(), at(n), MOST).unwrap();
        let beat = chain.pending().unwrap().unwrap();
        acknowledge(&mut chain, &beat, Received::Live);
    }
    chain
}

#[test]
fn a_number_is_used_once_whenever_the_process_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = enrolled(&dir);
    let mut previous = None;
    for sequence in 1..=6 {
        chain.make(&posture(), at(sequence), MOST).unwrap();
        let beat = chain.pending().unwrap().unwrap();
        assert_eq!(beat.statement.beat.sequence, u64::try_from(sequence).unwrap());
        assert_eq!(beat.statement.beat.previous, previous);
        previous = Some(beat.digest);
        if sequence % 2 == 0 {
            acknowledge(&mut chain, &beat, Received::Live);
        }
        // The process ends at any moment, and another one begins.
        chain = open(&dir);
        assert_eq!(chain.standing(&posture().node), Standing::Enrolled);
    }
    // Three were never acknowledged.
    assert_eq!((chain.waiting().0, chain.state().unwrap().acknowledged.unwrap().sequence), (3, 6));
    while let Some(beat) = chain.pending().unwrap() {
        acknowledge(&mut chain, &beat, Received::Late);
    }
    chain.make(&posture(), at(7), MOST).unwrap();
    let last = chain.pending().unwrap().unwrap();
    assert_eq!(last.statement.beat.previous, previous);
    acknowledge(&mut chain, &last, Received::Live);
    // Nothing new was told with it, and nothing written: it is sent once more.
    let mut chain = open(&dir);
    let again = chain.pending().unwrap().unwrap();
    assert_eq!((again.digest, chain.waiting().0), (last.digest, 1));
    acknowledge(&mut chain, &again, Received::Duplicate);
    chain.settle().unwrap();
    let mut chain = open(&dir);
    // Whether it was live the first reply said, which is lost.
    assert_eq!((chain.waiting().0, chain.state().unwrap().acknowledged.unwrap().sequence), (0, 6));
    chain.make(&posture(), at(8), MOST).unwrap();
    let next = chain.pending().unwrap().unwrap().statement.beat;
    assert_eq!((next.sequence, next.previous), (8, Some(last.digest)));
}

/// The file of the last beat is all that a crash needs to go on from; it has one of two, which are written over in turns.
#[test]
fn acknowledged_beats_leave_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = enrolled(&dir);
    let files = || std::fs::read_dir(dir.path().join("spool")).unwrap().count();
    for n in 1..=5 {
        chain.make(&posture(), at(n), MOST).unwrap();
        let beat = chain.pending().unwrap().unwrap();
        acknowledge(&mut chain, &beat, Received::Live);
        assert!(chain.pending().unwrap().is_none() && files() <= 2, "after {n}");
    }
    for n in 6..=8 {
        chain.make(&posture(), at(n), MOST).unwrap();
    }
    while let Some(beat) = chain.pending().unwrap() {
        acknowledge(&mut chain, &beat, Received::Live);
    }
    assert!(chain.waiting().0 == 0 && files() <= 2);
    chain.settle().unwrap();
    let mut after = open(&dir);
    assert_eq!(after.waiting().0, 0, "nothing is sent once more after an orderly end");
    after.make(&posture(), at(9), MOST).unwrap();
    let previous = chain.state().unwrap().previous;
    assert_eq!(after.pending().unwrap().unwrap().statement.beat.previous, previous);
}

/// A node whose disk is full is not silent, be it ever so short after a start: a beat takes no room that was not its own before.
#[test]
fn a_beat_asks_the_disk_for_no_room() {
    use std::os::unix::fs::MetadataExt as _;
    let dir = tempfile::tempdir().unwrap();
    let held = || {
        let entries = std::fs::read_dir(dir.path().join("spool")).unwrap().map(Result::unwrap);
        let mut held: Vec<_> = entries.map(|e| (e.file_name(), e.metadata().unwrap())).collect();
        held.sort_by(|a, b| a.0.cmp(&b.0));
        held.into_iter().map(|(name, of)| (name, of.ino(), of.len(), of.blocks())).collect::<Vec<_>>()
    };
    let mut chain = enrolled(&dir);
    let before = held();
    assert_eq!(before.len(), 2);
    for n in 1..=5 {
        chain.make(&posture(), at(n), MOST).unwrap();
        assert_eq!(held(), before, "{n}");
        let beat = chain.pending().unwrap().unwrap();
        acknowledge(&mut chain, &beat, Received::Live);
        if n % 2 == 0 {
            chain.settle().unwrap();
            chain = open(&dir);
            assert_eq!(held(), before, "after the restart at {n}");
        }
    }
    // What the taking of room left behind that a crash or a full disk cut off is no beat, and costs no number.
    for left in [&b""[..], b"     "] {
        chain.settle().unwrap();
        let [_, other] = slots(&dir);
        std::fs::write(other, left).unwrap();
        chain = open(&dir);
        assert_eq!(chain.next(&posture(), at(6)).unwrap().beat.sequence, 6);
        assert_eq!(held(), before);
    }
    chain.make(&posture(), at(6), MOST).unwrap();
    drop(chain);
    // Room that is missing is taken at the start.
    let [last, other] = slots(&dir);
    std::fs::File::options().write(true).open(last).unwrap().set_len(4_096).unwrap();
    std::fs::remove_file(other).unwrap();
    assert_eq!(open(&dir).waiting().0, 1);
    let room =
        |held: Vec<(_, u64, u64, u64)>| held.into_iter().map(|(_, _, len, blocks)| (len, blocks)).collect::<Vec<_>>();
    assert_eq!(room(held()), room(before));
}

#[test]
fn what_is_sent_is_signed_by_the_key_that_only_its_owner_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let mut chain = enrolled(&dir);
    chain.make(&posture(), at(1), MOST).unwrap();
    let beat = chain.pending().unwrap().unwrap();
    let envelope = Envelope::read(&beat.envelope, 4_096).unwrap();
    let key = chain.key().unwrap().public();
    let opened = envelope.open::<Statement>(safeguard_protocol::Kind::Statement, &key).unwrap();
    assert_eq!(opened.content, beat.statement);
    for file in ["key.pk8", "state.json", "spool/0.slot"] {
        let mode = std::fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_copied_disk_a_new_boot_and_another_tenant_do_not_speak_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = enrolled(&dir);
    chain.make(&posture(), at(1), MOST).unwrap();
    let key = chain.key().unwrap().public();
    let mut node = posture().node;
    node.boot_id = "boot-2".to_owned();
    assert_eq!(chain.standing(&node), Standing::NeedsEnrolment);
    node.instance_id = "i-0ffffffffffffffff".to_owned();
    assert_eq!(chain.standing(&node), Standing::NeedsKey);
    assert_eq!(Chain::open(dir.path(), "other").unwrap().standing(&posture().node), Standing::NeedsKey);
    chain.new_key(&node).unwrap();
    assert_ne!(chain.key().unwrap().public(), key);
    assert_eq!((chain.waiting().0, chain.state().unwrap().sequence), (0, 0), "nothing of the old key is left");
    assert_eq!(open(&dir).waiting().0, 0);
}

#[test]
fn what_the_spool_drops_is_declared_until_somebody_knows() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = enrolled(&dir);
    chain.make(&posture(), at(1), MOST).unwrap();
    let size = u64::try_from(chain.pending().unwrap().unwrap().envelope.len()).unwrap();
    for n in 2..=10 {
        chain.make(&posture(), at(n), (size * 4, Duration::from_secs(86_400))).unwrap();
    }
    let newest = chain.pending().unwrap().unwrap();
    assert_eq!(newest.statement.beat.sequence, 10);
    let dropped = |chain: &Chain| chain.state().unwrap().dropped.clone();
    let range = |first, last| SequenceRange { first, last };
    let (waiting, gone) = (u64::from(chain.waiting().0), dropped(&chain));
    assert_eq!(gone, [range(1, 10 - waiting)], "{waiting} wait");
    // What was dropped when the last one was made is said by the next.
    acknowledge(&mut chain, &newest, Received::Live);
    chain = open(&dir);
    chain.make(&posture(), at(11), MOST).unwrap();
    let next = chain.pending().unwrap().unwrap();
    assert_eq!(next.statement.spool.dropped.last().unwrap().last, 10 - waiting);
    acknowledge(&mut chain, &next, Received::Live);
    assert_eq!(dropped(&chain), []);
    // Age drops too, but never the newest.
    for n in 12..=14 {
        chain.make(&posture(), at(n), MOST).unwrap();
    }
    chain.make(&posture(), at(90_000_000), MOST).unwrap();
    assert_eq!(chain.waiting(), (1, Some(90_000_000)));
}

#[test]
fn a_beat_that_was_damaged_on_the_disk_is_dropped_and_declared() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = enrolled(&dir);
    for n in 1..=3 {
        chain.make(&posture(), at(n), MOST).unwrap();
    }
    // The first is in a slot, and the others wait beside it.
    std::fs::write(dir.path().join(format!("spool/{:020}.beat", 2)), b"").unwrap();
    damage(&dir.path().join(format!("spool/{:020}.beat", 3)));
    let mut chain = open(&dir);
    assert_eq!(chain.waiting().0, 1);
    chain.make(&posture(), at(4), MOST).unwrap();
    let next = chain.pending().unwrap().unwrap().statement;
    assert_eq!(next.beat.sequence, 4);
    assert_eq!(next.spool.dropped, [SequenceRange { first: 2, last: 3 }]);
}

/// What is in a slot and does not even tell its number may have been sent: the number after the highest that is known is not used.
#[test]
fn a_slot_that_cannot_be_read_costs_a_number() {
    type Damage = fn(&std::path::Path);
    let unreadable: Damage = |path| std::fs::write(path, b"no beat").unwrap();
    let none: Damage = |path| {
        std::fs::remove_file(path).unwrap();
        std::fs::create_dir(path).unwrap();
    };
    for (damaged, sent_once_more) in [(damage as Damage, 0), (unreadable, 1), (none, 1)] {
        let dir = tempfile::tempdir().unwrap();
        drop(three_acknowledged(&dir));
        let [third, _] = slots(&dir);
        damaged(&third);
        let mut chain = open(&dir);
        assert_eq!(chain.waiting().0, sent_once_more, "the second, where it is not known that it is older");
        for n in 4..=6 {
            // A directory in the place of a file is nothing that the agent made, and nothing that it removes.
            if chain.make(&posture(), at(n), MOST).is_err() {
                std::fs::remove_dir(&third).unwrap();
                chain.make(&posture(), at(n), MOST).unwrap();
            }
            let beat = chain.pending().unwrap().unwrap();
            assert_eq!(beat.statement.beat.sequence, u64::try_from(n).unwrap());
            assert_eq!(beat.statement.beat.previous.is_none(), n == 4, "nobody knows what the third said");
            if n == 4 {
                assert_eq!(beat.statement.spool.dropped, [SequenceRange { first: 3, last: 3 }]);
            }
            acknowledge(&mut chain, &beat, Received::Live);
        }
    }
}

/// Changes a letter of a beat.
fn damage(path: &std::path::Path) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, text.replacen("payload", "payl0ad", 1)).unwrap();
}

/// The power fails while a beat is written over another: of its sectors, any may be there. What is there of it does no harm, and
/// no number that was sent is used again.
#[test]
fn a_beat_that_a_crash_cut_off_was_not_sent() {
    const SECTOR: usize = 512;
    let dir = tempfile::tempdir().unwrap();
    let mut chain = three_acknowledged(&dir);
    let third = chain.state().unwrap().previous;
    let [_, slot] = slots(&dir);
    let before = std::fs::read(&slot).unwrap();
    chain.make(&posture(), at(4), MOST).unwrap();
    let after = std::fs::read(&slot).unwrap();
    assert_eq!(before.len(), after.len(), "it keeps its size");
    drop(chain);
    let sectors = 8;
    assert_eq!(before[sectors * SECTOR..], after[sectors * SECTOR..], "a block is written");
    for written in 0..1_u32 << sectors {
        let mut torn = before.clone();
        for sector in (0..sectors).filter(|sector| written >> sector & 1 == 1) {
            let range = sector * SECTOR..(sector + 1) * SECTOR;
            torn[range.clone()].copy_from_slice(&after[range]);
        }
        let crashed = copy(&dir);
        std::fs::write(crashed.path().join("spool").join(slot.file_name().unwrap()), &torn).unwrap();
        let chain = open(&crashed);
        let beat = chain.next(&posture(), at(5)).unwrap().beat;
        let (waiting, dropped) = (chain.waiting().0, &chain.state().unwrap().dropped);
        if torn == after {
            assert_eq!((beat.sequence, waiting), (5, 1));
        } else if written & 1 == 0 {
            // Its number is not there. The third is sent once more, and the number is free.
            assert_eq!((beat.sequence, beat.previous, waiting), (4, third, 1), "{written:b}");
        } else {
            assert_eq!((beat.sequence, beat.previous, waiting), (5, None, 0), "{written:b}");
            assert_eq!(dropped, &[SequenceRange { first: 4, last: 4 }]);
        }
    }
}

/// The slots, the one with the higher number first.
fn slots(dir: &TempDir) -> [PathBuf; 2] {
    let slots = ["0.slot", "1.slot"].map(|name| dir.path().join("spool").join(name));
    let number = |path: &PathBuf| std::fs::read_to_string(path).ok();
    if number(&slots[0]) > number(&slots[1]) { slots } else { [slots[1].clone(), slots[0].clone()] }
}

/// What is on the disk now.
fn copy(dir: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("spool")).unwrap();
    for file in ["key.pk8", "state.json", "spool/0.slot", "spool/1.slot"] {
        std::fs::copy(dir.path().join(file), copy.path().join(file)).unwrap();
    }
    copy
}

#[test]
fn a_state_that_is_damaged_or_torn_costs_the_key_and_nothing_else() {
    for (file, damage) in [("state.json", &b"{}"[..]), ("key.pk8", b"no key"), ("state.json", b"\0")] {
        let dir = tempfile::tempdir().unwrap();
        let mut chain = enrolled(&dir);
        chain.make(&posture(), at(1), MOST).unwrap();
        std::fs::write(dir.path().join(file), damage).unwrap();
        let mut chain = open(&dir);
        assert_eq!(chain.standing(&posture().node), Standing::NeedsKey, "{file}");
        chain.new_key(&posture().node).unwrap();
        assert_eq!(chain.waiting().0, 0, "what the old key signed is gone");
        chain.make(&posture(), at(2), MOST).unwrap();
        assert_eq!(chain.pending().unwrap().unwrap().statement.beat.sequence, 1);
    }
}

/// An agent's state directory was restored from a snapshot: numbers of the time since then are not used again.
#[test]
fn numbers_that_the_safeguard_knows_are_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = enrolled(&dir);
    let reply = Enrolled { sequence: 40, ..reply_of(&chain) };
    chain.enrolled(&posture().node, &reply, 3).unwrap();
    chain.make(&posture(), at(4), MOST).unwrap();
    assert_eq!(chain.pending().unwrap().unwrap().statement.beat.sequence, 41);
}

fn reply_of(chain: &Chain) -> Enrolled {
    Enrolled {
        version: 1,
        in_reply_to: Digest::of(b""),
        key_id: chain.key().unwrap().public().id(),
        assurance: Assurance::IdentitySts,
        sequence: 0,
        server_time_ms: 1,
        nonce: "n".to_owned(),
        interval_s: 60,
    }
}

/// A beat that counted late proves nothing about now.
#[test]
fn only_live_beats_count_as_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut chain = enrolled(&dir);
    chain.make(&posture(), at(1), MOST).unwrap();
    let beat = chain.pending().unwrap().unwrap();
    for received in [Received::Late, Received::Duplicate] {
        acknowledge(&mut chain, &beat, received);
        assert_eq!((chain.state().unwrap().acknowledged, chain.waiting().0), (None, 0), "{received:?}");
    }
    assert_eq!(
        open(&dir).next(&posture(), at(2)).unwrap().beat.server_nonce.as_deref(),
        Some("n"),
        "also after a crash"
    );
}
