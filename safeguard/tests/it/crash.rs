//! kill -9 of the program under load: nothing that was acknowledged is lost.

use std::io::BufRead as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use safeguard_protocol::{PublicKey, Received};

use crate::node::Node;

/// The program with everything believed is not to be had by settings; so the library runs in a process of its own: this test's
/// program, asked to be that process.
const ROLE: &str = "SAFEGUARD_TEST_SERVE_IN";

/// Not a test of its own: what the tests below start.
#[test]
#[expect(clippy::print_stderr, reason = "it is how the other process learns of it")]
fn serve_when_asked_to() {
    let Ok(dir) = std::env::var(ROLE) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut settings = safeguard::config::Settings::default();
        settings.server.listen = "127.0.0.1:0".to_owned();
        settings.server.state_dir = dir.into();
        let vouching = safeguard::vouching::Vouching::Simulation;
        let server =
            safeguard::server::Server::start_with(&settings, vouching, safeguard_daemon::clock::now_ms).await.unwrap();
        eprintln!("serving {} {}", server.address(), server.public_key());
        std::future::pending::<()>().await;
    });
}

struct Process {
    child: Child,
    url: String,
    key: PublicKey,
}

impl Process {
    fn start(dir: &std::path::Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::serve_when_asked_to", "--nocapture"])
            .env(ROLE, dir)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.find_map(|line| line.unwrap().strip_prefix("serving ").map(str::to_owned)).unwrap();
        let (address, key) = line.split_once(' ').unwrap();
        // So that it never waits for somebody to read.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, url: format!("http://{address}"), key: key.parse().unwrap() }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost_by_kill_9() {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let mut process = Process::start(&state);
    let mut nodes = Vec::new();
    for n in 0..20 {
        let mut node = Node::new(process.url.clone(), process.key, n);
        node.enrol().await.unwrap();
        nodes.push(node);
    }
    let mut acknowledged = 0_i64;
    for round in 0..4_u64 {
        let running: Vec<_> = nodes
            .into_iter()
            .map(|mut node| {
                tokio::spawn(async move {
                    let mut taken = 0;
                    // Until the server is gone in the middle of something.
                    while node.sequence < 100 * (round + 1) {
                        let statement = node.next();
                        let answer = tokio::spawn({
                            let copy = node.copy();
                            async move { copy.say(&statement).await }
                        });
                        match answer.await {
                            Ok(Ok(answer)) => {
                                assert_eq!(answer.received, Received::Live);
                                taken += 1;
                            }
                            Ok(Err(refusal)) => panic!("{refusal:?}"),
                            Err(_) => break,
                        }
                    }
                    (node, taken)
                })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(60 + 70 * round)).await;
        process.kill();
        nodes = Vec::new();
        let mut in_doubt = 0;
        for run in running {
            let (node, taken) = run.await.unwrap();
            acknowledged += taken;
            in_doubt += 1;
            nodes.push(node);
        }
        let db = rusqlite::Connection::open(state.join("safeguard.db")).unwrap();
        let stored: i64 = db.query_row("SELECT count(*) FROM beat", [], |row| row.get(0)).unwrap();
        drop(db);
        assert!(stored >= acknowledged, "{stored} stored, {acknowledged} acknowledged");
        assert!(stored - acknowledged <= in_doubt * (i64::try_from(round).unwrap() + 1), "more than was in flight");
        process = Process::start(&state);
        for node in &mut nodes {
            node.url.clone_from(&process.url);
        }
    }
    assert!(acknowledged > 100, "{acknowledged}: there was no load");
    process.kill();
}
