//! Long times on a paused clock: what an API server answers is a script, everything else is real.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::Reader;
use crate::index::index;

const HOUR: Duration = Duration::from_secs(3600);

/// A piece of an answer after a while; after the last one the answer ends.
type Pieces = VecDeque<(Duration, Bytes)>;

/// What the script gives: an answer, or trouble.
type Given = Result<Pieces, Trouble>;

struct Script<F> {
    answer: F,
    asked: Mutex<Vec<(Instant, bool)>>,
}

struct Played(Pieces);

impl Answer for Played {
    async fn piece(&mut self) -> Result<Option<Bytes>, Trouble> {
        let Some((wait, piece)) = self.0.pop_front() else { return Ok(None) };
        sleep(wait).await;
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }
}

impl<F: Fn(&Question, Instant) -> Given + Send + Sync> Api for Script<F> {
    type Answer = Played;

    async fn ask(&self, question: &Question) -> Result<Played, Trouble> {
        let now = Instant::now();
        self.asked.lock().unwrap().push((now, question.verb == "watch"));
        (self.answer)(question, now).map(Played)
    }
}

/// Follows pods for a while; gives the index, and how often was listed and watched.
async fn follow(
    time: Duration,
    answer: impl Fn(&Question, Instant) -> Given + Send + Sync,
) -> (Reader, usize, usize, Vec<Instant>) {
    let (writer, reader) = index();
    let script = Script { answer, asked: Mutex::default() };
    let wanted = Wanted { node: "this".to_owned(), ..Wanted::default() };
    let end = tokio::time::timeout(time, both(writer, &script, wanted, Deadlines::default())).await;
    assert!(end.is_err(), "it ended by itself");
    let asked = script.asked.into_inner().unwrap();
    let watches = asked.iter().filter(|(_, watches)| *watches).count();
    let at = asked.iter().map(|(at, _)| *at).collect();
    (reader, asked.len() - watches, watches, at)
}

fn piece(wait: Duration, value: &Value) -> (Duration, Bytes) {
    (wait, format!("{value}\n").into())
}

fn pods(version: u64) -> Given {
    let pod = json!({
        "metadata": { "uid": "a", "name": "a", "namespace": "n", "resourceVersion": "1" }, "spec": { "nodeName": "this" },
    });
    let list = json!({ "metadata": { "resourceVersion": version.to_string() }, "items": [pod] });
    Ok(VecDeque::from([piece(Duration::ZERO, &list)]))
}

fn expired() -> Value {
    json!({ "type": "ERROR", "object": { "code": 410 } })
}

/// A watch that says nothing and ends when it was asked to.
fn quiet(question: &Question) -> Given {
    let seconds = question.query.split("timeoutSeconds=").nth(1).unwrap().parse().unwrap();
    Ok(VecDeque::from([(Duration::from_secs(seconds), Bytes::new())]))
}

fn unreachable() -> Given {
    Err(Trouble::Unreachable { server: "script".to_owned(), reason: "gone".to_owned() })
}

/// kiam#191: what runs for long does not do more and more.
#[tokio::test(start_paused = true)]
async fn a_quiet_day_is_one_list_and_a_watch_a_minute() {
    let (reader, lists, watches, _) = follow(24 * HOUR, |question, _| match question.verb {
        "list" => pods(1),
        _ => quiet(question),
    })
    .await;
    assert_eq!(lists, 1);
    assert!((24 * 55..=24 * 65).contains(&watches), "{watches}");
    let health = reader.health();
    assert!(health.silent_for <= Duration::from_secs(75) && health.pods.failures == 0, "{health:?}");
}

