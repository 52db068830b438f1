#![expect(clippy::disallowed_methods, reason = "the tests look at the socket's file from outside")]

use super::*;
use std::os::unix::fs::PermissionsExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers `/echo`, never answers `/never`, panics on `/panic`, waits for a permit on `/wait`.
struct Program {
    permits: Semaphore,
}

impl Handler for Program {
    fn handle<'a>(&'a self, method: &'a Method, path: &'a str, query: Option<&'a str>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            match path {
                "/echo" => Response::text(200, format!("{method} {path} {query:?}\n")),
                "/json" => Response::json(200, "{}"),
                "/large" => Response::text(200, vec![b'x'; 17 * 1024 * 1024]),
                "/never" => std::future::pending().await,
                "/panic" => panic!("a bug in a handler"),
                "/wait" => {
                    self.permits.acquire().await.unwrap().forget();
                    Response::text(200, "waited\n")
                }
                _ => Response::not_found(path),
            }
        })
    }
}

struct Running {
    path: std::path::PathBuf,
    program: Arc<Program>,
    shutdown: Shutdown,
    task: JoinHandle<()>,
    _directory: tempfile::TempDir,
}

fn start(limits: Limits) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("safeguard/agent.sock");
    let server = bind_unix(&path).unwrap().with_limits(limits);
    assert_eq!(server.local_path(), path);
    let (program, shutdown) = (Arc::new(Program { permits: Semaphore::new(0) }), Shutdown::new());
    let task = tokio::spawn(server.run(program.clone(), shutdown.clone()));
    Running { path, program, shutdown, task, _directory: directory }
}

impl Running {
    async fn get(&self, path: &str) -> Result<(u16, Bytes), ClientError> {
        get_unix(&self.path, path, PATIENCE).await
    }

    /// Sends `request` as it is and reads until the server hangs up.
    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        stream.write_all(request).await.unwrap();
        rest(&mut stream).await
    }
}

async fn rest(stream: &mut UnixStream) -> String {
    let mut answer = Vec::new();
    // A connection that is cut with our bytes unread ends with a reset.
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server hangs up");
    assert!(read.is_ok() || read.unwrap_err().kind() == std::io::ErrorKind::ConnectionReset);
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn answers_with_method_path_and_query_on_a_socket_for_its_owner_alone() {
    let server = start(Limits::default());
    let (status, body) = server.get("/echo?watch=1&x=%2F").await.unwrap();
    assert_eq!((status, body.as_ref()), (200, b"GET /echo Some(\"watch=1&x=%2F\")\n".as_slice()));
    let (status, body) = server.get("/nothing").await.unwrap();
    assert_eq!((status, body.as_ref()), (404, b"nothing is served at /nothing\n".as_slice()));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&server.path), 0o600);
    assert_eq!(mode(server.path.parent().unwrap()), 0o755);

    let head = server.raw(b"HEAD /json HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("content-type: application/json\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");
}

