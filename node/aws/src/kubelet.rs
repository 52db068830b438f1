//! Pure: what an EKS node and its cluster are called, as the kubelet and the instance's tags have it.
//!
//! The texts may be written by others: a value that makes no sense is left aside.

use serde::Deserialize;

use crate::Identity;

/// Where the kubelet's kubeconfig is on EKS nodes (amazon-eks-ami: bootstrap.sh and nodeadm).
pub const KUBECONFIG: &str = "/var/lib/kubelet/kubeconfig";

/// Where EKS and its tools write the cluster's name: managed node groups, EKS itself, eksctl, and the tag that is the
/// name itself. To be given to [`identity`](crate::identity()) as the tags that are wanted.
pub const CLUSTER_TAGS: [&str; 4] =
    ["eks:cluster-name", "aws:eks:cluster-name", "alpha.eksctl.io/cluster-name", "kubernetes.io/cluster/*"];

#[derive(Deserialize)]
struct Kubeconfig {
    #[serde(default)]
    users: Vec<User>,
}

#[derive(Deserialize)]
struct User {
    user: Option<Credentials>,
}

#[derive(Deserialize)]
struct Credentials {
    exec: Option<Exec>,
}

#[derive(Deserialize)]
struct Exec {
    #[serde(default)]
    args: Vec<String>,
}

/// The cluster's name in the arguments with which the kubelet gets its tokens: `aws eks get-token --cluster-name X` or
/// `aws-iam-authenticator token -i X`.
#[must_use]
pub fn cluster_in_kubeconfig(kubeconfig: &[u8]) -> Option<String> {
    let config: Kubeconfig = serde_yaml_ng::from_slice(kubeconfig)
        .inspect_err(|error| tracing::debug!(%error, "the kubelet's kubeconfig is not understood"))
        .ok()?;
    let execs = config.users.into_iter().filter_map(|user| user.user?.exec);
    execs.map(|exec| exec.args).find_map(|args| {
        let name = ["--cluster-name", "--cluster-id", "-i"].iter().find_map(|flag| argument(&args, flag))?;
        is_cluster(&name).then_some(name)
    })
}

/// The cluster's name in the instance's tags, and the tag that it is in.
#[must_use]
pub fn cluster_in_tags(identity: &Identity) -> Option<(String, String)> {
    let tag = |(name, value): (&String, &String)| {
        let cluster = name.strip_prefix("kubernetes.io/cluster/").map_or(value.as_str(), |cluster| cluster);
        is_cluster(cluster).then(|| (cluster.to_owned(), name.clone()))
    };
    let wanted = |wanted: &&str| {
        let matches = |name: &str| wanted.strip_suffix('*').map_or(name == *wanted, |start| name.starts_with(start));
        identity.tags.iter().filter(|(name, _)| matches(name)).find_map(tag)
    };
    CLUSTER_TAGS.iter().find_map(wanted)
}

/// Whether it can be the name of an EKS cluster.
#[must_use]
pub fn is_cluster(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && name.chars().all(cluster_char)
}

/// EKS API Reference, `CreateCluster`: `^[0-9A-Za-z][A-Za-z0-9\-_]*`, at most 100 characters.
#[must_use]
pub fn cluster_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_'
}

/// Trimmed and in lower case, as the kubelet makes it (`nodeutil.GetHostname`); `None` if it cannot be a node's name.
#[must_use]
pub fn node_name(text: &str) -> Option<String> {
    let name = text.trim().to_ascii_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (!name.is_empty() && name.len() <= 253 && name.chars().all(allowed)).then_some(name)
}

/// The value of `--flag value` or `--flag=value`; the last one wins, as with the flags of Go programs.
#[must_use]
pub fn argument(args: &[String], flag: &str) -> Option<String> {
    let joined = |arg: &String| Some(arg.strip_prefix(flag)?.strip_prefix('=')?.to_owned());
    let at = |(i, arg): (usize, &String)| if arg == flag { args.get(i + 1).cloned() } else { joined(arg) };
    args.iter().enumerate().filter_map(at).next_back()
}
