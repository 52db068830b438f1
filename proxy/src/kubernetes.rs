//! How the Kubernetes API is reached: as a pod, as the node, or as the settings say. No program is ever run for a token.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use safeguard_aws::{EksToken, Environment, SdkConfig, eks_token};
use safeguard_daemon::clock;
use safeguard_daemon::settings::read_regular;
use safeguard_pods::{
    ApiServer, ApiServerError, FileToken, Kubeconfig, KubeconfigError, Token, TokenError, TokenFuture, TokenSource,
};

use crate::config::{Kubernetes, KubernetesAccess, Resolved};

/// Where a pod finds its service account (Kubernetes documentation, "Accessing the Kubernetes API from a Pod").
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A kubeconfig, and a file of authorities, have some kilobytes.
const MOST_BYTES: u64 = 256 * 1024;

/// Why Kubernetes cannot be reached as the settings say.
#[derive(Debug, thiserror::Error)]
pub enum KubernetesError {
    /// The URL, the authorities, or the service account.
    #[error(transparent)]
    Server(#[from] ApiServerError),
    /// A file cannot be read.
    #[error("{} cannot be read: {source}. It is needed to reach Kubernetes; see [kubernetes] in the settings", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The kubeconfig cannot be used.
    #[error("{}: {error}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why.
        error: KubeconfigError,
    },
    /// There is no way to get a token.
    #[error(
        "there is no token for Kubernetes: set `kubernetes.token_file`, or `kubernetes.cluster` for an EKS token of the node's role"
    )]
    NoToken,
}

/// The API server, with where its tokens come from.
pub(crate) fn api_server(
    settings: &Kubernetes,
    resolved: &Resolved,
    environment: &Environment,
    sdk: &SdkConfig,
) -> Result<ApiServer, KubernetesError> {
    let token = || -> Result<Arc<dyn TokenSource>, KubernetesError> {
        if let Some(path) = &settings.token_file {
            return Ok(Arc::new(FileToken::new(path)));
        }
        let cluster = resolved.cluster.clone().ok_or(KubernetesError::NoToken)?;
        Ok(Arc::new(NodeToken { cluster, sdk: sdk.clone(), kept: Mutex::default() }))
    };
    let authority = settings.ca_file.as_deref().map(read).transpose()?;
    let server = match &resolved.kubernetes {
        KubernetesAccess::Url(url) => ApiServer::new(url, authority.as_deref(), token()?)?,
        KubernetesAccess::InCluster => {
            let get = |name| environment.get(name).unwrap_or_default();
            let (host, port) = (get("KUBERNETES_SERVICE_HOST"), get("KUBERNETES_SERVICE_PORT"));
            ApiServer::in_cluster(Path::new(SERVICE_ACCOUNT), host, port)?
        }
        KubernetesAccess::Kubeconfig(path) => {
            let config = Kubeconfig::parse(&read(path)?)
                .map_err(|error| KubernetesError::Kubeconfig { path: path.clone(), error })?;
            let authority = match (authority, config.authority, &config.authority_file) {
                (Some(set), ..) => Some(set),
                (None, Some(data), _) => Some(data),
                (None, None, Some(file)) => Some(read(file)?),
                (None, None, None) => None,
            };
            ApiServer::new(&config.server, authority.as_deref(), token()?)?
        }
    };
    Ok(server.with_user_agent(concat!("safeguard-proxy/", env!("CARGO_PKG_VERSION")))?)
}

fn read(path: &Path) -> Result<Vec<u8>, KubernetesError> {
    let text = read_regular(path, MOST_BYTES);
    text.map(String::into_bytes).map_err(|source| KubernetesError::File { path: path.to_owned(), source })
}

/// Tokens that EKS takes for those of the node's role, made here.
struct NodeToken {
    cluster: String,
    sdk: SdkConfig,
    kept: Mutex<Option<EksToken>>,
}

impl fmt::Debug for NodeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeToken").field("cluster", &self.cluster).finish_non_exhaustive()
    }
}

impl NodeToken {
    async fn current(&self) -> Result<Token, TokenError> {
        let now = clock::now();
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| now < kept.renew_at) {
            return Token::new(kept.expose());
        }
        let made =
            eks_token(&self.sdk, &self.cluster, now).await.map_err(|error| TokenError::Other(error.to_string()))?;
        let token = Token::new(made.expose());
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
        token
    }
}

impl TokenSource for NodeToken {
    fn token(&self) -> TokenFuture<'_> {
        Box::pin(self.current())
    }

    fn rejected(&self) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
