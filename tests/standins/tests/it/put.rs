//! PutLogEvents: every rule on both sides of its boundary.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use safeguard_standins::{Op, Rejections};
use serde_json::{Value, json};

use crate::client::{NOW, batch, call, put, request, send, unsigned, unsigned_with};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn one_to_ten_thousand_events() {
    let (cloud, _) = unsigned().await;
    assert_eq!(put(&cloud, &vec![(NOW, "x"); 10_000]).await.status, 200);
    let reply = put(&cloud, &vec![(NOW, "x"); 10_001]).await;
    assert_eq!(reply.kind(), "InvalidParameterException");
    assert!(reply.message().contains("'logEvents' failed to satisfy constraint: Member must have length less than"));
    assert_eq!(put(&cloud, &[]).await.kind(), "InvalidParameterException");
    assert_eq!(cloud.events("g", "s").len(), 10_000);
}

#[tokio::test]
async fn required_members_are_required() {
    let (cloud, _) = unsigned().await;
    let whole = batch(&[(NOW, "x")]);
    for member in ["logGroupName", "logStreamName", "logEvents"] {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(member);
        let reply = call(&cloud, "PutLogEvents", body).await;
        assert_eq!(reply.kind(), "InvalidParameterException");
        let expected = format!(
            "1 validation error detected: Value null at '{member}' failed to satisfy constraint: Member must not be null"
        );
        assert_eq!(reply.message(), expected);
    }
    for (event, complaint) in [
        (json!({ "message": "x" }), "Value null at 'logEvents.1.member.timestamp'"),
        (json!({ "timestamp": NOW }), "Value null at 'logEvents.1.member.message'"),
        (json!({ "timestamp": NOW, "message": "" }), "Value '' at 'logEvents.1.member.message' failed"),
        (json!({ "timestamp": -1, "message": "x" }), "Value '-1' at 'logEvents.1.member.timestamp' failed"),
    ] {
        let reply =
            call(&cloud, "PutLogEvents", json!({ "logGroupName": "g", "logStreamName": "s", "logEvents": [event] }))
                .await;
        assert_eq!(reply.kind(), "InvalidParameterException");
        assert!(reply.message().contains(complaint), "{}", reply.message());
    }
    assert!(cloud.events("g", "s").is_empty());
}

#[tokio::test]
async fn a_batch_holds_1_048_576_bytes_with_26_for_each_event() {
    let (cloud, _) = unsigned().await;
    let half = "x".repeat(524_288 - 26);
    assert_eq!(put(&cloud, &[(NOW, &half), (NOW, &half)]).await.status, 200);
    let more = format!("{half}x");
    let reply = put(&cloud, &[(NOW, &half), (NOW, &more)]).await;
    assert_eq!(reply.kind(), "InvalidParameterException");
    assert_eq!(reply.message(), "Upload too large: 1048577 bytes exceeds limit of 1048576");
}

#[tokio::test]
async fn a_message_holds_1_048_550_bytes_of_utf_8_however_they_are_escaped() {
    let (cloud, _) = unsigned().await;
    for (message, accepted) in [
        ("x".repeat(1_048_550), true),
        ("x".repeat(1_048_551), false),
        ("é".repeat(524_275), true),
        (format!("{}x", "é".repeat(524_275)), false),
        ("\"".repeat(1_048_550), true),
        ("\u{1}".repeat(1_048_551), false),
    ] {
        let reply = put(&cloud, &[(NOW, &message)]).await;
        assert_eq!(reply.status == 200, accepted, "{} bytes", message.len());
        if !accepted {
            assert_eq!(reply.message(), "Log event too large: 1048577 bytes exceeds limit of 1048576");
        }
    }
}

