use super::*;
use safeguard_agent::{ContainerKey, ExclusionStatus, LogName};

fn container(namespace: &str, error: Option<&str>) -> LogStatus {
    LogStatus {
        name: LogName::Container(ContainerKey {
            namespace: namespace.to_owned(),
            pod: "cart-1".to_owned(),
            uid: "u".to_owned(),
            container: "web".to_owned(),
        }),
        group: "/g".to_owned(),
        stream: "s".to_owned(),
        shipped: true,
        excluded_by: None,
        gone: false,
        files: 1,
        open_files: 1,
        behind_bytes: 1_572_864,
        behind_since_ms: Some(1_000_000),
        last_error: error.map(str::to_owned),
        ledger: Ledger { read: Count::new(1200, 9), delivered: Count::new(1000, 8), ..Ledger::default() },
    }
}

fn status(logs: Vec<LogStatus>) -> Status {
    let total = logs.iter().fold(Ledger::default(), |mut total, c| {
        total.add(&c.ledger);
        total
    });
    Status { at_ms: 1_095_000, logs, total, behind_bytes: 1_572_864, inotify: true, ..Status::default() }
}

const PLAIN: Style = Style { colour: false };

#[test]
fn columns_are_aligned_and_totals_come_last() {
    let text = table(&status(vec![container("shop", None), container("a", Some("permission denied"))]), PLAIN);
    let expected = "\
LOG                    READ  DELIVERED  LOST   BEHIND  OLDEST  LAST ERROR
a/cart-1/web           1200       1000     0  1.5 MiB   1m35s  permission denied
shop/cart-1/web        1200       1000     0  1.5 MiB   1m35s  -
total (all logs ever)  2400       2000     0  1.5 MiB   1m35s
";
    assert_eq!(text, expected);
}

#[test]
fn what_is_lost_failing_or_left_out_is_said() {
    let mut lossy = container("shop", None);
    lossy.ledger.too_old = Count::new(3, 30);
    let mut hidden = container("dev", None);
    hidden.shipped = false;
    let mut status = status(vec![lossy, hidden]);
    status.targets.push(TargetStatus {
        group: "/g".to_owned(),
        stream: "s".to_owned(),
        outstanding: 1,
        failures: 9,
        failing_seconds: Some(4000),
        error: Some("PutLogEvents: AccessDeniedException".to_owned()),
    });
    status.checkpoint_error = Some("no space left".to_owned());
    status.inotify = false;
    let text = table(&status, PLAIN);
    for part in [
        "lost: 3 too_old",
        "failing for 1h06m: /g s: PutLogEvents: AccessDeniedException",
        "1 logs are not shipped",
        "no space left",
        "inotify",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("dev/"), "{text}");
}

#[test]
fn what_pods_leave_out_is_named_with_what_says_so() {
    let mut logs: Vec<LogStatus> = (0..12).map(|i| container(&format!("n{i:02}"), None)).collect();
    for log in &mut logs {
        log.excluded_by = Some("safeguard.io/exclude-logs".to_owned());
        log.ledger = Ledger { read: Count::new(5, 512), excluded: Count::new(5, 512), ..Ledger::default() };
    }
    let mut status = status(logs);
    status.exclusions =
        Some(ExclusionStatus { containers: 12, problem: Some("pod a/b: `x` is not obeyed\u{1b}".to_owned()) });
    let text = table(&status, PLAIN);
    for part in [
        "excluded: 60 lines (6.0 KiB) were left out by word of their pods",
        "excluded now: n00/cart-1/web (by safeguard.io/exclude-logs), n01/",
        " and 2 more",
        "exclusions: pod a/b: `x` is not obeyed\\u{1b}",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(!text.contains("lost:"), "{text}");
    let none = table(&Status { exclusions: Some(ExclusionStatus::default()), ..Status::default() }, PLAIN);
    assert!(!none.contains("exclu"), "{none}");
}

#[test]
fn a_name_cannot_speak_to_the_terminal() {
    for style in [PLAIN, Style { colour: true }] {
        let text = table(&status(vec![container("\u{1b}]0;owned\u{7}\n", Some("x\r\u{9b}y"))]), style);
        assert!(!text.contains("\u{1b}]") && !text.contains(['\u{7}', '\r', '\u{9b}']), "{text:?}");
        assert!(text.contains(r"\u{1b}]0;owned\u{7}\n"), "{text:?}");
        assert_eq!(text.contains("\u{1b}["), style.colour);
    }
}

#[test]
fn sizes_and_ages_are_short() {
    for (value, text) in [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (10 << 20, "10 MiB"), (3 << 40, "3.0 TiB")] {
        assert_eq!(bytes(value), text);
    }
    assert_eq!(bytes(u64::MAX), "16383 PiB");
    for (ms, text) in [(-5, "0s"), (59_999, "59s"), (3_599_000, "59m59s"), (90_000_000, "1d01h")] {
        assert_eq!(age(ms), text);
    }
}

#[test]
fn a_long_message_is_cut_at_a_character() {
    let text = message(&"ü".repeat(200));
    assert_eq!(text.chars().count(), MESSAGE + 1);
    assert!(text.ends_with('…'));
}
