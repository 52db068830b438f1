//! Beats: in order, again, too late, with a hole, and by two.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use safeguard_daemon::clock;
use safeguard_protocol::{Code, Digest, Received, SequenceRange, State, Statement};

use crate::node::{Safeguard, code};

#[tokio::test]
async fn a_node_that_beats_and_was_assessed_is_compliant() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    let first = node.beat().await.unwrap();
    assert_eq!((first.received, first.sequence, first.posture.state), (Received::Live, 1, State::Compliant));
    node.critical = vec!["cis/3.2.1".to_owned()];
    let second = node.beat().await.unwrap();
    assert_eq!(second.posture.state, State::NonCompliant);
    assert!(second.posture.reasons[0].contains("cis/3.2.1"));
    node.critical.clear();
    assert_eq!(node.beat().await.unwrap().posture.state, State::Compliant);
    // Each change is there, with the signed statement behind it.
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM state_change WHERE evidence_id IS NOT NULL"), 3);
    let body: Vec<u8> = safeguard.stored("SELECT envelope FROM evidence ORDER BY id LIMIT 1");
    assert!(safeguard_protocol::Envelope::read(&body, 4096).is_ok());
}

#[tokio::test]
async fn a_replay_is_a_duplicate_and_proves_nothing() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    let said = node.next();
    assert_eq!(node.say(&said).await.unwrap().received, Received::Live);
    node.beat().await.unwrap();
    let live: i64 = safeguard.stored("SELECT last_live_ms FROM heard");
    assert_eq!(node.say(&said).await.unwrap().received, Received::Duplicate);
    assert_eq!(safeguard.stored::<i64>("SELECT last_live_ms FROM heard"), live);
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM beat"), 2);
}

#[tokio::test]
async fn a_gap_is_seen_and_closed_by_what_comes_late() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    let missed: Vec<_> = (0..3).map(|_| node.next()).collect();
    assert_eq!(node.beat().await.unwrap().received, Received::Live, "the newest is live over a gap");
    let open = "SELECT coalesce(sum(last - first + 1), 0) FROM gap WHERE closed_ms IS NULL";
    assert_eq!(safeguard.stored::<i64>(open), 3);
    // In any order.
    for (at, left) in [(1, 2), (2, 1), (0, 0)] {
        assert_eq!(node.say(&missed[at]).await.unwrap().received, Received::Late);
        assert_eq!(safeguard.stored::<i64>(open), left);
    }
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM gap WHERE declared = 1"), 0);
}

#[tokio::test]
async fn what_the_spool_dropped_is_a_declared_gap() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    node.next();
    node.next();
    node.sequence += 1;
    let mut statement = node.statement();
    statement.spool.dropped = vec![SequenceRange { first: 2, last: 3 }];
    node.say(&statement).await.unwrap();
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM gap WHERE closed_ms IS NULL"), 0);
    assert_eq!(safeguard.stored::<i64>("SELECT sum(last - first + 1) FROM gap WHERE declared = 1"), 2);
}

#[tokio::test]
async fn a_clock_that_is_off_by_an_hour_is_never_live() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    for hour in [-3_600_000, 3_600_000] {
        let mut statement = node.next();
        statement.beat.made_at_ms += hour;
        assert_eq!(node.say(&statement).await.unwrap().received, Received::Late);
    }
    assert_eq!(safeguard.stored::<Option<i64>>("SELECT last_live_ms FROM heard"), None);
}

