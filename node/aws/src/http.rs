//! The HTTP client under every SDK client: TLS, the CA bundle, and proxies.
//!
//! It is two clients that are chosen by the scheme of the request. HTTPS goes through `HTTPS_PROXY`; plain HTTP, which is
//! spoken to metadata services and to endpoints that the operator set, goes through `HTTP_PROXY`. The metadata services
//! are always reached directly: a proxy would see the node's credentials, and answer with its own.

mod bundle;

use std::path::PathBuf;
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

/// Idle connections kept per host. The log room has few requests in flight, and each connection costs memory here and in
/// the endpoint's load balancer.
const IDLE_CONNECTIONS: usize = 4;

/// Shorter than the idle timeouts of what stands in between (an NLB's is 350 s, many firewalls use 60 s), so that a
/// connection is rarely found dead when it is needed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// What is never sent through a proxy: IMDS (EC2 User Guide, "Use IMDSv2"), container credentials (ECS: 169.254.170.2)
/// and EKS Pod Identity (EKS User Guide, "Understand how EKS Pod Identity works": 169.254.170.23 and fd00:ec2::23), and
/// this machine.
const DIRECT: &str = "169.254.169.254,169.254.170.2,169.254.170.23,fd00:ec2::254,fd00:ec2::23,localhost,127.0.0.1,::1";

/// Proxies, as the environment of most programs names them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// `HTTPS_PROXY`: for HTTPS requests. May hold a user name and password.
    pub https: Option<String>,
    /// `HTTP_PROXY`: for plain HTTP requests. May hold a user name and password.
    pub http: Option<String>,
    /// `NO_PROXY`: hosts, domains and networks that are reached directly, separated by commas.
    pub none: Option<String>,
}

impl std::fmt::Debug for Proxies {
    /// Without the URLs: they may hold a password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxies")
            .field("https", &self.https.is_some())
            .field("http", &self.http.is_some())
            .field("none", &self.none)
            .finish()
    }
}

/// What the HTTP client needs to know.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// PEM file with the only authorities to trust, in the place of the system's (as `AWS_CA_BUNDLE` is understood by
    /// the AWS CLI).
    pub ca_bundle: Option<PathBuf>,
    /// Proxies.
    pub proxies: Proxies,
}

/// Why there can be no HTTP client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The CA bundle cannot be used.
    #[error("the CA bundle {} cannot be used: {reason}. It has to be a PEM file of certificates", path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A proxy's URL is not one. The URL itself is not repeated: it may hold a password.
    #[error("{variable} does not hold the URL of a proxy, such as http://proxy.example.com:3128")]
    Proxy {
        /// The environment variable.
        variable: &'static str,
    },
}

/// The HTTP client for SDK clients. Connections are pooled inside; share it by cloning.
///
/// # Errors
/// [`HttpError`] if the CA bundle or a proxy's URL cannot be used.
pub fn http_client(options: &HttpOptions) -> Result<SharedHttpClient, HttpError> {
    let trust = match &options.ca_bundle {
        Some(path) => {
            let pem = bundle::read(path).map_err(|reason| HttpError::Bundle { path: path.clone(), reason })?;
            TrustStore::empty().with_pem_certificate(pem)
        }
        None => TrustStore::default(),
    };
    let Proxies { https, http, none } = &options.proxies;
    let direct = none.as_ref().map_or_else(|| DIRECT.to_owned(), |none| format!("{none},{DIRECT}"));
    let proxy = |url: &Option<String>, variable, parse: fn(&str) -> Option<ProxyConfig>| match url {
        None => Ok(ProxyConfig::disabled()),
        Some(url) => parse(url).map(|proxy| proxy.no_proxy(&direct)).ok_or(HttpError::Proxy { variable }),
    };
    let secure = proxy(https, "HTTPS_PROXY", |url| ProxyConfig::https(url).ok())?;
    let plain = proxy(http, "HTTP_PROXY", |url| ProxyConfig::http(url).ok())?;
    // Plain HTTP needs no authorities.
    let (secure, plain) = (client(secure, trust), client(plain, TrustStore::empty()));
    Ok(SharedHttpClient::new(ByScheme { secure, plain }))
}

fn client(proxy: ProxyConfig, trust: TrustStore) -> SharedHttpClient {
    let tls = TlsContext::builder().with_trust_store(trust).build().unwrap_or_default();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = Connector::builder()
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(tls.clone()).build()
    })
}

#[derive(Debug, Clone)]
struct ByScheme {
    secure: SharedHttpClient,
    plain: SharedHttpClient,
}

impl HttpClient for ByScheme {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let (clients, settings, components) = (self.clone(), settings.clone(), components.clone());
        SharedHttpConnector::new(ByRequest { clients, settings, components })
    }
}

/// Chooses when the request is there. The client for HTTPS reads all of the system's authorities when it makes its connector, which
/// takes milliseconds and memory that a process whose endpoints are plain never needs. Each client keeps its connectors.
#[derive(Debug)]
struct ByRequest {
    clients: ByScheme,
    settings: HttpConnectorSettings,
    components: RuntimeComponents,
}

impl HttpConnector for ByRequest {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let plain = request.uri().get(..5).is_some_and(|start| start.eq_ignore_ascii_case("http:"));
        let client = if plain { &self.clients.plain } else { &self.clients.secure };
        client.http_connector(&self.settings, &self.components).call(request)
    }
}

#[cfg(test)]
mod tests;
