//! Containers that are left out by word of their pods: nothing of them arrives, everything else does, and what was left out is
//! read, settled and counted.

use std::sync::Arc;
use std::time::Duration;

use safeguard_logs::{Exclusions, Oversize, PodExclusion, PodKey};

use crate::rig::{Rig, of_pod, piece};

const BY: &str = "safeguard.io/exclude-logs";

/// A word about pods of [`Rig::log`]: no name is nothing, `*` is all containers.
fn word(pods: &[(&str, &[&str])]) -> Exclusions {
    let by: Arc<str> = BY.into();
    let key = |pod: &str| PodKey { namespace: "default".into(), name: pod.into(), uid: format!("uid-{pod}") };
    let exclusion = |names: &[&str]| match names {
        ["*"] => PodExclusion { all: Some(by.clone()), ..PodExclusion::default() },
        names => {
            let containers = names.iter().map(|name| ((*name).to_owned(), by.clone())).collect();
            PodExclusion { all: None, containers }
        }
    };
    let pods = pods.iter().map(|(pod, names)| (key(pod), exclusion(names))).collect();
    Exclusions { pods, problem: None }
}

async fn tell(rig: &Rig, word: Exclusions) {
    // A line is judged by its own time, in whole milliseconds.
    tokio::time::sleep(Duration::from_millis(20)).await;
    rig.logs.as_ref().unwrap().exclude(word);
    rig.status().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Waits until so many lines of a pod's first container were left out.
async fn excluded(rig: &Rig, pod: &str, lines: u64) {
    for _ in 0..400 {
        if rig
            .status()
            .await
            .logs
            .iter()
            .filter(|log| log.name.to_string().contains(pod))
            .map(|l| l.ledger.excluded.events)
            .sum::<u64>()
            >= lines
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{lines} of {pod} were not left out: {:#?}", rig.status().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_excluded_container_arrives_and_everything_else_does() {
    let mut rig = Rig::new().await;
    rig.exclusions = Some(word(&[("quiet", &["*"]), ("mixed", &["sidecar"]), ("loud", &[])]));
    let lines: Vec<String> = (0..1_000).map(|n| format!("secret {n}")).collect();
    rig.log("quiet", "app").write("0.log", &lines);
    rig.log("mixed", "sidecar").write("0.log", &lines);
    rig.log("mixed", "app").write("0.log", &["of mixed"]);
    rig.log("loud", "app").write("0.log", &["of loud"]);
    rig.log("stranger", "app").write("0.log", &["of a pod that nobody has told of"]);
    rig.start();
    rig.delivered(&["of mixed", "of loud", "of a pod that nobody has told of"]).await;
    excluded(&rig, "quiet", 1_000).await;
    excluded(&rig, "sidecar", 1_000).await;
    // A directory that comes later is one of the pod's all the same.
    rig.log("quiet", "second").write("0.log", &["secret"]);
    rig.log("loud", "second").write("0.log", &["of loud's second"]);
    excluded(&rig, "quiet", 1_001).await;
    rig.delivered(&["of mixed", "of loud", "of a pod that nobody has told of", "of loud's second"]).await;

    let status = rig.settled().await;
    assert_eq!((status.total.excluded.events, status.total.delivered.events), (2_001, 4));
    assert!(status.total.lost().iter().all(|(_, count)| count.events == 0), "it is not lost: somebody wanted it");
    let exclusions = status.exclusions.clone().unwrap();
    assert_eq!((exclusions.containers, exclusions.problem), (3, None));
    let quiet = of_pod(&status, "quiet");
    assert_eq!((quiet.excluded_by.as_deref(), quiet.shipped, quiet.ledger.delivered.events), (Some(BY), true, 0));
    assert_eq!(quiet.ledger.excluded, quiet.ledger.read);
    assert_eq!(of_pod(&status, "loud").excluded_by, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_told_nothing_ships_everything_and_says_so() {
    let rig = Rig::started().await;
    rig.log("web", "app").write("0.log", &["line"]);
    rig.delivered(&["line"]).await;
    assert_eq!(rig.settled().await.exclusions, None);
    let problem = Some("the API server cannot be reached".to_owned());
    tell(&rig, Exclusions { problem: problem.clone(), ..Exclusions::default() }).await;
    rig.log("web", "app").write("0.log", &["another"]);
    rig.delivered(&["line", "another"]).await;
    assert_eq!(rig.settled().await.exclusions.unwrap().problem, problem);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_written_between_beginning_and_end_is_left_out_however_late_it_is_read() {
    let mut rig = Rig::new().await;
    // One batch that is not settled takes all of it: nothing more is read while the service is away.
    rig.settings.memory_budget = 4_096;
    rig.exclusions = Some(word(&[("web", &[]), ("other", &[])]));
    let (log, other) = (rig.log("web", "app"), rig.log("other", "app"));
    rig.start();
    log.write("0.log", &["first"]);
    rig.delivered(&["first"]).await;
    rig.service.go_down().await;
    let before: Vec<String> = (0..5_000).map(|n| format!("before {n}")).collect();
    let after: Vec<String> = (0..5_000).map(|n| format!("after {n}")).collect();
    log.write("0.log", &before);
    tell(&rig, word(&[("web", &["app"]), ("other", &[])])).await;
    log.write("0.log", &["secret", "secret"]);
    other.write("0.log", &["of other"]);
    tell(&rig, word(&[("web", &[]), ("other", &[])])).await;
    log.write("0.log", &after);
    assert_eq!(rig.status().await.total.excluded.events, 0, "it was read already");
    rig.service.come_up().await.unwrap();
    let expected: Vec<&str> = before.iter().chain(&after).map(String::as_str).chain(["first", "of other"]).collect();
    rig.delivered(&expected).await;
    let status = rig.settled().await;
    assert_eq!(of_pod(&status, "web").ledger.excluded.events, 2);
    assert_eq!(of_pod(&status, "web").excluded_by, None);
}

/// What was left out is settled, so that a crash does not bring it back, with or without a word about its pod.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_in_the_middle_ships_nothing_late() {
    let mut rig = Rig::new().await;
    rig.exclusions = Some(word(&[("web", &["*"])]));
    let log = rig.log("web", "app");
    rig.start();
    log.write("0.log", &vec!["secret"; 1_000]);
    excluded(&rig, "web", 1_000).await;
    // Longer than a checkpoint takes.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    rig.crash().await;
    log.write("0.log", &vec!["secret"; 500]);
    rig.start();
    excluded(&rig, "web", 500).await;
    let status = rig.settled().await;
    assert_eq!(status.total.excluded.events, 500, "what was settled before the crash is not read again");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    rig.crash().await;
    rig.exclusions = None;
    rig.start();
    log.write("0.log", &["not left out any more"]);
    rig.delivered(&["not left out any more"]).await;
    assert_eq!(rig.settled().await.total.delivered.events, 1);
    assert!(rig.drain().await.complete);
}

/// Files of a container that is left out do not pile up, even while its stream takes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn rotated_files_of_an_excluded_container_are_let_go_although_the_service_is_away() {
    let mut rig = Rig::new().await;
    rig.exclusions = Some(word(&[("quiet", &["*"]), ("loud", &[])]));
    rig.settings.memory_budget = 4_096;
    let (quiet, loud) = (rig.log("quiet", "app"), rig.log("loud", "app"));
    rig.start();
    rig.service.go_down().await;
    // So that the stream that both share is in trouble, and there is no room for more.
    let lines: Vec<String> = (0..5_000).map(|n| format!("loud {n}")).collect();
    loud.write("0.log", &lines);
    for rotation in 1..=5 {
        quiet.write("0.log", &vec!["secret"; 1_000]);
        tokio::time::sleep(Duration::from_millis(700)).await;
        quiet.rename("0.log", &format!("0.log.20261123-00000{rotation}"));
        if rotation > 1 {
            quiet.gzip(&format!("0.log.20261123-00000{}", rotation - 1));
        }
        if rotation > 2 {
            std::fs::remove_file(quiet.path(&format!("0.log.20261123-00000{}.gz", rotation - 2))).unwrap();
        }
    }
    quiet.write("0.log", &["secret"]);
    excluded(&rig, "quiet", 5_001).await;
    for _ in 0..200 {
        let status = rig.status().await;
        if of_pod(&status, "quiet").open_files == 1 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let status = rig.status().await;
    let log = of_pod(&status, "quiet");
    assert_eq!((log.open_files, log.behind_bytes, status.pinned_bytes), (1, 0, 0), "{log:#?}");
    assert_eq!((log.ledger.abandoned_bytes, log.ledger.excluded.events), (0, 5_001));
    rig.service.come_up().await.unwrap();
    rig.delivered(&lines.iter().map(String::as_str).collect::<Vec<_>>()).await;
    rig.settled().await;
}

/// A line that rotation cut stands in two files: it is settled in both.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_in_pieces_across_a_rotation_is_left_out_whole() {
    let mut rig = Rig::new().await;
    rig.exclusions = Some(word(&[("web", &["*"])]));
    let log = rig.log("web", "app");
    rig.start();
    log.write("0.log", &["secret"]);
    log.append("0.log", piece("stdout", "P", "half of a ").as_bytes());
    excluded(&rig, "web", 1).await;
    log.rename("0.log", "0.log.20261123-000001");
    log.append("0.log", piece("stdout", "F", "line").as_bytes());
    log.write("0.log", &["secret"]);
    // The end of the line is in the new file.
    excluded(&rig, "web", 3).await;
    let status = rig.settled().await;
    let ledger = &of_pod(&status, "web").ledger;
    assert_eq!((ledger.excluded.events, ledger.delivered.events), (3, 0));
    let bytes: u64 =
        ["0.log", "0.log.20261123-000001"].map(|f| std::fs::metadata(log.path(f)).unwrap().len()).iter().sum();
    assert_eq!(ledger.excluded.bytes, bytes, "every byte is counted once");
    assert!(rig.messages().is_empty());
}

/// The rest of a truncated line is not lost if the line was left out.
#[tokio::test(flavor = "multi_thread")]
async fn long_lines_are_left_out_whole_whatever_becomes_of_others() {
    for oversize in [Oversize::Truncate, Oversize::Split] {
        let mut rig = Rig::new().await;
        rig.settings.oversize = oversize;
        rig.exclusions = Some(word(&[("web", &["*"])]));
        let log = rig.log("web", "app");
        log.write("0.log", &["a".repeat(3_000_000)]);
        for tag in ["P"; 150].into_iter().chain(["F"]) {
            log.append("0.log", piece("stdout", tag, &"b".repeat(16_000)).as_bytes());
        }
        log.write("0.log", &["secret"]);
        rig.start();
        excluded(&rig, "web", 3).await;
        let status = rig.settled().await;
        let ledger = &of_pod(&status, "web").ledger;
        assert_eq!(ledger.excluded.bytes, std::fs::metadata(log.path("0.log")).unwrap().len(), "{oversize:?}");
        assert!(ledger.lost().iter().all(|(_, count)| count.events == 0), "{oversize:?}: {ledger:?}");
        assert!(rig.messages().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_is_gone_stays_left_out_until_its_files_are_gone() {
    let mut rig = Rig::new().await;
    rig.settings.missing_period = Duration::from_secs(1);
    rig.exclusions = Some(word(&[("web", &["*"])]));
    let log = rig.log("web", "app");
    log.write("0.log", &["secret"]);
    rig.start();
    excluded(&rig, "web", 1).await;
    tell(&rig, word(&[])).await;
    log.write("0.log", &["the last words"]);
    excluded(&rig, "web", 2).await;
    assert_eq!(of_pod(&rig.status().await, "web").excluded_by.as_deref(), Some(BY));
    // Its successor of the same name is another pod.
    let successor = rig.pods().join("default_web_uid-another/app");
    std::fs::create_dir_all(&successor).unwrap();
    crate::rig::LogPath(successor).write("0.log", &["of the successor"]);
    std::fs::remove_dir_all(log.0.parent().unwrap()).unwrap();
    rig.delivered(&["of the successor"]).await;
    rig.settled().await;
}

/// A line that does not say when it was written is of the time of the line before it, or of the present.
#[tokio::test(flavor = "multi_thread")]
async fn lines_that_are_not_in_the_format_are_left_out_as_well() {
    let mut rig = Rig::new().await;
    rig.exclusions = Some(word(&[("web", &["*"])]));
    let log = rig.log("web", "app");
    log.append("0.log", b"no head at all\n\n\xff\xfe\n");
    log.write("0.log", &["", "secret"]);
    rig.start();
    excluded(&rig, "web", 5).await;
    let status = rig.settled().await;
    assert_eq!(of_pod(&status, "web").ledger.read, of_pod(&status, "web").ledger.excluded);
    assert!(rig.messages().is_empty());
}
