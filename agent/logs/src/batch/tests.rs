use super::*;
use proptest::prelude::*;
use serde_json::Value;
use std::io::Read;

fn source(file: FileNo, line: Range<u64>) -> Source<'static> {
    Source { file, container: 0, line, pieces: None, carried: None, bytes: None }
}

fn open() -> OpenBatch {
    OpenBatch::new(0, "/aws/containerinsights/prod/application", "node-1", Vec::new())
}

fn read(sealed: &Sealed) -> Value {
    let mut text = Vec::new();
    if sealed.gzip {
        flate2::read::GzDecoder::new(&sealed.body[..]).read_to_end(&mut text).unwrap();
    } else {
        text.extend_from_slice(&sealed.body);
    }
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&text)))
}

fn push(
    batch: &mut OpenBatch,
    wrapping: &Wrapping,
    timestamp_ms: i64,
    content: &str,
    line: Range<u64>,
) -> Result<(), Full> {
    let event = Event { timestamp_ms, wrapping, content: content.as_bytes(), mark: None, source: source(1, line) };
    batch.push(&event)
}

#[test]
fn a_json_event_is_what_container_insights_queries_expect() {
    let wrapping = Wrapping::json("log", ",\"stream\":\"stdout\",\"kubernetes\":{\"pod_name\":\"a\\\"b\"}");
    let mut batch = open();
    push(&mut batch, &wrapping, 1_795_419_842_123, "say \"hi\"\t\\", 0..50).unwrap();
    let sealed = batch.seal(&mut Compression::None, &Buffers::default());
    let body = read(&sealed);
    assert_eq!(body["logGroupName"], "/aws/containerinsights/prod/application");
    assert_eq!(body["logStreamName"], "node-1");
    assert_eq!(body["logEvents"][0]["timestamp"], 1_795_419_842_123_i64);
    let message: Value = serde_json::from_str(body["logEvents"][0]["message"].as_str().unwrap()).unwrap();
    assert_eq!(message["log"], "say \"hi\"\t\\");
    assert_eq!(message["stream"], "stdout");
    assert_eq!(message["kubernetes"]["pod_name"], "a\"b");
}

