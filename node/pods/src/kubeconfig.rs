//! What the kubelet's kubeconfig says about the cluster. Its way to get a token is left alone: nothing is ever run.

use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::limits::MAX_KUBECONFIG_BYTES;

/// The cluster of a kubeconfig's current context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kubeconfig {
    /// URL of the API server.
    pub server: String,
    /// `certificate-authority-data`: PEM.
    pub authority: Option<Vec<u8>>,
    /// `certificate-authority`: a file with the PEM, for the reader to fetch, if there is no data.
    pub authority_file: Option<PathBuf>,
    /// Name of the EKS cluster, from the arguments of the token program: `aws eks get-token --cluster-name X`, or
    /// `aws-iam-authenticator token -i X`. Not checked.
    pub cluster_name: Option<String>,
}

/// Why a kubeconfig cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    /// Too long.
    #[error("the kubeconfig is larger than {MAX_KUBECONFIG_BYTES} bytes")]
    TooLong,
    /// Not YAML, or not of this form. The text of the error does not repeat what the file holds.
    #[error("the kubeconfig is not one: {0}")]
    Form(String),
    /// It lacks something.
    #[error("the kubeconfig has no {0}")]
    Missing(&'static str),
    /// It wants something that is not done.
    #[error("the kubeconfig asks for {0}, which is not supported. Take it out, or name the API server in the settings")]
    Unsupported(&'static str),
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    current_context: String,
    #[serde(default)]
    contexts: Vec<NamedContext>,
    #[serde(default)]
    clusters: Vec<NamedCluster>,
    #[serde(default)]
    users: Vec<NamedUser>,
}

#[derive(Deserialize)]
struct NamedContext {
    name: String,
    context: Context,
}

#[derive(Deserialize)]
struct Context {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Deserialize)]
struct NamedCluster {
    name: String,
    cluster: Cluster,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    #[serde(default)]
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
    proxy_url: Option<String>,
}

#[derive(Deserialize)]
struct NamedUser {
    name: String,
    user: Option<User>,
}

#[derive(Deserialize)]
struct User {
    exec: Option<Exec>,
}

#[derive(Deserialize)]
struct Exec {
    args: Option<Vec<String>>,
}

impl Kubeconfig {
    /// Reads the bytes of a kubeconfig (Kubernetes, "kubeconfig v1"). Without a current context, the only cluster is meant.
    ///
    /// # Errors
    /// [`KubeconfigError`] if it is none, is incomplete, or asks for what is not done: no verification, another name on the
    /// certificate, a proxy.
    pub fn parse(bytes: &[u8]) -> Result<Self, KubeconfigError> {
        if bytes.len() > MAX_KUBECONFIG_BYTES {
            return Err(KubeconfigError::TooLong);
        }
        let file: File = serde_yaml_ng::from_slice(bytes).map_err(|error| {
            let place = error.location().map(|at| format!("line {}, column {}", at.line(), at.column()));
            KubeconfigError::Form(place.unwrap_or_else(|| "it is not YAML of that form".to_owned()))
        })?;
        let context = file.contexts.iter().find(|named| named.name == file.current_context).map(|named| &named.context);
        let cluster = match context {
            Some(context) => file.clusters.iter().find(|named| named.name == context.cluster),
            None if file.clusters.len() == 1 => file.clusters.first(),
            None => return Err(KubeconfigError::Missing("current context")),
        };
        let cluster = &cluster.ok_or(KubeconfigError::Missing("cluster of its current context"))?.cluster;
        if cluster.server.is_empty() {
            return Err(KubeconfigError::Missing("server"));
        }
        for (asked, what) in [
            (cluster.insecure_skip_tls_verify, "insecure-skip-tls-verify"),
            (cluster.tls_server_name.is_some(), "tls-server-name"),
            (cluster.proxy_url.is_some(), "proxy-url"),
        ] {
            if asked {
                return Err(KubeconfigError::Unsupported(what));
            }
        }
        let authority = cluster.certificate_authority_data.as_ref().map(|data| {
            let data: String = data.chars().filter(|c| !c.is_whitespace()).collect();
            STANDARD
                .decode(data)
                .map_err(|_| KubeconfigError::Form("certificate-authority-data is not base64".to_owned()))
        });
        let user = context.map(|context| context.user.as_str());
        let mut users = file.users.iter().filter(|named| user.is_none_or(|user| named.name == user));
        let args = users.find_map(|named| named.user.as_ref()?.exec.as_ref()?.args.as_ref());
        Ok(Self {
            server: cluster.server.clone(),
            authority: authority.transpose()?,
            authority_file: cluster.certificate_authority.clone(),
            cluster_name: args.and_then(|args| cluster_name(args)),
        })
    }
}

