//! Waits for the head of a connection's first request, and holds nothing of it meanwhile: it stays with the kernel until it is whole.
//!
//! So a request that somebody leaves half open costs the proxy some hundred bytes, where the state of HTTP and its buffer would take more
//! than ten thousand (research row 49: kube2iam held 54 MB for 5,000 of them).

use std::io;
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Bytes of a head; hyper's least. SDKs send some hundred.
pub(crate) const MOST_BYTES: usize = 8 * 1024;

/// What nearly every head fits into.
const USUAL_BYTES: usize = 1024;

/// Returns once there is something to read that is worth it: a whole head, more than one may have, or what will never be one.
///
/// # Errors
/// When the connection is broken.
pub(crate) async fn whole(stream: &TcpStream) -> io::Result<()> {
    loop {
        let ready = stream.ready(Interest::READABLE).await?;
        // Nothing comes after this.
        if ready.is_read_closed() {
            return Ok(());
        }
        // As if there were nothing to read yet: the kernel tells when more has come.
        let look = || if is_half(stream)? { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) };
        match stream.try_io(Interest::READABLE, look) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            looked => return looked,
        }
    }
}

/// Whether what has come so far is the beginning of a head.
fn is_half(stream: &TcpStream) -> io::Result<bool> {
    let mut seen = [0; USUAL_BYTES];
    let length = recv(stream.as_raw_fd(), &mut seen, MsgFlags::MSG_PEEK)?;
    if length < USUAL_BYTES {
        return Ok(begins(seen.get(..length).unwrap_or_default()));
    }
    let mut seen = [0; MOST_BYTES];
    let length = recv(stream.as_raw_fd(), &mut seen, MsgFlags::MSG_PEEK)?;
    Ok(length < MOST_BYTES && begins(seen.get(..length).unwrap_or_default()))
}

/// Whether these bytes may become a head with those that follow. All methods are in capitals (RFC 9110, section 9.1); lines may end
/// without CR (RFC 9112, section 2.2).
fn begins(bytes: &[u8]) -> bool {
    let ends = || {
        memchr::memchr_iter(b'\n', bytes)
            .any(|at| matches!(bytes.get(at + 1..), Some([b'\n', ..] | [b'\r', b'\n', ..])))
    };
    bytes.first().is_some_and(u8::is_ascii_uppercase) && !ends()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    #[test]
    fn a_head_ends_with_an_empty_line() {
        for half in
            ["G", "GET / HTTP/1.1", "GET / HTTP/1.1\r\nHost: x\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r", "PUT /\n"]
        {
            assert!(begins(half.as_bytes()), "{half:?}");
        }
        for other in
            ["", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\n\nGET", "\r\n", "\u{16}\u{3}\u{1}", "get / "]
        {
            assert!(!begins(other.as_bytes()), "{other:?}");
        }
    }

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    async fn waits(stream: &TcpStream) -> bool {
        timeout(Duration::from_millis(50), whole(stream)).await.is_err()
    }

    #[tokio::test]
    async fn a_head_is_waited_for_until_it_is_whole_and_is_still_there() {
        let (mut client, server) = pair().await;
        assert!(waits(&server).await);
        for piece in ["GET / HTTP/1.1\r", "\nHost: 169.254.169.254\r\n", "\r"] {
            client.write_all(piece.as_bytes()).await.unwrap();
            assert!(waits(&server).await, "{piece:?}");
        }
        client.write_all(b"\n").await.unwrap();
        timeout(Duration::from_secs(5), whole(&server)).await.unwrap().unwrap();
        let mut read = [0; 100];
        assert_eq!(server.try_read(&mut read).unwrap(), "GET / HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n".len());
    }

    #[tokio::test]
    async fn nobody_waits_for_what_will_not_come() {
        let (mut client, server) = pair().await;
        client.write_all(b"GET / HTTP/1.1\r\nX: ").await.unwrap();
        assert!(waits(&server).await);
        client.write_all(&[b'y'; MOST_BYTES]).await.unwrap();
        timeout(Duration::from_secs(5), whole(&server)).await.expect("more than a head may have").unwrap();
        let (mut client, server) = pair().await;
        client.write_all(b"GET / HT").await.unwrap();
        assert!(waits(&server).await);
        client.shutdown().await.unwrap();
        timeout(Duration::from_secs(5), whole(&server)).await.expect("the client has said all").unwrap();
    }
}
