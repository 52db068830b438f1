//! Pure but for the agent's own log: pods and the health of their watch become what the log room is told. Each beginning and
//! each end of an exclusion is said once, with whose it is and by what.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use safeguard_logs::{ContainerNames, Exclusions, PodExclusion, PodKey, Selector};
use safeguard_pods::{Health, Pod};

use crate::annotations::{Asked, asked, config_hash};

/// A watch gives a sign of life about once a minute (see `safeguard_pods::Health`). After so many without one, what is known
/// is called old.
const SILENT: Duration = Duration::from_secs(3 * 60);

/// A pod, and what it asked for when it was last looked at.
#[derive(Debug)]
struct Seen {
    namespace: Arc<str>,
    name: Arc<str>,
    asked: Asked,
}

/// What the log room is told, one word after the other.
#[derive(Debug)]
pub(super) struct Words {
    allowed: Vec<Selector>,
    /// By UID.
    seen: BTreeMap<Arc<str>, Seen>,
    last: Option<Exclusions>,
}

impl Words {
    /// Pods in namespaces that one of these chooses are heard; no others.
    pub(super) fn new(allowed: Vec<Selector>) -> Self {
        Self { allowed, seen: BTreeMap::new(), last: None }
    }

    /// The next word; `None` if it is the last one again.
    pub(super) fn next(&mut self, pods: &[Arc<Pod>], health: &Health) -> Option<Exclusions> {
        let mut next = Exclusions::default();
        let mut seen = BTreeMap::new();
        for pod in pods {
            if !self.may_exclude(pod) {
                continue;
            }
            let asked = asked(&pod.annotations);
            let before = self.seen.remove(&pod.uid);
            tell(pod, before.as_ref().map(|seen| &seen.asked), &asked);
            let uids = [Some(&pod.uid), config_hash(&pod.annotations)];
            for uid in uids.into_iter().flatten() {
                next.pods.insert(key(pod, uid), asked.exclusion.clone());
            }
            let (namespace, name) = (pod.namespace.clone(), pod.name.clone());
            seen.insert(pod.uid.clone(), Seen { namespace, name, asked });
        }
        // What is left is gone.
        let gone = std::mem::replace(&mut self.seen, seen);
        for (uid, Seen { namespace, name, asked }) in gone.iter().filter(|(_, seen)| !seen.asked.exclusion.is_empty()) {
            let excluded = Shown::of(&asked.exclusion);
            tracing::info!(
                %namespace, pod = %name, %uid, containers = excluded.containers, by = excluded.by,
                "A pod is gone that was excluded from the logs; what it left behind stays excluded."
            );
        }
        next.problem = trouble(health).or_else(|| self.refused());
        self.say(next)
    }

    /// The word while no pods can be asked for.
    pub(super) fn none(&mut self, why: &str) -> Option<Exclusions> {
        let problem = format!("nothing is excluded, because pods cannot be asked for: {why}");
        self.say(Exclusions { problem: Some(problem), ..Exclusions::default() })
    }

    fn say(&mut self, next: Exclusions) -> Option<Exclusions> {
        if self.last.as_ref() == Some(&next) {
            return None;
        }
        self.last = Some(next.clone());
        Some(next)
    }

    fn may_exclude(&self, pod: &Pod) -> bool {
        let names = ContainerNames { namespace: &pod.namespace, pod: &pod.name, container: "" };
        self.allowed.iter().any(|namespaces| namespaces.matches(&names))
    }

    /// The first annotation that is not obeyed, and how many more pods have some.
    fn refused(&self) -> Option<String> {
        let mut refused = self.seen.values().filter_map(|seen| Some((seen, seen.asked.problems.first()?)));
        let (Seen { namespace, name, .. }, problem) = refused.next()?;
        let more = refused.count();
        let more = if more > 0 { format!("; and {more} more pods") } else { String::new() };
        Some(format!("pod {namespace}/{name}: {problem}{more}"))
    }
}

fn key(pod: &Pod, uid: &str) -> PodKey {
    PodKey { namespace: pod.namespace.to_string(), name: pod.name.to_string(), uid: uid.to_owned() }
}

/// Why what is known may not be what holds.
fn trouble(health: &Health) -> Option<String> {
    let error = health.last_error.as_deref();
    if !health.synced {
        let error = error.unwrap_or("the API server has not answered yet");
        return Some(format!("nothing is excluded until the pods of this node are known from Kubernetes: {error}"));
    }
    if let Some(error) = error {
        return Some(format!("changes of what pods exclude are not seen: {error}"));
    }
    // Without the seconds, which would make each word a new one.
    (health.silent_for >= SILENT)
        .then(|| "changes of what pods exclude may not be seen: the API server gives no sign of life".to_owned())
}

/// Says what is new about a pod.
fn tell(pod: &Pod, before: Option<&Asked>, now: &Asked) {
    let Pod { namespace, name, uid, .. } = pod;
    if before.is_none_or(|before| before.problems != now.problems) {
        for problem in &now.problems {
            tracing::warn!(%namespace, pod = %name, %uid, problem, "An annotation for the logs is not obeyed.");
        }
    }
    let nothing = PodExclusion::default();
    let before = before.map_or(&nothing, |before| &before.exclusion);
    if *before == now.exclusion {
        return;
    }
    if now.exclusion.is_empty() {
        let excluded = Shown::of(before);
        tracing::info!(
            %namespace, pod = %name, %uid, containers = excluded.containers, by = excluded.by,
            "A pod is not excluded from the logs any more."
        );
    } else {
        let excluded = Shown::of(&now.exclusion);
        tracing::warn!(
            %namespace, pod = %name, %uid, containers = excluded.containers, by = excluded.by,
            "A pod is excluded from the logs by its own annotation, as `logs.annotations_may_exclude` lets it."
        );
    }
}

/// An exclusion for people: its grammar leaves nothing to be escaped.
struct Shown {
    /// Names with commas between them, or `*`.
    containers: String,
    /// The annotations.
    by: String,
}

impl Shown {
    fn of(exclusion: &PodExclusion) -> Self {
        let mut by: Vec<&str> = exclusion.all.iter().chain(exclusion.containers.values()).map(|by| &**by).collect();
        by.sort_unstable();
        by.dedup();
        let names: Vec<&str> = exclusion.containers.keys().map(String::as_str).collect();
        let containers = if exclusion.all.is_some() { "*".to_owned() } else { names.join(",") };
        Self { containers, by: by.join(",") }
    }
}

#[cfg(test)]
mod tests;
