//! Pure: which containers are left out by word of their pods, and from when to when.
//!
//! The room is told, and asks nobody. A line is judged by its own time: what was written before the exclusion was known is
//! still shipped, and what was written before its end is not, however late it is read. If the first word about a pod excludes
//! it, there is no before.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::discover::ContainerKey;

/// Exclusions of one container that are remembered after they ended, for lines that were not read yet. Whoever changes an
/// annotation more often than this while nothing is read has lines of the oldest shipped.
const MOST_SPANS: usize = 4;

/// Containers of one pod for which ended exclusions are remembered; more are only kept while they last.
const MOST_NAMES: usize = 64;

/// For so long a pod that is gone is remembered although it has no files: they may be found late. Milliseconds.
const GONE_MS: i64 = 10 * 60 * 1_000;

/// Such pods that are remembered.
const MOST_GONE: usize = 1_024;

/// A pod, as the directory of its logs names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodKey {
    /// Namespace of the pod.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// UID of the pod; for static pods the hash of their manifest.
    pub uid: String,
}

impl PodKey {
    /// The pod of a container.
    pub(crate) fn of(container: &ContainerKey) -> Self {
        let ContainerKey { namespace, pod, uid, .. } = container.clone();
        Self { namespace, name: pod, uid }
    }
}

/// What is excluded of one pod, and by what: the names that people are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PodExclusion {
    /// All containers, by this.
    pub all: Option<Arc<str>>,
    /// These containers, by name, each by this.
    pub containers: BTreeMap<String, Arc<str>>,
}

impl PodExclusion {
    /// What excludes a container, if anything does.
    #[must_use]
    pub fn of(&self, container: &str) -> Option<&Arc<str>> {
        self.all.as_ref().or_else(|| self.containers.get(container))
    }

    /// Whether nothing is excluded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_none() && self.containers.is_empty()
    }
}

/// Every pod that is known, those included of which nothing is excluded: being known without an exclusion is what makes a
/// later one count from then on. Of a pod that is not among them, what was said last stays in force until its files are gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exclusions {
    /// What is excluded of each pod.
    pub pods: HashMap<PodKey, PodExclusion>,
    /// Why this may not be the newest word, or not all of it; for people.
    pub problem: Option<String>,
}

/// From when on, to before when; Unix ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    from_ms: i64,
    until_ms: i64,
}

impl Span {
    /// Whether a line of this time is left out.
    pub(crate) fn holds(self, ms: i64) -> bool {
        self.from_ms <= ms && ms < self.until_ms
    }
}

/// Oldest first; only the last may be open, and then it has no end yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Spans(Vec<Span>);

impl Spans {
    fn tell(&mut self, excluded: bool, from_ms: i64, now_ms: i64) {
        let open = self.0.last_mut().filter(|span| span.until_ms == i64::MAX);
        match (open, excluded) {
            (None, true) => {
                self.0.push(Span { from_ms, until_ms: i64::MAX });
                if self.0.len() > MOST_SPANS {
                    self.0.remove(0);
                }
            }
            (Some(open), false) => open.until_ms = now_ms,
            (Some(_), true) | (None, false) => {}
        }
    }

    fn is_open(&self) -> bool {
        self.0.last().is_some_and(|span| span.until_ms == i64::MAX)
    }
}

/// A pod, with what was said of it before.
#[derive(Debug, Default)]
struct Known {
    told: PodExclusion,
    all: Spans,
    containers: BTreeMap<String, Spans>,
    /// Since when nothing is said of it; Unix ms.
    gone_ms: Option<i64>,
}

impl Known {
    fn tell(&mut self, told: PodExclusion, from_ms: i64, now_ms: i64) {
        self.all.tell(told.all.is_some(), from_ms, now_ms);
        for name in told.containers.keys() {
            self.containers.entry(name.clone()).or_default().tell(true, from_ms, now_ms);
        }
        for (name, spans) in &mut self.containers {
            spans.tell(told.containers.contains_key(name), from_ms, now_ms);
        }
        if self.containers.len() > MOST_NAMES {
            self.containers.retain(|_, spans| spans.is_open());
        }
        self.told = told;
    }
}

/// What holds for one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Excluded {
    /// By what it is excluded now.
    pub(crate) by: Option<Arc<str>>,
    /// The times of the lines that are left out.
    pub(crate) spans: Vec<Span>,
}

/// What the room was told.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pods: HashMap<PodKey, Known>,
    problem: Option<String>,
}

impl Told {
    /// Takes in what is known at `now_ms`. Pods that are not known any more are forgotten after a while, unless they are among
    /// `with_files`.
    pub(crate) fn tell(&mut self, new: Exclusions, with_files: &HashSet<PodKey>, now_ms: i64) {
        self.problem = new.problem;
        let mut gone: Vec<i64> = Vec::new();
        self.pods.retain(|pod, known| {
            if new.pods.contains_key(pod) || with_files.contains(pod) {
                known.gone_ms = None;
                return true;
            }
            let since_ms = *known.gone_ms.get_or_insert(now_ms);
            gone.push(since_ms);
            now_ms.saturating_sub(since_ms) < GONE_MS
        });
        if let Some(beyond) = gone.len().checked_sub(MOST_GONE).filter(|beyond| *beyond > 0) {
            gone.sort_unstable();
            let youngest_to_go = gone.get(beyond - 1).copied().unwrap_or(i64::MIN);
            self.pods.retain(|_, known| known.gone_ms.is_none_or(|since_ms| since_ms > youngest_to_go));
        }
        for (pod, told) in new.pods {
            // Of whom this is the first word, all that is unread is meant.
            let from_ms = if self.pods.contains_key(&pod) { now_ms } else { i64::MIN };
            self.pods.entry(pod).or_default().tell(told, from_ms, now_ms);
        }
    }

    /// What holds for a container.
    pub(crate) fn of(&self, container: &ContainerKey) -> Excluded {
        let Some(known) = self.pods.get(&PodKey::of(container)) else { return Excluded::default() };
        let named = known.containers.get(&container.container);
        let spans = known.all.0.iter().chain(named.iter().flat_map(|spans| &spans.0)).copied().collect();
        Excluded { by: known.told.of(&container.container).cloned(), spans }
    }

    /// Why it may not be the newest word.
    pub(crate) fn problem(&self) -> Option<String> {
        self.problem.clone()
    }
}

#[cfg(test)]
mod tests;
