//! A store with a simulated fleet, and what asks the page about it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use rusqlite::Connection;
use safeguard_protocol::Digest;
use tower::ServiceExt as _;

use crate::explorer::{Explorer, Settings};
use crate::store::simulate;

/// The time at which the fleet stands: 2027-01-15 08:00:00 UTC.
pub(crate) const NOW: i64 = 1_800_000_000_000;

pub(crate) struct Seeded {
    pub(crate) app: Router,
    pub(crate) db: Connection,
    #[expect(dead_code, reason = "the directory lives as long as this")]
    directory: tempfile::TempDir,
}

impl Seeded {
    /// A fleet of so many nodes, on a page that is open.
    pub(crate) fn new(nodes: u32) -> Self {
        Self::with(nodes, Settings { open: true })
    }

    pub(crate) fn with(nodes: u32, settings: Settings) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().join("store.sqlite");
        let mut db = crate::store::create(&store).unwrap();
        simulate::fill(&mut db, nodes, 7, NOW).unwrap();
        let explorer = Explorer::new(&store, settings, || NOW);
        let app = crate::page::router(Arc::clone(&explorer)).merge(crate::api::router(explorer));
        Self { app, db, directory }
    }

    /// A token of this scope.
    pub(crate) fn token(&self, text: &str, scope: &str) {
        let hash = Digest::of(text.as_bytes());
        let row = (text, hash.as_bytes().as_slice(), scope);
        self.db.execute("INSERT INTO token (name, hash, scope, created_ms) VALUES (?1, ?2, ?3, 0)", row).unwrap();
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Response {
        self.app.clone().oneshot(request).await.unwrap()
    }

    /// The body of a page that is there.
    pub(crate) async fn get(&self, at: &str) -> String {
        let (status, body) = self.try_get(at).await;
        assert_eq!(status, StatusCode::OK, "{at}: {body}");
        body
    }

    pub(crate) async fn try_get(&self, at: &str) -> (StatusCode, String) {
        let response = self.send(Request::get(at).body(Body::empty()).unwrap()).await;
        let status = response.status();
        (status, text(response).await)
    }
}

pub(crate) async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
