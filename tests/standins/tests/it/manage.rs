//! Groups and streams: making, changing, listing, deleting.

use std::collections::BTreeMap;

use aws_sdk_cloudwatchlogs::types::{LogGroupClass, OrderBy};
use safeguard_standins::{CloudWatch, Options};
use serde_json::{Value, json};

use crate::client::{NOW, call, put, sdk, unsigned, unsigned_with};

/// Calls an operation with each body; the error's `__type`, or "" of a success.
async fn kinds(cloud: &CloudWatch, op: &str, bodies: impl IntoIterator<Item = Value>) -> Vec<String> {
    let mut kinds = Vec::new();
    for body in bodies {
        kinds.push(call(cloud, op, body).await.kind());
    }
    kinds
}

const INVALID: &str = "InvalidParameterException";

#[tokio::test]
async fn group_names() {
    let (cloud, _) = unsigned().await;
    let name = |length: usize| "n".repeat(length);
    for (name, expected) in [
        (name(1), ""),
        (name(512), ""),
        (name(513), INVALID),
        (String::new(), INVALID),
        ("/aws/containerinsights/c_1.2-3#x/application".to_owned(), ""),
        ("aws/reserved".to_owned(), INVALID),
        ("awsome".to_owned(), ""),
        ("a b".to_owned(), INVALID),
        ("a:b".to_owned(), INVALID),
        ("é".to_owned(), INVALID),
        ("g".to_owned(), "ResourceAlreadyExistsException"),
    ] {
        let reply = call(&cloud, "CreateLogGroup", json!({ "logGroupName": name })).await;
        assert_eq!(reply.kind(), expected, "{name:?}");
    }
    assert_eq!(kinds(&cloud, "CreateLogGroup", [json!({})]).await, [INVALID]);
}

#[tokio::test]
async fn group_attributes() {
    let (cloud, _) = unsigned().await;
    let key = "arn:aws:kms:us-east-1:123456789012:key/1234abcd";
    let tags = |n: usize| -> BTreeMap<String, String> { (0..n).map(|i| (format!("k{i}"), "v".to_owned())).collect() };
    for (index, (attribute, value, accepted)) in [
        ("kmsKeyId", json!(key), true),
        ("kmsKeyId", json!(format!("{key}{}", "x".repeat(256 - key.len()))), true),
        ("kmsKeyId", json!(format!("{key}{}", "x".repeat(257 - key.len()))), false),
        ("kmsKeyId", json!("alias/mine"), false),
        ("tags", json!(tags(50)), true),
        ("tags", json!(tags(51)), false),
        ("tags", json!({}), false),
        ("tags", json!({ "k".repeat(128): "v" }), true),
        ("tags", json!({ "k".repeat(129): "v" }), false),
        ("tags", json!({ "k": "v".repeat(256) }), true),
        ("tags", json!({ "k": "v".repeat(257) }), false),
        ("tags", json!({ "": "v" }), false),
        ("tags", json!({ "k": "" }), true),
        ("tags", json!({ "Größe 1_.:/=+-@": "ok" }), true),
        ("tags", json!({ "k": "a;b" }), false),
        ("tags", json!({ "aws:mine": "v" }), false),
        ("logGroupClass", json!("INFREQUENT_ACCESS"), true),
        ("logGroupClass", json!("DELIVERY"), true),
        ("logGroupClass", json!("GLACIER"), false),
    ]
    .into_iter()
    .enumerate()
    {
        let reply =
            call(&cloud, "CreateLogGroup", json!({ "logGroupName": format!("g{index}"), attribute: value })).await;
        assert_eq!(reply.kind(), if accepted { "" } else { INVALID }, "case {index}: {attribute} {value}");
    }
}

#[tokio::test]
async fn an_account_holds_so_many_groups() {
    let (cloud, _) = unsigned_with(|options| options.max_groups = 2).await;
    let bodies = ["h", "i"].map(|name| json!({ "logGroupName": name }));
    assert_eq!(kinds(&cloud, "CreateLogGroup", bodies).await, ["", "LimitExceededException"]);
}