/// Somebody who had the node for a while signed what it is to say later, and promised to speak but once an hour. That keeps it alive
/// for minutes.
#[tokio::test]
async fn what_was_signed_beforehand_is_live_for_minutes() {
    static AHEAD_MS: AtomicI64 = AtomicI64::new(0);
    let now_ms = || clock::now_ms() + AHEAD_MS.load(Ordering::Relaxed);
    let safeguard = Safeguard::start_in(tempfile::tempdir().unwrap(), now_ms).await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    let mut beforehand: Vec<Statement> = Vec::new();
    for minute in 1..=40 {
        let mut statement = node.next();
        statement.beat.next_due_s = 3_600;
        statement.beat.made_at_ms += minute * 60_000;
        let assessment = statement.assessment.as_mut().unwrap();
        assessment.finished_at_ms += minute * 60_000;
        node.previous = Some(Digest::of(&serde_json::to_vec(&statement).unwrap()));
        beforehand.push(statement);
    }
    let (mut live, mut compliant) = (0, 0);
    for statement in &beforehand {
        AHEAD_MS.fetch_add(60_000, Ordering::Relaxed);
        let taken = node.say(statement).await.unwrap();
        live += i32::from(taken.received == Received::Live);
        compliant += i32::from(taken.posture.state == State::Compliant);
    }
    // Five minutes after the promised beat, and silence for three times that. The test itself takes a moment.
    assert!((9..=10).contains(&live) && (23..=25).contains(&compliant), "{live} {compliant}");
    let state = || safeguard.stored::<String>("SELECT state FROM node");
    assert_eq!(state(), "missing");
    let reasons: String = safeguard.stored("SELECT reasons FROM node");
    assert!(reasons.contains("it repeats no nonce that it was given lately"), "{reasons}");
    // The node itself has heard what it was told, and says so.
    let mut own = node.next();
    own.beat.made_at_ms = now_ms();
    own.assessment.as_mut().unwrap().finished_at_ms = now_ms();
    assert_eq!(node.say(&own).await.unwrap().received, Received::Live);
    assert_eq!(state(), "compliant");
}

#[tokio::test]
async fn a_nonce_is_of_the_node_that_it_was_given_to_and_holds_over_a_restart() {
    let safeguard = Safeguard::start().await;
    let (mut node, other) = (safeguard.node(1).await, safeguard.node(2).await);
    for nonce in [None, Some("A".repeat(43)), other.contact()] {
        let mut statement = node.next();
        statement.beat.server_nonce = nonce;
        assert_eq!(node.say(&statement).await.unwrap().received, Received::Late);
    }
    assert_eq!(safeguard.stored::<Option<i64>>("SELECT last_live_ms FROM heard WHERE key_no = 1"), None);
    assert_eq!(node.beat().await.unwrap().received, Received::Live);
    let safeguard = safeguard.restart().await;
    node.url = safeguard.url();
    assert_eq!(node.beat().await.unwrap().received, Received::Live);
}

/// What is not live tells nothing of now: neither that all is well, nor when the next beat is to be expected.
#[tokio::test]
async fn a_late_beat_changes_nothing_but_that_it_was_heard() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    node.critical = vec!["cis/3.2.1".to_owned()];
    node.beat().await.unwrap();
    node.critical.clear();
    let mut statement = node.next();
    (statement.beat.server_nonce, statement.beat.next_due_s) = (None, 3_600);
    statement.assessment.as_mut().unwrap().report = Digest::of(b"of old");
    let taken = node.say(&statement).await.unwrap();
    assert_eq!(taken.want, [], "its report is not how the node stands");
    assert_eq!((taken.received, taken.posture.state), (Received::Late, State::NonCompliant));
    assert_eq!(safeguard.stored::<i64>("SELECT next_due_s FROM heard"), 60);
    assert_eq!(node.beat().await.unwrap().posture.state, State::Compliant);
}

