//! What a beat costs the node: `cargo bench -p safeguard-heartbeat --bench beat [-- BEATS [NODES [HELD]]]`.
//!
//! The safeguard runs in a process of its own. In this one a node beats, or several, each with a thread and a third of a second between
//! its beats, each of them with names of controls as after a bad day: keeps them on the disk, sends them by TLS on loopback, and verifies
//! the reply. The safeguard holds HELD connections from beat to beat (12,288, as by default). With none, and beyond them, a node hangs up
//! after each beat and takes up the TLS session with the next. What is told is the CPU that the kernel counted for the whole process,
//! and the longest body. No log.
//!
//! A virtual machine that slept has to be woken by its host, and the kernel counts that for who is woken. What that costs here is
//! told too; a beat wakes the process several times: when it is due, for the disk, and for the reply. With many nodes the machine
//! does not sleep, as one that has other work.

#![expect(clippy::print_stdout, clippy::unwrap_used, clippy::disallowed_methods, reason = "a program to measure with")]

use std::io::BufRead as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use safeguard_daemon::clock::now_ms;
use safeguard_heartbeat::{
    Assessment, Change, Clock, ControlVerdict, Counts, Digest, Exceptions, Future, Heartbeat, IdentityProof, Logs,
    Membership, Node, Policy, Posture, Program, ProofSource, Proofs, Proxy, Redirect, ReportSource, RoleMapping,
    Settings, StsProof,
};
use safeguard_standins::Tls;
use tokio::sync::watch;

/// Between two beats.
const INTERVAL: Duration = Duration::from_millis(330);
const ROLE: &str = "SAFEGUARD_BENCH_SERVE_IN";
const HELD: &str = "SAFEGUARD_BENCH_HELD";
const CERTIFICATE: &str = "server.pem";
const KEY: &str = "server.key";
const CA: &str = "ca.pem";

struct Nobody;

impl ReportSource for Nobody {
    fn report(&self, _: &Digest) -> Option<Arc<[u8]>> {
        None
    }
}

/// An instance, by its number.
struct Instance(u32);

impl Instance {
    fn id(&self) -> String {
        format!("i-{:017x}", self.0)
    }
}