#[tokio::test]
async fn answers_on_loopback_and_refuses_a_port_that_is_taken() {
    let server = bind_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local_addr();
    let message = bind_tcp(address).unwrap_err().to_string();
    assert!(message.contains(&address.to_string()) && message.contains("Set another address"), "{message}");
    let shutdown = Shutdown::new();
    let task = tokio::spawn(server.run(Arc::new(Program { permits: Semaphore::new(0) }), shutdown.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\nabc").await.unwrap();
    let mut answer = String::new();
    timeout(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.ends_with("POST /echo None\n"), "{answer}");
    shutdown.trigger();
    timeout(PATIENCE, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_client_that_dribbles_its_headers_is_cut() {
    let server = start(Limits { header_read: Duration::from_millis(300), ..Limits::default() });
    let begun = Instant::now();
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    stream.write_all(b"GET /echo HTTP/1.1\r\nhost:").await.unwrap();
    let answer = rest(&mut stream).await;
    let took = begun.elapsed();
    assert!(!answer.contains("200 OK"), "{answer}");
    assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test]
async fn the_default_limits_are_the_documented_ones() {
    let limits = Limits::default();
    assert_eq!((limits.connections, limits.body), (32, 65_536));
    assert_eq!((limits.header_read, limits.request), (Duration::from_secs(5), Duration::from_secs(10)));
}

#[tokio::test]
async fn a_handler_that_never_answers_is_answered_for() {
    let server = start(Limits { request: Duration::from_millis(200), ..Limits::default() });
    let (status, body) = server.get("/never").await.unwrap();
    assert_eq!(status, 503, "{body:?}");
    assert_eq!(server.get("/echo").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_own_connection() {
    let server = start(Limits::default());
    assert!(matches!(server.get("/panic").await, Err(ClientError::Broken { .. })));
    assert_eq!(server.get("/echo").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut() {
    let server = start(Limits { connection: Duration::from_millis(300), ..Limits::default() });
    let mut stream = UnixStream::connect(&server.path).await.unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    let answer = rest(&mut stream).await;
    assert!(answer.len() < 17 * 1024 * 1024, "only what the socket had buffered: {}", answer.len());
}

#[tokio::test]
async fn one_connection_too_many_is_told_so_and_the_others_go_on() {
    let server = start(Limits::default());
    let mut held = Vec::new();
    for _ in 0..32 {
        let mut stream = UnixStream::connect(&server.path).await.unwrap();
        stream.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        held.push(stream);
    }
    // Some that never ask use up what is spent on refusals, for a second.
    let mut mute = Vec::new();
    for _ in 0..20 {
        mute.push(UnixStream::connect(&server.path).await.unwrap());
    }
    for stream in &mut mute {
        assert!(!rest(stream).await.contains("200 OK"));
    }
    let (status, body) = server.get("/echo").await.unwrap();
    assert_eq!((status, body.as_ref()), (503, b"too many connections, retry later\n".as_slice()));
    server.program.permits.add_permits(32);
    for stream in &mut held {
        let answer = rest(stream).await;
        assert!(answer.ends_with("waited\n"), "{answer}");
    }
    assert_eq!(server.get("/echo").await.unwrap().0, 200, "there is room again");
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_time() {
    let server = start(Limits { request: Duration::from_millis(500), ..Limits::default() });
    let declared = server.raw(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 65537\r\n\r\n").await;
    assert!(declared.starts_with("HTTP/1.1 413 "), "{declared}");

    let mut chunked = b"POST /echo HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n10001\r\n".to_vec();
    chunked.extend(vec![b'x'; 0x10001]);
    let chunked = server.raw(&chunked).await;
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");

    let mut full = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 65536\r\n\r\n".to_vec();
    full.extend(vec![b'x'; 65_536]);
    let full = server.raw(&full).await;
    assert!(full.ends_with("POST /echo None\n"), "{full}");

    let slow = server.raw(b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc").await;
    assert!(slow.starts_with("HTTP/1.1 408 "), "{slow}");
}

#[tokio::test]
async fn nonsense_is_refused() {
    let server = start(Limits::default());
    for nonsense in [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(), {
        let mut head = b"GET /echo HTTP/1.1\r\nx: ".to_vec();
        head.extend(vec![b'x'; 64 * 1024]);
        head
    }] {
        let answer = server.raw(&nonsense).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert_eq!(server.get("/echo").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_stale_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    // Closing a listener leaves its file, as a kill -9 does.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let server = bind_unix(&path).unwrap();
    tokio::spawn(server.run(Arc::new(Program { permits: Semaphore::new(0) }), Shutdown::new()));
    assert_eq!(get_unix(&path, "/echo", PATIENCE).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_live_socket_is_left_alone() {
    let server = start(Limits::default());
    let error = bind_unix(&server.path).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert!(error.to_string().contains(server.path.to_str().unwrap()), "{error}");
    assert_eq!(server.get("/echo").await.unwrap().0, 200);
}

#[tokio::test]
async fn a_live_socket_that_is_too_busy_to_accept_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let socket = tokio::net::UnixSocket::new_stream().unwrap();
    socket.bind(&path).unwrap();
    let _listener: UnixListener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    // A backlog of one holds two; a third that is ready to wait would block here.
    for _ in 0..2 {
        waiting.push(std::os::unix::net::UnixStream::connect(&path).unwrap());
    }
    let error = bind_unix(&path).unwrap_err();
    assert!(matches!(error, BindError::InUse { .. }), "{error}");
    assert!(path.exists());
}

#[tokio::test]
async fn what_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    std::fs::write(&path, "precious").unwrap();
    let message = bind_unix(&path).unwrap_err().to_string();
    assert!(message.contains("is not a socket"), "{message}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let link = directory.path().join("link.sock");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(bind_unix(&link), Err(BindError::NotASocket { .. })));

    let long = directory.path().join("x".repeat(120));
    let message = bind_unix(&long).unwrap_err().to_string();
    assert!(message.contains("cannot bind"), "{message}");
}

#[tokio::test]
async fn shutdown_lets_a_running_request_end_and_removes_the_socket() {
    let server = start(Limits::default());
    let mut running = UnixStream::connect(&server.path).await.unwrap();
    running.write_all(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // The request is in the handler once this later one has been answered.
    assert_eq!(server.get("/echo").await.unwrap().0, 200);
    server.shutdown.trigger();
    tokio::time::sleep(Duration::from_millis(100)).await;
    server.program.permits.add_permits(1);
    let answer = rest(&mut running).await;
    assert!(answer.ends_with("waited\n"), "{answer}");
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert!(!server.path.exists());
}

#[tokio::test]
async fn shutdown_does_not_wait_for_a_request_that_hangs() {
    let server = start(Limits::default());
    let mut hanging = UnixStream::connect(&server.path).await.unwrap();
    hanging.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert_eq!(server.get("/echo").await.unwrap().0, 200);
    let begun = Instant::now();
    server.shutdown.trigger();
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(rest(&mut hanging).await.is_empty());
}

#[tokio::test]
async fn ending_does_not_remove_a_successors_socket() {
    let server = start(Limits::default());
    let moved = server.path.with_extension("old");
    std::fs::rename(&server.path, &moved).unwrap();
    let successor = bind_unix(&server.path).unwrap();
    server.shutdown.trigger();
    timeout(PATIENCE, server.task).await.unwrap().unwrap();
    assert!(successor.local_path().exists());
    drop(successor);
    assert!(!server.path.exists(), "dropped without being run");
}

#[tokio::test]
async fn the_client_says_what_to_do_when_nobody_listens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let missing = get_unix(&path, "/status", PATIENCE).await.unwrap_err().to_string();
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let stale = get_unix(&path, "/status", PATIENCE).await.unwrap_err().to_string();
    assert_eq!(missing, stale);
    assert_eq!(
        missing,
        format!(
            "no agent is listening on {}: is safeguard-agent running? Try `systemctl status safeguard-agent`",
            path.display()
        )
    );
}

#[tokio::test]
async fn the_client_says_to_be_root_when_it_may_not_connect() {
    // Root may connect to anything, so the kernel's answer is given here and not provoked.
    let error = std::io::Error::from(std::io::ErrorKind::PermissionDenied);
    let message = client::refused(Path::new("/run/safeguard/agent.sock"), &error).to_string();
    assert!(message.contains("/run/safeguard/agent.sock") && message.contains("as root"), "{message}");
}

#[tokio::test]
async fn the_client_waits_no_longer_than_its_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    let _silent = UnixListener::bind(&path).unwrap();
    let error = get_unix(&path, "/status", Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, ClientError::Deadline { .. }) && error.to_string().contains("200ms"), "{error}");
}

#[tokio::test]
async fn the_client_refuses_what_is_not_ours() {
    let server = start(Limits::default());
    let message = server.get("/large").await.unwrap_err().to_string();
    assert!(message.contains("more than 16777216 bytes"), "{message}");
    let message = server.get("not a path\r\n").await.unwrap_err().to_string();
    assert!(message.contains("no path of a request"), "{message}");

    let path = server.path.with_file_name("other.sock");
    let listener = UnixListener::bind(&path).unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
    });
    let error = get_unix(&path, "/status", PATIENCE).await.unwrap_err();
    assert!(matches!(error, ClientError::Broken { .. }), "{error}");
}
