//! Scripted faults, as a client meets them.

use std::time::Duration;

use safeguard_standins::{CloudWatch, Fault, Op, RejectIndexes};
use serde_json::json;
use tokio::time::{Instant, timeout};

use crate::client::{NOW, Reply, batch, call, put, request, send, unsigned};

/// A PutLogEvents that may end without a whole reply.
async fn try_put(cloud: &CloudWatch) -> Option<Reply> {
    send(cloud, request(cloud, "PutLogEvents", batch(&[(NOW, "x")]).to_string())).await.ok()
}

fn stored(cloud: &CloudWatch) -> usize {
    cloud.events("g", "s").len()
}

#[tokio::test]
async fn error_replies_carry_their_status_and_words() {
    let (cloud, _) = unsigned().await;
    for (fault, status, kind) in [
        (Fault::throttled(), 400, "ThrottlingException"),
        (Fault::denied(), 400, "AccessDeniedException"),
        (Fault::internal(), 500, "InternalFailure"),
        (Fault::unavailable(), 503, "ServiceUnavailableException"),
        (Fault::not_found_group(), 400, "ResourceNotFoundException"),
        (Fault::not_found_stream(), 400, "ResourceNotFoundException"),
        (Fault::limit_exceeded(), 400, "LimitExceededException"),
        (Fault::aborted(), 400, "OperationAbortedException"),
        (Fault::expired_token(), 400, "ExpiredTokenException"),
        (Fault::unrecognized_client(), 400, "UnrecognizedClientException"),
        (Fault::invalid("no"), 400, "InvalidParameterException"),
        (Fault::status(418, "Teapot", "short"), 418, "Teapot"),
    ] {
        cloud.faults().next(Op::PutLogEvents, 1, fault);
        let reply = put(&cloud, &[(NOW, "x")]).await;
        assert_eq!((reply.status, reply.kind().as_str()), (status, kind));
        assert!(reply.headers.contains_key("x-amzn-requestid"));
    }
    assert_eq!(stored(&cloud), 0);
    let counts = cloud.counts().op(Op::PutLogEvents);
    assert_eq!((counts.calls, counts.ok, counts.faults), (12, 0, 12));
    assert_eq!(counts.errors["ResourceNotFoundException"], 2);
}

#[tokio::test]
async fn queued_faults_go_to_their_operation_in_order_then_end() {
    let (cloud, _) = unsigned().await;
    cloud.faults().next(Op::PutLogEvents, 2, Fault::throttled());
    cloud.faults().next(Op::PutLogEvents, 1, Fault::internal());
    cloud.faults().next(Op::CreateLogGroup, 1, Fault::denied());
    assert_eq!(cloud.faults().pending(), 4);
    let mut kinds = Vec::new();
    for _ in 0..4 {
        kinds.push(put(&cloud, &[(NOW, "x")]).await.kind());
    }
    assert_eq!(kinds, ["ThrottlingException", "ThrottlingException", "InternalFailure", ""]);
    cloud.faults().clear();
    assert_eq!(call(&cloud, "CreateLogGroup", json!({ "logGroupName": "h" })).await.status, 200);
}

#[tokio::test]
async fn standing_rules_see_the_request_and_last_until_cleared() {
    let (cloud, _) = unsigned().await;
    cloud.create_stream("other", "s");
    cloud.faults().when(|view| (view.group == "g" && view.stream == "s").then(Fault::denied));
    cloud.faults().when(|view| view.body.contains("poison").then(|| Fault::invalid("poison")));
    for _ in 0..3 {
        assert_eq!(put(&cloud, &[(NOW, "x")]).await.kind(), "AccessDeniedException");
    }
    let mut elsewhere = batch(&[(NOW, "x")]);
    elsewhere["logGroupName"] = json!("other");
    assert_eq!(call(&cloud, "PutLogEvents", elsewhere.clone()).await.status, 200);
    elsewhere["logEvents"][0]["message"] = json!("poison");
    assert_eq!(call(&cloud, "PutLogEvents", elsewhere).await.message(), "poison");
    cloud.faults().clear();
    assert_eq!(put(&cloud, &[(NOW, "x")]).await.status, 200);
}