impl ProofSource for Instance {
    fn proofs(&self, _: String) -> Future<'_, Result<Proofs, String>> {
        let id = self.id();
        let document =
            format!(r#"{{"accountId":"111122223333","region":"eu-central-1","instanceId":"{id}","imageId":"ami-1"}}"#);
        let identity = Some(IdentityProof { document, rsa2048: String::new() });
        let sts = Some(StsProof { url: "https://x/".to_owned(), headers: Vec::new(), body: String::new() });
        Box::pin(async move { Ok(Proofs { identity, sts, service_account_token: None }) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Ok(dir) = std::env::var(ROLE) {
        return serve(dir).await;
    }
    let mut words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let mut number = |default: u32| words.next().map_or(default, |word| word.parse().unwrap());
    let (beats, nodes, held) = (number(100), number(1), number(12_288));
    let wake = a_wake().await;
    let dir = tempfile::tempdir().unwrap();
    let server = dir.path().join("server");
    let tls = Tls::generate().unwrap();
    std::fs::create_dir(&server).unwrap();
    let pems = [(CERTIFICATE, tls.certificate_pem()), (KEY, tls.key_pem()), (CA, tls.ca_pem())];
    pems.iter().for_each(|(name, pem)| std::fs::write(server.join(name), pem).unwrap());
    let mut child = Command::new(std::env::current_exe().unwrap());
    let child = child.env(ROLE, &server).env(HELD, held.to_string()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let mut line = String::new();
    std::io::BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let (address, key) = line.trim().split_once(' ').unwrap();
    let settings = |node: u32| Settings {
        url: format!("https://{address}"),
        server_keys: vec![key.parse().unwrap()],
        tenant: "acme".to_owned(),
        interval: Some(INTERVAL),
        ca_file: Some(server.join(CA)),
        state_dir: dir.path().join(format!("node-{node}")),
        spool_bytes: 1 << 24,
        spool_age: Duration::from_secs(86_400),
    };
    let mut told = Vec::new();
    let start = |node: u32| {
        let (tell, postures) = watch::channel(Some(Arc::new(posture(&Instance(node)))));
        told.push(tell);
        let clock = Clock { now_ms, uptime_ms: || 1_000 };
        Heartbeat::start(settings(node), clock, postures, Arc::new(Instance(node)), Arc::new(Nobody)).unwrap()
    };
    let running: Vec<Heartbeat> = (0..nodes).map(start).collect();
    let of = |one: &Heartbeat| one.status().acknowledged.map_or(0, |acknowledged| acknowledged.sequence);
    let acknowledged = || running.iter().map(of).sum::<u64>();
    tokio::time::sleep(INTERVAL * 10).await;
    let (first, before) = (acknowledged(), cpu());
    assert!(running.iter().all(|one| of(one) > 0), "no beat is acknowledged");
    // Nobody waits for each beat: that would be counted with it.
    tokio::time::sleep(INTERVAL * beats / nodes).await;
    let (sent, used) = (acknowledged() - first, cpu());
    let body = running[0].preview().await.unwrap();
    running.iter().for_each(Heartbeat::stop);
    child.kill().unwrap();
    child.wait().unwrap();
    let each = |used: Duration| used.as_secs_f64() * 1e6 / f64::from(u32::try_from(sent).unwrap());
    let (user, system) = (each(used.0 - before.0), each(used.1 - before.1));
    println!("beats                    {sent}, each acknowledged, of {nodes} at once; {held} connections are held");
    println!("agent CPU per beat       {:.0} us: {user:.0} of its own, {system:.0} in the kernel", user + system);
    println!("to be woken, once        {wake:.0} us");
    println!(
        "statement                {} bytes; in an envelope at most 4096",
        serde_json::to_vec(&body).unwrap().len()
    );
}

/// Microseconds of CPU that it costs to wait for a moment and do nothing.
async fn a_wake() -> f64 {
    const TIMES: u32 = 30;
    let before = cpu();
    for _ in 0..TIMES {
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let after = cpu();
    (after.0 + after.1 - before.0 - before.1).as_secs_f64() * 1e6 / f64::from(TIMES)
}

/// User and system time of this process.
fn cpu() -> (Duration, Duration) {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    let of = |time: nix::sys::time::TimeVal| {
        let seconds = u64::try_from(time.tv_sec()).unwrap();
        Duration::from_secs(seconds) + Duration::from_micros(u64::try_from(time.tv_usec()).unwrap())
    };
    (of(usage.user_time()), of(usage.system_time()))
}

async fn serve(dir: String) {
    let dir = PathBuf::from(dir);
    let mut settings = safeguard::config::Settings::default();
    settings.server.listen = "127.0.0.1:0".to_owned();
    settings.server.certificate = Some(dir.join(CERTIFICATE));
    settings.server.key = Some(dir.join(KEY));
    settings.server.state_dir = dir;
    settings.server.held_connections = std::env::var(HELD).unwrap().parse().unwrap();
    let vouching = safeguard::vouching::Vouching::Simulation;
    let server = safeguard::server::Server::start_with(&settings, vouching, now_ms).await.unwrap();
    println!("{} {}", server.address(), server.public_key());
    std::future::pending::<()>().await;
}

fn posture(instance: &Instance) -> Posture {
    let name = |s: &str| s.to_owned();
    let digest = Digest::of(b"x");
    let control = |n: u32| format!("eks-node-hardening/KUB-{n:02}");
    Posture {
        node: Node {
            account: name("111122223333"),
            region: name("eu-central-1"),
            instance_id: instance.id(),
            image_id: name("ami-1"),
            cluster: name("claims-prod"),
            node_group: Some(name("general")),
            node_name: name("ip-10-0-1-23.eu-central-1.compute.internal"),
            boot_id: name("00000000-0000-4000-8000-000000000000"),
        },
        program: Program { version: name("0.1.0"), binary: Some(digest) },
        configuration: digest,
        policies: ["cis-eks-1.8.0", "cis-kubernetes-1.12-worker", "eks-node-hardening"]
            .map(|id| Policy { id: name(id), digest })
            .to_vec(),
        assessment: Some(Assessment {
            started_at_ms: now_ms() - 30,
            finished_at_ms: now_ms(),
            report: digest,
            counts: Counts { pass: 110, fail: 9, excepted: 6, not_applicable: 4, manual: 3, unknown: 2 },
            changed: (0..8)
                .map(|n| Change {
                    control: control(n),
                    from: Some(ControlVerdict::Pass),
                    to: Some(ControlVerdict::Fail),
                })
                .collect(),
            changed_more: 0,
            critical: (0..4).map(control).collect(),
            critical_more: 0,
        }),
        exceptions: Exceptions { count: 6, digest: Some(digest), next_expiry: Some(name("2027-01-31")) },
        membership: Membership { ready: Some(true), lease_age_s: Some(4), role_mapping: RoleMapping::Seen },
        logs: Some(Logs { behind_bytes: 7, ..Logs::default() }),
        proxy: Some(Proxy { redirect: Redirect::InPlace, refusals: 3, host_network_pods: 5 }),
    }
}
