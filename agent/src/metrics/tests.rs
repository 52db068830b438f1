use super::*;
use safeguard_logs::{ContainerKey, ExclusionStatus, LogStatus, TargetStatus};

fn container(pod: &str, uid: &str) -> LogStatus {
    LogStatus {
        name: LogName::Container(ContainerKey {
            namespace: "shop".to_owned(),
            pod: pod.to_owned(),
            uid: uid.to_owned(),
            container: "web".to_owned(),
        }),
        group: "/g".to_owned(),
        stream: "s".to_owned(),
        shipped: true,
        excluded_by: None,
        gone: false,
        files: 1,
        open_files: 1,
        behind_bytes: 7,
        behind_since_ms: None,
        last_error: None,
        ledger: Ledger {
            read: Count::new(10, 1000),
            delivered: Count::new(8, 800),
            too_old: Count::new(2, 200),
            abandoned_bytes: 5,
            ..Ledger::default()
        },
    }
}

fn status(logs: Vec<LogStatus>) -> Status {
    let total = logs.iter().fold(Ledger::default(), |mut total, c| {
        total.add(&c.ledger);
        total
    });
    Status { logs, total, checkpoint_age_ms: Some(1_500), ..Status::default() }
}

#[test]
fn the_account_of_a_container_is_there_with_its_reasons() {
    let text = encode(Some(&status(vec![container("cart-1", "u1")])), None, None, true).unwrap();
    for line in [
        r#"safeguard_logs_read_lines_total{namespace="shop",pod="cart-1",container="web"} 10"#,
        r#"safeguard_logs_delivered_bytes_total{namespace="shop",pod="cart-1",container="web"} 800"#,
        r#"safeguard_logs_lost_lines_total{namespace="shop",pod="cart-1",container="web",reason="too_old"} 2"#,
        r#"safeguard_logs_lost_bytes_total{namespace="shop",pod="cart-1",container="web",reason="quarantined"} 0"#,
        r#"safeguard_logs_abandoned_bytes_total{namespace="shop",pod="cart-1",container="web"} 5"#,
        r#"safeguard_logs_behind_bytes{namespace="shop",pod="cart-1",container="web"} 7"#,
        r#"safeguard_logs_node_lost_lines_total{reason="too_old"} 2"#,
        "safeguard_logs_node_read_lines_total 10",
        "safeguard_logs_checkpoint_age_seconds 2",
        "safeguard_healthy 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn what_pods_leave_out_is_counted_and_is_not_lost() {
    let mut quiet = container("cart-1", "u1");
    quiet.ledger = Ledger { read: Count::new(3, 30), excluded: Count::new(3, 30), ..Ledger::default() };
    let mut status = status(vec![quiet]);
    let off = encode(Some(&status), None, None, true).unwrap();
    assert!(!off.contains("safeguard_logs_exclusions_problem"), "{off}");
    status.exclusions = Some(ExclusionStatus { containers: 1, problem: Some("the API server is away".to_owned()) });
    let text = encode(Some(&status), None, None, true).unwrap();
    for line in [
        r#"safeguard_logs_excluded_lines_total{namespace="shop",pod="cart-1",container="web"} 3"#,
        r#"safeguard_logs_excluded_bytes_total{namespace="shop",pod="cart-1",container="web"} 30"#,
        r#"safeguard_logs_lost_lines_total{namespace="shop",pod="cart-1",container="web",reason="too_old"} 0"#,
        "safeguard_logs_node_excluded_lines_total 3",
        "safeguard_logs_excluded_containers 1",
        "safeguard_logs_exclusions_problem 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
}

#[test]
fn two_pods_of_one_name_are_one_series() {
    let text =
        encode(Some(&status(vec![container("db-0", "old"), container("db-0", "new")])), None, None, true).unwrap();
    let series: Vec<&str> = text.lines().filter(|line| line.starts_with("safeguard_logs_read_lines_total{")).collect();
    assert_eq!(series, [r#"safeguard_logs_read_lines_total{namespace="shop",pod="db-0",container="web"} 20"#]);
}

#[test]
fn hostile_names_cannot_make_lines_of_their_own() {
    let evil = "a\"} 1\nsafeguard_healthy 0\\";
    let mut status = status(vec![container(evil, "u1")]);
    status.targets.push(TargetStatus {
        group: evil.to_owned(),
        stream: evil.to_owned(),
        outstanding: 0,
        failures: 3,
        failing_seconds: Some(4),
        error: None,
    });
    let text = encode(Some(&status), None, None, true).unwrap();
    let healthy: Vec<&str> = text.lines().filter(|line| line.starts_with("safeguard_healthy")).collect();
    assert_eq!(healthy, ["safeguard_healthy 1"], "{text}");
    let escaped = r#"pod="a\"} 1\nsafeguard_healthy 0\\",container="web"} 10"#;
    assert!(text.contains(escaped), "{text}");
    assert!(text.contains("safeguard_logs_target_failures{"));
}

#[test]
fn every_sample_is_there_once() {
    let text = encode(Some(&status(vec![container("a", "1"), container("b", "2")])), None, None, false).unwrap();
    let mut names: Vec<&str> =
        text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.rsplit_once(' ')).map(|(n, _)| n).collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{text}");
}

#[test]
fn without_a_snapshot_the_process_still_answers() {
    let text = encode(None, None, None, false).unwrap();
    assert!(text.contains("safeguard_healthy 0") && !text.contains("safeguard_logs"), "{text}");
}
