//! A new proxy takes over from one that runs, while pods ask without pause.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use safeguard_tests::fabric::{METADATA_V4, Place};
use safeguard_tests::proxied::{Proxied, Reply, ask, exchange};
use tokio::time::{Instant, sleep};

use crate::node::{self, PODS};
use crate::requests::NO_LIMIT;

/// Clients of each kind.
const CLIENTS: usize = 2;

/// Before and after each replacement.
const AROUND: Duration = Duration::from_millis(500);

/// What a client saw.
#[derive(Debug, Default)]
struct Seen {
    requests: u64,
    failed: u64,
    longest: Duration,
    refused_since: Option<Instant>,
}

impl Seen {
    fn book(&mut self, reply: std::io::Result<Reply>) {
        self.requests += 1;
        if reply.is_ok_and(|reply| reply.status == 200) {
            self.served();
        } else {
            self.failed += 1;
            self.refused_since.get_or_insert_with(Instant::now);
        }
    }

    fn served(&mut self) {
        if let Some(since) = self.refused_since.take() {
            self.longest = self.longest.max(since.elapsed());
        }
    }
}

pub(crate) async fn run(runs: usize) -> anyhow::Result<()> {
    println!(
        "`serve --replace` beside a proxy that answers {CLIENTS} clients with a new connection each time and {CLIENTS} with a kept one;\n\
         {PODS} pods; what a client sends again on a new connection, because the kept one was closed between two requests, has not failed\n"
    );
    println!(
        "{:<5} {:>13} {:>7} {:>7}   {:>13} {:>7} {:>7}   {:>18} {:>9}",
        "run",
        "new: requests",
        "failed",
        "max ms",
        "kept: requests",
        "failed",
        "max ms",
        "longest refusal ms",
        "target ms"
    );
    let mut node = node::node(PODS, 1, NO_LIMIT, None).await;
    node::up(&mut node, PODS).await?;
    for run in 1..=runs {
        let [new, kept] = once(&mut node).await?;
        let longest = new.longest.max(kept.longest).as_secs_f64() * 1e3;
        let ms = |seen: &Seen| seen.longest.as_secs_f64() * 1e3;
        println!(
            "{run:<5} {:>13} {:>7} {:>7.1}   {:>13} {:>7} {:>7.1}   {longest:>18.1} {:>9}",
            new.requests,
            new.failed,
            ms(&new),
            kept.requests,
            kept.failed,
            ms(&kept),
            2_000
        );
    }
    node.nothing_leaked();
    Ok(())
}

async fn once(node: &mut Proxied) -> anyhow::Result<[Seen; 2]> {
    let stop = std::sync::Arc::<AtomicBool>::default();
    let mut clients = Vec::new();
    for kept in [false, true] {
        for _ in 0..CLIENTS {
            let (entrance, stop) = (node.fabric.entrance(Place::Pod(0))?, stop.clone());
            let client = std::thread::spawn(move || -> std::io::Result<Seen> {
                entrance.enter()?;
                Ok(if kept { keeping(&stop) } else { opening(&stop) })
            });
            clients.push((kept, client));
        }
    }
    sleep(AROUND).await;
    node.start(&["--replace"]);
    let ended = node.ended().await;
    ensure!(ended.success(), "the old proxy ended with {ended}: {}", node.said());
    node.started().await;
    sleep(AROUND).await;
    stop.store(true, Ordering::Relaxed);
    let mut both = [Seen::default(), Seen::default()];
    for (kept, client) in clients {
        let mut seen = client.join().ok().context("a client panicked")??;
        seen.served();
        let sum = &mut both[usize::from(kept)];
        sum.requests += seen.requests;
        sum.failed += seen.failed;
        sum.longest = sum.longest.max(seen.longest);
    }
    Ok(both)
}

fn service() -> SocketAddr {
    (METADATA_V4, 80).into()
}

fn opening(stop: &AtomicBool) -> Seen {
    let (mut seen, path) = (Seen::default(), node::credentials(0));
    while !stop.load(Ordering::Relaxed) {
        seen.book(ask(service(), "GET", &path, &[]));
    }
    seen
}

/// As HTTP clients do it: a kept connection that was closed before a byte of the answer came is replaced by a new one, once.
fn keeping(stop: &AtomicBool) -> Seen {
    let mut seen = Seen::default();
    let request = format!("GET {} HTTP/1.1\r\nHost: {METADATA_V4}\r\n\r\n", node::credentials(0));
    let mut connection: Option<TcpStream> = None;
    while !stop.load(Ordering::Relaxed) {
        let kept = connection.take().map(|mut stream| (exchange(&mut stream, &request), stream));
        let closed = |error: &std::io::Error| {
            matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
        };
        let (reply, stream) = match kept {
            Some((Ok(reply), stream)) => (Ok(reply), Some(stream)),
            Some((Err(error), _)) if !closed(&error) => (Err(error), None),
            _ => match TcpStream::connect_timeout(&service(), Duration::from_secs(3)) {
                Ok(mut stream) => (exchange(&mut stream, &request), Some(stream)),
                Err(error) => (Err(error), None),
            },
        };
        connection = stream.filter(|_| reply.as_ref().is_ok_and(|reply| !closes(reply)));
        seen.book(reply);
    }
    seen
}

fn closes(reply: &Reply) -> bool {
    reply.head.to_ascii_lowercase().contains("connection: close")
}
