//! Finds what was left open: who this node is. Only what is needed is looked for, and each source is asked only when
//! those before it were silent.

use std::path::{Path, PathBuf};
use std::time::Duration;

use safeguard_aws::kubelet::{CLUSTER_TAGS, KUBECONFIG, cluster_in_tags, node_name};
use safeguard_aws::{Environment, Identity, Wanted};
use safeguard_daemon::settings::{Found, Missing, Source};
use safeguard_host::HostRoot;
use safeguard_logs::{NodeNames, Variable};
use safeguard_pods::{Access, AccessMode, Chosen, Surroundings};

use super::check::Checked;
use super::discover;
use super::raw::{Kubernetes, Settings};

/// For all host files: they are small, but a disk may hang.
const HOST_DEADLINE: Duration = Duration::from_secs(5);

/// What the node is called, and what was found out for it.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The names for templates; empty where not needed.
    pub names: NodeNames,
    /// How Kubernetes is reached; `None` where it is not asked.
    pub kubernetes: Option<Access>,
    /// The values that the settings did not give, and what is needed and was not found.
    pub found: Found,
}

/// Which values are needed.
#[derive(Debug, Clone, Copy)]
struct Needs {
    cluster: bool,
    node: bool,
    account: bool,
    instance_id: bool,
    image_id: bool,
}

/// Finds the values that `settings` leave open and that its templates or the SDK need. Settings go first, then the
/// environment, then the host's files, then the metadata service, which is not asked when nothing is missing.
pub async fn resolve(settings: &Settings, environment: &Environment) -> Resolved {
    match settings.checked() {
        Ok(checked) => resolve_checked(settings, &checked, environment).await,
        Err(_) => Resolved::default(),
    }
}

