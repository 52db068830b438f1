//! What the agent wrote, read back by clients that share no code with it: boto3 from moto, and boto3 from the stand-in.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_cloudwatchlogs::config::{Credentials, SharedCredentialsProvider};
use safeguard_logs::Format;
use safeguard_standins::Options;
use safeguard_tests::moto::{Method, Moto, REGION, ReadEvent, read_logs};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::rig::{APPLICATION, LogPath, PATIENCE, Rig, line, piece};
use safeguard_tests::parts::{Part, here};

/// Lines with everything that is special in JSON, in UTF-8 or in gzip.
fn lines() -> Vec<String> {
    let mut lines: Vec<String> = [
        "plain",
        "  spaces at both ends  ",
        "\"quoted\" and \\escaped\\ and \\\"both\\\"",
        "tab\there, bell\u{7}, escape\u{1b}[0m, delete\u{7f}",
        "größer, naïve, 日本, 🩺, \u{fffd}, \u{2028}",
        "{\"level\":\"info\",\"msg\":\"a \\\"nested\\\" one\"}",
        "null",
    ]
    .map(str::to_owned)
    .into();
    lines.push("long ".repeat(30_000));
    lines.extend((0..2_000).map(|n| format!("line {n}")));
    lines
}

fn write(log: &LogPath) {
    log.write("0.log", &lines());
    log.append("0.log", piece("stderr", "P", "in two ").as_bytes());
    log.append("0.log", line("between").as_bytes());
    log.append("0.log", piece("stderr", "F", "pieces").as_bytes());
}

/// The messages that [`write`] becomes, in either format; their order does not matter.
fn expected(format: Format) -> Vec<String> {
    let mut pairs: Vec<(&str, String)> = lines().into_iter().map(|line| ("stdout", line)).collect();
    pairs.extend([("stdout", "between".to_owned()), ("stderr", "in two pieces".to_owned())]);
    let message = |(stream, log): (&str, String)| match format {
        Format::Raw => log,
        Format::Json => {
            let of =
                json!({"namespace_name": "default", "pod_name": "web", "container_name": "app", "pod_id": "uid-web"});
            json!({"log": log, "stream": stream, "kubernetes": of}).to_string()
        }
    };
    let mut expected: Vec<String> = pairs.into_iter().map(message).collect();
    expected.sort();
    expected
}

/// The messages, sorted; JSON in the order of keys that `serde_json` gives it.
fn messages(events: &[ReadEvent], format: Format) -> Vec<String> {
    let normal = |event: &ReadEvent| match format {
        Format::Raw => event.message.clone(),
        Format::Json => serde_json::from_str::<Value>(&event.message).unwrap().to_string(),
    };
    let mut messages: Vec<String> = events.iter().map(normal).collect();
    messages.sort();
    messages
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_reads_from_moto_what_the_agent_wrote() {
    if !here("moto::boto3_reads_from_moto_what_the_agent_wrote", Part::Moto) {
        return;
    }
    for format in [Format::Json, Format::Raw] {
        let moto = Moto::start().await.unwrap();
        let mut rig = Rig::new().await;
        rig.settings.format = format;
        assert!(rig.settings.gzip_level.is_some());
        let before = safeguard_daemon::clock::now_ms();
        write(&rig.log("web", "app"));
        let keys = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
        rig.start_with(rig.client_to(&moto.endpoint(), REGION, keys));
        let expected = expected(format);
        let late = Instant::now() + PATIENCE;
        let events = loop {
            match moto.read_with_boto3(APPLICATION).await {
                Ok(events) if events.len() >= expected.len() => break events,
                other => assert!(Instant::now() < late, "{other:?}\n{}\n{:#?}", moto.output(), rig.status().await),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        rig.settled().await;
        let read = messages(&events, format);
        assert!(read == expected, "{format:?}: {:?}", first_difference(&read, &expected));
        assert!(events.iter().all(|e| e.stream == "node-1"));
        let now = safeguard_daemon::clock::now_ms();
        assert!(events.iter().all(|e| (before..=now).contains(&e.timestamp)), "times are those of the lines");
    }
}

/// The stand-in is what most tests ask: here somebody else asks it, in both ways that the API has.
#[tokio::test(flavor = "multi_thread")]
async fn boto3_reads_from_the_stand_in_what_the_agent_wrote() {
    if !here("moto::boto3_reads_from_the_stand_in_what_the_agent_wrote", Part::Moto) {
        return;
    }
    let mut rig = Rig::with(Options { region: REGION.to_owned(), ..Options::default() }).await;
    rig.settings.stream =
        safeguard_logs::Template::new(safeguard_logs::NameKind::Stream, "{namespace}/{pod}/{container}").unwrap();
    rig.start();
    write(&rig.log("web", "app"));
    rig.log("other", "app").write("0.log", &["from another stream"]);
    let mut expected = expected(Format::Raw);
    expected.push("from another stream".to_owned());
    expected.sort();
    let refs: Vec<&str> = expected.iter().map(String::as_str).collect();
    rig.delivered(&refs).await;

    let keys = rig.service.credential();
    for method in [Method::Get, Method::Filter] {
        let events =
            read_logs(&rig.service.url(), &keys.access_key_id, &keys.secret_access_key, APPLICATION, method).await;
        let events = events.unwrap();
        let read = messages(&events, Format::Raw);
        assert!(read == expected, "{method:?}: {:?}", first_difference(&read, &expected));
        let mut by_stream: BTreeMap<&str, usize> = BTreeMap::new();
        events.iter().for_each(|e| *by_stream.entry(&e.stream).or_default() += 1);
        assert_eq!(by_stream.get("default/other/app"), Some(&1), "{method:?}");
        assert_eq!(by_stream.get("default/web/app"), Some(&(expected.len() - 1)), "{method:?}");
    }
}

/// Where two sorted lists first differ, cut to what a person can read.
fn first_difference(read: &[String], expected: &[String]) -> (usize, usize, Option<[String; 2]>) {
    let differ = read.iter().zip(expected).find(|(read, expected)| read != expected);
    let short = |text: &String| text.chars().take(200).collect();
    (read.len(), expected.len(), differ.map(|(read, expected)| [short(read), short(expected)]))
}