/// kube2iam#78: an outage of any length is over when it is over.
#[tokio::test(start_paused = true)]
async fn an_outage_of_ten_hours_costs_little_and_is_over_within_a_minute() {
    let start = Instant::now();
    let away = |now: Instant| (HOUR..11 * HOUR).contains(&(now - start));
    let (reader, lists, watches, at) = follow(11 * HOUR + Duration::from_secs(60), move |question, now| {
        match question.verb {
            _ if away(now) => unreachable(),
            "list" => pods(1),
            // What was open when the outage began goes with it.
            _ => quiet(question),
        }
    })
    .await;
    let during = at.iter().filter(|at| away(**at)).count();
    assert!((1_200..=2_500).contains(&during), "{during} attempts in ten hours");
    assert_eq!((lists, reader.pods().len()), (1, 1), "{watches}");
    let health = reader.health();
    assert!(health.last_error.is_none() && health.silent_for < Duration::from_secs(60), "{health:?}");
    let back = at.iter().find(|at| **at >= start + 11 * HOUR).unwrap();
    assert!(*back - start < 11 * HOUR + Duration::from_secs(30), "{:?}", *back - start);
}

#[tokio::test(start_paused = true)]
async fn it_is_known_soon_after_an_outage_that_all_is_well() {
    let start = Instant::now();
    let (reader, ..) = follow(HOUR + Duration::from_secs(45), move |question, now| match question.verb {
        _ if now > start + Duration::from_secs(600) && now < start + HOUR => unreachable(),
        "list" => pods(1),
        _ => quiet(question),
    })
    .await;
    // At most 30 s until it is tried again: there was a sign of life since the outage ended.
    assert!(reader.health().silent_for < Duration::from_secs(45), "{:?}", reader.health());
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_always_too_old_makes_no_storm_of_lists() {
    // With an event before it, so that the watch is not even fruitless.
    for before in [None, Some(json!({ "type": "BOOKMARK", "object": { "metadata": { "resourceVersion": "7" } } }))] {
        let (_, lists, watches, _) = follow(HOUR, |question, _| match question.verb {
            "list" => pods(9),
            _ => Ok(before.iter().chain([&expired()]).map(|event| piece(Duration::ZERO, event)).collect()),
        })
        .await;
        assert!(lists <= 250 && watches <= 250, "{lists} lists and {watches} watches in an hour");
        assert!(lists >= 100, "it gave up");
    }
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_at_once_is_no_proof_of_life_and_no_storm() {
    let (reader, lists, watches, _) = follow(HOUR, |question, _| match question.verb {
        "list" => pods(1),
        _ => Ok(VecDeque::new()),
    })
    .await;
    assert!(lists == 1 && (100..=250).contains(&watches), "{lists} {watches}");
    let health = reader.health();
    assert!(health.silent_for > HOUR - Duration::from_secs(1) && health.last_error.is_some(), "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_cut_after_each_event_starts_at_most_once_a_second() {
    let (_, lists, watches, _) = follow(HOUR, |question, _| match question.verb {
        "list" => pods(1),
        _ => {
            let bookmark = json!({ "type": "BOOKMARK", "object": { "metadata": { "resourceVersion": "7" } } });
            Ok(VecDeque::from([piece(Duration::ZERO, &bookmark), (Duration::ZERO, "half".into())]))
        }
    })
    .await;
    assert!(lists == 1 && (3_000..=3_601).contains(&watches), "{lists} {watches}");
}

#[tokio::test(start_paused = true)]
async fn a_stalled_watch_is_silent_no_longer_than_it_was_asked_to_last() {
    let stalled = Deadlines::default();
    let (reader, lists, _, at) = follow(Duration::from_secs(600), |question, _| match question.verb {
        "list" => pods(1),
        // Something comes, but never the end.
        _ => Ok((0..10_000).map(|_| (Duration::from_secs(1), Bytes::from_static(b"\n"))).collect()),
    })
    .await;
    assert_eq!(lists, 1);
    let longest = at.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    let most = stalled.watch.mul_f64(1.25) + stalled.grace + Duration::from_secs(1);
    assert!(longest <= most, "{longest:?}");
    assert!(reader.health().silent_for >= Duration::from_secs(599), "empty lines are no proof of life");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_for_hours_is_asked_for_about_twice_a_minute() {
    let start = Instant::now();
    let (reader, lists, ..) = follow(3 * HOUR, move |question, now| match question.verb {
        "list" if now < start + 2 * HOUR => Err(Trouble::Unreadable { what: "a list" }),
        "list" => pods(1),
        _ => quiet(question),
    })
    .await;
    assert!((240..=500).contains(&lists), "{lists}");
    assert_eq!(reader.pods().len(), 1);
}
