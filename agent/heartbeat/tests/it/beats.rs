//! Enrolling, beating, and what the safeguard makes of it.

use std::time::Duration;

use safeguard_heartbeat::{Assurance, Code, Digest, State};
use safeguard_protocol::SigningKey;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_node_enrols_beats_and_learns_how_it_is_seen() {
    let mut rig = Rig::new().await;
    rig.start();
    let status = rig.acknowledged(4).await;
    assert_eq!(status.posture.unwrap().state, State::Compliant);
    assert_eq!(status.assurance, Some(Assurance::IdentitySts), "as the safeguard verified it");
    assert_eq!(status.trouble, None);
    assert!(status.clock_offset_ms.unwrap().abs() < 5_000);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM gap"), 0);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM beat WHERE kind <> 0"), 0);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM event WHERE kind = 'forked'"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_sent_when_it_is_asked_for_and_only_then() {
    let mut rig = Rig::new().await;
    rig.start();
    rig.stored_is("SELECT COUNT(*) FROM report", 1).await;
    let at = rig.heartbeat().status().sequence;
    rig.acknowledged(at + 3).await;
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM report"), 1);
}

/// The operator of the safeguard says how often, from the first reply on.
#[tokio::test(flavor = "multi_thread")]
async fn the_safeguards_interval_holds_at_once() {
    let mut rig = Rig::new_with(|settings| settings.nodes.interval = Duration::from_secs(5).into()).await;
    rig.settings.interval = None;
    rig.start();
    rig.acknowledged(1).await;
    let begun = tokio::time::Instant::now();
    let status = rig.acknowledged(2).await;
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
    assert_eq!(status.interval_s, 5);
}

/// The interval is long: only the change can have made the beat.
#[tokio::test(flavor = "multi_thread")]
async fn what_changes_is_told_within_seconds() {
    let mut rig = Rig::new().await;
    rig.settings.interval = Some(Duration::from_secs(3_600));
    rig.start();
    rig.acknowledged(1).await;
    rig.change(|posture| posture.assessment.as_mut().unwrap().critical.push("eks/3.2.1".to_owned()));
    let begun = tokio::time::Instant::now();
    let status = rig.acknowledged(2).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    let seen = status.posture.unwrap();
    assert_eq!(seen.state, State::NonCompliant);
    assert!(seen.reasons[0].contains("eks/3.2.1"), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_sent_can_be_looked_at() {
    let mut rig = Rig::new().await;
    rig.start();
    let status = rig.acknowledged(1).await;
    let statement = rig.heartbeat().preview().await.unwrap();
    assert!(statement.beat.sequence > 1);
    assert_eq!(Some(statement.key_id), status.key_id);
    assert_eq!(statement.tenant, "acme");
    assert!(statement.beat.server_nonce.is_some() && statement.beat.previous.is_some());
    assert!(statement.check().is_ok());
}

const LATE: &str = "SELECT COUNT(*) FROM beat WHERE kind % 2 = 1";

/// A beat that repeats what the safeguard told the node is live: the first one too, and the first after an orderly restart.
#[tokio::test(flavor = "multi_thread")]
async fn neither_a_first_start_nor_a_restart_makes_a_beat_late() {
    let mut rig = Rig::new().await;
    rig.start();
    let status = rig.acknowledged(2).await;
    // It is kept when the agent ends, not only when it enrols.
    rig.edit_state(|state| state["nonce"] = serde_json::Value::Null);
    rig.stop();
    rig.start();
    rig.acknowledged(status.sequence + 2).await;
    assert_eq!(rig.stored::<i64>(LATE), 0);
}

/// An agent that was killed knows no nonce of late: the next beat is late by that, and another comes soon that is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lost_contact_is_alive_again_within_seconds() {
    let mut rig = Rig::new().await;
    rig.settings.interval = Some(Duration::from_secs(3_600));
    rig.start();
    rig.acknowledged(1).await;
    rig.stop();
    rig.edit_state(|state| state["nonce"] = serde_json::Value::Null);
    rig.start();
    let begun = tokio::time::Instant::now();
    rig.acknowledged(3).await;
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    assert_eq!(rig.stored::<i64>(LATE), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_off_is_no_reason_to_beat_more_often() {
    let mut rig = Rig::new().await;
    rig.settings.interval = Some(Duration::from_secs(3_600));
    rig.now_ms = || safeguard_daemon::clock::now_ms() - 3_600_000;
    rig.start();
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert_eq!(rig.stored::<i64>(LATE), 2, "one more, in case it was for want of a nonce");
    assert_eq!(rig.heartbeat().status().acknowledged, None);
}

/// Who answers in the place of the safeguard learns nothing and changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn replies_that_the_safeguard_did_not_sign_change_nothing() {
    let mut rig = Rig::new().await;
    rig.settings.server_keys = vec![SigningKey::from_seed(&[9; 32]).unwrap().public()];
    rig.start();
    let status = rig.status("trouble", |status| status.trouble.is_some()).await;
    let trouble = status.trouble.unwrap();
    assert_eq!(trouble.code, None);
    assert!(trouble.message.contains("heartbeat.server_keys"), "{}", trouble.message);
    assert_eq!((status.assurance, status.acknowledged), (None, None));
    // The operator adds the key.
    rig.stop();
    rig.settings.server_keys.push(rig.server_key);
    rig.start();
    rig.acknowledged(1).await;
}

/// Cluster and node are names that the operator may change.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_called_otherwise_enrols_again() {
    let mut rig = Rig::new().await;
    rig.start();
    let key = rig.acknowledged(2).await.key_id;
    rig.change(|posture| posture.node.cluster = "staging".to_owned());
    let at = rig.heartbeat().status().sequence;
    let status = rig.acknowledged(at + 3).await;
    assert_eq!(status.key_id, key);
    assert_eq!(rig.stored::<String>("SELECT cluster FROM node"), "staging");
}

/// The code is shown until the operator has acted.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_told_with_its_code() {
    let mut rig = Rig::new().await;
    rig.start();
    rig.acknowledged(1).await;
    rig.stop();
    // Another key speaks for the same instance, and no proof by STS says that it may.
    std::fs::remove_dir_all(&rig.settings.state_dir).unwrap();
    rig.vouchers = std::sync::Arc::new(crate::rig::Vouchers {
        instance: std::sync::Mutex::new("i-0123456789abcdef0".to_owned()),
        sts: false,
    });
    rig.start();
    let status = rig.status("a refusal", |status| status.trouble.is_some()).await;
    let trouble = status.trouble.unwrap();
    assert_eq!(trouble.code, Some(Code::KeyConflict));
    assert!(trouble.next_try_ms - trouble.since_ms >= 600_000, "an operator has to act: {trouble:?}");
    assert!(trouble.remedy.contains("operator"), "{}", trouble.remedy);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_a_posture_says_nothing() {
    let mut rig = Rig::new().await;
    rig.postures.send_replace(None);
    rig.start();
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(rig.heartbeat().status().sequence, 0);
    assert_eq!(rig.heartbeat().preview().await, None);
    rig.postures.send_replace(Some(std::sync::Arc::new(crate::rig::posture())));
    rig.acknowledged(1).await;
    assert_ne!(rig.stored::<String>("SELECT last_digest FROM heard"), Digest::of(b"").to_string());
}