#[tokio::test]
async fn stream_names() {
    let (cloud, _) = unsigned().await;
    let body = |name: &str| json!({ "logGroupName": "g", "logStreamName": name });
    for (name, expected) in [
        ("n".repeat(512).as_str(), ""),
        ("n".repeat(513).as_str(), INVALID),
        ("", INVALID),
        ("a:b", INVALID),
        ("a*b", INVALID),
        ("pod_ns_é [1]/x", ""),
        ("s", "ResourceAlreadyExistsException"),
    ] {
        assert_eq!(call(&cloud, "CreateLogStream", body(name)).await.kind(), expected, "{name}");
    }
    let elsewhere = json!({ "logGroupName": "none", "logStreamName": "s" });
    assert_eq!(kinds(&cloud, "CreateLogStream", [elsewhere]).await, ["ResourceNotFoundException"]);
}

#[tokio::test]
async fn retention_is_one_of_22_numbers() {
    let (cloud, _) = unsigned().await;
    let mut accepted = Vec::new();
    for days in 0..=3_700 {
        let reply = call(&cloud, "PutRetentionPolicy", json!({ "logGroupName": "g", "retentionInDays": days })).await;
        match reply.kind().as_str() {
            "" => accepted.push(days),
            kind => assert_eq!(kind, INVALID),
        }
    }
    let expected =
        [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];
    assert_eq!(accepted, expected);
    assert_eq!(cloud.groups()[0].retention_days, Some(3_653));
    let bodies = [json!({ "logGroupName": "none", "retentionInDays": 1 }), json!({ "logGroupName": "g" })];
    assert_eq!(kinds(&cloud, "PutRetentionPolicy", bodies).await, ["ResourceNotFoundException", INVALID]);
}

