//! Makes the document of what the stages say of a pod. It asks STS for nothing and changes nothing.

use std::net::IpAddr;
use std::sync::Arc;

use safeguard_daemon::clock;
use safeguard_pods::{Pod, Reader};
use tokio::time::Instant;

use super::{Decision, Explanation, Found, Imdsv2, Role, Rule, Session, State, StsError, VERSION, Who};
use crate::answer::Stages;
use crate::assume::{AssumeErrorKind, Peek};
use crate::authorise::{self, Grant, Refusal};
use crate::identify::{How, Unidentified};
use crate::settings::{Imdsv2 as Wanted, NamespacePolicy};

/// Who was asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Asked {
    /// Namespace and name.
    Pod(String, String),
    Address(IpAddr),
}

impl Asked {
    /// Reads the query of `GET /v1/explain`: `pod=NAMESPACE/NAME` or `ip=ADDRESS`.
    pub(crate) fn read(query: Option<&str>) -> Option<Self> {
        let query = query?;
        if let Some(address) = query.strip_prefix("ip=") {
            let address = address.replace("%3A", ":").replace("%3a", ":");
            return address.parse().ok().map(|address: IpAddr| Self::Address(address.to_canonical()));
        }
        let (namespace, name) = query.strip_prefix("pod=")?.split_once('/')?;
        (!namespace.is_empty() && !name.is_empty()).then(|| Self::Pod(namespace.to_owned(), name.to_owned()))
    }

