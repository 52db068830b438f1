//! The running service: lines arrive, and everybody who may look inside can.

use std::time::Duration;

use safeguard_agent::Status;
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::node::{Node, PATIENCE, Running, file_mode, http_get};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_arrive_and_the_account_balances() {
    let node = Node::new().await;
    node.settings("[logs]\nflush_interval = \"200ms\"");
    node.write((0..100).map(|i| format!("line {i}")));
    let mut agent = node.start().await;
    node.arrives(100).await;
    assert_eq!(node.arrived(), (0..100).map(|i| format!("line {i}")).collect::<Vec<_>>());

    let json = node.logs_status("json");
    assert!(json.status.success());
    let status: Status = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(status.logs.len(), 1);
    assert_eq!(status.logs[0].ledger.imbalance(), None);
    assert_eq!(status.total.imbalance(), None);
    assert_eq!(status.total.read.events, 100);

    let table = String::from_utf8(node.logs_status("table").stdout).unwrap();
    assert!(table.contains("shop/cart-1/web") && table.contains("100"), "{table}");
    assert!(!table.contains('\u{1b}'), "no colour into a pipe: {table:?}");
    assert_eq!(file_mode(&node.path("run/agent.sock")), 0o600);

    let ready = agent.says("Ready.").await;
    let address = ready["metrics"].as_str().unwrap().parse().unwrap();
    let (head, metrics) = http_get(address, "/metrics");
    assert_eq!(head, "HTTP/1.1 200 OK");
    let line = r#"safeguard_logs_read_lines_total{namespace="shop",pod="cart-1",container="web"} 100"#;
    assert!(metrics.lines().any(|found| found == line), "{metrics}");
    assert_eq!(http_get(address, "/healthz"), ("HTTP/1.1 200 OK".to_owned(), "ok\n".to_owned()));
    assert_eq!(http_get(address, "/v1/logs").0, "HTTP/1.1 404 Not Found", "the status is not for the network");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_agent_on_the_node_is_refused_with_a_remedy() {
    let node = Node::new().await;
    let first = node.start().await;
    let mut second = Running::spawn(node.run_command());
    assert_eq!(second.ends(PATIENCE).await.code(), Some(75));
    let said = second.said().join("\n");
    for part in ["agent.lock", "one instance runs per node", "systemctl stop"] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    drop(first);
    let _third = node.start().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_program_can_be_started_from_it() {
    let node = Node::new().await;
    let agent = node.start().await;
    assert_eq!(agent.proc_status("Seccomp"), "2");
    assert_eq!(agent.proc_status("NoNewPrivs"), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn systemd_is_told_of_readiness_progress_and_the_end() {
    let node = Node::new().await;
    let path = node.path("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let mut command = node.run_command();
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "400000");
    let mut agent = Running::spawn(command);
    let hears = async |part: &str| {
        let mut message = [0; 4096];
        loop {
            let length = timeout(PATIENCE, manager.recv(&mut message)).await.unwrap().unwrap();
            if String::from_utf8_lossy(&message[..length]).contains(part) {
                return;
            }
        }
    };
    hears("READY=1").await;
    hears("WATCHDOG=1").await;
    hears("WATCHDOG=1").await;
    agent.signal(nix::sys::signal::Signal::SIGHUP);
    hears("RELOADING=1").await;
    hears("READY=1").await;
    agent.signal(nix::sys::signal::Signal::SIGTERM);
    hears("STOPPING=1").await;
    assert_eq!(agent.ends(PATIENCE).await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watch_goes_on_until_it_is_ended() {
    let node = Node::new().await;
    let _agent = node.start().await;
    let socket = node.path("run/agent.sock");
    let args = ["logs", "status", "--watch", "--format", "json", "--socket", socket.to_str().unwrap()];
    let mut command = node.command(&args);
    let mut watch = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let out = watch.stdout.take().unwrap();
    let documents = tokio::task::spawn_blocking(move || {
        use std::io::BufRead;
        std::io::BufReader::new(out).lines().take(2).map(Result::unwrap).collect::<Vec<_>>()
    });
    let documents = timeout(Duration::from_secs(20), documents).await.unwrap().unwrap();
    for document in documents {
        let _: Status = serde_json::from_str(&document).unwrap();
    }
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// EKS Pod Identity hands credentials out like this, and they change while the agent runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_a_container_endpoint_are_fetched_without_a_proxy() {
    let node = Node::new().await;
    node.settings("[logs]\nflush_interval = \"100ms\"");
    node.write(["one".to_owned()]);
    let mut command = node.run_command();
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        command.env_remove(name);
    }
    // Whoever asked the proxy would be refused: nobody listens there.
    command.env("HTTP_PROXY", "http://127.0.0.1:9").env("HTTPS_PROXY", "http://127.0.0.1:9");
    command.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", node.cloud.credentials_url());
    let _agent = Running::spawn(command);
    node.arrives(1).await;
    assert_eq!(node.cloud.credentials_served(), 1);
}
