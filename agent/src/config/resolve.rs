//! Finds what was left open: who this node is. Only what is needed is looked for, and each source is asked only when
//! those before it were silent.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use safeguard_aws::{Identity, Wanted, identity};
use safeguard_host::HostRoot;
use safeguard_logs::{NodeNames, Variable};

use super::check::Checked;
use super::discover;
use super::environment::Environment;
use super::raw::Settings;

/// For all host files: they are small, but a disk may hang.
const HOST_DEADLINE: Duration = Duration::from_secs(5);

/// Where EKS and its tools write the cluster's name: managed node groups, EKS itself, eksctl, and the tag that is the
/// name itself.
const CLUSTER_TAGS: [&str; 4] =
    ["eks:cluster-name", "aws:eks:cluster-name", "alpha.eksctl.io/cluster-name", "kubernetes.io/cluster/*"];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The settings file.
    File(PathBuf),
    /// An environment variable.
    Env(&'static str),
    /// The instance metadata service.
    Imds,
    /// A tag of the instance.
    Tag(String),
    /// The kubelet's kubeconfig.
    Kubeconfig,
    /// The command line of the running kubelet.
    Kubelet,
    /// The host's name.
    HostName,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "env {name}"),
            Self::Imds => f.write_str("imds"),
            Self::Tag(name) => write!(f, "instance tag {name}"),
            Self::Kubeconfig => write!(f, "kubelet ({})", discover::KUBECONFIG),
            Self::Kubelet => f.write_str("kubelet (--hostname-override)"),
            Self::HostName => f.write_str("host name"),
        }
    }
}

/// A value that is needed and that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` is not set and was not found: {reason}. Set `{key}` in the settings file{or_variable}")]
pub struct Missing {
    /// The dotted key.
    pub key: &'static str,
    /// What was tried.
    pub reason: String,
    /// Another way to set it.
    pub or_variable: &'static str,
}

/// What the node is called, and what was found out for it.
#[derive(Debug, Clone, Default)]
pub struct Resolved {
    /// The names for templates; empty where not needed.
    pub names: NodeNames,
    /// The values that the settings did not give, by key.
    pub found: BTreeMap<&'static str, (String, Source)>,
    /// What is needed and was not found.
    pub missing: Vec<Missing>,
}

impl Resolved {
    /// The value that was found for a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.found.get(key).map(|(value, _)| value.as_str())
    }

    /// Takes what was set or found; whether the key still needs a value.
    fn settle(&mut self, key: &'static str, set: Option<&String>, found: Option<(String, Source)>) -> bool {
        if set.is_some() || self.found.contains_key(key) {
            return false;
        }
        match found {
            Some(found) => {
                self.found.insert(key, found);
                false
            }
            None => true,
        }
    }
}

