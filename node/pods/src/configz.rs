//! Asks the kubelet of this node what it runs with, as whom the API server knows us.
//!
//! The certificate has to be one that the cluster's authority made for this node: whoever else listens there gets no token. Nothing is
//! asked again but a refused token, once; no answer leads elsewhere, and none is read beyond its bound.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, USER_AGENT};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::time::timeout;

use crate::client::{Answer, causes};
use crate::limits::MAX_CONFIGZ_BYTES;
use crate::server::ApiServer;
use crate::token::TokenError;

/// For all of it, the token included.
const DEADLINE: Duration = Duration::from_secs(5);

/// Why it is not known what the kubelet runs with. No message repeats what the kubelet sent.
#[derive(Debug, thiserror::Error)]
pub enum ConfigzError {
    /// Nobody can have a certificate for such a node.
    #[error("{node:?} is no name of a node, so that the kubelet's certificate cannot be checked")]
    Name {
        /// What was given.
        node: String,
    },
    /// There is no token to ask with.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Another certificate than the cluster would have made.
    #[error(
        "{address}: its certificate is not one of the cluster's authority for {node} ({reason}), so that it was not asked; kubelets sign \
         their own unless `serverTLSBootstrap` is on"
    )]
    Stranger {
        /// Where it was asked.
        address: SocketAddr,
        /// For whom the certificate should be.
        node: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers, or not to the end.
    #[error("{address}: {reason}")]
    Unreachable {
        /// Where it was asked.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// It takes too long.
    #[error("{address}: no answer within {} s", after.as_secs())]
    Silent {
        /// Where it was asked.
        address: SocketAddr,
        /// How long it was waited for.
        after: Duration,
    },
    /// 401
    #[error("the kubelet does not accept our token (401); it needs `authentication.webhook.enabled`")]
    Unauthorized,
    /// 403
    #[error(
        "the kubelet does not let us (403); grant this identity `get` on nodes/configz in a ClusterRole (before Kubernetes 1.33: \
         nodes/proxy)"
    )]
    Forbidden,
    /// Another answer than a good one; where it leads elsewhere, nobody followed.
    #[error("the kubelet answered {code}")]
    Refused {
        /// The HTTP status.
        code: u16,
    },
    /// More than a kubelet has to say.
    #[error("the kubelet answered with more than {most} bytes")]
    TooLarge {
        /// The bound.
        most: usize,
    },
    /// No JSON.
    #[error("the kubelet's answer is no JSON")]
    Unreadable,
}

/// What `GET /configz` of the kubelet at `address` says, whose certificate has to be for `node`. Authorities, token and user agent are
/// those of `server`, which itself is not asked. It takes 5 s at most.
///
/// # Errors
/// [`ConfigzError`], with what can be done about it.
pub async fn configz(server: &ApiServer, node: &str, address: SocketAddr) -> Result<Value, ConfigzError> {
    let name = ServerName::try_from(node.to_owned()).map_err(|_| ConfigzError::Name { node: node.to_owned() })?;
    let asking = Asking { server, node, name, address };
    let silent = |_| ConfigzError::Silent { address, after: DEADLINE };
    timeout(DEADLINE, asking.ask()).await.map_err(silent)?
}

struct Asking<'a> {
    server: &'a ApiServer,
    node: &'a str,
    name: ServerName<'static>,
    address: SocketAddr,
}

impl Asking<'_> {
    async fn ask(&self) -> Result<Value, ConfigzError> {
        let mut answer = self.ask_once().await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            // It may just have been replaced.
            self.server.token.rejected();
            answer = self.ask_once().await?;
        }
        match answer.status() {
            StatusCode::OK => serde_json::from_slice(&self.body(answer).await?).map_err(|_| ConfigzError::Unreadable),
            StatusCode::UNAUTHORIZED => Err(ConfigzError::Unauthorized),
            StatusCode::FORBIDDEN => Err(ConfigzError::Forbidden),
            other => Err(ConfigzError::Refused { code: other.as_u16() }),
        }
    }

    async fn ask_once(&self) -> Result<Response<Incoming>, ConfigzError> {
        let token = self.server.token.token().await?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
            .map_err(|_| ConfigzError::Token(TokenError::Unusable))?;
        bearer.set_sensitive(true);
        let request = Request::get(format!("https://{}/configz", self.address))
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, self.server.user_agent.clone())
            .header(AUTHORIZATION, bearer)
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.unreachable(error.to_string()))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config((*self.server.tls).clone())
            .https_only()
            .with_server_name_resolver(FixedServerNameResolver::new(self.name.clone()))
            .enable_http1()
            .wrap_connector(tcp);
        // Minutes lie between two questions: no connection is kept.
        let http = legacy::Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        http.request(request).await.map_err(|error| match certificate_trouble(&error) {
            Some(reason) => ConfigzError::Stranger { address: self.address, node: self.node.to_owned(), reason },
            None => self.unreachable(causes(&error)),
        })
    }

    async fn body(&self, answer: Response<Incoming>) -> Result<Vec<u8>, ConfigzError> {
        let (mut body, mut bytes) = (answer.into_body(), Vec::new());
        while let Some(piece) = body.piece().await.map_err(|trouble| self.unreachable(trouble.to_string()))? {
            if bytes.len() + piece.len() > MAX_CONFIGZ_BYTES {
                return Err(ConfigzError::TooLarge { most: MAX_CONFIGZ_BYTES });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    fn unreachable(&self, reason: String) -> ConfigzError {
        ConfigzError::Unreachable { address: self.address, reason }
    }
}

/// What TLS had against the certificate, if that was the trouble.
fn certificate_trouble(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An `io::Error` does not count what it wraps among its sources.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = wrapped.and_then(|inner| inner.downcast_ref()).or_else(|| error.downcast_ref::<rustls::Error>());
        if let Some(rustls::Error::InvalidCertificate(reason)) = tls {
            return Some(reason.to_string());
        }
        // hyper-rustls wraps one `io::Error` in another.
        cause = match wrapped.and_then(|inner| inner.downcast_ref::<std::io::Error>()) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}
