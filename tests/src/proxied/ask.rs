//! A client that does as it is told, for requests that no library would send.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// For a connection, and for each read.
const DEADLINE: Duration = Duration::from_secs(3);

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code; 0 if there was none.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: String,
}

/// One request on a connection of its own.
///
/// # Errors
/// When there is no connection, or no answer in time.
pub fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Reply> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nHost: 169.254.169.254\r\nConnection: close\r\n");
    for (name, value) in headers {
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    let mut stream = TcpStream::connect_timeout(&to, DEADLINE)?;
    exchange(&mut stream, &text)
}

/// Sends a request on a connection, and reads until it is closed, or the body is whole.
///
/// # Errors
/// When the connection breaks, or nothing comes in time.
pub fn exchange(stream: &mut TcpStream, request: &str) -> io::Result<Reply> {
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        if let Some(reply) = whole(&answer) {
            return Ok(reply);
        }
        match stream.read(&mut buffer)? {
            0 => return whole(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
            read => answer.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// The reply, once it has its `Content-Length`.
fn whole(answer: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if body.len() < length.unwrap_or(0) {
        return None;
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Some(Reply { status, head: head.to_owned(), body: body.to_owned() })
}
