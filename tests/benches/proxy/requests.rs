//! What a request costs, by its kind, against a server that does nothing.

use std::path::PathBuf;
use std::time::Duration;

use safeguard_tests::fabric::Wiring;
use safeguard_tests::proxied::Proxied;
use tempfile::TempDir;

use crate::cost::{cpu, pid};
use crate::floor::Floor;
use crate::node::{self, PODS};
use crate::wrk::Load;

/// One pod asks for as much as it can. The default of 200 a second would measure how refusing is done.
pub(crate) const NO_LIMIT: &str = "[limits]\nrequests_per_second = 100000";

/// A row of the table.
struct Kind {
    name: &'static str,
    load: fn() -> Load,
    connections: usize,
    /// Seconds of CPU for 100,000 requests.
    target: Option<f64>,
    /// kube2iam HEAD with its default log level: requests a second, and seconds of CPU for 100,000, measured by the same means, with
    /// mocks and without a redirect.
    kube2iam: &'static str,
}

fn get(path: String) -> Load {
    Load { path, token: false, close: false, connections: 0, seconds: 0 }
}

pub(crate) fn cached() -> Load {
    get(node::credentials(0))
}

pub(crate) fn closing() -> Load {
    Load { close: true, ..cached() }
}

pub(crate) fn token() -> Load {
    Load { token: true, ..get("/latest/api/token".to_owned()) }
}

pub(crate) fn forwarded() -> Load {
    get("/latest/meta-data/instance-id".to_owned())
}

const KINDS: [Kind; 9] = [
    Kind { name: "credentials", load: cached, connections: 1, target: None, kube2iam: "5,867/s 13.7 s" },
    Kind { name: "credentials", load: cached, connections: 8, target: None, kube2iam: "12,370/s 8.2 s" },
    Kind { name: "credentials", load: cached, connections: 64, target: Some(1.7), kube2iam: "17,032/s 7.1 s" },
    Kind { name: "credentials, closing", load: closing, connections: 8, target: Some(5.0), kube2iam: "6,266/s 15.5 s" },
    Kind { name: "credentials, closing", load: closing, connections: 32, target: Some(5.0), kube2iam: "" },
    Kind { name: "token PUT", load: token, connections: 8, target: Some(1.7), kube2iam: "4,458/s 23 s" },
    Kind { name: "token PUT", load: token, connections: 64, target: Some(1.7), kube2iam: "3,370/s 33 s" },
    Kind { name: "instance-id", load: forwarded, connections: 8, target: Some(5.0), kube2iam: "3,958/s 25 s" },
    Kind { name: "instance-id", load: forwarded, connections: 64, target: Some(5.0), kube2iam: "3,218/s 34 s" },
];

/// A process that is asked, and what it is called.
struct Asked<'a> {
    name: &'static str,
    node: &'a Proxied,
    pid: u32,
}

pub(crate) async fn run(seconds: u64, also: Option<PathBuf>, only: Option<&str>) -> anyhow::Result<()> {
    let scripts = tempfile::tempdir()?;
    let mut ours = node::node(PODS, 1, NO_LIMIT, None).await;
    node::up(&mut ours, PODS).await?;
    let mut other = None;
    if let Some(program) = also {
        let node = other.insert(node::node(PODS, 1, NO_LIMIT, Some(program)).await);
        node::up(node, PODS).await?;
    }
    let bare = Proxied::new(Wiring::Vpc, 1).await;
    bare.redirect_up();
    let floor = Floor::start(&bare).await?;
    let mut asked = vec![Asked { name: "floor", node: &bare, pid: floor.pid() }];
    if let Some(node) = &other {
        asked.push(Asked { name: "also", node, pid: pid(node)? });
    }
    asked.push(Asked { name: "proxy", node: &ours, pid: pid(&ours)? });

    println!(
        "{PODS} pods; wrk with one thread in a pod, {seconds} s for each row; log level info; limits.requests_per_second = 100000\n\
         CPU: user and system seconds of the process for 100,000 requests. The floor answers 650 bytes at the same place.\n"
    );
    println!(
        "{:<21} {:>5} {:<6} {:>9} {:>8} {:>8} {:>7} {:>6} {:>7} {:>8}   {:<15}",
        "", "conns", "", "req/s", "p50 ms", "p99 ms", "CPU s", "ratio", "target", "broken", "kube2iam HEAD"
    );
    for kind in KINDS.iter().filter(|kind| only.is_none_or(|only| kind.name.contains(only))) {
        row(kind, &asked, seconds, &scripts)?;
    }
    for node in std::iter::once(&ours).chain(&other) {
        node.nothing_leaked();
    }
    Ok(())
}

fn row(kind: &Kind, asked: &[Asked<'_>], seconds: u64, scripts: &TempDir) -> anyhow::Result<()> {
    let mut floor = None;
    for Asked { name, node, pid } in asked {
        let load = Load { connections: kind.connections, seconds, ..(kind.load)() };
        // What is only there once is not part of it: buffers, upstream connections.
        Load { seconds: 1, ..load.clone() }.run(node, 0, scripts.path())?;
        let before = cpu(*pid)?;
        let figures = load.run(node, 0, scripts.path())?;
        let spent = (cpu(*pid)? - before).as_secs_f64() / figures.requests as f64 * 1e5;
        let ratio = spent / *floor.get_or_insert(spent);
        let (target, kube2iam) = match *name {
            "proxy" => (kind.target.map(|target| format!("{target:.1}")).unwrap_or_default(), kind.kube2iam),
            _ => (String::new(), ""),
        };
        println!(
            "{:<21} {:>5} {name:<6} {:>9.0} {:>8.2} {:>8.2} {spent:>7.2} {ratio:>6.2} {target:>7} {:>8}   {kube2iam:<15}",
            kind.name, kind.connections, figures.per_second, figures.p50_ms, figures.p99_ms, figures.broken
        );
    }
    Ok(())
}

/// Loads of all kinds, one after the other, so that every buffer has been used.
pub(crate) fn all_kinds(node: &Proxied, each: Duration) -> anyhow::Result<()> {
    let scripts = tempfile::tempdir()?;
    for (load, connections) in [(cached(), 64), (closing(), 32), (token(), 64), (forwarded(), 64)] {
        Load { connections, seconds: each.as_secs().max(1), ..load }.run(node, 0, scripts.path())?;
    }
    Ok(())
}
