use super::*;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A service that gives every connection these bytes; gives what the first one asked.
async fn service(reply: &'static str) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        let length = stream.read(&mut request).await.unwrap();
        stream.write_all(reply.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (url, asked)
}

#[tokio::test]
async fn the_status_is_told_and_nothing_but_names_is_asked_for() {
    let (url, asked) = service("HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(status_without_token(Some(&url)).await.unwrap(), 401);
    let asked = asked.await.unwrap().to_lowercase();
    assert!(asked.starts_with("get /latest/meta-data/ http/1.1\r\n"), "{asked}");
    assert!(!asked.contains("x-aws-ec2-metadata-token"), "{asked}");
    let (url, _asked) = service("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\nami-id").await;
    assert_eq!(status_without_token(Some(&url)).await.unwrap(), 200, "the body is not waited for");
}

#[tokio::test]
async fn what_is_no_service_is_said_with_its_name() {
    let refused = status_without_token(Some("http://127.0.0.1:1")).await.unwrap_err();
    assert!(refused.to_string().starts_with("http://127.0.0.1:1 does not answer: "), "{refused}");
    for endpoint in ["https://127.0.0.1", "127.0.0.1", "", "http://"] {
        let error = status_without_token(Some(endpoint)).await.unwrap_err();
        assert!(matches!(error, TokenlessError::Endpoint { .. }), "{endpoint}: {error}");
    }
    let (url, _asked) = service("garbage\r\n\r\n").await;
    assert!(matches!(status_without_token(Some(&url)).await, Err(TokenlessError::Silent { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let error = status_without_token(Some(&url)).await.unwrap_err();
    assert!(error.to_string().contains("not within 2 s"), "{error}");
}
