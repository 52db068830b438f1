//! Coming up, going down, TLS, and several at once.

use aws_sdk_cloudwatchlogs::{
    error::SdkError,
    types::{InputLogEvent, RejectedLogEventsInfo},
};
use safeguard_standins::{CloudWatch, Op, Options};

use crate::client::{NOW, put, sdk, unsigned};

fn event(timestamp: i64, message: &str) -> InputLogEvent {
    InputLogEvent::builder().timestamp(timestamp).message(message).build().unwrap()
}

async fn sdk_put(cloud: &CloudWatch, messages: &[&str]) -> Option<RejectedLogEventsInfo> {
    let now = (Options::default().now)();
    let events = messages.iter().map(|message| event(now, message)).collect();
    let put = sdk(cloud).put_log_events().log_group_name("g").log_stream_name("s").set_log_events(Some(events));
    put.send().await.unwrap().rejected_log_events_info
}

#[tokio::test]
async fn the_sdk_puts_over_http_and_https() {
    for tls in [false, true] {
        let cloud = CloudWatch::start(Options { tls, ..Options::default() }).await.unwrap();
        assert_eq!(cloud.ca_pem().is_some(), tls);
        assert_eq!(cloud.url().starts_with("https"), tls);
        cloud.create_stream("g", "s");
        assert!(sdk_put(&cloud, &["one", "two"]).await.is_none());
        let messages: Vec<String> = cloud.events("g", "s").into_iter().map(|event| event.message).collect();
        assert_eq!(messages, ["one", "two"]);
        let counts = cloud.counts();
        assert_eq!((counts.op(Op::PutLogEvents).ok, counts.connections, counts.events_stored), (1, 1, 2));
        assert!(counts.bytes_received > 200 && counts.bytes_sent > 100);
    }
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_ends_the_handshake() {
    let cloud = CloudWatch::start(Options { tls: true, ..Options::default() }).await.unwrap();
    let other = CloudWatch::start(Options { tls: true, ..Options::default() }).await.unwrap();
    let mut config = sdk(&other).config().to_builder();
    config.set_endpoint_url(Some(cloud.url()));
    let client = aws_sdk_cloudwatchlogs::Client::from_conf(config.build());
    let error = client.create_log_group().log_group_name("g").send().await.unwrap_err();
    assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    assert_eq!(cloud.counts().op(Op::CreateLogGroup).calls, 0);
}

#[tokio::test]
async fn down_refuses_connections_and_up_keeps_what_was_stored() {
    let (cloud, _) = unsigned().await;
    put(&cloud, &[(NOW, "before")]).await;
    let mut open = tokio::net::TcpStream::connect(cloud.addr()).await.unwrap();
    cloud.go_down().await;
    let refused = tokio::net::TcpStream::connect(cloud.addr()).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    let closed = tokio::io::AsyncReadExt::read(&mut open, &mut [0; 1]).await;
    assert!(matches!(closed, Ok(0) | Err(_)));
    cloud.go_down().await;
    cloud.come_up().await.unwrap();
    cloud.come_up().await.unwrap();
    put(&cloud, &[(NOW, "after")]).await;
    assert_eq!(cloud.events("g", "s").len(), 2);
}

#[tokio::test]
async fn going_down_frees_requests_that_hang() {
    let (cloud, _) = unsigned().await;
    cloud.faults().next(Op::PutLogEvents, 1, safeguard_standins::Fault::HangBeforeReply);
    let cloud = std::sync::Arc::new(cloud);
    let hanging = tokio::spawn({
        let cloud = std::sync::Arc::clone(&cloud);
        async move {
            let body = crate::client::batch(&[(NOW, "x")]).to_string();
            crate::client::send(&cloud, crate::client::request(&cloud, "PutLogEvents", body)).await.is_err()
        }
    });
    while cloud.faults().pending() > 0 {
        tokio::task::yield_now().await;
    }
    cloud.go_down().await;
    assert!(hanging.await.unwrap());
}

#[tokio::test]
async fn dropping_it_frees_the_port() {
    let (cloud, _) = unsigned().await;
    let addr = cloud.addr();
    drop(cloud);
    let wait = std::time::Duration::from_millis(5);
    for _ in 0..400 {
        if tokio::net::TcpStream::connect(addr).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
    panic!("still listening");
}

#[tokio::test]
async fn two_stand_ins_do_not_know_each_others_keys() {
    let one = CloudWatch::start(Options::default()).await.unwrap();
    let two = CloudWatch::start(Options::default()).await.unwrap();
    let foreign = crate::client::sdk_with(&one, &two.credential());
    let error = foreign.create_log_group().log_group_name("g").send().await.unwrap_err();
    assert_eq!(error.as_service_error().unwrap().meta().code(), Some("UnrecognizedClientException"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parallel_puts_to_one_stream_all_arrive() {
    let (cloud, _) = unsigned().await;
    let cloud = std::sync::Arc::new(cloud);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let cloud = std::sync::Arc::clone(&cloud);
        tasks.spawn(async move {
            for index in 0..20 {
                let message = format!("{task}/{index}");
                assert_eq!(put(&cloud, &[(NOW, &message)]).await.status, 200);
            }
        });
    }
    tasks.join_all().await;
    let mut messages: Vec<String> = cloud.events("g", "s").into_iter().map(|event| event.message).collect();
    messages.sort();
    messages.dedup();
    assert_eq!(messages.len(), 320);
}
