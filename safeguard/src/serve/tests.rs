use std::net::SocketAddr;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::{Instant, sleep};

use super::*;

pub(super) const ASK: &str = "POST /beat HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbeat";
const PAGE: &str = "GET /page HTTP/1.1\r\nhost: x\r\n\r\n";
const LONG: &str = "GET /long HTTP/1.1\r\nhost: x\r\n\r\n";

fn router() -> Router {
    let beat = |body: Bytes| async move {
        // As the registrar does, it takes a while.
        tokio::task::yield_now().await;
        let mut response = format!("taken {}", body.len()).into_response();
        response.extensions_mut().insert(ComesAgain);
        response
    };
    // A piece each 20 seconds, for two minutes.
    let long = || async { Response::new(Body::from_stream(slowly(6))) };
    Router::new().route("/beat", post(beat)).route("/page", get(|| async { "a page" })).route("/long", get(long))
}

fn slowly(pieces: u32) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::unfold(pieces, |left| async move {
        sleep(Duration::from_secs(20)).await;
        (left > 0).then(|| (Ok(Bytes::from_static(b"piece")), left - 1))
    })
}

fn connected(room: &Arc<Semaphore>) -> DuplexStream {
    connected_until(room, &Shutdown::new())
}

fn connected_until(room: &Arc<Semaphore>, shutdown: &Shutdown) -> DuplexStream {
    let (here, there) = duplex(64 * 1024);
    tokio::spawn(converse(there, caller(None, room, shutdown)));
    here
}

pub(super) fn caller(tls: Option<TlsAcceptor>, room: &Arc<Semaphore>, shutdown: &Shutdown) -> Arc<Caller> {
    let host = Host { tls, router: router(), held: room.clone(), shutdown: shutdown.clone() };
    let permit = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    Caller::new(host.into(), SocketAddr::from(([127, 0, 0, 1], 1)), permit)
}

pub(super) fn room(for_so_many: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(for_so_many))
}

