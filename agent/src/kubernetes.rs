//! How the agent reaches Kubernetes: the way that was found, and tokens of the node's role where it needs some.

use std::sync::Arc;

use safeguard_aws::{Environment, SdkConfig, eks_token};
use safeguard_daemon::clock;
use safeguard_pods::{Access, Means, Minted, MintedToken, Token, TokenError, TokenSource};

use crate::config::{Kubernetes, Resolved};

/// A way to the API server, and what it needs.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) access: Access,
    pub(crate) means: Means,
}

impl Way {
    /// This way, with tokens of the node's role if there is an SDK to make them with.
    pub(crate) fn new(
        access: Access,
        settings: &Kubernetes,
        resolved: &Resolved,
        environment: &Environment,
        sdk: Option<&SdkConfig>,
    ) -> Self {
        let get = |name| environment.get(name).unwrap_or_default().to_owned();
        let cluster = Some(resolved.names.cluster.as_str()).filter(|cluster| !cluster.is_empty());
        let means = Means {
            ca_file: settings.ca_file.clone(),
            token_file: settings.token_file.clone(),
            minted: cluster.zip(sdk).map(|(cluster, sdk)| node_token(cluster, sdk)),
            service: (get("KUBERNETES_SERVICE_HOST"), get("KUBERNETES_SERVICE_PORT")),
            user_agent: concat!("safeguard-agent/", env!("CARGO_PKG_VERSION")),
        };
        Self { access, means }
    }
}

/// Tokens that EKS takes for those of the node's role.
fn node_token(cluster: &str, sdk: &SdkConfig) -> Arc<dyn TokenSource> {
    let (name, sdk) = (cluster.to_owned(), sdk.clone());
    Arc::new(MintedToken::new(cluster, clock::now, move |now| {
        let (cluster, sdk) = (name.clone(), sdk.clone());
        async move {
            let made = eks_token(&sdk, &cluster, now).await.map_err(|error| TokenError::Other(error.to_string()))?;
            Ok(Minted { token: Token::new(made.expose())?, renew_at: made.renew_at })
        }
    }))
}
