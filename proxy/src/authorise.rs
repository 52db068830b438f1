//! Pure: what a pod may have. Its annotations and its namespace's become a [`Grant`], or a [`Refusal`] with its reason.
//!
//! A [`Grant`] is made here and nowhere else.

mod rules;

use std::fmt;
use std::sync::Arc;

use safeguard_pods::{Namespace, Pod};

use crate::limits;
use crate::role::{RoleArn, RoleError, SessionNames};
use crate::settings::{Imdsv2, NamespacePolicy, Settings};

pub(crate) use rules::{Rules, RulesError};

/// What a session is, whole: two pods share one only if all of this is the same (jtblin/kube2iam PR#316: its key is the role alone).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct SessionKey {
    pub(crate) role: RoleArn,
    pub(crate) external_id: Option<String>,
    pub(crate) session_name: String,
    /// Seconds.
    pub(crate) duration: u32,
    pub(crate) tags: Vec<(String, String)>,
}

/// A session that a pod is entitled to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    key: Arc<SessionKey>,
}

impl Grant {
    pub(crate) fn key(&self) -> &Arc<SessionKey> {
        &self.key
    }

    pub(crate) fn role(&self) -> &RoleArn {
        &self.key.role
    }
}

/// Why a pod gets nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Neither the pod, nor its namespace, nor the settings name a role.
    NoRole,
    /// What names the role is none.
    BadRole { from: String, written: String, error: RoleError },
    /// The external id is none.
    BadExternalId { written: String },
    /// The namespace is not known yet.
    NamespaceNotKnown,
    /// The namespace's rules cannot be understood.
    BadRules(RulesError),
    /// The namespace allows nothing.
    NothingAllowed { annotation: String },
    /// The namespace allows other roles.
    NotAllowed { annotation: String, role: RoleArn },
    /// The namespace allows the role to other service accounts.
    ServiceAccount { annotation: String, role: RoleArn, service_account: String },
}

impl Refusal {
    /// One word for metrics and the audit log.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoRole => "no_role",
            Self::BadRole { .. } => "bad_role",
            Self::BadExternalId { .. } => "bad_external_id",
            Self::NamespaceNotKnown => "namespace_not_known",
            Self::BadRules(_) => "bad_namespace_rules",
            Self::NothingAllowed { .. } => "namespace_allows_nothing",
            Self::NotAllowed { .. } => "role_not_allowed",
            Self::ServiceAccount { .. } => "service_account_not_allowed",
        }
    }

    /// Whether the namespace's policy alone refuses: `report` lets that through.
    fn is_policy(&self) -> bool {
        matches!(
            self,
            Self::NamespaceNotKnown
                | Self::BadRules(_)
                | Self::NothingAllowed { .. }
                | Self::NotAllowed { .. }
                | Self::ServiceAccount { .. }
        )
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRole => f.write_str("neither the pod nor its namespace names a role"),
            Self::BadRole { from, written, error } => write!(f, "{from} says {}: {error}", quoted(written)),
            Self::BadExternalId { written } => {
                write!(f, "the external id {} has characters or a length that STS refuses", quoted(written))
            }
            Self::NamespaceNotKnown => f.write_str("the namespace is not known from Kubernetes yet"),
            Self::BadRules(error) => error.fmt(f),
            Self::NothingAllowed { annotation } => {
                write!(f, "the namespace has no annotation {annotation}, so it allows no role")
            }
            Self::NotAllowed { annotation, role } => {
                write!(f, "no entry of the namespace's annotation {annotation} matches {role}")
            }
            Self::ServiceAccount { annotation, role, service_account } => write!(
                f,
                "the namespace's annotation {annotation} does not give {role} to the service account {}",
                quoted(service_account)
            ),
        }
    }
}

/// Somebody else's text, cut and harmless.
fn quoted(text: &str) -> String {
    let start: String = text.chars().take(100).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{start:?}{more}")
}

/// Everything that was decided about a pod, and how: for the answer, the audit log and `explain`.
#[derive(Debug, Clone)]
pub(crate) struct Decision {
    pub(crate) outcome: Result<Grant, Refusal>,
    /// With the policy `report`: why it would have been refused.
    pub(crate) reported: Option<Refusal>,
    pub(crate) imdsv2: Imdsv2,
    /// Where the role comes from: the pod's annotation, the namespace's, or the settings.
    pub(crate) role_from: Option<String>,
    /// The text that names the role.
    pub(crate) role_written: Option<String>,
    pub(crate) role: Option<RoleArn>,
    /// The entry of the namespace that allows it.
    pub(crate) matched: Option<String>,
}

