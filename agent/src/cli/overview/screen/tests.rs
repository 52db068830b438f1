use safeguard_agent::{Health, Who};
use safeguard_heartbeat::{Acknowledged, Assurance, Code, KeyId, State, Trouble, Verdict};

use super::*;

const NOW: i64 = 1_800_000_000_000;

fn overview() -> Overview {
    let text = |s: &str| s.to_owned();
    Overview {
        version: 1,
        agent: text("0.1.0"),
        at_ms: NOW,
        node: Who {
            name: text("ip-10-0-0-1"),
            cluster: text("prod"),
            instance_id: text("i-0123"),
            account: text("111122223333"),
            region: text("eu-central-1"),
        },
        health: Health { healthy: true, reasons: Vec::new() },
        heartbeat: Some(HeartbeatStatus {
            url: text("https://safeguard.example.com"),
            tenant: text("acme"),
            key_id: Some(KeyId::from_bytes([0xab; 32])),
            assurance: Some(Assurance::IdentitySts),
            enrolled_at_ms: Some(NOW - 7_200_000),
            sequence: 121,
            acknowledged: Some(Acknowledged { sequence: 120, made_at_ms: NOW - 15_000, at_ms: NOW - 14_000 }),
            posture: Some(Verdict {
                state: State::NonCompliant,
                since_ms: NOW - 180_000,
                reasons: vec![text("critical control eks/3.2.1 fails")],
            }),
            interval_s: 60,
            ..HeartbeatStatus::default()
        }),
        checks: Some(Found {
            finished_ms: NOW - 120_000,
            pass: 138,
            fail: 3,
            excepted: 2,
            unknown: 5,
            critical: vec![text("eks/3.2.1")],
            problems: Vec::new(),
        }),
        logs: Some(Delivery {
            behind_bytes: 2_048,
            oldest_unsent_ms: Some(NOW - 3_000),
            excluded: 0,
            lost: Default::default(),
            failing_streams: 0,
            error: None,
        }),
        proxy: Some(Proxy { redirect: Redirect::InPlace, refusals: 12, host_network_pods: 3 }),
    }
}

fn plain(overview: &Overview) -> String {
    screen(overview, Style { colour: false })
}

#[test]
fn one_screen_says_everything_that_the_engineer_on_call_asks_first() {
    let expected = "\
node       ip-10-0-0-1, instance i-0123, cluster prod, region eu-central-1, account 111122223333
agent      0.1.0, makes progress
safeguard  https://safeguard.example.com, tenant acme
identity   proved by iid+sts, enrolled 2h00m ago, key abababababab…
beat       #120 acknowledged 14s ago, one each 60 s
state      non-compliant for 3m00s: critical control eks/3.2.1 fails
checks     138 pass, 3 fail, 2 excepted, 5 unknown; looked at 2m00s ago
critical   eks/3.2.1
logs       2.0 KiB behind, the oldest line 3s
proxy      12 refusals, 3 pods on the host's network
redirect   pods are redirected to it
";
    assert_eq!(plain(&overview()), expected);
}

#[test]
fn trouble_is_told_with_its_code_what_to_do_and_when_it_is_tried_again() {
    let mut overview = overview();
    let heartbeat = overview.heartbeat.as_mut().unwrap();
    (heartbeat.waiting, heartbeat.oldest_waiting_ms) = (7, Some(NOW - 420_000));
    heartbeat.acknowledged.as_mut().unwrap().at_ms = NOW - 200_000;
    heartbeat.trouble = Some(Trouble {
        since_ms: NOW - 400_000,
        tries: 9,
        code: Some(Code::Image),
        message: "the AMI \u{1b}[2J is not approved".to_owned(),
        remedy: "an operator has to act".to_owned(),
        next_try_ms: NOW + 60_000,
    });
    let text = plain(&overview);
    for line in [
        "waiting    7 beats, the oldest made 7m00s ago",
        "trouble    image: the AMI \\u{1b}[2J is not approved (9 tries in 6m40s)",
        "           an operator has to act; next try in 1m00s",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let painted = screen(&overview, Style { colour: true });
    assert!(painted.contains("\u{1b}[31m#120 acknowledged"), "three intervals without a beat are red");
}

#[test]
fn a_clock_that_is_off_is_told_with_what_it_does() {
    let of = |clock_offset_ms| {
        let mut overview = overview();
        overview.heartbeat.as_mut().unwrap().clock_offset_ms = clock_offset_ms;
        let text = plain(&overview);
        text.lines().find(|line| line.starts_with("clock")).map(str::to_owned)
    };
    assert_eq!((of(None), of(Some(-9_000))), (None, None));
    let line = |text: &str| Some(text.to_owned());
    assert_eq!(
        of(Some(120_000)),
        line("clock      2m00s ahead of the safeguard's at its last reply; up to 5 minutes are borne")
    );
    let far = "clock      1h00m behind the safeguard's at its last reply; beats prove nothing until it is set (`timedatectl`)";
    assert_eq!(of(Some(-3_600_000)), line(far));
}

#[test]
fn what_is_off_is_said_to_be_off() {
    let all_off = Overview { heartbeat: None, checks: None, logs: None, proxy: None, ..overview() };
    let text = plain(&all_off);
    for word in ["heartbeat.url", "checks.enabled", "logs.enabled", "there is none on this node"] {
        assert!(text.contains(word), "{word}\n{text}");
    }
}