#[tokio::test]
async fn a_region_that_lags_takes_256_kib_events() {
    let (cloud, _) = unsigned_with(|options| options.max_event_bytes = 262_144).await;
    assert_eq!(put(&cloud, &[(NOW, &"x".repeat(262_118))]).await.status, 200);
    let reply = put(&cloud, &[(NOW, &"x".repeat(262_119))]).await;
    assert_eq!(reply.message(), "Log event too large: 262145 bytes exceeds limit of 262144");
}

#[tokio::test]
async fn events_come_in_order_and_equal_timestamps_are_in_order() {
    let (cloud, _) = unsigned().await;
    assert_eq!(put(&cloud, &[(NOW, "a"), (NOW, "b"), (NOW + 1, "c")]).await.status, 200);
    let reply = put(&cloud, &[(NOW + 1, "a"), (NOW, "b")]).await;
    assert_eq!(reply.kind(), "InvalidParameterException");
    assert_eq!(reply.message(), "Log events in a single PutLogEvents request must be in chronological order.");
}

#[tokio::test]
async fn valid_events_span_24_hours_at_most() {
    let (cloud, _) = unsigned().await;
    assert_eq!(put(&cloud, &[(NOW - DAY, "a"), (NOW, "b")]).await.status, 200);
    let reply = put(&cloud, &[(NOW - DAY - 1, "a"), (NOW, "b")]).await;
    assert_eq!(reply.kind(), "InvalidParameterException");
    assert_eq!(
        reply.message(),
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
    );
    // Events that are dropped do not count.
    let reply = put(&cloud, &[(NOW - 15 * DAY, "old"), (NOW - DAY, "a"), (NOW, "b"), (NOW + 3 * HOUR, "new")]).await;
    assert_eq!(reply.status, 200);
    assert_eq!(cloud.events("g", "s").len(), 4);
}

#[tokio::test]
async fn too_old_begins_after_14_days_and_too_new_after_2_hours() {
    let (cloud, _) = unsigned().await;
    for (timestamp, reply) in [
        (NOW - 14 * DAY, json!({})),
        (NOW - 14 * DAY - 1, json!({ "rejectedLogEventsInfo": { "tooOldLogEventEndIndex": 1 } })),
        (NOW + 2 * HOUR, json!({})),
        (NOW + 2 * HOUR + 1, json!({ "rejectedLogEventsInfo": { "tooNewLogEventStartIndex": 0 } })),
    ] {
        assert_eq!(put(&cloud, &[(timestamp, "x")]).await.json(), reply);
    }
    let timestamps: Vec<i64> = cloud.events("g", "s").iter().map(|event| event.timestamp).collect();
    assert_eq!(timestamps, [NOW - 14 * DAY, NOW + 2 * HOUR]);
}

#[tokio::test]
async fn expired_begins_at_the_groups_retention() {
    let (cloud, _) = unsigned().await;
    let retention = json!({ "logGroupName": "g", "retentionInDays": 3 });
    assert_eq!(call(&cloud, "PutRetentionPolicy", retention).await.status, 200);
    assert_eq!(put(&cloud, &[(NOW - 3 * DAY, "kept")]).await.json(), json!({}));
    assert_eq!(
        put(&cloud, &[(NOW - 3 * DAY - 1, "expired")]).await.json(),
        json!({ "rejectedLogEventsInfo": { "expiredLogEventEndIndex": 1 } })
    );
    assert_eq!(cloud.counts().events_rejected, Rejections { expired: 1, too_old: 0, too_new: 0 });
}

