//! Finds what was left open: who this node is, and where roles without an ARN are. Only what is needed is looked for, and each
//! source is asked only when those before it were silent.

use std::path::{Path, PathBuf};

use safeguard_aws::kubelet::{CLUSTER_TAGS, KUBECONFIG, cluster_in_kubeconfig, cluster_in_tags, node_name};
use safeguard_aws::{Environment, Identity, Wanted};
use safeguard_daemon::settings::{Found, Missing, Source};
use safeguard_pods::{Access, AccessMode, Surroundings};

use super::check::Checked;
use super::partition;
use super::raw::Settings;
use crate::role::RoleBase;

/// What was found out.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// Name of the Kubernetes node; empty if it is missing.
    pub node: String,
    /// AWS region; empty if it is missing.
    pub region: String,
    /// Where roles without an ARN are, if the settings do not say.
    pub base: Option<RoleBase>,
    /// Name of the EKS cluster, if it is known; it is missing where an EKS token has to be made of it.
    pub cluster: Option<String>,
    /// How Kubernetes is reached.
    pub kubernetes: Access,
    /// URL of STS, in the place of the region's.
    pub sts_endpoint_url: Option<String>,
    /// URL of the node's metadata service, in the place of the well-known one.
    pub imds_endpoint: Option<String>,
    /// PEM file with the only authorities to trust for AWS.
    pub ca_bundle: Option<PathBuf>,
    /// The values that the settings did not give, and what is needed and was not found.
    pub found: Found,
}

