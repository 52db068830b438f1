//! One line in the log for each session that was issued, for the first delivery of it to a pod, and for each refusal; what repeats is
//! counted. Secrets are not among the types that come in here.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use safeguard_daemon::telemetry::Gate;
use safeguard_pods::Pod;
use tokio::time::Instant;

use crate::assume::{Failure, Session, Witness, rfc3339};
use crate::authorise::SessionKey;

/// A refusal that repeats is told of again after this long, with how often it happened.
const REPEAT: Duration = Duration::from_secs(60);

/// Refusals that are told apart. Beyond that the oldest are forgotten: each is then told as if it were new.
const MOST_REFUSALS: usize = 2_048;

/// Who was refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct RefusalKey {
    who: Arc<str>,
    code: &'static str,
}

/// Writes the audit log. The lines have `audit` as a field, so that they can be told from others.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    refusals: Mutex<HashMap<RefusalKey, Gate>>,
    /// Which session each pod has had, by UID.
    delivered: Mutex<HashMap<Arc<str>, HashSet<String>>>,
}

impl Audit {
    /// A pod is handed a session. The first time of each session is told.
    pub(crate) fn delivered(&self, pod: &Pod, address: IpAddr, key: &SessionKey, session: &Session) {
        let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
        if delivered.get(&pod.uid).is_some_and(|had| had.contains(session.access_key_id.as_str())) {
            return;
        }
        let had = delivered.entry(pod.uid.clone()).or_default();
        // A pod has one session at a time: what it had before is not handed out again.
        had.clear();
        had.insert(session.access_key_id.clone());
        drop(delivered);
        tracing::info!(
            audit = "delivered",
            pod_uid = %pod.uid,
            namespace = %pod.namespace,
            pod = %pod.name,
            service_account = %pod.service_account,
            %address,
            role = %key.role,
            session_name = key.session_name,
            access_key_id = session.access_key_id,
            expires = rfc3339(session.expires_ms),
            "A pod got credentials."
        );
    }

    /// Somebody is refused. `who` is a pod's UID, or an address of nobody.
    pub(crate) fn refused(&self, who: &str, pod: Option<&Pod>, address: IpAddr, code: &'static str, reason: &str) {
        let now = Instant::now();
        let key = RefusalKey { who: who.into(), code };
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if refusals.len() >= MOST_REFUSALS && !refusals.contains_key(&key) {
            refusals.clear();
        }
        let Some(repeated) = refusals.entry(key).or_insert_with(|| Gate::new(REPEAT)).allow(now) else { return };
        drop(refusals);
        tracing::warn!(
            audit = "refused",
            pod_uid = pod.map(|pod| tracing::field::display(&pod.uid)),
            namespace = pod.map(|pod| tracing::field::display(&pod.namespace)),
            pod = pod.map(|pod| tracing::field::display(&pod.name)),
            service_account = pod.map(|pod| tracing::field::display(&pod.service_account)),
            %address,
            code,
            reason,
            repeated,
            "A request for credentials was refused."
        );
    }

    /// With the policy `report`: a pod gets what it would be refused.
    pub(crate) fn reported(&self, pod: &Pod, address: IpAddr, code: &'static str, reason: &str) {
        let key = RefusalKey { who: pod.uid.clone(), code: "reported" };
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(repeated) = refusals.entry(key).or_insert_with(|| Gate::new(REPEAT)).allow(Instant::now()) else {
            return;
        };
        drop(refusals);
        tracing::warn!(
            audit = "would_refuse",
            pod_uid = %pod.uid,
            namespace = %pod.namespace,
            pod = %pod.name,
            service_account = %pod.service_account,
            %address,
            code,
            reason,
            repeated,
            "A pod got credentials that the policy `enforce` would refuse."
        );
    }

    /// Forgets pods that are gone.
    pub(crate) fn retain(&self, alive: &HashSet<Arc<str>>) {
        self.delivered.lock().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| alive.contains(uid));
        let now = Instant::now();
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        // A gate that would open holds nothing back; what it counted is told with the next refusal, or was told.
        refusals.retain(|key, gate| alive.contains(&key.who) || gate.clone().allow(now).is_none());
    }
}

impl Witness for Audit {
    fn issued(&self, key: &SessionKey, session: &Session) {
        tracing::info!(
            audit = "issued",
            role = %key.role,
            session_name = key.session_name,
            external_id = key.external_id.is_some(),
            access_key_id = session.access_key_id,
            expires = rfc3339(session.expires_ms),
            "STS issued a session."
        );
    }

    fn failed(&self, key: &SessionKey, failure: &Failure, serving_until_ms: Option<i64>) {
        let (role, session_name, code) = (&key.role, &key.session_name, &failure.error.code);
        let (message, times) = (&failure.error.message, failure.times);
        match serving_until_ms {
            Some(until) => tracing::error!(
                audit = "not_issued", %role, session_name, code, message, times, serving_until = rfc3339(until),
                "STS issued no new session. The old one is served on."
            ),
            None => tracing::error!(
                audit = "not_issued", %role, session_name, code, message, times,
                "STS issued no session. Pods with this role get none."
            ),
        }
    }
}
