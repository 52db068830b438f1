//! Who gets in, and what with.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};

use super::seeded::{Seeded, text};
use crate::explorer::Settings;

fn closed() -> Seeded {
    let seeded = Seeded::with(5, Settings::default());
    seeded.token("reads", "read");
    seeded.token("operates", "operate");
    seeded
}

async fn enter(seeded: &Seeded, token: &str) -> axum::response::Response {
    let form = format!("token={token}&to=%2Fnodes%3Fstate%3Dmissing");
    seeded.send(Request::post("/sign-in").body(Body::from(form)).unwrap()).await
}

fn with(at: &str, name: header::HeaderName, value: &str) -> Request<Body> {
    Request::get(at).header(name, value).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_token_opens_the_page_until_it_is_revoked() {
    let seeded = closed();
    let first = seeded.send(Request::get("/nodes?state=missing").body(Body::empty()).unwrap()).await;
    assert_eq!(first.status(), StatusCode::SEE_OTHER);
    assert_eq!(first.headers()[header::LOCATION], "/sign-in?to=%2Fnodes%3Fstate%3Dmissing");
    assert_eq!(enter(&seeded, "wrong").await.status(), StatusCode::UNAUTHORIZED);

    let entered = enter(&seeded, "reads").await;
    assert_eq!(
        (entered.status(), &entered.headers()[header::LOCATION]),
        (StatusCode::SEE_OTHER, &"/nodes?state=missing".parse().unwrap())
    );
    let cookie = entered.headers()[header::SET_COOKIE].to_str().unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("reads"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    assert_eq!(seeded.send(with("/", header::COOKIE, cookie)).await.status(), StatusCode::OK);
    assert_eq!(seeded.send(with("/v1/nodes", header::COOKIE, cookie)).await.status(), StatusCode::OK);

    seeded.db.execute("UPDATE token SET revoked_ms = 1 WHERE name = 'reads'", []).unwrap();
    assert_eq!(seeded.send(with("/", header::COOKIE, cookie)).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let seeded = closed();
    let entered = enter(&seeded, "operates").await;
    let cookie = entered.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let out = Request::post("/sign-out").header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
    assert_eq!(seeded.send(out).await.status(), StatusCode::SEE_OTHER);
    assert_eq!(seeded.send(with("/", header::COOKIE, &cookie)).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_session_reads_even_if_its_token_operates() {
    let seeded = closed();
    let entered = enter(&seeded, "operates").await;
    let cookie = entered.headers()[header::SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
    let change = Request::delete("/v1/exclusions/1").header(header::COOKIE, &cookie).body(Body::empty()).unwrap();
    assert_eq!(seeded.send(change).await.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_api_wants_a_token_of_the_right_scope() {
    let seeded = closed();
    let plain = seeded.send(Request::get("/v1/nodes").body(Body::empty()).unwrap()).await;
    assert_eq!(plain.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(plain.headers()[header::CONTENT_TYPE], "application/problem+json");
    assert!(text(plain).await.contains("safeguard token add"));
    for (value, status) in [("Bearer reads", 200), ("Bearer wrong", 401), ("Basic cmVhZHM6", 401), ("Bearer ", 401)] {
        assert_eq!(seeded.send(with("/v1/nodes", header::AUTHORIZATION, value)).await.status(), status, "{value}");
    }
    let delete = |token: &str| {
        Request::delete("/v1/exclusions/1").header(header::AUTHORIZATION, token).body(Body::empty()).unwrap()
    };
    assert_eq!(seeded.send(delete("Bearer reads")).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(seeded.send(delete("Bearer operates")).await.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn an_open_page_is_open_for_reading_alone() {
    let seeded = Seeded::new(3);
    assert_eq!(seeded.try_get("/v1/nodes").await.0, StatusCode::OK);
    let delete = Request::delete("/v1/exclusions/1").body(Body::empty()).unwrap();
    assert_eq!(seeded.send(delete).await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_page_carries_the_policy() {
    let seeded = Seeded::new(3);
    for at in ["/", "/nodes/1", "/nodes/x", "/sign-in", "/static/live.js"] {
        let response = seeded.send(Request::get(at).body(Body::empty()).unwrap()).await;
        let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{at}: {policy}");
    }
}
