#![expect(clippy::disallowed_methods, reason = "the description is compared with a file")]

use std::path::Path;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use serde_json::{Value, json};

use crate::page::tests::seeded::{Seeded, text};

async fn json(seeded: &Seeded, at: &str) -> Value {
    serde_json::from_str(&seeded.get(at).await).unwrap()
}

/// `UPDATE_GOLDEN=1` writes it anew.
#[test]
fn the_description_in_the_docs_is_what_is_served() {
    let at = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let now = format!("{}\n", serde_json::to_string_pretty(&super::document()).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&at, &now).unwrap();
    }
    let golden = std::fs::read_to_string(&at).unwrap_or_default();
    assert!(golden == now, "docs/openapi.json is old: UPDATE_GOLDEN=1 writes it anew");
}

#[tokio::test]
async fn lists_go_on_where_they_stopped() {
    let seeded = Seeded::new(60);
    for list in ["nodes", "controls", "findings", "events"] {
        let whole = json(&seeded, &format!("/v1/{list}?limit=500")).await;
        let mut items: Vec<Value> = Vec::new();
        let mut after = String::new();
        loop {
            let part = json(&seeded, &format!("/v1/{list}?limit=7{after}")).await;
            items.extend(part["items"].as_array().unwrap().iter().cloned());
            assert_eq!(part["total"], whole["total"], "{list}");
            let Some(next) = part["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(Value::Array(items), whole["items"], "{list}");
        assert_eq!(whole["total"].as_u64().unwrap(), whole["items"].as_array().unwrap().len() as u64, "{list}");
    }
}

#[tokio::test]
async fn a_filter_limits_every_list() {
    let seeded = Seeded::new(200);
    let of = "cluster=staging&group=spot";
    let nodes = json(&seeded, &format!("/v1/nodes?{of}")).await;
    assert!(nodes["items"].as_array().unwrap().iter().all(|n| n["cluster"] == "staging" && n["group"] == "spot"));
    let overview = json(&seeded, &format!("/v1/overview?{of}")).await;
    assert_eq!(overview["total"]["nodes"], nodes["total"]);
    let fails = json(&seeded, &format!("/v1/findings?{of}&verdict=fail")).await;
    assert_eq!(overview["total"]["checks"]["fail"], fails["total"]);
    let name = nodes["items"][0]["name"].as_str().unwrap();
    assert_eq!(json(&seeded, &format!("/v1/nodes?text={name}")).await["total"], 1);
    // A percent sign is a percent sign.
    assert_eq!(json(&seeded, "/v1/nodes?text=%25").await["total"], 0);
}

#[tokio::test]
async fn an_exclusion_is_added_shown_and_removed() {
    let seeded = Seeded::new(1);
    seeded.token("operates", "operate");
    let send = |method: &str, at: &str, kind: &str, body: String| {
        let request = Request::builder().method(method).uri(at).header("authorization", "Bearer operates");
        seeded.send(request.header("content-type", kind).body(Body::from(body)).unwrap())
    };
    let wanted = json!({ "account": "123456789012", "reason": "<b>", "owner": "o", "expires": "2027-12-31" });
    let added = send("POST", "/v1/exclusions", "application/json", wanted.to_string()).await;
    assert_eq!(added.status(), StatusCode::CREATED);
    let added: Value = serde_json::from_str(&text(added).await).unwrap();
    assert!(seeded.get("/v1/exclusions").await.contains("123456789012"));
    assert!(seeded.get("/actions").await.contains("123456789012"));
    let at = format!("/v1/exclusions/{}", added["id"]);
    assert_eq!(send("DELETE", &at, "text/plain", String::new()).await.status(), StatusCode::NO_CONTENT);
    assert_eq!(send("DELETE", &at, "text/plain", String::new()).await.status(), StatusCode::NOT_FOUND);

    for (kind, body, status) in [
        ("text/plain", wanted.to_string(), 415),
        ("application/json", "{".to_owned(), 400),
        (
            "application/json",
            json!({ "account": "1", "reason": "r", "owner": "o", "expires": "2027-12-31" }).to_string(),
            400,
        ),
        (
            "application/json",
            json!({ "account": "123456789012", "reason": "", "owner": "o", "expires": "2027-12-31" }).to_string(),
            400,
        ),
        (
            "application/json",
            json!({ "account": "123456789012", "reason": "r", "owner": "o", "expires": "soon" }).to_string(),
            400,
        ),
        ("application/json", format!("\"{}\"", "x".repeat(9_000)), 400),
    ] {
        assert_eq!(send("POST", "/v1/exclusions", kind, body.clone()).await.status(), status, "{body}");
    }
}

/// An exclusion takes nodes off the list of what somebody has to look at, and out of no number.
#[tokio::test]
async fn nodes_that_are_left_alone_are_counted_and_named() {
    let seeded = Seeded::new(200);
    seeded.token("operates", "operate");
    let before = json(&seeded, "/v1/overview").await;
    let node = before["attention"].as_array().unwrap().iter().find(|n| n["group"].is_string()).unwrap();
    let wanted = json!({ "account": node["account"], "group": node["group"], "reason": "r", "owner": "o", "expires": "2027-12-31" });
    let request = Request::builder().method("POST").uri("/v1/exclusions").header("authorization", "Bearer operates");
    let request = request.header("content-type", "application/json").body(Body::from(wanted.to_string())).unwrap();
    assert_eq!(seeded.send(request).await.status(), StatusCode::CREATED);

    let after = json(&seeded, "/v1/overview").await;
    let covered = |nodes: &Value| {
        let nodes = nodes.as_array().unwrap().iter();
        nodes.filter(|n| n["account"] == node["account"] && n["group"] == node["group"]).count()
    };
    let nodes = json(&seeded, "/v1/nodes?limit=500").await;
    let left_alone = |overview: &Value| usize::try_from(overview["total"]["left_alone"].as_u64().unwrap()).unwrap();
    assert!(left_alone(&before) > 0, "the seed has an exclusion, of other nodes");
    assert_eq!(left_alone(&after), left_alone(&before) + covered(&nodes["items"]));
    assert_eq!(after["total"]["checks"], before["total"]["checks"], "nobody hides behind an exclusion");
    assert_eq!(covered(&after["attention"]), 0);
    assert!(after["attention_all"].as_u64() < before["attention_all"].as_u64());
    let page = seeded.get("/").await;
    assert!(page.contains(&format!("{} left alone", after["total"]["left_alone"])), "it is said on the page");
}

#[tokio::test]
async fn an_export_has_as_many_rows_as_the_list() {
    let seeded = Seeded::new(1_200);
    let total = json(&seeded, "/v1/nodes?limit=1").await["total"].as_u64().unwrap();
    let csv = seeded.get("/v1/export/nodes.csv").await;
    assert_eq!(csv.matches("\r\n").count() as u64, total + 1);
    let all = json(&seeded, "/v1/export/nodes.json").await;
    assert_eq!(all.as_array().unwrap().len() as u64, total);
    let fails = json(&seeded, "/v1/findings?limit=1&verdict=fail").await["total"].as_u64().unwrap();
    let all = json(&seeded, "/v1/export/findings.json?verdict=fail").await;
    assert_eq!(all.as_array().unwrap().len() as u64, fails);
    assert_eq!(json(&seeded, "/v1/export/nodes.json?cluster=nowhere").await, json!([]));
    assert_eq!(seeded.try_get("/v1/export/nodes.xml").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn what_is_not_there_is_a_problem() {
    let seeded = Seeded::new(1);
    for (at, status) in
        [("/v1/nodes/77", 404), ("/v1/nodes/x", 400), ("/v1/nodes?limit=0", 400), ("/v1/events?node=-1", 400)]
    {
        let (found, body) = seeded.try_get(at).await;
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!((found.as_u16(), &problem["status"]), (status, &json!(status)), "{at}");
    }
    let put = Request::put("/v1/nodes").body(Body::empty()).unwrap();
    assert!(seeded.send(put).await.status().is_client_error());
}