/// A beat that a slow way held back comes after the enrolment of the key that took the place of its own.
#[tokio::test]
async fn a_beat_that_was_on_its_way_when_its_key_was_replaced_makes_nobody_suspect() {
    static AHEAD_MS: AtomicI64 = AtomicI64::new(0);
    let now_ms = || clock::now_ms() + AHEAD_MS.load(Ordering::Relaxed);
    for (late_ms, made_after, state) in [(14_000, false, "compliant"), (16_000, false, "suspect"), (0, true, "suspect")]
    {
        AHEAD_MS.store(0, Ordering::Relaxed);
        let safeguard = Safeguard::start_in(tempfile::tempdir().unwrap(), now_ms).await;
        let mut node = safeguard.node(1).await;
        node.beat().await.unwrap();
        let (mut before, on_its_way) = (node.copy(), node.next());
        node.new_key();
        node.enrol().await.unwrap();
        AHEAD_MS.store(late_ms, Ordering::Relaxed);
        // Clocks tell milliseconds.
        tokio::time::sleep(Duration::from_millis(5)).await;
        let statement = if made_after { before.next() } else { on_its_way };
        assert_eq!(code(before.say(&statement).await), Code::RetiredKey);
        node.beat().await.unwrap();
        let is: String = safeguard.stored("SELECT state FROM node");
        assert_eq!(is, state, "{late_ms} ms after, made after that: {made_after}");
    }
}

#[tokio::test]
async fn a_restored_disk_is_told_to_make_a_new_key_and_is_not_suspect_for_it() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    let mut restored = node.copy();
    node.beat().await.unwrap();
    restored.critical = vec!["other/1".to_owned()];
    assert_eq!(code(restored.beat().await), Code::SequenceReused);
    restored.new_key();
    restored.enrol().await.unwrap();
    restored.critical.clear();
    assert_eq!(restored.beat().await.unwrap().posture.state, State::Compliant);
    // The old key's earlier words are refused and prove nothing; new ones of it are somebody else's.
    assert_eq!(safeguard.stored::<String>("SELECT state FROM node"), "compliant");
    assert_eq!(code(node.beat().await), Code::RetiredKey);
    assert_eq!(safeguard.stored::<String>("SELECT state FROM node"), "suspect");
    assert_eq!(restored.beat().await.unwrap().posture.state, State::Suspect);
}

#[tokio::test]
async fn another_past_under_the_right_number_is_an_event() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    node.previous = Some(safeguard_protocol::Digest::of(b"another"));
    node.beat().await.unwrap();
    let events = || safeguard.stored::<String>("SELECT group_concat(kind) FROM event WHERE kind LIKE 'for%'");
    assert_eq!(events(), "forked");
    // A disk that lost it makes no copy of anybody.
    node.previous = None;
    node.beat().await.unwrap();
    assert_eq!(events(), "forked,forgot");
}

#[tokio::test]
async fn a_node_speaks_for_itself_only() {
    let safeguard = Safeguard::start().await;
    let (mut node, other) = (safeguard.node(1).await, safeguard.node(2).await);
    let mut statement = node.next();
    statement.instance_id = format!("i-{:017x}", other.n);
    assert_eq!(code(node.say(&statement).await), Code::Identity);
    let statement = node.next();
    assert_eq!(code(other.say(&statement).await), Code::Identity);
}

#[tokio::test]
async fn after_a_reboot_the_same_key_enrols_again_and_goes_on() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    node.boot = "boot-2".to_owned();
    let statement = node.next();
    assert_eq!(code(node.say(&statement).await), Code::UnknownBoot);
    assert_eq!(node.enrol().await.unwrap().sequence, 1);
    let mut statement = statement;
    statement.beat.made_at_ms += 1;
    assert_eq!(node.say(&statement).await.unwrap().received, Received::Live);
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM node_key"), 1);
}

#[tokio::test]
async fn a_flood_of_one_node_is_bounded_and_others_are_served() {
    let safeguard = Safeguard::start().await;
    let (mut flood, mut other) = (safeguard.node(1).await, safeguard.node(2).await);
    let mut refused = 0;
    for _ in 0..300 {
        if let Err(refusal) = flood.beat().await {
            assert_eq!(refusal.code, Code::RateLimited);
            assert!(refusal.retry_after_s.is_some());
            refused += 1;
        }
    }
    assert!(refused > 100, "{refused}");
    assert_eq!(other.beat().await.unwrap().received, Received::Live);
}