/// Finds the values that `settings` leave open. Settings go first, then the environment, then the kubeconfig, then the metadata
/// service, which is not asked when nothing is missing. Within 10 seconds in all.
///
/// Of settings that are wrong, everything stays open; see [`Settings::checked`].
pub async fn resolve(settings: &Settings, checked: &Checked, environment: &Environment) -> Resolved {
    let (kubernetes, aws) = (&settings.kubernetes, &settings.aws);
    let mut found = Found::default();
    settle_endpoints(settings, environment, &mut found);
    let env =
        |names: &[&'static str]| environment.first(names).map(|(name, value)| (value.to_owned(), Source::Env(name)));
    let region = found.settle("aws.region", aws.region.as_ref(), env(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
    let name = found.settle("node.name", settings.node.name.as_ref(), env(&["NODE_NAME"]));
    let (access, token) = access(settings, environment, &mut found).await;

    let must = token == Token::Minted && kubernetes.cluster.is_none();
    let wish = settings.roles.session_tags && kubernetes.cluster.is_none();
    let cluster = (must || wish) && found.get("kubernetes.cluster").is_none();
    let base = checked.base.is_none();
    if region || name || base || cluster {
        let wanted = Wanted { local_hostname: name, tags: if cluster { &CLUSTER_TAGS } else { &[] } };
        let endpoint = found.or(aws.imds_endpoint.as_ref(), "aws.imds_endpoint");
        let (identity, why) = match environment.identity(endpoint.as_deref(), wanted).await {
            Ok(identity) => (Some(identity), "the metadata service does not tell it".to_owned()),
            Err(error) => (None, error.to_string()),
        };
        let identity = identity.as_ref();
        let mut want = |needed, key, value: Option<String>, source, or_variable| {
            let value = value.filter(|value| !value.is_empty()).map(|value| (value, source));
            if needed && found.settle(key, None, value) {
                found.missing.push(Missing { key, reason: why.clone(), or_variable });
            }
        };
        let by_imds = |of: fn(&Identity) -> &String| identity.map(|identity| of(identity).clone());
        want(region, "aws.region", by_imds(|i| &i.region), Source::Imds, ", or AWS_REGION in the environment");
        let host = identity.and_then(|identity| node_name(identity.local_hostname.as_deref()?));
        want(name, "node.name", host, Source::Imds, ", or NODE_NAME in the environment");
        want(base, "roles.base_arn", identity.and_then(base_of), Source::Imds, "");
        let (tagged, tag) = identity.and_then(cluster_in_tags).unzip();
        let tag = Source::Tag(tag.unwrap_or_default());
        if must || tagged.is_some() {
            want(cluster, "kubernetes.cluster", tagged, tag, "");
        }
    }
    let value = |key, set: Option<&String>| found.or(set, key);
    Resolved {
        node: value("node.name", settings.node.name.as_ref()).unwrap_or_default(),
        region: value("aws.region", aws.region.as_ref()).unwrap_or_default(),
        base: found.get("roles.base_arn").and_then(|base| RoleBase::new(base).ok()),
        cluster: value("kubernetes.cluster", kubernetes.cluster.as_ref()),
        kubernetes: access,
        sts_endpoint_url: value("aws.sts_endpoint_url", aws.sts_endpoint_url.as_ref()),
        imds_endpoint: value("aws.imds_endpoint", aws.imds_endpoint.as_ref()),
        ca_bundle: aws.ca_bundle.clone().or_else(|| found.get("aws.ca_bundle").map(PathBuf::from)),
        found,
    }
}

/// The roles of the account that the instance is in, in the partition of the region that it is in: not of the one that the
/// settings name, which may be another's.
fn base_of(identity: &Identity) -> Option<String> {
    let base = RoleBase::of_account(partition::of_region(&identity.region), &identity.account);
    base.map(|base| base.as_str().to_owned()).ok()
}

/// What works without, and is shown all the same.
fn settle_endpoints(settings: &Settings, environment: &Environment, found: &mut Found) {
    let env =
        |names: &[&'static str]| environment.first(names).map(|(name, value)| (value.to_owned(), Source::Env(name)));
    let aws = &settings.aws;
    if !environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        let endpoint = env(&["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"]);
        found.settle("aws.sts_endpoint_url", aws.sts_endpoint_url.as_ref(), endpoint);
    }
    found.settle("aws.imds_endpoint", aws.imds_endpoint.as_ref(), env(&["AWS_EC2_METADATA_SERVICE_ENDPOINT"]));
    if aws.ca_bundle.is_none() {
        found.settle("aws.ca_bundle", None, env(&["AWS_CA_BUNDLE"]));
    }
}

/// Whether an EKS token has to be made, for which the cluster's name is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    /// It has to be.
    Minted,
    /// There is another way, or a kubeconfig that has one.
    Given,
}

async fn access(settings: &Settings, environment: &Environment, found: &mut Found) -> (Access, Token) {
    let kubernetes = &settings.kubernetes;
    let handed = environment.get("CREDENTIALS_DIRECTORY").map(|dir| Path::new(dir).join("kubeconfig"));
    let around = Surroundings {
        in_cluster: environment.get("KUBERNETES_SERVICE_HOST").is_some(),
        kubeconfigs: handed.clone().into_iter().chain([KUBECONFIG.into()]).collect(),
    };
    let chosen = kubernetes.access().choose(&around).await;
    let is_auto = kubernetes.mode == AccessMode::Auto;
    let minted = if kubernetes.token_file.is_some() { Token::Given } else { Token::Minted };
    let token = match &chosen.access {
        Access::Url(_) => minted,
        Access::InCluster => {
            if is_auto {
                found.insert("kubernetes.mode", "in-cluster".to_owned(), Source::Env("KUBERNETES_SERVICE_HOST"));
            }
            Token::Given
        }
        Access::Kubeconfig(path) => {
            if kubernetes.kubeconfig.is_none() {
                let is_handed = handed.as_ref() == Some(path);
                let usual = Source::Kubelet("its own kubeconfig");
                let source = if is_handed { Source::Env("CREDENTIALS_DIRECTORY") } else { usual };
                found.insert("kubernetes.kubeconfig", path.display().to_string(), source);
            }
            if is_auto {
                found.insert("kubernetes.mode", "kubeconfig".to_owned(), Source::Default);
            }
            let cluster = chosen.kubeconfig.as_deref().and_then(cluster_in_kubeconfig);
            // A kubeconfig without such a command has a token or a certificate of its own.
            let token = if cluster.is_some() { minted } else { Token::Given };
            let cluster = cluster.map(|cluster| (cluster, Source::File(path.clone())));
            found.settle("kubernetes.cluster", kubernetes.cluster.as_ref(), cluster);
            token
        }
    };
    (chosen.access, token)
}

#[cfg(test)]
mod tests;
