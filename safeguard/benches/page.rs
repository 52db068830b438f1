//! What the Compliance Explorer's pages cost the server: `cargo bench -p safeguard --bench page [-- NODES [TIMES]]`.
//!
//! A simulated fleet, with all its results and some 20 findings a node, is asked for by HTTP over one connection. Between two questions
//! something happens to a node, so that no page is one that was made before; the first page is asked for once more, when it is.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a program to measure with")]

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use safeguard::explorer::{Explorer, Settings};
use safeguard_daemon::clock::now_ms;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

#[tokio::main]
async fn main() {
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let nodes: u32 = words.next().map_or(10_000, |word| word.parse().unwrap());
    let times: usize = words.next().map_or(15, |word| word.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("safeguard.db");
    let mut db = safeguard::store::create(&store).unwrap();
    safeguard::store::simulate::fill(&mut db, nodes, 7, now_ms()).unwrap();
    // Simulated nodes have a finding or two, and a real one that nobody hardened has many: 20 times as many here.
    let more = "WITH RECURSIVE times (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM times WHERE n < 19)
                INSERT INTO finding SELECT node_id, policy, control || '.' || n, verdict, title, level, section, since_ms, evidence, remedy
                FROM finding, times";
    db.execute(more, []).unwrap();
    let count =
        |table: &str| -> i64 { db.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap() };
    println!("{} nodes, {} results, {} findings", count("node"), count("result"), count("finding"));

    let explorer = Explorer::new(&store, Settings { open: true }, now_ms);
    let app = safeguard::page::router(Arc::clone(&explorer)).merge(safeguard::api::router(explorer));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let (mut send, connection) = handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });

    let cluster: String = db
        .query_row("SELECT cluster FROM node GROUP BY 1 ORDER BY count(*) DESC LIMIT 1", [], |row| row.get(0))
        .unwrap();
    let pages = [
        "/",
        "/v1/overview",
        &format!("/?cluster={cluster}"),
        "/controls",
        "/nodes",
        "/nodes?text=i-",
        "/nodes/1",
        "/actions",
    ];
    for page in pages {
        let mut took = Vec::new();
        let mut bytes = 0;
        for _ in 0..times {
            let happens = "INSERT INTO event (node_id, at_ms, kind, detail) VALUES (1, ?1, 'drift', '{}')";
            db.execute(happens, [now_ms()]).unwrap();
            let (each, length) = ask(&mut send, page).await;
            took.push(each);
            bytes = length;
        }
        told(page, &mut took, bytes);
    }
    let (again, bytes) = ask(&mut send, "/").await;
    let (kept, _) = ask(&mut send, "/").await;
    told("/, made before", &mut [again.min(kept)], bytes);
}

fn told(page: &str, took: &mut [Duration], bytes: usize) {
    took.sort_unstable();
    let ms = |each: &Duration| each.as_secs_f64() * 1e3;
    let (median, most) = (ms(&took[took.len() / 2]), ms(&took[took.len() - 1]));
    println!("{page:<28} median {median:>6.1} ms   most {most:>6.1} ms   {:>4} KiB", bytes / 1024);
}

/// How long until it was all here, and how much it was.
async fn ask(send: &mut SendRequest<Empty<Bytes>>, page: &str) -> (Duration, usize) {
    let request = http::Request::builder().uri(page).header("host", "x").body(Empty::new()).unwrap();
    send.ready().await.unwrap();
    let begin = Instant::now();
    let answer = send.send_request(request).await.unwrap();
    assert_eq!(answer.status(), 200, "{page}");
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (begin.elapsed(), body.len())
}