#[tokio::test]
async fn connections_end_with_and_without_storing() {
    let (cloud, _) = unsigned().await;
    for (fault, kept) in
        [(Fault::ResetMidBody, 0), (Fault::ShortBody, 0), (Fault::StoreThenDrop, 1), (Fault::StoreThenDrop, 2)]
    {
        cloud.faults().next(Op::PutLogEvents, 1, fault.clone());
        assert!(try_put(&cloud).await.is_none(), "{fault:?}");
        assert_eq!(stored(&cloud), kept, "{fault:?}");
    }
    cloud.faults().when(|_| Some(Fault::ResetMidBody));
    assert!(try_put(&cloud).await.is_none());
    assert_eq!(stored(&cloud), 2);
}

#[tokio::test]
async fn a_reset_is_a_reset_on_the_wire() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (cloud, _) = unsigned().await;
    cloud.faults().next(Op::PutLogEvents, 1, Fault::ResetMidBody);
    let mut stream = tokio::net::TcpStream::connect(cloud.addr()).await.unwrap();
    let head =
        "POST / HTTP/1.1\r\nhost: x\r\nx-amz-target: Logs_20140328.PutLogEvents\r\ncontent-length: 1000\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let error = stream.read(&mut [0; 16]).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn hangs_last_until_the_peer_leaves() {
    let (cloud, _) = unsigned().await;
    for (fault, kept) in [(Fault::HangBeforeReply, 0), (Fault::HangAfterHeaders, 0), (Fault::StoreThenHang, 1)] {
        cloud.faults().next(Op::PutLogEvents, 1, fault.clone());
        assert!(timeout(Duration::from_millis(150), try_put(&cloud)).await.is_err(), "{fault:?}");
        assert_eq!(stored(&cloud), kept, "{fault:?}");
    }
    assert_eq!(put(&cloud, &[(NOW, "x")]).await.status, 200);
}

#[tokio::test]
async fn headers_arrive_before_the_hang_and_part_of_a_short_body_before_its_end() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (cloud, _) = unsigned().await;
    let body = batch(&[(NOW, "x")]).to_string();
    for fault in [Fault::HangAfterHeaders, Fault::ShortBody] {
        cloud.faults().next(Op::PutLogEvents, 1, fault.clone());
        let mut stream = tokio::net::TcpStream::connect(cloud.addr()).await.unwrap();
        let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-amz-json-1.1\r\n\
                    x-amz-target: Logs_20140328.PutLogEvents\r\n";
        stream.write_all(format!("{head}content-length: {}\r\n\r\n{body}", body.len()).as_bytes()).await.unwrap();
        let mut reply = vec![0; 4_096];
        let count = stream.read(&mut reply).await.unwrap();
        let reply = String::from_utf8_lossy(&reply[..count]).into_owned();
        assert!(reply.starts_with("HTTP/1.1 200") && reply.contains("content-length: 1024"), "{fault:?}: {reply}");
    }
}

#[tokio::test]
async fn odd_replies() {
    let (cloud, _) = unsigned().await;
    for (fault, status, body, kept) in [
        (Fault::EmptyBody200, 200, "", 0),
        (Fault::EmptyBody200Stored, 200, "", 1),
        (Fault::TruncatedJson, 200, "{\"rej", 1),
        (Fault::NonJson200, 200, "<html>", 1),
        (Fault::NonJson502, 502, "<html>", 1),
        (Fault::StoreThen500, 500, "{\"__type\":\"InternalFailure\"", 2),
        (Fault::MissingRequestId, 200, "{}", 3),
    ] {
        cloud.faults().next(Op::PutLogEvents, 1, fault.clone());
        let reply = try_put(&cloud).await.unwrap();
        assert_eq!(reply.status, status, "{fault:?}");
        assert!(reply.body.starts_with(body.as_bytes()), "{fault:?}");
        assert_eq!(reply.body.is_empty(), body.is_empty(), "{fault:?}");
        assert_eq!(stored(&cloud), kept, "{fault:?}");
    }
    cloud.faults().next(Op::PutLogEvents, 1, Fault::MissingRequestId);
    assert!(!try_put(&cloud).await.unwrap().headers.contains_key("x-amzn-requestid"));
    cloud.faults().next(Op::PutLogEvents, 1, Fault::TruncatedJson);
    let cut = try_put(&cloud).await.unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&cut.body).is_err());
}