/// `--flag value` or `--flag=value`.
fn cluster_name(args: &[String]) -> Option<String> {
    ["--cluster-name", "--cluster-id", "-i"].iter().find_map(|flag| {
        args.iter().enumerate().find_map(|(i, arg)| match arg.strip_prefix(flag)? {
            "" => args.get(i + 1).cloned(),
            joined => joined.strip_prefix('=').map(str::to_owned),
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As nodeadm writes it.
    const EKS: &str = "apiVersion: v1\nkind: Config\nclusters:\n  - name: kubernetes\n    cluster:\n      \
        certificate-authority: /etc/kubernetes/pki/ca.crt\n      server: https://ABC.gr7.eu-central-1.eks.amazonaws.com\n\
        current-context: kubelet\ncontexts:\n  - name: kubelet\n    context:\n      cluster: kubernetes\n      user: kubelet\n\
        users:\n  - name: kubelet\n    user:\n      exec:\n        apiVersion: client.authentication.k8s.io/v1beta1\n        \
        command: /usr/bin/false\n        args:\n          - \"token\"\n          - \"-i\"\n          - \"prod\"\n          \
        - --region\n          - \"eu-central-1\"\n";

    #[test]
    fn the_kubelets_own_is_understood() {
        let read = Kubeconfig::parse(EKS.as_bytes()).unwrap();
        assert_eq!(read.server, "https://ABC.gr7.eu-central-1.eks.amazonaws.com");
        assert_eq!(read.authority_file.as_deref(), Some(std::path::Path::new("/etc/kubernetes/pki/ca.crt")));
        assert_eq!((read.authority, read.cluster_name.as_deref()), (None, Some("prod")));
    }

    #[test]
    fn authority_data_is_decoded_and_the_current_context_counts() {
        let text = "clusters: [{name: a, cluster: {server: 'https://a', certificate-authority-data: UEVN}},\n\
            {name: b, cluster: {server: 'https://b'}}]\n\
            contexts: [{name: x, context: {cluster: b}}, {name: y, context: {cluster: a, user: u}}]\n\
            current-context: y\nusers: [{name: t, user: {exec: {args: [--cluster-name=no]}}},\n\
            {name: u, user: {exec: {args: [eks, get-token, --cluster-name=yes]}}}]";
        let read = Kubeconfig::parse(text.as_bytes()).unwrap();
        assert_eq!((read.server.as_str(), read.authority.as_deref()), ("https://a", Some(b"PEM".as_slice())));
        assert_eq!(read.cluster_name.as_deref(), Some("yes"));
    }

    #[test]
    fn what_would_weaken_the_connection_is_refused() {
        for more in ["insecure-skip-tls-verify: true", "tls-server-name: other", "proxy-url: 'http://p'"] {
            let text = format!("clusters: [{{name: a, cluster: {{server: 'https://a', {more}}}}}]");
            let error = Kubeconfig::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(more.split(':').next().unwrap()), "{error}");
        }
        for broken in
            ["", "a: [", "clusters: []", "clusters: [{name: a, cluster: {}}]", "clusters: 5", "- token: hunter2"]
        {
            let error = Kubeconfig::parse(broken.as_bytes()).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        assert!(Kubeconfig::parse(&vec![b' '; MAX_KUBECONFIG_BYTES + 1]).is_err());
    }
}