/// Decides about a pod. `rules` are those of its namespace; `None` if the namespace is not known.
pub(crate) fn authorise(pod: &Pod, rules: Option<&Rules>, settings: &Settings, node: &str) -> Decision {
    let (role_from, role_written, by_operator) = named_role(pod, rules, settings);
    let mut decision = Decision {
        outcome: Err(Refusal::NoRole),
        reported: None,
        imdsv2: rules.and_then(|rules| rules.imdsv2).unwrap_or(settings.imdsv2),
        role_from: role_from.clone(),
        role_written: role_written.clone(),
        role: None,
        matched: None,
    };
    let (Some(from), Some(written)) = (role_from, role_written) else {
        // Its default role may not be known yet.
        if rules.is_none() && settings.namespace_policy != NamespacePolicy::Off {
            decision.outcome = Err(Refusal::NamespaceNotKnown);
        }
        return decision;
    };
    let role = match settings.base.role(&written) {
        Ok(role) => role,
        Err(error) => {
            decision.outcome = Err(Refusal::BadRole { from, written, error });
            return decision;
        }
    };
    decision.role = Some(role.clone());
    if settings.namespace_policy != NamespacePolicy::Off {
        match allowed(&role, pod, rules, settings, by_operator) {
            Ok(matched) => decision.matched = Some(matched),
            Err(refusal) if settings.namespace_policy == NamespacePolicy::Report && refusal.is_policy() => {
                decision.reported = Some(refusal);
            }
            Err(refusal) => {
                decision.outcome = Err(refusal);
                return decision;
            }
        }
    }
    decision.outcome = grant(role, pod, settings, node);
    decision
}

/// Where the role is named, as what, and whether the operator named it.
fn named_role(pod: &Pod, rules: Option<&Rules>, settings: &Settings) -> (Option<String>, Option<String>, bool) {
    let names = &settings.annotations;
    // An annotation without a value asks for nothing, as in kube2iam.
    if let Some(written) = pod.annotations.get(names.role.as_str()).filter(|written| !written.trim().is_empty()) {
        return (Some(format!("the pod's annotation {}", names.role)), Some(written.to_string()), false);
    }
    if let Some(written) = rules.and_then(|rules| rules.default_role.as_ref()) {
        return (Some(format!("the namespace's annotation {}", names.default_role)), Some(written.to_string()), true);
    }
    match &settings.default_role {
        Some(written) => (Some("the setting roles.default_role".to_owned()), Some(written.clone()), true),
        None => (None, None, false),
    }
}

/// The entry that allows a role.
fn allowed(
    role: &RoleArn,
    pod: &Pod,
    rules: Option<&Rules>,
    settings: &Settings,
    by_operator: bool,
) -> Result<String, Refusal> {
    let Some(rules) = rules else { return Err(Refusal::NamespaceNotKnown) };
    let names = &settings.annotations;
    if let Some(error) = &rules.error {
        return Err(Refusal::BadRules(error.clone()));
    }
    let matched = if by_operator {
        // Whoever may set a default may allow it.
        "the default".to_owned()
    } else if rules.allowed.is_empty() {
        return Err(Refusal::NothingAllowed { annotation: names.allowed_roles.clone() });
    } else {
        let entry = rules.allowed.iter().find(|entry| entry.matches(role.as_str()));
        let refusal = || Refusal::NotAllowed { annotation: names.allowed_roles.clone(), role: role.clone() };
        entry.map(|entry| entry.written.clone()).ok_or_else(refusal)?
    };
    if let Some(accounts) = &rules.service_accounts {
        let fits = accounts.iter().any(|(pattern, accounts)| {
            pattern.matches(role.as_str()) && accounts.iter().any(|account| **account == *pod.service_account)
        });
        if !fits {
            return Err(Refusal::ServiceAccount {
                annotation: names.service_accounts.clone(),
                role: role.clone(),
                service_account: pod.service_account.to_string(),
            });
        }
    }
    Ok(matched)
}

fn grant(role: RoleArn, pod: &Pod, settings: &Settings, node: &str) -> Result<Grant, Refusal> {
    let external_id = match pod.annotations.get(settings.annotations.external_id.as_str()) {
        None => None,
        Some(written) if is_external_id(written) => Some(written.to_string()),
        Some(written) => return Err(Refusal::BadExternalId { written: written.to_string() }),
    };
    let names = SessionNames { namespace: &pod.namespace, pod: &pod.name, service_account: &pod.service_account, node };
    let duration = settings.session_duration.min(limits::CHAINED_SESSION);
    let key = SessionKey {
        role,
        external_id,
        session_name: settings.session_name.name(&names),
        duration: u32::try_from(duration.as_secs()).unwrap_or(3_600),
        tags: if settings.session_tags.enabled { tags(pod, settings) } else { Vec::new() },
    };
    Ok(Grant { key: Arc::new(key) })
}

/// STS API reference, AssumeRole, ExternalId: `[\w+=,.@:\/-]*`.
fn is_external_id(text: &str) -> bool {
    limits::EXTERNAL_ID.contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b))
}

/// EKS User Guide, "Grant Pods access to AWS resources based on tags": the names that EKS Pod Identity gives.
fn tags(pod: &Pod, settings: &Settings) -> Vec<(String, String)> {
    let cluster = settings.cluster.as_deref().map(|name| ("eks-cluster-name", name));
    let of_pod: [(&str, &str); 4] = [
        ("kubernetes-namespace", &pod.namespace),
        ("kubernetes-pod-name", &pod.name),
        ("kubernetes-pod-uid", &pod.uid),
        ("kubernetes-service-account", &pod.service_account),
    ];
    let cut = |value: &str| value.chars().take(limits::TAG_VALUE).collect();
    cluster.into_iter().chain(of_pod).map(|(name, value)| (name.to_owned(), cut(value))).collect()
}

/// The rules of a namespace; see [`Rules`].
pub(crate) fn rules_of(namespace: &Namespace, settings: &Settings) -> Rules {
    Rules::read(&namespace.annotations, settings)
}

#[cfg(test)]
mod tests;
