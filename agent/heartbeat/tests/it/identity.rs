//! Whose key it is: copied disks, restored snapshots, new boots.

use safeguard_heartbeat::{State, Status};

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_new_boot_enrols_again_with_the_same_key() {
    let mut rig = Rig::new().await;
    rig.start();
    let before = rig.acknowledged(2).await;
    rig.stop();
    rig.change(|posture| posture.node.boot_id = "boot-2".to_owned());
    rig.start();
    let status = rig.acknowledged(before.sequence + 2).await;
    assert_eq!(status.key_id, before.key_id);
    assert_eq!(rig.stored::<String>("SELECT boot_id FROM node_key"), "boot-2");
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM gap"), 0, "numbers go on over boots");
}

/// The disk of a node becomes another node's: an AMI that was made of a running node.
#[tokio::test(flavor = "multi_thread")]
async fn a_copied_disk_gets_a_key_of_its_own() {
    let mut rig = Rig::new().await;
    rig.start();
    let first = rig.acknowledged(2).await;
    rig.stop();
    let other = "i-0ffffffffffffffff".to_owned();
    rig.vouchers.instance.lock().unwrap().clone_from(&other);
    rig.change(|posture| {
        posture.node.instance_id = other;
        posture.node.node_name = "ip-10-0-0-2".to_owned();
    });
    rig.start();
    let second = rig.acknowledged(1).await;
    assert_ne!(second.key_id, first.key_id);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM node"), 2);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM node_key WHERE retired_ms IS NOT NULL"), 0, "the first goes on");
}

/// A node that does not run, whose state directory is of before its last beats, and how it stood after them.
async fn restored() -> (Rig, Status) {
    let mut rig = Rig::new().await;
    rig.start();
    rig.acknowledged(2).await;
    rig.stop();
    let snapshot = rig.snapshot();
    rig.start();
    let before = rig.acknowledged(6).await;
    rig.stop();
    rig.restore(&snapshot);
    (rig, before)
}

/// The state directory comes back from a snapshot: its numbers were used since. The node notices by itself and is never taken for
/// two.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_was_restored_is_noticed_and_mended() {
    let (mut rig, before) = restored().await;
    rig.start();
    let status = rig.status("another key", |s| s.key_id != before.key_id && s.acknowledged.is_some()).await;
    assert_eq!(status.posture.unwrap().state, State::Compliant);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM node"), 1);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM event WHERE kind = 'rekeyed'"), 1);
}

/// The same before a boot: enrolling tells how far the numbers went, and what was made with used ones is not sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_that_was_restored_before_a_boot_costs_no_key() {
    let (mut rig, before) = restored().await;
    rig.change(|posture| posture.node.boot_id = "boot-2".to_owned());
    rig.start();
    let status = rig.acknowledged(before.sequence + 1).await;
    assert_eq!(status.key_id, before.key_id);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM event WHERE kind IN ('rekeyed', 'sequence-reused')"), 0);
}

/// What waits names the node as it was called before: nobody takes that any more, and it holds nothing up.
#[tokio::test(flavor = "multi_thread")]
async fn beats_that_wait_under_an_old_name_are_dropped_and_declared() {
    let mut rig = Rig::new().await;
    rig.start();
    rig.acknowledged(2).await;
    rig.server_down().await;
    rig.status("beats wait", |status| status.waiting >= 4).await;
    rig.change(|posture| posture.node.cluster = "staging".to_owned());
    let at = rig.heartbeat().status().sequence;
    rig.status("beats of both names wait", |status| status.sequence >= at + 2).await;
    rig.server_up().await;
    rig.status("nothing waits", |status| status.waiting <= 1 && status.dropped == 0).await;
    assert_eq!(rig.stored::<String>("SELECT cluster FROM node"), "staging");
    rig.stored_is("SELECT COUNT(*) FROM gap WHERE closed_ms IS NULL", 0).await;
    assert!(rig.stored::<i64>("SELECT COUNT(*) FROM event WHERE kind = 'enrolled-again'") <= 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_state_directory_costs_the_key_and_not_the_node() {
    let mut rig = Rig::new().await;
    rig.start();
    let before = rig.acknowledged(2).await;
    rig.stop();
    std::fs::remove_dir_all(&rig.settings.state_dir).unwrap();
    rig.start();
    let status = rig.acknowledged(1).await;
    assert_ne!(status.key_id, before.key_id);
    assert_eq!(status.posture.unwrap().state, State::Compliant);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM node"), 1);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM node_key WHERE retired_ms IS NOT NULL"), 1, "the old one");
}

/// A state directory that is older than what the safeguard remembers of single beats: none of its numbers is known as used, and all of them
/// are below the highest. The node is not late for as long as it takes to count up to that.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_directory_of_long_ago_learns_the_number_that_the_safeguard_knows() {
    let mut rig = Rig::new().await;
    rig.start();
    rig.acknowledged(1).await;
    rig.stop();
    rig.execute("UPDATE heard SET sequence = 5000, last_digest = NULL");
    rig.execute("DELETE FROM beat");
    rig.server_down().await;
    rig.server_up().await;
    rig.start();
    rig.acknowledged(5_001).await;
}

/// Somebody replaced the key while the node was down. The first refusal after the start is enough for it to take a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_replaced_while_the_node_was_down_is_given_up_at_once() {
    let mut rig = Rig::new().await;
    rig.start();
    let before = rig.acknowledged(1).await;
    rig.stop();
    rig.execute("UPDATE node_key SET retired_ms = 1");
    rig.server_down().await;
    rig.server_up().await;
    rig.change(|posture| posture.node.boot_id = "boot-2".to_owned());
    rig.start();
    let refused = rig.status("a refusal", |s| s.trouble.is_some()).await;
    assert_ne!(refused.key_id, before.key_id, "{:?}", refused.trouble);
    rig.status("enrolled", |s| s.key_id == refused.key_id && s.acknowledged.is_some()).await;
}