#[tokio::test]
async fn a_store_fault_does_not_store_what_is_invalid() {
    let (cloud, _) = unsigned().await;
    cloud.faults().next(Op::PutLogEvents, 1, Fault::StoreThen500);
    assert_eq!(put(&cloud, &[(NOW, "")]).await.kind(), "InvalidParameterException");
}

#[tokio::test]
async fn latency_comes_before_the_usual_or_before_another_fault() {
    let (cloud, _) = unsigned().await;
    let wait = Duration::from_millis(80);
    cloud.faults().next(Op::PutLogEvents, 1, Fault::Latency(wait));
    cloud.faults().next(Op::PutLogEvents, 1, Fault::throttled().after(wait));
    for expected in ["", "ThrottlingException"] {
        let start = Instant::now();
        assert_eq!(put(&cloud, &[(NOW, "x")]).await.kind(), expected);
        assert!(start.elapsed() >= wait);
    }
}

#[tokio::test]
async fn rejections_are_forced_at_given_indexes() {
    let (cloud, _) = unsigned().await;
    let indexes = RejectIndexes { too_old_end: Some(1), expired_end: Some(2), too_new_start: Some(3) };
    cloud.faults().next(Op::PutLogEvents, 1, Fault::RejectIndexes(indexes));
    let reply = put(&cloud, &[(NOW, "0"), (NOW, "1"), (NOW, "2"), (NOW, "3")]).await;
    assert_eq!(reply.json()["rejectedLogEventsInfo"]["tooNewLogEventStartIndex"], json!(3));
    assert_eq!(cloud.events("g", "s")[0].message, "2");
    assert_eq!(stored(&cloud), 1);
}

#[tokio::test]
async fn a_new_stream_is_not_found_at_first() {
    let (cloud, _) = unsigned().await;
    let stream = json!({ "logGroupName": "g", "logStreamName": "new" });
    cloud.faults().next(Op::CreateLogStream, 1, Fault::NotFoundAfterCreate(2));
    assert_eq!(call(&cloud, "CreateLogStream", stream.clone()).await.status, 200);
    let mut body = batch(&[(NOW, "x")]);
    body["logStreamName"] = json!("new");
    let mut kinds = vec![call(&cloud, "PutLogEvents", body.clone()).await.kind()];
    kinds.push(call(&cloud, "CreateLogStream", stream).await.kind());
    kinds.push(call(&cloud, "PutLogEvents", body.clone()).await.kind());
    kinds.push(call(&cloud, "PutLogEvents", body).await.kind());
    assert_eq!(kinds, ["ResourceNotFoundException", "ResourceAlreadyExistsException", "ResourceNotFoundException", ""]);
}

#[tokio::test]
async fn a_new_group_is_not_found_at_first() {
    let (cloud, _) = unsigned().await;
    cloud.faults().next(Op::CreateLogGroup, 1, Fault::NotFoundAfterCreate(1));
    assert_eq!(call(&cloud, "CreateLogGroup", json!({ "logGroupName": "h" })).await.status, 200);
    let stream = json!({ "logGroupName": "h", "logStreamName": "s" });
    assert_eq!(call(&cloud, "CreateLogStream", stream.clone()).await.kind(), "ResourceNotFoundException");
    assert_eq!(call(&cloud, "CreateLogStream", stream).await.status, 200);
}
