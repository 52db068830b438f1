//! One question over HTTP, with a deadline and a bound. Redirects are never followed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use safeguard_daemon::settings::read_regular;
use tokio::time::timeout;

use crate::verify::SettingsError;

/// For connection, question and answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// For a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// Shorter than the idle timeouts of load balancers, so that a connection is rarely found dead.
const IDLE: Duration = Duration::from_secs(20);
/// Connections kept for the next question.
const IDLE_CONNECTIONS: usize = 4;
/// All of Mozilla's authorities are 250 KiB of PEM.
const MAX_CA_BYTES: u64 = 4 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpsError {
    #[error("{0}")]
    Unreachable(String),
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Late,
    #[error("the answer is too long")]
    TooLong,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Asks. Connections are kept for the next question.
#[derive(Debug, Clone)]
pub(crate) struct Https(legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>);

impl Https {
    /// Trusts the authorities of a PEM file, or else the system's.
    pub(crate) fn new(ca: Option<&Path>) -> Result<Self, SettingsError> {
        let roots = match ca {
            Some(path) => roots_of(path)?,
            None => system_roots()?,
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| SettingsError::Roots { reason: error.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT));
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(tcp);
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE)
            .build(connector);
        Ok(Self(client))
    }

    /// The answer, whole, within 10 seconds and `most` bytes.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>, most: usize) -> Result<Answer, HttpsError> {
        timeout(DEADLINE, self.ask_without_deadline(request, most)).await.unwrap_or(Err(HttpsError::Late))
    }

    async fn ask_without_deadline(&self, request: Request<Full<Bytes>>, most: usize) -> Result<Answer, HttpsError> {
        let unreachable = |error: &dyn std::error::Error| HttpsError::Unreachable(causes(error));
        let answer = self.0.request(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = answer.into_parts();
        match Limited::new(body, most).collect().await {
            Ok(body) => Ok(Answer { status: head.status, body: body.to_bytes() }),
            Err(error) if error.is::<LengthLimitError>() => Err(HttpsError::TooLong),
            Err(error) => Err(unreachable(&*error)),
        }
    }
}

/// The base of URLs: `https://HOST[:PORT]`, or plain `http` on this machine.
pub(crate) fn base(key: &str, url: &str) -> Result<String, SettingsError> {
    let bad = || SettingsError::value(key, format!("{url:?} is not https://HOST[:PORT]"));
    let uri: Uri = url.parse().map_err(|_| bad())?;
    match (uri.scheme_str(), uri.authority()) {
        (Some(scheme), Some(authority)) if is_safe(&uri) && uri.path() == "/" && uri.query().is_none() => {
            Ok(format!("{scheme}://{authority}"))
        }
        _ => Err(bad()),
    }
}

/// Whether a secret may be sent there: `https`, or plain `http` on this machine; and none is in the address.
pub(crate) fn is_safe(uri: &Uri) -> bool {
    let (Some(host), Some(authority)) = (uri.host(), uri.authority()) else { return false };
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let here = host == "localhost" || address.is_ok_and(|ip| ip.is_loopback());
    let scheme = uri.scheme_str().unwrap_or_default();
    (scheme == "https" || (scheme == "http" && here)) && !authority.as_str().contains('@')
}

fn roots_of(path: &Path) -> Result<RootCertStore, SettingsError> {
    let wrong = |reason: String| SettingsError::file(path, reason);
    let pem = read_regular(path, MAX_CA_BYTES).map_err(|error| wrong(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

fn system_roots() -> Result<RootCertStore, SettingsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let reason = found.errors.first().map_or_else(|| "there are none".to_owned(), ToString::to_string);
        return Err(SettingsError::Roots { reason });
    }
    Ok(roots)
}

/// An error with what caused it: the outermost says little.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_are_of_a_server_alone() {
        assert_eq!(base("k", "https://10.0.0.1:6443").unwrap(), "https://10.0.0.1:6443");
        assert_eq!(base("k", "http://127.0.0.1:80/").unwrap(), "http://127.0.0.1:80");
        assert_eq!(base("k", "http://[::1]:80").unwrap(), "http://[::1]:80");
        for url in [
            "",
            "10.0.0.1",
            "http://example.com",
            "https://user:pw@example.com",
            "https://example.com/path",
            "ftp://x",
            "https://x/?q",
        ] {
            let error = base("verify.sts.endpoint", url).unwrap_err().to_string();
            assert!(error.contains("verify.sts.endpoint"), "{error}");
        }
    }
}
