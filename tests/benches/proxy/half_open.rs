//! Pods that begin requests and never end them: what they cost, and what others notice.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use safeguard_tests::fabric::{METADATA_V4, Place};
use safeguard_tests::proxied::{Proxied, ask};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::cost::{memory, mib, pid};
use crate::node::{self, PODS};
use crate::requests::NO_LIMIT;
use crate::spread::Spread;

/// Half of a head.
const HALF: &[u8] =
    b"GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\nHost: 169.254.169.254\r\nUser-Agent: half";

/// The pod that owns the addresses of all others, and one that asks as usual.
const HOLDER: u8 = 0;
const OTHER: u8 = 1;

/// How long they are held; less than `limits.header_deadline`, which ends them.
const HELD: Duration = Duration::from_secs(5);

/// Connections that are opened at the same time.
const AT_ONCE: usize = 64;

/// Between two requests of the other pod.
const PAUSE: Duration = Duration::from_millis(5);

pub(crate) async fn run(connections: usize, program: Option<PathBuf>) -> anyhow::Result<()> {
    println!(
        "\n{connections} half-open requests from {} pods, held for {} s; the other pod asks for its credentials every {} ms\n",
        PODS - 1,
        HELD.as_secs(),
        PAUSE.as_millis()
    );
    println!(
        "{:<34} {:>6} {:>12} {:>7} {:>9} | {:<22} {:>6} {:>7} {:>7} {:>7}",
        "", "held", "RssAnon +MiB", "target", "kube2iam", "the other pod", "failed", "p50 ms", "p99 ms", "max ms"
    );
    let all = format!("{NO_LIMIT}\nconnections = {}", connections + 100);
    for (name, settings) in [("limits.connections = 1024", NO_LIMIT), ("limits that let all of them in", all.as_str())]
    {
        row(name, settings, connections, program.clone()).await?;
    }
    Ok(())
}

async fn row(name: &str, settings: &str, connections: usize, program: Option<PathBuf>) -> anyhow::Result<()> {
    let mut node = node::node(PODS, 2, settings, program).await;
    let holders = own_all(&node)?;
    node::up(&mut node, PODS).await?;
    sleep(Duration::from_secs(2)).await;
    let pid = pid(&node)?;
    let before = memory(pid)?.anon;
    let alone = Other::start(&node)?;
    sleep(Duration::from_secs(2)).await;
    let alone = alone.stop()?;

    let other = Other::start(&node)?;
    let entrance = node.fabric.entrance(Place::Pod(HOLDER))?;
    let attack = std::thread::spawn(move || {
        entrance.enter()?;
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(hold(holders, connections))
    });
    let mut most = before;
    while !attack.is_finished() {
        most = most.max(memory(pid)?.anon);
        sleep(Duration::from_millis(20)).await;
    }
    let held = attack.join().ok().context("holding them panicked")??;
    let (meanwhile, failed) = other.stop()?;
    let more = mib(most.saturating_sub(before));
    println!(
        "{name:<34} {held:>6} {more:>12.1} {:>7} {:>9} | {:<22} {failed:>6} {:>7.2} {:>7.2} {:>7.2}",
        "15.3",
        "54",
        format!("{} requests", meanwhile.len()),
        meanwhile.at(50),
        meanwhile.at(99),
        meanwhile.at(100)
    );
    let (alone, failed) = alone;
    println!(
        "{:<34} {:>6} {:>12} {:>7} {:>9} | {:<22} {failed:>6} {:>7.2} {:>7.2} {:>7.2}",
        "",
        "",
        "",
        "",
        "",
        "before, without them",
        alone.at(50),
        alone.at(99),
        alone.at(100)
    );
    Ok(())
}

/// Gives the addresses of all pods without a network to one that has; returns them with its own.
fn own_all(node: &Proxied) -> anyhow::Result<Vec<IpAddr>> {
    let interface = &node.fabric.pod(HOLDER).interface;
    let (mut on_pod, mut on_node, mut all) = (String::new(), String::new(), vec![node::addresses(HOLDER)[0]]);
    for number in OTHER + 1..PODS {
        let [v4, _] = node::addresses(number);
        writeln!(on_pod, "addr add {v4}/32 dev eth0")?;
        writeln!(on_node, "route add {v4}/32 dev {interface} scope link")?;
        all.push(v4);
    }
    node.fabric.ip(Place::Pod(HOLDER), &on_pod)?;
    node.fabric.ip(Place::Node, &on_node)?;
    Ok(all)
}

/// Opens them all, holds them, and returns how many were still open in the end.
async fn hold(from: Vec<IpAddr>, connections: usize) -> anyhow::Result<usize> {
    let (mut opening, mut open) = (JoinSet::new(), Vec::new());
    for (number, address) in from.iter().cycle().take(connections).enumerate() {
        opening.spawn(half(*address));
        if number >= AT_ONCE {
            open.extend(opening.join_next().await.and_then(Result::ok).flatten());
        }
    }
    while let Some(one) = opening.join_next().await {
        open.extend(one.ok().flatten());
    }
    sleep(HELD).await;
    // What arrived meanwhile the runtime has seen when it woke.
    let still = |stream: &&TcpStream| {
        let said = stream.try_read(&mut [0; 1]);
        said.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    Ok(open.iter().filter(still).count())
}

/// Half a request; `None` where the connection was refused.
async fn half(from: IpAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.bind((from, 0).into()).ok()?;
    let connect = socket.connect(SocketAddr::from((METADATA_V4, 80)));
    let mut stream = timeout(Duration::from_secs(3), connect).await.ok()?.ok()?;
    stream.write_all(HALF).await.ok()?;
    Some(stream)
}

/// The pod that asks as usual, on a thread of its own.
struct Other {
    stop: std::sync::Arc<AtomicBool>,
    thread: std::thread::JoinHandle<std::io::Result<(Vec<Duration>, usize)>>,
}

impl Other {
    fn start(node: &Proxied) -> anyhow::Result<Self> {
        let entrance = node.fabric.entrance(Place::Pod(OTHER))?;
        let stop = std::sync::Arc::<AtomicBool>::default();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            entrance.enter()?;
            let (mut times, mut failed, path) = (Vec::new(), 0, node::credentials(OTHER));
            while !stopped.load(Ordering::Relaxed) {
                let begun = Instant::now();
                match ask((METADATA_V4, 80).into(), "GET", &path, &[]) {
                    Ok(reply) if reply.status == 200 => times.push(begun.elapsed()),
                    _ => failed += 1,
                }
                std::thread::sleep(PAUSE);
            }
            Ok((times, failed))
        });
        Ok(Self { stop, thread })
    }

    /// How long its requests took, and how many failed.
    fn stop(self) -> anyhow::Result<(Spread, usize)> {
        self.stop.store(true, Ordering::Relaxed);
        let (times, failed) = self.thread.join().ok().context("the other pod panicked")??;
        Ok((Spread::new(times), failed))
    }
}
