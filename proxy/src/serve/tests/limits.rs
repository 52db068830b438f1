//! What one pod can take from others (research row 49: kube2iam has no timeouts and no bounds).

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::rig::Rig;
use crate::serve::{connection, requests};

const LIST: &str = "/latest/meta-data/iam/security-credentials/";

/// Many half-sent requests of some pods keep no other pod out.
#[tokio::test]
async fn half_open_requests_keep_nobody_out() {
    let rig = Rig::with(|settings| {
        settings.limits.connections = 100;
        settings.limits.connections_per_pod = 40;
    })
    .await;
    let mut open = Vec::new();
    for number in 0..300_u16 {
        let mut stream = rig.connect(10 + u8::try_from(number % 5).unwrap()).await.unwrap();
        stream.write_all(b"GET /latest/meta-data/ HTTP/1.1\r\nHost: 169").await.unwrap();
        open.push(stream);
    }
    assert!(rig.connections.counts().open <= 100);
    let begun = Instant::now();
    for _ in 0..20 {
        assert_eq!(rig.get(1, &format!("{LIST}one")).await.body.matches("ASIA-one").count(), 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(rig.connections.counts().evicted >= 200);
}

/// jtblin/kube2iam holds 54 MB for 5,000 half-open requests. Here each is this and a socket of tokio's, and at most as many as
/// `limits.connections` says.
#[test]
fn a_connection_that_only_waits_holds_little() {
    fn size<A, B, C, D, E, F>(_: impl Fn(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }
    assert!(size(connection) < 1_024, "{} bytes, and {} when it asks", size(connection), size(requests));
}

#[tokio::test]
async fn who_sends_too_slowly_is_cut_off() {
    let rig = Rig::with(|settings| settings.limits.header_deadline = Duration::from_millis(300)).await;
    let mut stream = rig.connect(1).await.unwrap();
    let mut closed = false;
    for byte in b"GET / HTTP/1.1\r\nHost: 169.254.169.254\r\nX: ".iter().cycle().take(100) {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut buffer = [0; 64];
        closed = stream.write_all(&[*byte]).await.is_err()
            || matches!(timeout(Duration::from_millis(1), stream.read(&mut buffer)).await, Ok(Ok(0) | Err(_)));
        if closed {
            break;
        }
    }
    assert!(closed, "two seconds are enough to send a head");
    assert_eq!(rig.connections.counts().open, 0);
}

#[tokio::test]
async fn one_pod_cannot_ask_without_end() {
    let rig = Rig::with(|settings| settings.limits.requests_per_second = 5).await;
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(rig.get(1, LIST).await.status);
    }
    assert!(statuses.iter().filter(|status| **status == 429).count() >= 15, "{statuses:?}");
    assert_eq!(rig.get(2, LIST).await.status, 200, "another pod does not notice");
}

/// The answers to requests that are under way at the end are not lost.
#[tokio::test]
async fn the_end_closes_idle_connections_and_lets_nobody_in() {
    let rig = Rig::new().await;
    let mut kept = rig.connect(1).await.unwrap();
    let request = format!("GET {LIST} HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n");
    kept.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 4_096];
    let read = kept.read(&mut buffer).await.unwrap();
    assert!(String::from_utf8_lossy(&buffer[..read]).ends_with("one"));
    rig.stop();
    assert_eq!(timeout(Duration::from_secs(2), kept.read(&mut buffer)).await.unwrap().unwrap_or(0), 0);
    let late = Instant::now() + Duration::from_secs(2);
    while rig.connect(1).await.is_ok() {
        assert!(Instant::now() < late, "connections are still taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
