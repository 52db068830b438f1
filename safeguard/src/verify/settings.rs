//! What the operator decides about who is believed.

use std::collections::HashSet;
use std::path::PathBuf;

use safeguard_daemon::settings::Findings;
use serde::{Deserialize, Serialize};

/// Whose nodes may enrol, and who vouches for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Who has nodes. Without one nothing can enrol.
    pub tenants: Vec<Tenant>,
    /// A directory with further certificates of AWS: `index.toml` and `*.pem`, in the form of `safeguard/certificates`. For a
    /// region that it names, its certificates are believed besides ours.
    pub certificates: Option<PathBuf>,
    /// How STS is asked.
    pub sts: Sts,
    /// API servers that are asked about service-account tokens, and for their nodes.
    pub clusters: Vec<Cluster>,
}

impl Settings {
    /// The tenant that a cluster is of: where there is only one, that one.
    pub(crate) fn tenant_of<'a>(&'a self, cluster: &'a Cluster) -> &'a str {
        match (&cluster.tenant, self.tenants.as_slice()) {
            (Some(tenant), _) => tenant,
            (None, [only]) => &only.name,
            (None, _) => "",
        }
    }

    /// Finds what cannot be meant by the clusters. The rest shows when it is used, at the start.
    pub(crate) fn check(&self, found: &mut Findings) {
        let mut seen = HashSet::new();
        for (at, cluster) in self.clusters.iter().enumerate() {
            let key = |name: &str| format!("verify.clusters[{at}].{name}");
            match &cluster.tenant {
                None if self.tenants.len() > 1 => {
                    let reason = "names whose cluster it is, as there are several tenants: two of them may have clusters of one name";
                    found.add(&key("tenant"), &"\"\"", reason);
                }
                Some(tenant) if self.tenants.iter().all(|known| known.name != *tenant) => {
                    found.add(&key("tenant"), &format!("{tenant:?}"), "is none of [[verify.tenants]]");
                }
                _ => {}
            }
            if !seen.insert((self.tenant_of(cluster), &cluster.name)) {
                found.add(&key("name"), &format!("{:?}", cluster.name), "is there already: a cluster stands once");
            }
            if cluster.service_accounts.is_empty() && !cluster.nodes {
                let reason = "names whose tokens are believed, such as [\"safeguard/safeguard-agent\"]; it may be empty only where \
                              `nodes` is true";
                found.add(&key("service_accounts"), &"[]", reason);
            }
        }
    }
}

/// Somebody who has nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tenant {
    /// As agents say it.
    pub name: String,
    /// Accounts, 12 digits each. At least one: every account of AWS can sign a proof of its own.
    pub accounts: Vec<String>,
    /// Regions. Empty: any.
    pub regions: Vec<String>,
    /// Clusters. Empty: any. The name of a cluster is the node's own word.
    pub clusters: Vec<String>,
    /// Names of the nodes' roles, without path. At least one where `sts` is required. Their trust policies have to allow
    /// `ec2.amazonaws.com` alone: whoever else may assume such a role can call the session by any instance.
    pub roles: Vec<String>,
    /// Approved AMIs. Empty: any.
    pub images: Vec<String>,
    /// What has to be there. The identity document always has to. Default: `["sts"]`.
    pub require: Option<Vec<Proof>>,
}

/// A proof that can be required.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The instance identity document.
    Identity,
    /// A request to STS that binds the node's key to its role session.
    Sts,
    /// A service-account token of the cluster.
    Token,
}

/// How STS is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Sts {
    /// Another place to send requests to, such as `https://127.0.0.1:4433`. They stay signed for the host of their region. Whoever
    /// answers there decides who is believed.
    pub endpoint: Option<String>,
    /// PEM file with the only authorities to trust, in the place of the system's.
    pub ca: Option<PathBuf>,
    /// Whether requests that are signed for `sts.amazonaws.com` are taken too.
    pub allow_global_host: bool,
}

/// An API server that says whose a token is, and which nodes there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cluster {
    /// Whose it is. It may be left out where there is one tenant alone: names of clusters are a tenant's own.
    pub tenant: Option<String>,
    /// The cluster's name, as agents say it.
    pub name: String,
    /// `https://HOST[:PORT]`.
    pub server: String,
    /// PEM file with its authority.
    pub ca: Option<PathBuf>,
    /// File with our own token for it, read anew for each question. It may `create` `tokenreviews` and `get` `nodes`.
    pub token_file: PathBuf,
    /// Whose tokens are believed, as `NAMESPACE/NAME`. At least one, or [`Self::nodes`]: then nobody's are.
    pub service_accounts: Vec<String>,
    /// Whether it is asked for its nodes too: with EC2, the other of the two sources that a node is lost. The token may `list` `nodes`
    /// then.
    pub nodes: bool,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A value.
    #[error("{key}: {reason}")]
    Value {
        /// Which.
        key: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A file.
    #[error("{} cannot be used: {reason}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The system has no authorities that TLS could trust.
    #[error("the system's certificate authorities cannot be read: {reason}. Install ca-certificates, or set a CA file")]
    Roots {
        /// What is wrong.
        reason: String,
    },
}

impl SettingsError {
    pub(crate) fn value(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Value { key: key.into(), reason: reason.into() }
    }

    pub(crate) fn file(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::File { path: path.into(), reason: reason.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(clusters: &[Cluster]) -> String {
        of_tenants(&["acme"], clusters)
    }

    fn of_tenants(names: &[&str], clusters: &[Cluster]) -> String {
        let tenants = names.iter().map(|&name| Tenant { name: name.to_owned(), ..Tenant::default() }).collect();
        let mut found = Findings::default();
        Settings { tenants, clusters: clusters.to_vec(), ..Settings::default() }.check(&mut found);
        found.finish(Some(())).err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn a_cluster_is_asked_for_something_and_stands_once() {
        let nodes = Cluster { name: "prod".to_owned(), nodes: true, ..Cluster::default() };
        let tokens = Cluster {
            name: "dev".to_owned(),
            service_accounts: vec!["safeguard/safeguard-agent".to_owned()],
            ..Cluster::default()
        };
        assert_eq!(problems(&[nodes.clone(), tokens.clone()]), "");
        let nothing = Cluster { service_accounts: Vec::new(), ..tokens };
        let said = problems(&[nodes.clone(), nothing]);
        assert!(said.contains("verify.clusters[1].service_accounts") && said.contains("`nodes`"), "{said}");
        let said = problems(&[nodes.clone(), nodes]);
        assert!(said.contains("verify.clusters[1].name") && said.contains("is there already"), "{said}");
    }

    #[test]
    fn a_cluster_is_a_tenants_and_another_may_have_one_of_that_name() {
        let of = |tenant: Option<&str>| Cluster {
            tenant: tenant.map(str::to_owned),
            name: "prod".to_owned(),
            nodes: true,
            ..Cluster::default()
        };
        let two = ["acme", "globex"];
        assert_eq!(of_tenants(&two, &[of(Some("acme")), of(Some("globex"))]), "");
        for (tenants, clusters, key) in [
            (&two[..], vec![of(None)], "[0].tenant"),
            (&two[..1], vec![of(Some("globex"))], "[0].tenant"),
            (&two[..1], vec![of(Some("acme")), of(None)], "[1].name"),
        ] {
            let said = of_tenants(tenants, &clusters);
            assert!(said.contains(key) && said.lines().count() <= 3, "{key}: {said}");
        }
    }
}
