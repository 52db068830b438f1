//! Whether the metadata service answers somebody who has no session token: the one request of IMDSv1 that is ever sent, to see
//! that it is refused.

use std::time::Duration;

use http::{Method, Request, Uri, header};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Where the service is unless it is said otherwise (EC2 User Guide, "Access instance metadata for an EC2 instance").
const ENDPOINT: &str = "http://169.254.169.254";

/// What is asked for: a list of names that every instance has, and no secret.
const PATH: &str = "/latest/meta-data/";

/// For the whole of it: a service that is there answers in milliseconds.
const DEADLINE: Duration = Duration::from_secs(2);

/// Why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum TokenlessError {
    /// The endpoint is no URL.
    #[error("{endpoint:?} is not the URL of a metadata service, such as {ENDPOINT}")]
    Endpoint {
        /// The endpoint.
        endpoint: String,
    },
    /// It does not answer.
    #[error("{endpoint} does not answer: {reason}")]
    Silent {
        /// The endpoint.
        endpoint: String,
        /// Why.
        reason: String,
    },
}

/// The HTTP status with which the metadata service answers a request without a token: 401 where the instance requires IMDSv2
/// (EC2 User Guide, "How Instance Metadata Service Version 2 works"). Nothing of the answer is kept.
///
/// # Errors
/// [`TokenlessError`], after two seconds at the latest.
pub async fn status_without_token(endpoint: Option<&str>) -> Result<u16, TokenlessError> {
    let endpoint = endpoint.unwrap_or(ENDPOINT);
    let address = address(endpoint).ok_or_else(|| TokenlessError::Endpoint { endpoint: endpoint.to_owned() })?;
    let silent = |reason: String| TokenlessError::Silent { endpoint: endpoint.to_owned(), reason };
    match timeout(DEADLINE, ask(&address)).await {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(reason)) => Err(silent(reason)),
        Err(_) => Err(silent(format!("not within {} s", DEADLINE.as_secs()))),
    }
}

/// Host and port of a URL without TLS.
fn address(endpoint: &str) -> Option<String> {
    let uri: Uri = endpoint.parse().ok()?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("http"))?;
    Some(format!("{host}:{}", uri.port_u16().unwrap_or(80)))
}

async fn ask(address: &str) -> Result<u16, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(io).await.map_err(|error| error.to_string())?;
    let request = Request::builder()
        .method(Method::GET)
        .uri(PATH)
        .header(header::HOST, address)
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let answer = async move { sender.send_request(request).await.map(|reply| reply.status().as_u16()) };
    // The connection ends with the last of the sender and the reply; what it says of its end is the answer's to tell.
    let (answer, _) = tokio::join!(answer, connection);
    answer.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
