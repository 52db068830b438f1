//! Which way leads to the API server: as a pod, as a kubeconfig says, or at a URL. No program is ever run for a token.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kubeconfig::{Kubeconfig, KubeconfigError};
use crate::limits::{MAX_AUTHORITY_BYTES, MAX_KUBECONFIG_BYTES};
use crate::server::{ApiServer, ApiServerError};
use crate::token::{FileToken, TokenSource, read_own};

/// Where a pod finds its service account (Kubernetes documentation, "Accessing the Kubernetes API from a Pod").
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// For the kubeconfigs that may be there: they are small, but a disk may hang.
const FILE_DEADLINE: Duration = Duration::from_secs(5);

/// Which of the ways.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessMode {
    /// As the URL or the kubeconfig of the settings say, in a pod as that pod, and else with the node's kubeconfig.
    #[default]
    Auto,
    /// The service account of the pod that this process runs in.
    InCluster,
    /// A kubeconfig.
    Kubeconfig,
    /// A URL.
    Url,
}

/// What the operator says about the way.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessSettings {
    /// Which of the ways.
    pub mode: AccessMode,
    /// URL of the API server.
    pub url: Option<String>,
    /// A kubeconfig.
    pub kubeconfig: Option<PathBuf>,
}

/// Settings that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    /// The field of [`AccessSettings`] that is wrong.
    pub field: &'static str,
    /// What it says, for a message.
    pub value: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// Where the process finds itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether it runs in a pod, as `KUBERNETES_SERVICE_HOST` tells.
    pub in_cluster: bool,
    /// Kubeconfigs that may be there, if the operator names none: the first that can be read is taken.
    pub kubeconfigs: Vec<PathBuf>,
}

/// How the API server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// As the service account of the pod that this process runs in.
    InCluster,
    /// As a kubeconfig says.
    Kubeconfig(PathBuf),
    /// At a URL.
    Url(String),
}

/// A way, and what was read to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The way.
    pub access: Access,
    /// The text of the kubeconfig, if that is the way and it could be read. Nothing about it was checked.
    pub kubeconfig: Option<Vec<u8>>,
}

impl AccessSettings {
    /// The setting that would never be read beside the others, or that is missing for them. It is a mistake, and one that
    /// leads to another cluster.
    #[must_use]
    pub fn contradiction(&self) -> Option<Contradiction> {
        let found = |field, value, reason| Some(Contradiction { field, value, reason });
        match (self.mode, &self.url, &self.kubeconfig) {
            (AccessMode::Url, None, _) => found("mode", "\"url\"".to_owned(), "it needs `kubernetes.url`"),
            (AccessMode::InCluster | AccessMode::Kubeconfig, Some(url), _) => {
                found("url", format!("{url:?}"), "it is only read with `kubernetes.mode` = \"url\" or \"auto\"")
            }
            (AccessMode::InCluster | AccessMode::Url, _, Some(path)) => {
                let reason = "it is only read with `kubernetes.mode` = \"kubeconfig\" or \"auto\"";
                found("kubeconfig", path.display().to_string(), reason)
            }
            _ => None,
        }
    }

    /// Finds the way. What the operator wrote goes before what the surroundings say. Takes 5 s at most, beside the runtime's
    /// threads.
    pub async fn choose(&self, around: &Surroundings) -> Chosen {
        let access = match (self.mode, &self.url) {
            (AccessMode::Auto | AccessMode::Url, Some(url)) => Access::Url(url.clone()),
            (AccessMode::InCluster, _) => Access::InCluster,
            (AccessMode::Auto, None) if around.in_cluster && self.kubeconfig.is_none() => Access::InCluster,
            (AccessMode::Auto | AccessMode::Kubeconfig | AccessMode::Url, _) => {
                let candidates =
                    self.kubeconfig.as_ref().map_or_else(|| around.kubeconfigs.clone(), |p| vec![p.clone()]);
                return first_readable(candidates).await;
            }
        };
        Chosen { access, kubeconfig: None }
    }
}

/// The first kubeconfig that can be read; if there is none, the first of them, so that messages have a file to name.
async fn first_readable(candidates: Vec<PathBuf>) -> Chosen {
    let first = candidates.first().cloned().unwrap_or_default();
    let none = Chosen { access: Access::Kubeconfig(first), kubeconfig: None };
    let look = tokio::task::spawn_blocking(move || {
        candidates.into_iter().find_map(|path| match read_own(&path, MAX_KUBECONFIG_BYTES as u64) {
            Ok(text) => Some(Chosen { access: Access::Kubeconfig(path), kubeconfig: Some(text) }),
            Err(error) => {
                tracing::debug!(%error, path = %path.display(), "no kubeconfig there");
                None
            }
        })
    });
    match tokio::time::timeout(FILE_DEADLINE, look).await {
        Ok(Ok(Some(chosen))) => chosen,
        Ok(Ok(None) | Err(_)) => none,
        Err(_) => {
            tracing::warn!(deadline = ?FILE_DEADLINE, "the kubeconfig did not answer in time");
            none
        }
    }
}

/// What a way may need.
#[derive(Debug, Clone, Default)]
pub struct Means {
    /// PEM file with the authorities of the API server, in the place of those that a kubeconfig names.
    pub ca_file: Option<PathBuf>,
    /// File with a bearer token. It goes before `minted`.
    pub token_file: Option<PathBuf>,
    /// Tokens that are made in this process.
    pub minted: Option<Arc<dyn TokenSource>>,
    /// What `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT` say; empty where they say nothing.
    pub service: (String, String),
    /// By which the API server's audit log knows us.
    pub user_agent: &'static str,
}

/// Why the API server cannot be reached in this way.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
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
        "there is no token for Kubernetes: set `kubernetes.token_file`, or the name of the cluster for an EKS token of the node's \
         role"
    )]
    NoToken,
}

impl Access {
    /// The API server, with where its tokens come from. Reads files: authorities and the kubeconfig are read here once, tokens
    /// for every request.
    ///
    /// # Errors
    /// [`AccessError`] if the way does not lead to an API server.
    pub fn api_server(&self, means: &Means) -> Result<ApiServer, AccessError> {
        let authority = means.ca_file.as_deref().map(|path| read(path, MAX_AUTHORITY_BYTES)).transpose()?;
        let server = match self {
            Self::Url(url) => ApiServer::new(url, authority.as_deref(), means.token()?)?,
            Self::InCluster => {
                let (host, port) = &means.service;
                ApiServer::in_cluster(Path::new(SERVICE_ACCOUNT), host, port)?
            }
            Self::Kubeconfig(path) => {
                let config = Kubeconfig::parse(&read(path, MAX_KUBECONFIG_BYTES as u64)?)
                    .map_err(|error| AccessError::Kubeconfig { path: path.clone(), error })?;
                let authority = match (authority, config.authority, &config.authority_file) {
                    (Some(set), ..) => Some(set),
                    (None, Some(data), _) => Some(data),
                    (None, None, Some(file)) => Some(read(file, MAX_AUTHORITY_BYTES)?),
                    (None, None, None) => None,
                };
                ApiServer::new(&config.server, authority.as_deref(), means.token()?)?
            }
        };
        Ok(server.with_user_agent(means.user_agent)?)
    }
}

impl Means {
    fn token(&self) -> Result<Arc<dyn TokenSource>, AccessError> {
        if let Some(path) = &self.token_file {
            return Ok(Arc::new(FileToken::new(path)));
        }
        self.minted.clone().ok_or(AccessError::NoToken)
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, AccessError> {
    read_own(path, most).map_err(|source| AccessError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests;
