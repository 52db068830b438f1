//! Which API server, by which authority, and how long it may take.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Uri};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::limits::MAX_AUTHORITY_BYTES;
use crate::token::{FileToken, TokenSource, read_own};

/// How long each wait may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// For a connection. Default 5 s.
    pub connect: Duration,
    /// For the head of an answer, connection included, and for each further piece of a list. Default 15 s.
    pub answer: Duration,
    /// For a whole page of a list. Default 60 s.
    pub page: Duration,
    /// How long a watch is asked to last, whole seconds, give or take a quarter. Default 60 s. A quiet watch gives no
    /// other sign of life than a bookmark about once a minute (kube-apiserver, `bookmarkFrequency`) and its end.
    pub watch: Duration,
    /// How much later than asked for a watch may end before it is cut. Default 10 s.
    pub grace: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(15),
            page: Duration::from_secs(60),
            watch: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

/// The API server of the cluster. It is reached directly, never through a proxy.
#[derive(Debug, Clone)]
pub struct ApiServer {
    /// Scheme, host and port; a path before `/api` is kept, and has no slash at its end.
    pub(crate) base: String,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) token: Arc<dyn TokenSource>,
    pub(crate) user_agent: HeaderValue,
    pub(crate) deadlines: Deadlines,
}

/// Why there can be no connection to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ApiServerError {
    /// Not a URL.
    #[error("{url:?} is not the URL of an API server, such as https://10.0.0.1:443")]
    Url {
        /// What was given.
        url: String,
    },
    /// Plain HTTP to another machine.
    #[error("{url:?} would send the token in the clear. Use https")]
    Plain {
        /// What was given.
        url: String,
    },
    /// Nothing to check the API server's certificate with.
    #[error("{url:?} needs the PEM of the cluster's certificate authority")]
    NoAuthority {
        /// What was given.
        url: String,
    },
    /// Not certificates.
    #[error("the cluster's certificate authority cannot be used: {reason}")]
    Authority {
        /// What is wrong.
        reason: String,
    },
    /// A file of the service account.
    #[error("{} cannot be read: {source}. Mount a service account's token there", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not what a header may hold.
    #[error("{agent:?} is not a user agent")]
    UserAgent {
        /// What was given.
        agent: String,
    },
}

impl ApiServer {
    /// An API server at `url`, whose certificate is of one of the authorities in `authority` (PEM). Plain HTTP needs none,
    /// and is spoken to this machine only.
    ///
    /// # Errors
    /// [`ApiServerError`] if the URL or the authority cannot be used.
    pub fn new(url: &str, authority: Option<&[u8]>, token: Arc<dyn TokenSource>) -> Result<Self, ApiServerError> {
        let bad = || ApiServerError::Url { url: url.to_owned() };
        let uri: Uri = url.trim().parse().map_err(|_| bad())?;
        let (scheme, host) = (uri.scheme_str().ok_or_else(bad)?, uri.host().ok_or_else(bad)?);
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let clean = uri.query().is_none() && uri.authority().is_some_and(|all| all.as_str() == format!("{host}{port}"));
        if !clean {
            return Err(bad());
        }
        let roots = match (scheme, authority) {
            ("https", Some(pem)) => roots(pem)?,
            ("https", None) => return Err(ApiServerError::NoAuthority { url: url.to_owned() }),
            ("http", _) if is_this_machine(host) => RootCertStore::empty(),
            ("http", _) => return Err(ApiServerError::Plain { url: url.to_owned() }),
            _ => return Err(bad()),
        };
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| ApiServerError::Authority { reason: error.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            base: uri.to_string().trim_end_matches('/').to_owned(),
            tls: Arc::new(tls),
            token,
            user_agent: HeaderValue::from_static(concat!("safeguard-pods/", env!("CARGO_PKG_VERSION"))),
            deadlines: Deadlines::default(),
        })
    }

    /// The API server as a pod is told of it: `directory` is `/var/run/secrets/kubernetes.io/serviceaccount` with `ca.crt`
    /// and `token`, `host` and `port` are what `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` say. The token is
    /// read anew for every request, the authority only here.
    ///
    /// # Errors
    /// [`ApiServerError`] if the authority cannot be read, or host and port are none.
    pub fn in_cluster(directory: &Path, host: &str, port: &str) -> Result<Self, ApiServerError> {
        let path = directory.join("ca.crt");
        let pem = read_own(&path, MAX_AUTHORITY_BYTES).map_err(|source| ApiServerError::File { path, source })?;
        let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() };
        let token = Arc::new(FileToken::new(directory.join("token")));
        Self::new(&format!("https://{host}:{port}"), Some(&pem), token)
    }

    /// With another `User-Agent`, by which the API server's audit log knows us.
    ///
    /// # Errors
    /// [`ApiServerError::UserAgent`] if a header cannot hold it.
    pub fn with_user_agent(mut self, agent: &str) -> Result<Self, ApiServerError> {
        let wrong = |_| ApiServerError::UserAgent { agent: agent.to_owned() };
        self.user_agent = HeaderValue::from_str(agent).map_err(wrong)?;
        Ok(self)
    }

    /// With other deadlines.
    #[must_use]
    pub fn with_deadlines(mut self, deadlines: Deadlines) -> Self {
        self.deadlines = deadlines;
        self
    }
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn roots(pem: &[u8]) -> Result<RootCertStore, ApiServerError> {
    let wrong = |reason: String| ApiServerError::Authority { reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(format!("certificate {}: {error}", roots.len() + 1)))?;
    }
    if roots.is_empty() { Err(wrong("there is no certificate in it".to_owned())) } else { Ok(roots) }
}

#[cfg(test)]
mod tests;