pub(crate) async fn resolve_checked(settings: &Settings, checked: &Checked, environment: &Environment) -> Resolved {
    let (node, aws) = (&settings.node, &settings.aws);
    let uses = |variable| settings.logs.enabled && checked.uses(variable);
    let mut found = Found::default();
    // The heartbeat says who speaks, and how the cluster sees the node.
    let beats = settings.heartbeat.url.is_some();
    // Whose pods to ask for, and for which cluster a token is made.
    let asks = beats || settings.logs.enabled && !checked.may_exclude().is_empty();
    let kubernetes = if asks { Some(access(settings, environment, &mut found).await) } else { None };
    let mints = kubernetes.as_ref().is_some_and(|access| *access != Access::InCluster);
    let needs = Needs {
        cluster: beats || uses(Variable::Cluster) || mints && settings.kubernetes.token_file.is_none(),
        node: uses(Variable::Node) || asks,
        account: beats || uses(Variable::Account),
        instance_id: beats || uses(Variable::InstanceId),
        image_id: beats,
    };
    let env =
        |names: &[&'static str]| environment.first(names).map(|(name, value)| (value.to_owned(), Source::Env(name)));

    let region = found.settle("aws.region", aws.region.as_ref(), env(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
    let name = needs.node && found.settle("node.name", node.name.as_ref(), env(&["NODE_NAME"]));
    let cluster = needs.cluster && node.cluster.is_none();
    let local = local(settings, cluster, name).await;
    let cluster = cluster && found.settle("node.cluster", node.cluster.as_ref(), local.cluster);
    let name = name && found.settle("node.name", node.name.as_ref(), local.name);
    let account = needs.account && node.account.is_none();
    let instance = needs.instance_id && node.instance_id.is_none();
    let image = needs.image_id && node.image_id.is_none();

    settle_optional(settings, environment, &mut found);
    let region = region && (settings.logs.enabled || beats);
    if region || cluster || name || account || instance || image {
        let endpoint = found.or(aws.imds_endpoint.as_ref(), "aws.imds_endpoint");
        let (identity, reason) = ask_imds(endpoint.as_deref(), environment, cluster, name).await;
        let of = |value: fn(&Identity) -> &String| {
            identity.as_ref().map(|i| (value(i).clone(), Source::Imds)).filter(|(value, _)| !value.is_empty())
        };
        let tag = identity.as_ref().and_then(cluster_in_tags).map(|(cluster, tag)| (cluster, Source::Tag(tag)));
        let host = identity.as_ref().and_then(|i| node_name(i.local_hostname.as_deref()?));
        let mut want = |needed: bool, key, value: Option<(String, Source)>, tried: &str, or_variable| {
            if needed && found.settle(key, None, value) {
                let reason = format!("{tried}{reason}").trim_start_matches("; ").to_owned();
                let reason =
                    if reason.is_empty() { "the metadata service does not tell it".to_owned() } else { reason };
                found.missing.push(Missing { key, reason, or_variable });
            }
        };
        want(region, "aws.region", of(|i| &i.region), "", ", or AWS_REGION in the environment");
        let tried = format!("{} names no cluster, and no tag of the instance does", KUBECONFIG);
        want(cluster, "node.cluster", tag, &tried, "");
        let tried = "neither the kubelet's --hostname-override nor /etc/hostname of the host is there";
        want(name, "node.name", host.map(|h| (h, Source::Imds)), tried, ", or NODE_NAME in the environment");
        want(account, "node.account", of(|i| &i.account), "", "");
        want(instance, "node.instance_id", of(|i| &i.instance_id), "", "");
        want(image, "node.image_id", of(|i| &i.image_id), "", "");
    }
    Resolved { names: names(settings, &found), kubernetes, found }
}

/// The way to the API server, as settings and environment have it.
pub(crate) async fn way(kubernetes: &Kubernetes, environment: &Environment) -> Chosen {
    let around = Surroundings {
        in_cluster: environment.get("KUBERNETES_SERVICE_HOST").is_some(),
        kubeconfigs: handed(environment).into_iter().chain([KUBECONFIG.into()]).collect(),
    };
    kubernetes.access().choose(&around).await
}

/// The kubeconfig that systemd handed over.
fn handed(environment: &Environment) -> Option<PathBuf> {
    environment.get("CREDENTIALS_DIRECTORY").map(|dir| Path::new(dir).join("kubeconfig"))
}

/// The way to the API server, and who says that it is the way.
async fn access(settings: &Settings, environment: &Environment, found: &mut Found) -> Access {
    let kubernetes = &settings.kubernetes;
    let access = way(kubernetes, environment).await.access;
    let mode = match &access {
        Access::Url(_) => None,
        Access::InCluster => Some(("in-cluster", Source::Env("KUBERNETES_SERVICE_HOST"))),
        Access::Kubeconfig(path) => {
            if kubernetes.kubeconfig.is_none() {
                let usual = Source::Kubelet("its own kubeconfig");
                let is_handed = handed(environment).as_ref() == Some(path);
                let source = if is_handed { Source::Env("CREDENTIALS_DIRECTORY") } else { usual };
                found.insert("kubernetes.kubeconfig", path.display().to_string(), source);
            }
            Some(("kubeconfig", Source::Default))
        }
    };
    if let Some((mode, source)) = mode.filter(|_| kubernetes.mode == AccessMode::Auto) {
        found.insert("kubernetes.mode", mode.to_owned(), source);
    }
    access
}

/// What works without, and is shown all the same.
fn settle_optional(settings: &Settings, environment: &Environment, found: &mut Found) {
    let env =
        |names: &[&'static str]| environment.first(names).map(|(name, value)| (value.to_owned(), Source::Env(name)));
    let aws = &settings.aws;
    if !environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        let endpoint = env(&["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL"]);
        found.settle("aws.endpoint_url", aws.endpoint_url.as_ref(), endpoint);
    }
    found.settle("aws.imds_endpoint", aws.imds_endpoint.as_ref(), env(&["AWS_EC2_METADATA_SERVICE_ENDPOINT"]));
    if aws.ca_bundle.is_none() {
        found.settle("aws.ca_bundle", None, env(&["AWS_CA_BUNDLE"]));
    }
}

fn names(settings: &Settings, found: &Found) -> NodeNames {
    let value = |key, set: &Option<String>| found.or(set.as_ref(), key).unwrap_or_default();
    let node = &settings.node;
    NodeNames {
        cluster: value("node.cluster", &node.cluster),
        region: value("aws.region", &settings.aws.region),
        account: value("node.account", &node.account),
        instance_id: value("node.instance_id", &node.instance_id),
        node: value("node.name", &node.name),
    }
}

#[derive(Default)]
struct Local {
    cluster: Option<(String, Source)>,
    name: Option<(String, Source)>,
}

/// Reads the host's files beside the runtime's threads, and gives up on a disk that does not answer.
async fn local(settings: &Settings, cluster: bool, name: bool) -> Local {
    if !cluster && !name {
        return Local::default();
    }
    let root = settings.node.host_root.clone();
    let look = tokio::task::spawn_blocking(move || {
        let host = match HostRoot::open(root) {
            Ok(host) => host,
            Err(error) => {
                tracing::warn!(%error, "the host's files say nothing about this node");
                return Local::default();
            }
        };
        let kubeconfig = || discover::cluster(&host).map(|name| (name, Source::Kubelet(KUBECONFIG)));
        let kubelet = || discover::node_of_kubelet(&host).map(|name| (name, Source::Kubelet("--hostname-override")));
        let hostname = || discover::host_name(&host).map(|name| (name, Source::HostName));
        Local { cluster: cluster.then(kubeconfig).flatten(), name: name.then(|| kubelet().or_else(hostname)).flatten() }
    });
    match tokio::time::timeout(HOST_DEADLINE, look).await {
        Ok(Ok(local)) => local,
        Ok(Err(_)) | Err(_) => {
            tracing::warn!(deadline = ?HOST_DEADLINE, "the host's files did not answer in time");
            Local::default()
        }
    }
}

/// What the metadata service says; if nothing, the reason, ready to be put behind what else was tried.
async fn ask_imds(
    endpoint: Option<&str>,
    environment: &Environment,
    tags: bool,
    local_hostname: bool,
) -> (Option<Identity>, String) {
    let wanted = Wanted { local_hostname, tags: if tags { &CLUSTER_TAGS } else { &[] } };
    match environment.identity(endpoint, wanted).await {
        Ok(identity) => (Some(identity), String::new()),
        Err(error) => (None, format!("; {error}")),
    }
}

#[cfg(test)]
mod tests;
