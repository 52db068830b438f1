//! While nobody answers, and afterwards.

use std::time::Duration;

use safeguard_heartbeat::State;
use safeguard_standins::SmallDisk;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_safeguard_that_is_down_when_a_node_boots_is_normal() {
    let mut rig = Rig::new().await;
    rig.server_down().await;
    rig.start();
    let status = rig.status("trouble", |status| status.trouble.is_some() && status.waiting >= 3).await;
    assert!(status.trouble.unwrap().message.contains("Connection refused"));
    rig.server_up().await;
    let status = rig.status("nothing waits", |status| status.waiting == 0).await;
    assert_eq!(status.trouble, None);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM gap WHERE closed_ms IS NULL"), 0, "every number has come");
}

/// What is newest goes first, and what waited comes after it without leaving a gap, also over a restart.
#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_the_newest_goes_first_and_the_gap_is_closed() {
    let mut rig = Rig::new().await;
    rig.start();
    rig.acknowledged(2).await;
    rig.server_down().await;
    rig.status("beats wait", |status| status.waiting >= 5).await;
    rig.stop();
    rig.start();
    let waiting = rig.status("more beats wait", |status| status.waiting >= 7).await;
    rig.server_up().await;
    // The first that arrives is newer than everything that waited before.
    let first = rig.acknowledged(waiting.sequence).await;
    assert!(first.waiting > 0, "the others come after it");
    assert_eq!(first.posture.unwrap().state, State::Compliant, "alive at once");
    rig.status("nothing waits", |status| status.waiting <= 1).await;
    rig.stored_is("SELECT COUNT(*) FROM gap WHERE closed_ms IS NULL", 0).await;
    assert!(rig.stored::<i64>("SELECT COUNT(*) FROM gap") > 0, "there was a gap, and it was closed");
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM gap WHERE declared <> 0"), 0, "by beats");
    assert!(rig.stored::<i64>("SELECT COUNT(*) FROM beat WHERE kind % 2 = 1") >= 5, "late beats do not count as live");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_spool_had_to_drop_is_declared() {
    let mut rig = Rig::new().await;
    rig.settings.spool_bytes = 6_000;
    rig.start();
    rig.acknowledged(2).await;
    rig.server_down().await;
    let at = rig.heartbeat().status().sequence;
    rig.status("beats are dropped", |status| status.sequence > at + 10).await;
    rig.server_up().await;
    rig.status("nothing waits", |status| status.waiting <= 1 && status.dropped == 0).await;
    rig.stored_is("SELECT COUNT(*) FROM gap WHERE closed_ms IS NULL", 0).await;
    assert!(rig.stored::<i64>("SELECT COUNT(*) FROM gap WHERE declared <> 0") > 0);
}

/// A disk of its own for the node's state; `None`, and said, where the test has no right to it.
fn small_disk(rig: &Rig, test: &str) -> Option<SmallDisk> {
    let disk = SmallDisk::mount(&rig.settings.state_dir, "256k");
    if disk.is_none() {
        assert!(!nix::unistd::geteuid().is_root() || std::env::var_os("CI").is_none(), "root may mount a tmpfs");
        println!("left out without root: {test}");
    }
    disk
}

/// On a full disk there is room for one beat that waits. It is sent when somebody answers, however much there would be to tell.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_on_a_full_disk_silences_nobody_for_longer() {
    let mut rig = Rig::new().await;
    let Some(disk) = small_disk(&rig, "an_outage_on_a_full_disk_silences_nobody_for_longer") else { return };
    rig.settings.interval = Some(Duration::from_secs(3_600));
    rig.start();
    let before = rig.acknowledged(1).await.sequence;
    disk.fill();
    rig.server_down().await;
    let worse = |rig: &Rig, control: &str| {
        rig.change(|posture| posture.assessment.as_mut().unwrap().critical.push(control.to_owned()));
    };
    worse(&rig, "eks/3.2.1");
    rig.status("one beat waits", |status| status.waiting == 1 && status.trouble.is_some()).await;
    worse(&rig, "eks/3.2.2");
    let full = |status: &safeguard_heartbeat::Status| {
        status.trouble.as_ref().is_some_and(|trouble| trouble.message.contains("No space left"))
    };
    rig.status("the next has no room", full).await;
    rig.server_up().await;
    rig.acknowledged(before + 2).await;
}

/// A beat of the boot before, which was not sent: the safeguard takes it after one of this boot, for which there is no room. To enrol
/// helps nothing then.
#[tokio::test(flavor = "multi_thread")]
async fn a_boot_on_a_full_disk_enrols_once_and_loses_nothing() {
    let mut rig = Rig::new().await;
    let Some(disk) = small_disk(&rig, "a_boot_on_a_full_disk_enrols_once_and_loses_nothing") else { return };
    rig.settings.interval = Some(Duration::from_secs(3_600));
    rig.start();
    let before = rig.acknowledged(1).await.sequence;
    rig.server_down().await;
    rig.change(|posture| posture.assessment.as_mut().unwrap().critical.push("eks/3.2.1".to_owned()));
    rig.status("one beat waits", |status| status.waiting == 1 && status.trouble.is_some()).await;
    rig.stop();
    disk.fill();
    rig.server_up().await;
    rig.change(|posture| posture.node.boot_id = "boot-2".to_owned());
    rig.start();
    tokio::time::sleep(Duration::from_secs(15)).await;
    let status = rig.heartbeat().status();
    let trouble = status.trouble.unwrap();
    assert!(trouble.message.contains("No space left"), "what has to be mended is told: {trouble:?}");
    let enrolled = "SELECT COUNT(*) FROM event WHERE kind = 'enrolled-again'";
    assert_eq!((rig.stored::<i64>(enrolled), status.waiting), (1, 1));

    disk.clear();
    rig.acknowledged(before + 2).await;
    rig.status("nothing waits", |status| status.waiting == 0).await;
    assert_eq!(rig.stored::<i64>(enrolled), 1);
    assert_eq!(rig.stored::<i64>("SELECT COUNT(*) FROM gap WHERE closed_ms IS NULL OR declared <> 0"), 0);
}

/// Tries do not come in a hurry, and status says when the next one is.
#[tokio::test(flavor = "multi_thread")]
async fn while_nobody_answers_the_node_is_patient() {
    let mut rig = Rig::new().await;
    rig.server_down().await;
    rig.start();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let status = rig.heartbeat().status();
    let trouble = status.trouble.unwrap();
    assert!(status.sequence >= 5, "beats are made all the time");
    assert!((2..=3).contains(&trouble.tries), "1 to 2 s, then 2 to 4 s: {trouble:?}");
    assert!(rig.heartbeat().silence() < Duration::from_secs(2));
}

/// The next beat is far off: to wait for it is no silence.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_waits_for_its_next_beat_is_not_stuck() {
    let mut rig = Rig::new().await;
    rig.settings.interval = Some(Duration::from_secs(3_600));
    rig.start();
    rig.acknowledged(1).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.heartbeat().silence(), Duration::ZERO);
}