    fn written(&self) -> String {
        match self {
            Self::Pod(namespace, name) => format!("{namespace}/{name}"),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// Why somebody gets what he gets.
pub(crate) fn explain(asked: &Asked, stages: &Stages, pods: &Reader) -> Explanation {
    let (pod, found, unidentified) = whom(asked, stages, pods);
    let blank = Explanation {
        version: VERSION,
        at_ms: clock::now_ms(),
        asked: asked.written(),
        pod: None,
        found,
        role: None,
        namespace: None,
        imdsv2: None,
        session: None,
        decision: nobody(unidentified.as_ref()),
    };
    let Some(pod) = pod else { return blank };
    let decided = stages.decide.about(&pod);
    let peek = decided.outcome.as_ref().ok().and_then(|grant| stages.sessions.peek(grant.key()));
    let decision = match (&unidentified, &decided.outcome) {
        (Some(unidentified), _) => nobody(Some(unidentified)),
        (None, Err(refusal)) => refused(refusal),
        (None, Ok(grant)) => granted(grant, peek.as_ref(), decided.reported.as_ref()),
    };
    Explanation {
        pod: Some(who(&pod)),
        role: Some(role(&decided, &pod, stages)),
        namespace: rule(&decided, stages),
        imdsv2: Some(imdsv2(&decided, &pod, stages, pods)),
        session: decided.outcome.as_ref().ok().map(|grant| session(grant, peek.as_ref())),
        decision,
        ..blank
    }
}

/// The pod, how its address leads to it, and why it does not.
fn whom(asked: &Asked, stages: &Stages, pods: &Reader) -> (Option<Arc<Pod>>, Found, Option<Unidentified>) {
    let by = |how: How| match how {
        How::Cni(file) => Found::CniResult { file: file.to_string() },
        How::Status => Found::PodIps,
    };
    let nobody = |error: &Unidentified| Found::Nobody { reason: error.to_string() };
    match asked {
        Asked::Address(address) => match stages.identify.now(*address) {
            Ok(identified) => (Some(identified.pod), by(identified.how), None),
            Err(error) => (None, nobody(&error), Some(error)),
        },
        Asked::Pod(namespace, name) => {
            let Some(pod) = pods.named(namespace, name) else {
                let error = Unidentified::NoPod;
                let reason = "Kubernetes tells of no pod of this name on this node".to_owned();
                return (None, Found::Nobody { reason }, Some(error));
            };
            // Its addresses lead to it, or to somebody else.
            let mut last = Unidentified::NoPod;
            for address in stages.identify.addresses_of(&pod) {
                match stages.identify.now(address) {
                    Ok(identified) if identified.pod.uid == pod.uid => return (Some(pod), by(identified.how), None),
                    Ok(other) => {
                        last = Unidentified::Several(vec![format!("{}/{}", other.pod.namespace, other.pod.name)])
                    }
                    Err(error) => last = error,
                }
            }
            (Some(pod), nobody(&last), Some(last))
        }
    }
}

fn who(pod: &Pod) -> Who {
    Who {
        uid: pod.uid.to_string(),
        namespace: pod.namespace.to_string(),
        name: pod.name.to_string(),
        service_account: pod.service_account.to_string(),
        addresses: pod.addresses.clone(),
        host_network: pod.host_network,
        phase: format!("{:?}", pod.phase),
        deleting: pod.deleting,
    }
}

fn role(decided: &authorise::Decision, pod: &Pod, stages: &Stages) -> Role {
    let error = match &decided.outcome {
        Err(Refusal::BadRole { error, .. }) => Some(error.to_string()),
        _ => None,
    };
    let external_id = pod.annotations.get(stages.settings.annotations.external_id.as_str());
    Role {
        from: decided.role_from.clone(),
        written: decided.role_written.clone(),
        arn: decided.role.as_ref().map(ToString::to_string),
        error,
        external_id: external_id.map(ToString::to_string),
    }
}

fn rule(decided: &authorise::Decision, stages: &Stages) -> Option<Rule> {
    decided.role.as_ref()?;
    let names = &stages.settings.annotations;
    let refusal = decided.reported.as_ref().or(decided.outcome.as_ref().err());
    let annotation = match refusal {
        Some(Refusal::ServiceAccount { annotation, .. }) => annotation.clone(),
        Some(Refusal::BadRules(error)) => error.annotation.clone(),
        _ => names.allowed_roles.clone(),
    };
    let policy = match stages.settings.namespace_policy {
        NamespacePolicy::Enforce => "enforce",
        NamespacePolicy::Report => "report",
        NamespacePolicy::Off => "off",
    };
    Some(Rule {
        policy: policy.to_owned(),
        allowed: decided.matched.is_some() || stages.settings.namespace_policy == NamespacePolicy::Off,
        annotation: (stages.settings.namespace_policy != NamespacePolicy::Off).then_some(annotation),
        entry: decided.matched.clone(),
        reason: refusal.map(ToString::to_string),
    })
}

fn imdsv2(decided: &authorise::Decision, pod: &Pod, stages: &Stages, pods: &Reader) -> Imdsv2 {
    let name = &stages.settings.annotations.imdsv2;
    let namespace = pods.namespace(&pod.namespace);
    let by_namespace = namespace.is_some_and(|namespace| namespace.annotations.contains_key(name.as_str()));
    Imdsv2 {
        required: decided.imdsv2 == Wanted::Required,
        from: if by_namespace {
            format!("the namespace's annotation {name}")
        } else {
            "the setting imds.imdsv2".to_owned()
        },
    }
}

fn session(grant: &Grant, peek: Option<&Peek>) -> Session {
    let now_ms = clock::now_ms();
    let served = peek.and_then(|peek| peek.session.as_ref()).filter(|session| session.may_be_served(now_ms));
    let failure = peek.and_then(|peek| peek.failure.as_ref());
    let state = match (served, failure, peek) {
        (Some(_), None, _) => State::Ready,
        (Some(_), Some(_), _) => State::ReadyAndFailing,
        (None, Some(_), _) => State::Failing,
        (None, None, Some(peek)) if peek.fetching => State::Fetching,
        (None, None, _) => State::None,
    };
    let wait = |until: Instant| {
        let wait = until.saturating_duration_since(Instant::now());
        now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX))
    };
    Session {
        state,
        name: grant.key().session_name.clone(),
        access_key_id: served.map(|session| session.access_key_id.clone()),
        issued_at_ms: served.map(|session| session.issued_ms),
        expires_at_ms: served.map(|session| session.expires_ms),
        refresh_at_ms: served.map(|session| session.refresh_ms),
        last_error: failure.map(|failure| StsError {
            at_ms: failure.at_ms,
            code: failure.error.code.clone(),
            message: failure.error.message.clone(),
            retry_at_ms: Some(wait(failure.until)),
        }),
    }
}

fn decision(served: bool, status: u16, reason: &str, sentence: String, remedy: Option<&str>) -> Decision {
    Decision { served, status, reason: reason.to_owned(), sentence, remedy: remedy.map(str::to_owned) }
}

fn nobody(unidentified: Option<&Unidentified>) -> Decision {
    let Some(error) = unidentified else {
        return decision(false, 503, "unknown_address", "Nobody was found.".to_owned(), None);
    };
    let remedy = match error {
        Unidentified::NoPod => {
            "Does the pod run on this node, and is this its address? A pod that has just started is known within a second."
        }
        Unidentified::Unreadable(_) | Unidentified::NoCache(_) => {
            "Look at the directory of `identity.cni_results`: the proxy has to be able to read it."
        }
        Unidentified::NotInKubernetes { .. } => {
            "See `watch_silent_seconds` under /v1/ready: the Kubernetes API may be down, or forbid the proxy to watch pods."
        }
        Unidentified::Contradiction(..) | Unidentified::Several(_) => {
            "An address that was just given to another pod settles by itself within seconds. If it stays: is there a CNI result of a pod \
             that is gone?"
        }
        Unidentified::HostNetwork(_) => {
            "Pods on the host's network have the node's access and cannot be told apart. Give the pod a network of its own."
        }
        Unidentified::Finished(_) => "The pod has ended; nothing runs in it that could ask.",
    };
    let status = if error.may_change() { 503 } else { 403 };
    decision(false, status, error.code(), format!("It gets nothing: {error}."), Some(remedy))
}

fn refused(refusal: &Refusal) -> Decision {
    let (status, remedy) = match refusal {
        Refusal::NoRole => (404, "Annotate the pod (in its Deployment: the pod template) with iam.amazonaws.com/role."),
        Refusal::BadRole { .. } => (403, "Write the role's name, its path and name, or its ARN."),
        Refusal::BadExternalId { .. } => (403, "Write 2 to 1224 letters, digits and _+=,.@:/-."),
        Refusal::NamespaceNotKnown => {
            (503, "It is known within a second, unless the Kubernetes API forbids the proxy to watch namespaces.")
        }
        Refusal::BadRules(_) => {
            (403, "Write a JSON list such as [\"role-a\", \"team/*\"] into the namespace's annotation.")
        }
        Refusal::NothingAllowed { .. } | Refusal::NotAllowed { .. } => {
            (403, "If the pod should have this role, add it to the annotation of its namespace.")
        }
        Refusal::ServiceAccount { .. } => {
            (403, "Run the pod with a service account that may have this role, or add its own to the annotation.")
        }
    };
    decision(false, status, refusal.code(), format!("It gets no credentials: {refusal}."), Some(remedy))
}

fn granted(grant: &Grant, peek: Option<&Peek>, reported: Option<&Refusal>) -> Decision {
    let now_ms = clock::now_ms();
    let role = grant.role();
    let session = peek.and_then(|peek| peek.session.as_ref()).filter(|session| session.may_be_served(now_ms));
    let failure = peek.and_then(|peek| peek.failure.as_ref());
    let warned =
        reported.map(|refusal| format!(" The policy `enforce` would refuse it: {refusal}.")).unwrap_or_default();
    match (session, failure) {
        (Some(_), None) => decision(true, 200, "served", format!("It gets the credentials of {role}.{warned}"), None),
        (Some(_), Some(failure)) => decision(
            true,
            200,
            "served",
            format!(
                "It gets the credentials of {role} from before; STS gives no new ones ({}).{warned}",
                failure.error.code
            ),
            Some(about(failure.error.kind)),
        ),
        (None, Some(failure)) => {
            let status = if failure.error.kind == AssumeErrorKind::Denied { 403 } else { 503 };
            let sentence = format!("It may have {role}, and STS gives no session ({}).{warned}", failure.error.code);
            decision(false, status, "not_issued", sentence, Some(about(failure.error.kind)))
        }
        (None, None) => {
            decision(true, 200, "served", format!("It will get the credentials of {role} when it asks.{warned}"), None)
        }
    }
}

fn about(kind: AssumeErrorKind) -> &'static str {
    match kind {
        AssumeErrorKind::Denied => {
            "The role's trust policy has to name the node's role, and the node's role needs sts:AssumeRole on this role (and \
             sts:TagSession if session tags are on). An external id has to be the one that the trust policy wants."
        }
        AssumeErrorKind::Unavailable => {
            "STS is asked again by itself. If it lasts: can the node reach STS, and has it credentials?"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_names_a_pod_or_an_address() {
        let address = |text: &str| Some(Asked::Address(text.parse().unwrap()));
        assert_eq!(Asked::read(Some("pod=shop/web-0")), Some(Asked::Pod("shop".into(), "web-0".into())));
        assert_eq!(Asked::read(Some("ip=10.0.0.9")), address("10.0.0.9"));
        assert_eq!(Asked::read(Some("ip=fd00::9")), address("fd00::9"));
        assert_eq!(Asked::read(Some("ip=fd00%3A%3A9")), address("fd00::9"));
        for odd in [None, Some(""), Some("pod="), Some("pod=shop"), Some("pod=/x"), Some("ip=x"), Some("uid=1")] {
            assert_eq!(Asked::read(odd), None, "{odd:?}");
        }
    }
}