#[tokio::test]
async fn tags_go_to_an_arn_without_a_star_and_stop_at_50() {
    let (cloud, _) = unsigned().await;
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:g";
    let tags = |from: usize, to: usize| -> Value {
        (from..to).map(|i| (format!("k{i}"), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    for (arn, tags, expected) in [
        (arn.to_owned(), tags(0, 49), ""),
        (arn.to_owned(), tags(0, 50), ""),
        (arn.to_owned(), tags(50, 51), "TooManyTagsException"),
        (arn.to_owned(), tags(0, 1), ""),
        (format!("{arn}:*"), tags(0, 1), INVALID),
        (arn.replace("us-east-1", "eu-west-1"), tags(0, 1), INVALID),
        ("g".to_owned(), tags(0, 1), INVALID),
        (format!("{arn}one"), tags(0, 1), "ResourceNotFoundException"),
        (arn.to_owned(), json!({}), INVALID),
    ] {
        let reply = call(&cloud, "TagResource", json!({ "resourceArn": arn, "tags": tags })).await;
        assert_eq!(reply.kind(), expected, "{arn} {tags}");
    }
    assert_eq!(cloud.groups()[0].tags.len(), 50);
    let listed = call(&cloud, "ListTagsForResource", json!({ "resourceArn": arn })).await.json();
    assert_eq!(listed["tags"].as_object().unwrap().len(), 50);
}

#[tokio::test]
async fn a_key_is_associated_by_name_or_by_identifier() {
    let (cloud, _) = unsigned().await;
    let key = "arn:aws:kms:us-east-1:123456789012:key/1";
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:g";
    let bodies = [
        json!({ "logGroupName": "g", "kmsKeyId": key }),
        json!({ "resourceIdentifier": arn, "kmsKeyId": key }),
        json!({ "logGroupName": "g", "resourceIdentifier": arn, "kmsKeyId": key }),
        json!({ "kmsKeyId": key }),
        json!({ "logGroupName": "g" }),
        json!({ "logGroupName": "g", "kmsKeyId": "nonsense" }),
        json!({ "logGroupName": "none", "kmsKeyId": key }),
    ];
    let expected = ["", "", INVALID, INVALID, INVALID, INVALID, "ResourceNotFoundException"];
    assert_eq!(kinds(&cloud, "AssociateKmsKey", bodies).await, expected);
    assert_eq!(cloud.groups()[0].kms_key.as_deref(), Some(key));
}

#[tokio::test]
async fn the_sdk_makes_describes_and_deletes() {
    let cloud = CloudWatch::start(Options::default()).await.unwrap();
    let client = sdk(&cloud);
    let create = client.create_log_group().log_group_name("/a/g").log_group_class(LogGroupClass::InfrequentAccess);
    create.tags("team", "blue").send().await.unwrap();
    client.put_retention_policy().log_group_name("/a/g").retention_in_days(30).send().await.unwrap();
    client.create_log_stream().log_group_name("/a/g").log_stream_name("s").send().await.unwrap();
    let again = client.create_log_group().log_group_name("/a/g").send().await.unwrap_err();
    assert!(again.as_service_error().unwrap().is_resource_already_exists_exception());

    let described = client.describe_log_groups().log_group_name_prefix("/a").send().await.unwrap();
    let group = &described.log_groups()[0];
    assert_eq!(group.log_group_name(), Some("/a/g"));
    assert_eq!(group.retention_in_days(), Some(30));
    assert_eq!(group.log_group_class(), Some(&LogGroupClass::InfrequentAccess));
    assert_eq!(group.arn(), Some("arn:aws:logs:us-east-1:123456789012:log-group:/a/g:*"));
    let tags = client.list_tags_for_resource().resource_arn(group.log_group_arn().unwrap()).send().await.unwrap();
    assert_eq!(tags.tags().unwrap()["team"], "blue");
    assert_eq!(cloud.groups()[0].streams, ["s"]);

    client.delete_log_stream().log_group_name("/a/g").log_stream_name("s").send().await.unwrap();
    assert!(cloud.streams("/a/g").is_empty());
    let gone = client.delete_log_stream().log_group_name("/a/g").log_stream_name("s").send().await.unwrap_err();
    assert!(gone.as_service_error().unwrap().is_resource_not_found_exception());
    client.delete_log_group().log_group_name("/a/g").send().await.unwrap();
    assert!(cloud.groups().is_empty());
}

#[tokio::test]
async fn a_protected_group_is_not_deleted() {
    let (cloud, _) = unsigned().await;
    call(&cloud, "CreateLogGroup", json!({ "logGroupName": "p", "deletionProtectionEnabled": true })).await;
    let bodies = ["p", "g", "g"].map(|name| json!({ "logGroupName": name }));
    let expected = ["ValidationException", "", "ResourceNotFoundException"];
    assert_eq!(kinds(&cloud, "DeleteLogGroup", bodies).await, expected);
}

fn names(reply: &Value, list: &str, member: &str) -> Vec<String> {
    reply[list].as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn groups_are_paged_and_filtered() {
    let (cloud, _) = unsigned().await;
    cloud.delete_group("g");
    for index in 0..120 {
        cloud.create_group(&format!("/app/{index:03}"));
    }
    cloud.create_group("/Other");
    let mut seen = Vec::new();
    let mut pages = Vec::new();
    let mut request = json!({ "logGroupNamePrefix": "/app/" });
    loop {
        let reply = call(&cloud, "DescribeLogGroups", request.clone()).await.json();
        let page = names(&reply, "logGroups", "logGroupName");
        pages.push(page.len());
        seen.extend(page);
        if reply.get("nextToken").is_none() {
            break;
        }
        request["nextToken"] = reply["nextToken"].clone();
    }
    assert_eq!(pages, [50, 50, 20]);
    assert_eq!(seen, (0..120).map(|index| format!("/app/{index:03}")).collect::<Vec<_>>());

    let identifiers = |n: usize| (0..n).map(|index| format!("/app/{index:03}")).collect::<Vec<_>>();
    for (body, found) in [
        (json!({ "logGroupNamePattern": "oTHE" }), 1),
        (json!({ "logGroupNamePattern": "APP/00" }), 10),
        (json!({ "logGroupNamePrefix": "app" }), 0),
        (json!({ "logGroupIdentifiers": identifiers(50) }), 50),
        (json!({ "logGroupIdentifiers": ["arn:aws:logs:us-east-1:123456789012:log-group:/Other"] }), 1),
        (json!({ "logGroupClass": "DELIVERY" }), 0),
        (json!({ "limit": 50 }), 50),
    ] {
        let reply = call(&cloud, "DescribeLogGroups", body.clone()).await.json();
        assert_eq!(reply["logGroups"].as_array().unwrap().len(), found, "{body}");
    }
    let refused = [
        json!({ "logGroupNamePrefix": "a", "logGroupNamePattern": "a" }),
        json!({ "limit": 51 }),
        json!({ "limit": 0 }),
        json!({ "logGroupIdentifiers": identifiers(51) }),
        json!({ "logGroupIdentifiers": ["/Other"], "logGroupNamePrefix": "/" }),
        json!({ "nextToken": "made up" }),
    ];
    assert!(kinds(&cloud, "DescribeLogGroups", refused).await.iter().all(|kind| kind == INVALID));
}

#[tokio::test]
async fn streams_are_ordered_by_name_or_by_last_event() {
    let cloud = CloudWatch::start(Options { verify_signatures: false, ..Options::default() }).await.unwrap();
    let client = sdk(&cloud);
    for name in ["c", "a", "s", "b"] {
        cloud.create_stream("g", name);
    }
    let now = (Options::default().now)();
    assert_eq!(put(&cloud, &[(now, "x")]).await.status, 200);
    let list = |order: OrderBy, descending: bool| {
        let client = client.clone();
        async move {
            let mut names = Vec::new();
            let mut pages = client
                .describe_log_streams()
                .log_group_name("g")
                .order_by(order)
                .descending(descending)
                .limit(3)
                .into_paginator()
                .send();
            while let Some(page) = pages.next().await {
                names.extend(page.unwrap().log_streams().iter().map(|s| s.log_stream_name().unwrap().to_owned()));
            }
            names.concat()
        }
    };
    assert_eq!(list(OrderBy::LogStreamName, false).await, "abcs");
    assert_eq!(list(OrderBy::LogStreamName, true).await, "scba");
    assert_eq!(list(OrderBy::LastEventTime, true).await, "scba");
    assert_eq!(list(OrderBy::LastEventTime, false).await, "abcs");
    let described = client.describe_log_streams().log_group_name("g").log_stream_name_prefix("s").send().await.unwrap();
    assert_eq!(described.log_streams().len(), 1);
    assert_eq!(described.log_streams()[0].last_event_timestamp(), Some(now));
}

#[tokio::test]
async fn describing_streams_has_its_own_rules() {
    let (cloud, _) = unsigned().await;
    put(&cloud, &[(NOW, "x")]).await;
    let arn = "arn:aws:logs:us-east-1:123456789012:log-group:g";
    let bodies = [
        json!({ "logGroupName": "g" }),
        json!({ "logGroupIdentifier": "g" }),
        json!({ "logGroupIdentifier": arn }),
        json!({ "logGroupName": "g", "logGroupIdentifier": "g" }),
        json!({}),
        json!({ "logGroupName": "g", "orderBy": "LastEventTime", "logStreamNamePrefix": "s" }),
        json!({ "logGroupName": "g", "orderBy": "Size" }),
        json!({ "logGroupName": "g", "limit": 51 }),
        json!({ "logGroupName": "g", "nextToken": "made up" }),
        json!({ "logGroupName": "none" }),
    ];
    let kinds = kinds(&cloud, "DescribeLogStreams", bodies).await;
    let (refused, last) = (vec![INVALID; 6], "ResourceNotFoundException");
    assert_eq!(kinds[..3], ["", "", ""]);
    assert_eq!(kinds[3..9], refused);
    assert_eq!(kinds[9], last);
}