/// Says something; gives what is answered until the other side ends the connection, and how long that takes.
async fn until_the_end(stream: &mut DuplexStream, said: &str) -> (String, u64) {
    let begin = Instant::now();
    stream.write_all(said.as_bytes()).await.unwrap();
    let mut answered = Vec::new();
    stream.read_to_end(&mut answered).await.unwrap();
    (String::from_utf8(answered).unwrap(), begin.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_held_for_a_node_and_for_nobody_else() {
    let room = room(1);
    let (answered, seconds) = until_the_end(&mut connected(&room), ASK).await;
    assert!(answered.contains("keep-alive: timeout=150"), "{answered}");
    assert_eq!(seconds, 150);
    let (answered, seconds) = until_the_end(&mut connected(&room), PAGE).await;
    assert!(answered.ends_with("a page") && !answered.contains("keep-alive"), "{answered}");
    assert_eq!(seconds, 30);
}

#[tokio::test(start_paused = true)]
async fn whatever_is_said_over_a_held_connection_is_answered_and_it_stays() {
    let mut stream = connected(&room(1));
    // In two halves after a rest, with a body that comes later, and two at once.
    let (head, rest) = ASK.split_at(7);
    let (all, body) = ASK.split_at(ASK.len() - 3);
    for piece in [ASK, head, rest, all, body, &ASK.repeat(2)] {
        stream.write_all(piece.as_bytes()).await.unwrap();
        sleep(Duration::from_secs(20)).await;
    }
    let (answered, seconds) = until_the_end(&mut stream, ASK).await;
    let of = |what| answered.matches(what).count();
    assert_eq!((of("200 OK"), of("taken 4"), of("keep-alive: timeout=150")), (6, 6, 6), "{answered}");
    assert!(!answered.contains("close"), "{answered}");
    assert_eq!(seconds, 150);
}

/// Other requests over it are answered as ever, and are its last.
#[tokio::test(start_paused = true)]
async fn a_held_connection_rests_after_what_a_node_says_alone() {
    let room = room(1);
    let mut stream = connected(&room);
    stream.write_all(ASK.as_bytes()).await.unwrap();
    sleep(Duration::from_secs(100)).await;
    let (answered, seconds) = until_the_end(&mut stream, PAGE).await;
    assert!(answered.contains("taken") && answered.ends_with("a page"), "{answered}");
    assert_eq!((answered.matches("timeout=150").count(), seconds), (1, 30), "{answered}");
    assert_eq!(room.available_permits(), 1);
}

/// What is left of a request that was answered early is never a request of its own.
#[tokio::test(start_paused = true)]
async fn a_body_that_nobody_reads_holds_no_further_request() {
    let mut stream = connected(&room(1));
    stream.write_all(ASK.as_bytes()).await.unwrap();
    let body = PAGE.repeat(4_000);
    let hidden = format!("POST /nowhere HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
    let (mut reads, mut writes) = tokio::io::split(stream);
    let said = tokio::spawn(async move {
        let said = format!("{ASK}{hidden}{body}");
        // It fails when the other side has ended.
        drop(writes.write_all(said.as_bytes()).await);
        writes
    });
    let mut answered = String::new();
    reads.read_to_string(&mut answered).await.unwrap();
    drop(said.await.unwrap());
    assert_eq!(answered.matches("HTTP/1.1").count(), 3, "{answered}");
    assert!(answered.contains("404") && !answered.contains("a page"), "{answered}");
}

/// Who takes nothing of his answer for 30 seconds is cut off.
#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_given_up() {
    let (here, there) = duplex(64);
    let over = tokio::spawn(converse(there, caller(None, &room(1), &Shutdown::new())));
    let (_reads, mut writes) = tokio::io::split(here);
    let begin = Instant::now();
    writes.write_all(ASK.as_bytes()).await.unwrap();
    over.await.unwrap();
    assert!((30..=60).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_not_held_for_who_says_that_it_ends() {
    let room = room(1);
    let closes = |how: &str| ASK.replace("host", &format!("connection: {how}\r\nhost"));
    for ends in [closes("close"), closes("close, TE"), ASK.replace("/1.1", "/1.0"), format!("{ASK}{}", closes("close"))]
    {
        let (answered, seconds) = until_the_end(&mut connected(&room), &ends).await;
        let answered = answered.rsplit("HTTP/").next().unwrap();
        assert!(answered.ends_with("taken 4") && !answered.contains("timeout"), "{answered}");
        assert_eq!(seconds, 0, "{answered}");
    }
    assert_eq!(room.available_permits(), 1);
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_so_many_and_it_comes_back() {
    let room = room(1);
    let mut first = connected(&room);
    first.write_all(ASK.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.unwrap();
    let (answered, seconds) = until_the_end(&mut connected(&room), ASK).await;
    assert!(answered.contains("taken") && !answered.contains("keep-alive"), "{answered}");
    assert_eq!(seconds, 30);
    drop(first);
    let (answered, _) = until_the_end(&mut connected(&room), ASK).await;
    assert!(answered.contains("keep-alive"), "the room of who has gone is not given to another: {answered}");
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_half_of_it_is_cut_off() {
    for said in ["", "GET /pa", &format!("{ASK}GET /pa")] {
        let (_, seconds) = until_the_end(&mut connected(&room(0)), said).await;
        assert_eq!(seconds, 30, "{said:?}");
    }
    let (answered, seconds) = until_the_end(&mut connected(&room(1)), &format!("{ASK}GET /pa")).await;
    assert!(
        answered.contains("timeout=150") && seconds == 30,
        "half of it over one that is held: {seconds} {answered}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_comes_to_its_end() {
    let (answered, seconds) = until_the_end(&mut connected(&room(0)), LONG).await;
    assert_eq!(answered.matches("piece").count(), 6, "{answered}");
    assert!((120..=170).contains(&seconds), "{seconds}");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_what_is_held_and_lets_an_answer_come_to_its_end() {
    let shutdown = Shutdown::new();
    let (mut held, mut long) = (connected_until(&room(1), &shutdown), connected_until(&room(0), &shutdown));
    let trigger = shutdown.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(10)).await;
        trigger.trigger();
    });
    let (held, long) = tokio::join!(until_the_end(&mut held, ASK), until_the_end(&mut long, LONG));
    assert!(held.0.contains("keep-alive") && held.1 == 10, "{held:?}");
    assert!(long.0.matches("piece").count() == 6 && long.1 < 150, "{long:?}");
}
