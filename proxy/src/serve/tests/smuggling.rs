//! Requests that mean one thing to one reader and another to the next (uswitch/kiam#516).

use super::rig::Rig;

const LIST: &str = "/latest/meta-data/iam/security-credentials/";

fn statuses(answer: &str) -> Vec<&str> {
    answer.match_indices("HTTP/1.").filter_map(|(at, _)| answer.get(at + 9..at + 12)).collect()
}

/// A body is never read as the next request, whatever it is declared to be.
#[tokio::test]
async fn no_body_becomes_a_request() {
    let rig = Rig::new().await;
    let inner = format!("GET {LIST}one HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n");
    for head in [
        format!("Content-Length: {}", inner.len()),
        "Transfer-Encoding: chunked".to_owned(),
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked", inner.len()),
        "Content-Length: 5\r\nContent-Length: 6".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Transfer-Encoding: identity, chunked".to_owned(),
        "Content-Length: +1".to_owned(),
        "Content-Length: -1".to_owned(),
    ] {
        for (method, path) in
            [("GET", LIST), ("POST", LIST), ("PUT", "/latest/api/token"), ("GET", "/latest/user-data")]
        {
            let request = format!(
                "{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nX-aws-ec2-metadata-token-ttl-seconds: 60\r\n{head}\r\n\r\n{inner}"
            );
            let answer = rig.raw(1, request.as_bytes()).await;
            assert!(!answer.contains("ASIA"), "{method} {path} {head:?}: {answer}");
            assert!(statuses(&answer).len() <= 1, "{method} {path} {head:?}: {answer}");
        }
    }
    rig.nothing_leaked();
}

/// Requests in a row on one connection are answered in their order, each as if it came alone, and until one is refused.
#[tokio::test]
async fn requests_in_a_row_are_answered_one_by_one() {
    let rig = Rig::new().await;
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n");
    let one = format!("{LIST}one");
    for (refused, own) in [("/latest/user-data".to_owned(), LIST), (format!("{LIST}two"), one.as_str())] {
        let row = [get(LIST), get(&one), get(&refused), get(own)].concat();
        let answer = rig.raw(1, row.as_bytes()).await;
        assert_eq!(statuses(&answer), ["200", "200", "404"], "{answer}");
        assert_eq!(answer.matches("ASIA-one").count(), 1);
    }
    rig.nothing_leaked();
}

/// As the real service does; `@aws-sdk/ec2-metadata-service` keeps the connection of an error open until this end closes it.
#[tokio::test]
async fn an_error_ends_its_connection_and_an_answer_does_not() {
    let rig = Rig::new().await;
    for (pod, path, status) in
        [(1, LIST, "200"), (1, "/latest/user-data", "404"), (1, "/latest/%", "400"), (9, LIST, "503")]
    {
        let answer = rig.raw(pod, format!("GET {path} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n").as_bytes()).await;
        assert_eq!(statuses(&answer), [status], "{path}: {answer}");
        assert_eq!(answer.to_lowercase().contains("connection: close\r\n"), status != "200", "{path}: {answer}");
    }
    rig.nothing_leaked();
}

#[tokio::test]
async fn no_other_protocol_is_spoken() {
    let rig = Rig::new().await;
    for request in [
        "GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT 169.254.169.254:80 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
        "CONNECT example.com:443 HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
        "TRACE / HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
        "GET /latest/user-data HTTP/0.9\r\n\r\n",
        "GET /latest/user-data\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}",
        "\r\n\r\n\r\n",
        "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\nHost: 169.254.169.254\r\n folded: x\r\n\r\n",
        "GET /latest/meta-data/iam/security-credentials/ HTTP/1.1\r\nHost: 169.254.169.254\r\nHost: evil.example\r\n\r\n",
    ] {
        let answer = rig.raw(1, request.as_bytes()).await;
        let status = statuses(&answer);
        assert!(status.len() <= 1 && !status.contains(&"200") && !status.contains(&"101"), "{request:?}: {answer}");
    }
    rig.nothing_leaked();
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let rig = Rig::new().await;
    let many: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let long = format!("X-Long: {}\r\n", "y".repeat(20_000));
    for extra in [many, long] {
        let answer =
            rig.raw(1, format!("GET {LIST} HTTP/1.1\r\nHost: 169.254.169.254\r\n{extra}\r\n").as_bytes()).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
    let deep = "a/".repeat(3_000);
    let answer = rig.raw(1, format!("GET {LIST}{deep} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    rig.nothing_leaked();
}
