//! GetLogEvents and FilterLogEvents.

use safeguard_standins::{CloudWatch, Options};
use serde_json::{Value, json};

use crate::client::{NOW, call, put, sdk, unsigned};

fn messages(reply: &Value) -> Vec<&str> {
    reply["events"].as_array().unwrap().iter().map(|event| event["message"].as_str().unwrap()).collect()
}

async fn get(cloud: &CloudWatch, mut request: Value) -> Value {
    request["logGroupName"] = json!("g");
    request["logStreamName"] = json!("s");
    call(cloud, "GetLogEvents", request).await.json()
}

#[tokio::test]
async fn reading_forward_ends_with_the_same_token_and_goes_on_from_it() {
    let (cloud, _) = unsigned().await;
    put(&cloud, &[(NOW, "a"), (NOW, "b"), (NOW, "c"), (NOW + 1, "d"), (NOW + 2, "e")]).await;
    let mut reply = get(&cloud, json!({ "startFromHead": true, "limit": 2 })).await;
    let mut seen = Vec::new();
    loop {
        seen.extend(messages(&reply).into_iter().map(str::to_owned));
        let token = reply["nextForwardToken"].clone();
        reply = get(&cloud, json!({ "nextToken": token, "limit": 2 })).await;
        if reply["nextForwardToken"] == token {
            assert!(messages(&reply).is_empty());
            break;
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    put(&cloud, &[(NOW + 2, "f")]).await;
    let more = get(&cloud, json!({ "nextToken": reply["nextForwardToken"] })).await;
    assert_eq!(messages(&more), ["f"]);
    let back = get(&cloud, json!({ "nextToken": reply["nextBackwardToken"], "limit": 2 })).await;
    assert_eq!(messages(&back), ["d", "e"]);
}

#[tokio::test]
async fn reading_backward_starts_at_the_tail() {
    let (cloud, _) = unsigned().await;
    put(&cloud, &[(NOW, "a"), (NOW + 1, "b"), (NOW + 2, "c")]).await;
    let tail = get(&cloud, json!({ "limit": 2 })).await;
    assert_eq!(messages(&tail), ["b", "c"]);
    let head = get(&cloud, json!({ "limit": 2, "nextToken": tail["nextBackwardToken"] })).await;
    assert_eq!(messages(&head), ["a"]);
    let end = get(&cloud, json!({ "limit": 2, "nextToken": head["nextBackwardToken"] })).await;
    assert!(messages(&end).is_empty());
    assert_eq!(end["nextBackwardToken"], head["nextBackwardToken"]);
    let forth = get(&cloud, json!({ "nextToken": end["nextForwardToken"] })).await;
    assert_eq!(messages(&forth), ["a", "b", "c"]);
}

#[tokio::test]
async fn an_empty_stream_gives_tokens_that_find_later_events() {
    let (cloud, _) = unsigned().await;
    let empty = get(&cloud, json!({})).await;
    assert!(messages(&empty).is_empty());
    put(&cloud, &[(NOW, "a")]).await;
    assert_eq!(messages(&get(&cloud, json!({ "nextToken": empty["nextForwardToken"] })).await), ["a"]);
}

#[tokio::test]
async fn start_is_included_and_end_is_not() {
    let (cloud, _) = unsigned().await;
    put(&cloud, &[(NOW, "a"), (NOW + 1, "b"), (NOW + 2, "c")]).await;
    let window = json!({ "startTime": NOW + 1, "endTime": NOW + 2 });
    assert_eq!(messages(&get(&cloud, window.clone()).await), ["b"]);
    // FilterLogEvents includes both.
    let mut filter = window;
    filter["logGroupName"] = json!("g");
    assert_eq!(messages(&call(&cloud, "FilterLogEvents", filter).await.json()), ["b", "c"]);
}

#[tokio::test]
async fn a_page_holds_one_megabyte() {
    let (cloud, _) = unsigned().await;
    let message = "x".repeat(400_000);
    for index in 0..4 {
        assert_eq!(put(&cloud, &[(NOW + index, &message)]).await.status, 200);
    }
    assert_eq!(messages(&get(&cloud, json!({})).await).len(), 2);
    let filtered = call(&cloud, "FilterLogEvents", json!({ "logGroupName": "g" })).await.json();
    assert_eq!(messages(&filtered).len(), 2);
    assert!(filtered.get("nextToken").is_some());
}

#[tokio::test]
async fn reading_has_its_own_rules() {
    let (cloud, _) = unsigned().await;
    for (op, body, expected) in [
        ("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "none" }), "ResourceNotFoundException"),
        ("GetLogEvents", json!({ "logGroupName": "none", "logStreamName": "s" }), "ResourceNotFoundException"),
        ("GetLogEvents", json!({ "logGroupName": "g", "logStreamName": "s", "limit": 10_000 }), ""),
        (
            "GetLogEvents",
            json!({ "logGroupName": "g", "logStreamName": "s", "limit": 10_001 }),
            "InvalidParameterException",
        ),
        (
            "GetLogEvents",
            json!({ "logGroupName": "g", "logStreamName": "s", "nextToken": "made up" }),
            "InvalidParameterException",
        ),
        ("FilterLogEvents", json!({ "logGroupName": "none" }), "ResourceNotFoundException"),
        ("FilterLogEvents", json!({ "logGroupName": "g", "logStreamNames": ["none"] }), "ResourceNotFoundException"),
        (
            "FilterLogEvents",
            json!({ "logGroupName": "g", "logStreamNames": ["s"], "logStreamNamePrefix": "s" }),
            "InvalidParameterException",
        ),
        ("FilterLogEvents", json!({ "logGroupName": "g", "filterPattern": "{ x" }), "InvalidParameterException"),
        ("FilterLogEvents", json!({ "logGroupName": "g", "nextToken": "made up" }), "InvalidParameterException"),
    ] {
        assert_eq!(call(&cloud, op, body.clone()).await.kind(), expected, "{op} {body}");
    }
}

#[tokio::test]
async fn filtering_interleaves_streams_and_pages_without_gaps() {
    let cloud = CloudWatch::start(Options::default()).await.unwrap();
    let client = sdk(&cloud);
    let now = (Options::default().now)();
    for (stream, offset) in [("app-1", 0), ("app-2", 1), ("other", 2)] {
        cloud.create_stream("g", stream);
        let event = |index: i64| {
            aws_sdk_cloudwatchlogs::types::InputLogEvent::builder()
                .timestamp(now + index * 3 + offset)
                .message(format!("{} {stream}", if index % 2 == 0 { "INFO" } else { "ERROR disk full" }))
                .build()
                .unwrap()
        };
        let events: Vec<_> = (0..20).map(event).collect();
        client
            .put_log_events()
            .log_group_name("g")
            .log_stream_name(stream)
            .set_log_events(Some(events))
            .send()
            .await
            .unwrap();
    }
    let filter = || client.filter_log_events().log_group_identifier("g").limit(7);
    let mut pages = filter().into_paginator().send();
    let mut seen = Vec::new();
    while let Some(page) = pages.next().await {
        seen.extend(page.unwrap().events.unwrap());
    }
    assert_eq!(seen.len(), 60);
    assert!(seen.iter().enumerate().all(|(index, e)| e.timestamp == Some(now + i64::try_from(index).unwrap())));
    let mut ids: Vec<_> = seen.iter().map(|event| event.event_id.clone().unwrap()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 60);
    assert!(ids.is_sorted() && ids[0].len() == 56);

    let errors = filter().limit(100).filter_pattern("ERROR \"disk full\"").log_stream_name_prefix("app-");
    assert_eq!(errors.send().await.unwrap().events().len(), 20);
    let one = filter().limit(100).log_stream_names("other").send().await.unwrap();
    assert!(one.events().iter().all(|event| event.log_stream_name() == Some("other")));
    assert_eq!(one.events().len(), 20);
}