/// Which values are needed.
#[derive(Debug, Clone, Copy)]
struct Needs {
    cluster: bool,
    node: bool,
    account: bool,
    instance_id: bool,
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
    let needs = Needs {
        cluster: uses(Variable::Cluster),
        node: uses(Variable::Node),
        account: uses(Variable::Account),
        instance_id: uses(Variable::InstanceId),
    };
    let mut resolved = Resolved::default();
    let env =
        |names: &[&'static str]| environment.first(names).map(|(name, value)| (value.to_owned(), Source::Env(name)));

    let region = resolved.settle("aws.region", aws.region.as_ref(), env(&["AWS_REGION", "AWS_DEFAULT_REGION"]));
    let name = needs.node && resolved.settle("node.name", node.name.as_ref(), env(&["NODE_NAME"]));
    let cluster = needs.cluster && node.cluster.is_none();
    let local = local(settings, cluster, name).await;
    let cluster = cluster && resolved.settle("node.cluster", node.cluster.as_ref(), local.cluster);
    let name = name && resolved.settle("node.name", node.name.as_ref(), local.name);
    let account = needs.account && node.account.is_none();
    let instance = needs.instance_id && node.instance_id.is_none();

    settle_optional(settings, environment, &mut resolved);
    let region = region && settings.logs.enabled;
    if region || cluster || name || account || instance {
        let endpoint = aws.imds_endpoint.clone().or_else(|| resolved.get("aws.imds_endpoint").map(str::to_owned));
        let (identity, reason) = ask_imds(endpoint.as_deref(), environment, cluster, name).await;
        let of = |value: fn(&Identity) -> &String| {
            identity.as_ref().map(|i| (value(i).clone(), Source::Imds)).filter(|(value, _)| !value.is_empty())
        };
        let tag = identity.as_ref().and_then(cluster_of_tags);
        let host = identity.as_ref().and_then(|i| discover::node_name(i.local_hostname.as_deref()?));
        let mut want = |needed: bool, key, found: Option<(String, Source)>, tried: &str, or_variable| {
            if needed && resolved.settle(key, None, found) {
                let reason = format!("{tried}{reason}").trim_start_matches("; ").to_owned();
                let reason =
                    if reason.is_empty() { "the metadata service does not tell it".to_owned() } else { reason };
                resolved.missing.push(Missing { key, reason, or_variable });
            }
        };
        want(region, "aws.region", of(|i| &i.region), "", ", or AWS_REGION in the environment");
        let tried = format!("{} names no cluster, and no tag of the instance does", discover::KUBECONFIG);
        want(cluster, "node.cluster", tag, &tried, "");
        let tried = "neither the kubelet's --hostname-override nor /etc/hostname of the host is there";
        want(name, "node.name", host.map(|h| (h, Source::Imds)), tried, ", or NODE_NAME in the environment");
        want(account, "node.account", of(|i| &i.account), "", "");
        want(instance, "node.instance_id", of(|i| &i.instance_id), "", "");
    }
    resolved.names = names(settings, &resolved);
    resolved
}

/// What works without, and is shown all the same.
fn settle_optional(settings: &Settings, environment: &Environment, resolved: &mut Resolved) {
    let env =
        |names: &[&'static str]| environment.first(names).map(|(name, value)| (value.to_owned(), Source::Env(name)));
    let aws = &settings.aws;
    if !environment.is_true("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS") {
        let endpoint = env(&["AWS_ENDPOINT_URL_CLOUDWATCH_LOGS", "AWS_ENDPOINT_URL"]);
        resolved.settle("aws.endpoint_url", aws.endpoint_url.as_ref(), endpoint);
    }
    resolved.settle("aws.imds_endpoint", aws.imds_endpoint.as_ref(), env(&["AWS_EC2_METADATA_SERVICE_ENDPOINT"]));
    if aws.ca_bundle.is_none() {
        resolved.settle("aws.ca_bundle", None, env(&["AWS_CA_BUNDLE"]));
    }
}

fn names(settings: &Settings, resolved: &Resolved) -> NodeNames {
    let value =
        |key, set: &Option<String>| set.clone().or_else(|| resolved.get(key).map(str::to_owned)).unwrap_or_default();
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
        let kubeconfig = || discover::cluster(&host).map(|name| (name, Source::Kubeconfig));
        let kubelet = || discover::node_of_kubelet(&host).map(|name| (name, Source::Kubelet));
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
    if environment.is_true("AWS_EC2_METADATA_DISABLED") {
        return (None, "; the metadata service is off (AWS_EC2_METADATA_DISABLED)".to_owned());
    }
    let wanted = Wanted { local_hostname, tags: if tags { &CLUSTER_TAGS } else { &[] } };
    match identity(endpoint, wanted).await {
        Ok(identity) => (Some(identity), String::new()),
        Err(error) => (None, format!("; {error}")),
    }
}

fn cluster_of_tags(identity: &Identity) -> Option<(String, Source)> {
    let tag = |(name, value): (&String, &String)| {
        let cluster = name.strip_prefix("kubernetes.io/cluster/").map_or(value.as_str(), |cluster| cluster);
        discover::is_cluster(cluster).then(|| (cluster.to_owned(), Source::Tag(name.clone())))
    };
    let wanted = |wanted: &&str| {
        let matches = |name: &str| wanted.strip_suffix('*').map_or(name == *wanted, |start| name.starts_with(start));
        identity.tags.iter().filter(|(name, _)| matches(name)).find_map(tag)
    };
    CLUSTER_TAGS.iter().find_map(wanted)
}

#[cfg(test)]
mod tests;