#[tokio::test]
async fn rejections_are_indexes_and_the_rest_is_stored() {
    let (cloud, _) = unsigned().await;
    call(&cloud, "PutRetentionPolicy", json!({ "logGroupName": "g", "retentionInDays": 7 })).await;
    let events = [
        (NOW - 20 * DAY, "too old"),
        (NOW - 15 * DAY, "too old"),
        (NOW - 8 * DAY, "expired"),
        (NOW - 1, "kept"),
        (NOW, "kept"),
        (NOW + 3 * HOUR, "too new"),
    ];
    let expected = json!({ "rejectedLogEventsInfo": {
        "tooOldLogEventEndIndex": 2, "expiredLogEventEndIndex": 3, "tooNewLogEventStartIndex": 5
    } });
    assert_eq!(put(&cloud, &events).await.json(), expected);
    let messages: Vec<String> = cloud.events("g", "s").into_iter().map(|event| event.message).collect();
    assert_eq!(messages, ["kept", "kept"]);
    let counts = cloud.counts();
    assert_eq!(counts.events_rejected, Rejections { too_old: 2, expired: 1, too_new: 1 });
    assert_eq!((counts.events_stored, counts.message_bytes), (2, 8));
}

#[tokio::test]
async fn a_batch_of_which_nothing_is_stored_is_accepted() {
    let (cloud, _) = unsigned().await;
    let reply = put(&cloud, &[(NOW - 30 * DAY, "a"), (NOW - 20 * DAY, "b")]).await;
    assert_eq!(reply.json(), json!({ "rejectedLogEventsInfo": { "tooOldLogEventEndIndex": 2 } }));
    assert!(cloud.events("g", "s").is_empty());
}

#[tokio::test]
async fn the_same_batch_twice_is_stored_twice_and_tokens_do_not_matter() {
    let (cloud, _) = unsigned().await;
    let mut body = batch(&[(NOW, "x")]);
    body["sequenceToken"] = json!("49546986683135544286507457936321625675700192471156785154");
    for _ in 0..2 {
        assert_eq!(call(&cloud, "PutLogEvents", body.clone()).await.json(), json!({}));
    }
    let events = cloud.events("g", "s");
    assert_eq!(events.len(), 2);
    assert_ne!(events[0].request, events[1].request);
}

#[tokio::test]
async fn missing_group_and_missing_stream_are_told_apart() {
    let (cloud, _) = unsigned().await;
    for (group, stream, message) in [
        ("none", "s", "The specified log group does not exist."),
        ("g", "none", "The specified log stream does not exist."),
    ] {
        let mut body = batch(&[(NOW, "x")]);
        body["logGroupName"] = json!(group);
        body["logStreamName"] = json!(stream);
        let reply = call(&cloud, "PutLogEvents", body).await;
        assert_eq!((reply.status, reply.kind().as_str()), (400, "ResourceNotFoundException"));
        assert_eq!(reply.message(), message);
    }
}

