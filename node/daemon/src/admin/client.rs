//! Asking a running process of ours, with messages for somebody who has never heard of its socket.

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::header::HOST;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::time::timeout;

/// No status of ours is near that; whoever answers with more is somebody else.
const MAX_ANSWER: usize = 16 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No socket, or a socket that nobody listens on.
    #[error(
        "no {name} is listening on {}: is safeguard-{name} running? Try `systemctl status safeguard-{name}`",
        path.display()
    )]
    NotRunning {
        /// The socket.
        path: PathBuf,
        /// The socket's name without `.sock`, which is the program's without `safeguard-`.
        name: String,
    },
    /// The socket is not ours to open.
    #[error("may not open {}: it belongs to root, so run this as root (`sudo`)", path.display())]
    Denied {
        /// The socket.
        path: PathBuf,
    },
    /// Somebody listens and does not answer.
    #[error("no answer from {} within {deadline:?}: the process is there but busy or stuck, its log may say why", path.display())]
    Deadline {
        /// The socket.
        path: PathBuf,
        /// How long we waited.
        deadline: Duration,
    },
    /// What came back is not an answer of ours.
    #[error("{} did not answer as expected: {reason}", path.display())]
    Broken {
        /// The socket.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// [`ask_unix`] with `GET`.
///
/// # Errors
/// [`ClientError`], whose messages are meant for the terminal.
pub async fn get_unix(path: &Path, request_path: &str, deadline: Duration) -> Result<(u16, Bytes), ClientError> {
    ask_unix(path, Method::GET, request_path, deadline).await
}

/// Sends a request without a body to the process that listens on the unix socket `path`; gives the status code and the body
/// (16 MiB at most). `deadline` covers all of it.
///
/// # Errors
/// [`ClientError`], whose messages are meant for the terminal.
pub async fn ask_unix(
    path: &Path,
    method: Method,
    request_path: &str,
    deadline: Duration,
) -> Result<(u16, Bytes), ClientError> {
    timeout(deadline, ask(path, method, request_path))
        .await
        .unwrap_or_else(|_| Err(ClientError::Deadline { path: path.to_owned(), deadline }))
}

async fn ask(path: &Path, method: Method, request_path: &str) -> Result<(u16, Bytes), ClientError> {
    let broken = |reason: String| ClientError::Broken { path: path.to_owned(), reason };
    let stream = UnixStream::connect(path).await.map_err(|error| refused(path, &error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.to_string()))?;
    let request = Request::builder()
        .method(method)
        .uri(request_path)
        .header(HOST, "localhost")
        .body(Empty::<Bytes>::new())
        .map_err(|error| broken(format!("{request_path:?} is no path of a request: {error}")))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|error| {
            let too_large = error.is::<LengthLimitError>();
            broken(if too_large { format!("more than {MAX_ANSWER} bytes") } else { error.to_string() })
        })?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(exchange, connection);
    // The connection has to be driven for the exchange to move; its own end, good or bad, reaches the exchange, too.
    tokio::select! {
        answer = &mut exchange => answer,
        _ = &mut connection => exchange.await,
    }
}

pub(super) fn refused(path: &Path, error: &io::Error) -> ClientError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            let name = path.file_stem().map_or_else(|| "process".into(), |stem| stem.to_string_lossy().into_owned());
            ClientError::NotRunning { path, name }
        }
        io::ErrorKind::PermissionDenied => ClientError::Denied { path },
        _ => ClientError::Broken { path, reason: error.to_string() },
    }
}