#[test]
fn marks_are_readable_in_both_formats() {
    let json = Wrapping::json("log", ",\"stream\":\"stdout\"");
    let raw = Wrapping::raw();
    let message = |wrapping: &Wrapping, mark: Mark<'_>| {
        let mut batch = open();
        let source = source(1, 0..10);
        batch.push(&Event { timestamp_ms: 1, wrapping, content: b"x", mark: Some(mark), source }).unwrap();
        read(&batch.seal(&mut Compression::None, &Buffers::default()))["logEvents"][0]["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let json = |mark| serde_json::from_str::<Value>(&message(&json, mark)).unwrap();
    assert_eq!(json(Mark::Continues { part: 1 })["continues"], true);
    assert_eq!(json(Mark::Ends { part: 2 })["part"], 2);
    assert_eq!(json(Mark::Truncated)["truncated"], true);
    assert_eq!(json(Mark::Retimed { time: b"2026-11-23T07:44:02Z" })["time"], "2026-11-23T07:44:02Z");
    assert!(message(&raw, Mark::Continues { part: 1 }).contains("continues"));
    assert!(message(&raw, Mark::Truncated).contains("truncated"));
    assert_eq!(message(&raw, Mark::Ends { part: 2 }), "x");
}

/// fluent/fluent-bit#3638, #4203: the largest event fits, one byte more does not, and both are known before sending.
#[test]
fn the_largest_event_fits_exactly() {
    let raw = Wrapping::raw();
    let largest = "x".repeat(limits::MESSAGE_BYTES);
    let mut batch = open();
    push(&mut batch, &raw, 1, &largest, 0..1).unwrap();
    assert_eq!(push(&mut batch, &raw, 1, "y", 1..2), Err(Full));
    let body = read(&batch.seal(&mut Compression::gzip(1), &Buffers::default()));
    assert_eq!(body["logEvents"][0]["message"].as_str().unwrap().len(), 1_048_550);
    assert!(raw.fitting(largest.as_bytes()) < largest.len(), "content leaves room for a mark");
    // aws/aws-for-fluent-bit#683: what grows by escaping is measured after it.
    let json = Wrapping::json("log", "");
    let quotes = "\"".repeat(600_000);
    let fits = json.fitting(quotes.as_bytes());
    assert!((523_000..524_288).contains(&fits), "{fits}");
    let mut batch = open();
    push(&mut batch, &json, 1, quotes.get(..fits).unwrap(), 0..1).unwrap();
}

/// open-telemetry/opentelemetry-collector-contrib#37762: lines of several files are not in order as they come.
#[test]
fn events_are_sorted_and_equal_times_keep_their_order() {
    let raw = Wrapping::raw();
    for mut compression in [Compression::None, Compression::gzip(1)] {
        let mut batch = open();
        for (i, time) in [5, 3, 5, 1, 3].into_iter().enumerate() {
            push(&mut batch, &raw, time, &format!("{time}-{i}"), i as u64 * 10..i as u64 * 10 + 10).unwrap();
        }
        let sealed = batch.seal(&mut compression, &Buffers::default());
        let body = read(&sealed);
        let messages: Vec<_> =
            body["logEvents"].as_array().unwrap().iter().map(|e| e["message"].as_str().unwrap()).collect();
        assert_eq!(messages, ["1-3", "3-1", "3-4", "5-0", "5-2"]);
        // aws/aws-for-fluent-bit#523: the indexes of a reply are positions in this order.
        assert_eq!(sealed.event_text(1), &b"{\"timestamp\":3,\"message\":\"3-1\"}"[..]);
        let half: Value = serde_json::from_slice(&sealed.body_of(3..5)).unwrap();
        assert_eq!(half["logEvents"][0]["message"], "5-0");
        assert_eq!(half["logEvents"].as_array().unwrap().len(), 2);
        assert_eq!(sealed.claims[0].ranges.low_water(), 50);
    }
}

/// aws/amazon-cloudwatch-logs-for-fluent-bit#29: old files and new ones do not share a batch.
#[test]
fn a_batch_never_spans_a_day() {
    let raw = Wrapping::raw();
    let mut batch = open();
    let day = 86_400_000;
    push(&mut batch, &raw, 10 * day, "x", 0..1).unwrap();
    assert_eq!(push(&mut batch, &raw, 11 * day, "x", 1..2), Err(Full));
    assert_eq!(push(&mut batch, &raw, 9 * day, "x", 1..2), Err(Full));
    push(&mut batch, &raw, 11 * day - 1000, "x", 1..2).unwrap();
    assert_eq!(push(&mut batch, &raw, 10 * day - 1, "x", 2..3), Err(Full));
}

#[test]
fn ten_thousand_events_and_no_more() {
    let raw = Wrapping::raw();
    let mut batch = open();
    for i in 0..10_000 {
        push(&mut batch, &raw, 1, "x", i..i + 1).unwrap();
    }
    assert_eq!(push(&mut batch, &raw, 1, "x", 10_000..10_001), Err(Full));
    assert!(batch.is_nearly_full());
}

proptest! {
    /// Whatever comes in: every request keeps the limits, everything comes out once, and the claims cover it exactly.
    #[test]
    fn nothing_is_lost_between_batches(
        events in prop::collection::vec((0i64..200_000_000, "[a-z\"\\\\\u{0}-\u{1f}é]{0,40}", 1usize..6000, 0u32..4), 1..60),
        json in any::<bool>(), gzip in any::<bool>(),
    ) {
        let wrapping = if json { Wrapping::json("log", ",\"stream\":\"stderr\"") } else { Wrapping::raw() };
        let mut compression = if gzip { Compression::gzip(1) } else { Compression::None };
        let mut sent = Vec::new();
        let mut claimed: std::collections::HashMap<FileNo, Ranges> = Default::default();
        let mut batch = open();
        let mut ends = [0u64; 4];
        let mut count = 0;
        let mut finish = |batch: OpenBatch| {
            let sealed = batch.seal(&mut compression, &Buffers::default());
            let body = read(&sealed);
            let events = body["logEvents"].as_array().unwrap();
            prop_assert!(!events.is_empty() && events.len() <= 10_000);
            let times: Vec<i64> = events.iter().map(|e| e["timestamp"].as_i64().unwrap()).collect();
            prop_assert!(times.is_sorted() && times[times.len() - 1] - times[0] < 86_400_000);
            let size: usize = events.iter().map(|e| e["message"].as_str().unwrap().len() + 26).sum();
            prop_assert!(size <= limits::BATCH_BYTES);
            for claim in &sealed.claims {
                for range in claim.ranges.iter() { claimed.entry(claim.file).or_default().insert(range); }
            }
            count += sealed.claims.iter().map(|c| c.events).sum::<u64>();
            sent.extend(events.iter().map(|e| {
                let message = e["message"].as_str().unwrap();
                let log = if json { serde_json::from_str::<Value>(message).unwrap()["log"].as_str().unwrap().to_owned() } else { message.to_owned() };
                (e["timestamp"].as_i64().unwrap(), log)
            }));
            Ok(())
        };
        let mut expected = Vec::new();
        for (time, text, times, file) in events {
            let content = text.repeat(times);
            let content = content.get(..content.floor_char_boundary(wrapping.fitting(content.as_bytes()))).unwrap();
            if content.is_empty() { continue; }
            let line = ends[file as usize]..ends[file as usize] + content.len() as u64 + 1;
            ends[file as usize] = line.end;
            expected.push((time, content.to_owned()));
            let event = Event { timestamp_ms: time, wrapping: &wrapping, content: content.as_bytes(), mark: None, source: source(file, line) };
            if batch.push(&event) == Err(Full) {
                finish(std::mem::replace(&mut batch, open()))?;
                prop_assert_eq!(batch.push(&event), Ok(()), "an empty batch takes any event");
            }
        }
        if !batch.is_empty() { finish(batch)?; }
        prop_assert_eq!(usize::try_from(count).unwrap(), expected.len());
        expected.sort();
        sent.sort();
        prop_assert!(sent == expected);
        for (file, end) in ends.iter().enumerate().filter(|(_, end)| **end > 0) {
            prop_assert_eq!(claimed[&u32::try_from(file).unwrap()].low_water(), *end);
        }
    }
}