#[tokio::test]
async fn what_is_not_utf_8_json_is_a_serialization_exception() {
    let (cloud, _) = unsigned().await;
    let text = |message: &str| {
        format!(r#"{{"logGroupName":"g","logStreamName":"s","logEvents":[{{"timestamp":{NOW},"message":{message}}}]}}"#)
    };
    let mut ill_formed = text("\"x\"").into_bytes();
    let at = ill_formed.iter().rposition(|b| *b == b'x').unwrap();
    ill_formed[at] = 0xff;
    for body in [
        ill_formed,
        text(r#""\ud800""#).into_bytes(),
        text(r#""\x""#).into_bytes(),
        text(r#""cut \"#).into_bytes(),
        text("\"line\nfeed\"").into_bytes(),
        text("{\"k\":1}").into_bytes(),
        text("1").into_bytes(),
        text("\"x\"").replace(&NOW.to_string(), "1.5").into_bytes(),
        format!("{} more", text("\"x\"")).into_bytes(),
        Vec::new(),
    ] {
        let reply = send(&cloud, request(&cloud, "PutLogEvents", body.clone())).await.unwrap();
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert_eq!((reply.status, reply.kind().as_str()), (400, "SerializationException"), "{shown}");
        assert!(reply.headers.contains_key("x-amzn-requestid"));
    }
    assert_eq!(put(&cloud, &[(NOW, "💡 \\ \" \u{0} \u{feff}")]).await.status, 200);
    assert_eq!(cloud.events("g", "s")[0].message, "💡 \\ \" \u{0} \u{feff}");
}

#[tokio::test]
async fn gzip_is_one_whole_member_on_put_log_events_only() {
    let (cloud, _) = unsigned().await;
    let body = batch(&[(NOW, "x")]).to_string();
    let whole = gzip(body.as_bytes());
    let mut damaged = whole.clone();
    let last = damaged.len() - 5;
    damaged[last] ^= 1;
    let cases = [
        (whole.clone(), true),
        (damaged, false),
        (whole[..whole.len() - 1].to_vec(), false),
        ([whole.as_slice(), b"x"].concat(), false),
        (body.clone().into_bytes(), false),
        (gzip(&vec![b' '; 16 * 1_048_576 + 1]), false),
        (Vec::new(), false),
    ];
    for (index, (sent, accepted)) in cases.into_iter().enumerate() {
        let mut request = request(&cloud, "PutLogEvents", sent);
        request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        let reply = send(&cloud, request).await.unwrap();
        let expected = if accepted { "" } else { "SerializationException" };
        assert_eq!(reply.kind(), expected, "case {index}");
    }
    let group = json!({ "logGroupName": "g" }).to_string();
    let mut other = request(&cloud, "DescribeLogStreams", gzip(group.as_bytes()));
    other.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(send(&cloud, other).await.unwrap().kind(), "SerializationException");
    let mut zstd = request(&cloud, "PutLogEvents", body);
    zstd.headers_mut().insert("content-encoding", "zstd".parse().unwrap());
    assert_eq!(send(&cloud, zstd).await.unwrap().kind(), "SerializationException");
    assert_eq!((cloud.events("g", "s").len(), cloud.counts().gzip_requests), (1, 7));
}

#[tokio::test]
async fn limits_apply_to_what_gzip_holds() {
    let (cloud, _) = unsigned().await;
    for (length, expected) in [(1_048_550, ""), (1_048_551, "InvalidParameterException")] {
        let body = batch(&[(NOW, &"x".repeat(length))]).to_string();
        let mut request = request(&cloud, "PutLogEvents", gzip(body.as_bytes()));
        assert!(request.body().len() < 100_000);
        request.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
        assert_eq!(send(&cloud, request).await.unwrap().kind(), expected);
    }
}

#[tokio::test]
async fn events_are_read_back_in_order_of_timestamp_then_arrival() {
    let (cloud, _) = unsigned().await;
    put(&cloud, &[(NOW, "c"), (NOW + 2, "e")]).await;
    put(&cloud, &[(NOW - 1, "a"), (NOW - 1, "b"), (NOW, "d")]).await;
    let events = cloud.events("g", "s");
    let messages: Vec<&str> = events.iter().map(|event| event.message.as_str()).collect();
    assert_eq!(messages, ["a", "b", "c", "d", "e"]);
    assert_eq!(events[0].ingestion_time, NOW);
    let mut visited = Vec::new();
    cloud.for_each_event(|group, stream, event| visited.push(format!("{group}/{stream}/{}", event.message)));
    assert_eq!(visited, ["g/s/a", "g/s/b", "g/s/c", "g/s/d", "g/s/e"]);
    let all: Vec<String> = cloud.all_events().into_iter().map(|(_, _, event)| event.message).collect();
    assert_eq!(all, messages);
}

#[tokio::test]
async fn discarding_checks_and_counts_the_same() {
    let (cloud, _) = unsigned_with(|options| options.discard = true).await;
    put(&cloud, &[(NOW - 15 * DAY, "too old"), (NOW, "é\n")]).await;
    assert_eq!(put(&cloud, &[(NOW, "")]).await.kind(), "InvalidParameterException");
    let number = batch(&[(NOW, "x")]).to_string().replace("\"x\"", "7");
    assert_eq!(send(&cloud, request(&cloud, "PutLogEvents", number)).await.unwrap().kind(), "SerializationException");
    let big = "\"".repeat(1_048_551);
    assert!(put(&cloud, &[(NOW, &big)]).await.message().starts_with("Log event too large: 1048577"));
    let counts = cloud.counts();
    assert_eq!((counts.events_stored, counts.message_bytes, counts.events_rejected.too_old), (1, 3, 1));
    assert_eq!(cloud.stream("g", "s").unwrap().events, 1);
    assert!(cloud.all_events().is_empty());
}

#[tokio::test]
async fn other_protocols_are_refused() {
    let (cloud, _) = unsigned_with(|options| options.max_request_bytes = 1_000).await;
    let body = batch(&[(NOW, "x")]).to_string();
    let unknown = call(&cloud, "StartQuery", json!({})).await;
    assert_eq!((unknown.status, unknown.kind().as_str()), (400, "UnknownOperationException"));
    let mut plain = request(&cloud, "PutLogEvents", body.clone());
    plain.headers_mut().insert("content-type", "application/json".parse().unwrap());
    assert_eq!(send(&cloud, plain).await.unwrap().kind(), "UnknownOperationException");
    let mut no_target = request(&cloud, "PutLogEvents", body.clone());
    no_target.headers_mut().remove("x-amz-target");
    assert_eq!(send(&cloud, no_target).await.unwrap().kind(), "UnknownOperationException");
    let mut elsewhere = request(&cloud, "PutLogEvents", body.clone());
    *elsewhere.uri_mut() = "/other".parse().unwrap();
    assert_eq!(send(&cloud, elsewhere).await.unwrap().status, 404);
    assert_eq!(put(&cloud, &[(NOW, &"x".repeat(1_000))]).await.status, 413);
    assert_eq!(cloud.counts().op(Op::PutLogEvents).ok, 0);
}

#[tokio::test]
async fn a_content_length_that_is_missing_or_too_long_stores_nothing() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (cloud, _) = unsigned().await;
    let body = batch(&[(NOW, "x")]).to_string();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-amz-json-1.1\r\n\
                x-amz-target: Logs_20140328.PutLogEvents\r\n";
    for (length, expected) in [
        (format!("content-length: {}", body.len()), "HTTP/1.1 200"),
        (format!("content-length: {}", body.len() + 1), ""),
        (format!("content-length: {}", body.len() - 1), "HTTP/1.1 400"),
        ("transfer-encoding: chunked".to_owned(), "HTTP/1.1 411"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(cloud.addr()).await.unwrap();
        stream.write_all(format!("{head}{length}\r\n\r\n{body}").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut reply = Vec::new();
        // A reset after the reply is fine here.
        drop(stream.read_to_end(&mut reply).await);
        let reply = String::from_utf8_lossy(&reply).into_owned();
        assert_eq!(reply.get(..12).unwrap_or_default(), expected, "{length}");
    }
    assert_eq!(cloud.events("g", "s").len(), 1);
}

#[tokio::test]
async fn quotas_throttle_with_the_services_words() {
    let (cloud, clock) = unsigned_with(|options| options.quotas = true).await;
    let retention = json!({ "logGroupName": "g", "retentionInDays": 3 });
    let mut throttled: Vec<Value> = Vec::new();
    for _ in 0..6 {
        let reply = call(&cloud, "PutRetentionPolicy", retention.clone()).await;
        if reply.status != 200 {
            throttled.push(reply.json());
        }
    }
    assert_eq!(throttled, [json!({ "__type": "ThrottlingException", "message": "Rate exceeded" })]);
    assert_eq!(put(&cloud, &[(NOW, "x")]).await.status, 200);
    clock.set(NOW + 200);
    assert_eq!(call(&cloud, "PutRetentionPolicy", retention.clone()).await.status, 200);
    assert_eq!(call(&cloud, "PutRetentionPolicy", retention).await.kind(), "ThrottlingException");
}
