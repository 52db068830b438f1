//! Decisions are kept as long as what they were made of is the same: a pod and its namespace, as Kubernetes last told of them.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use safeguard_pods::{Namespace, Pod, Reader};

use crate::authorise::{Decision, Rules, authorise, rules_of};
use crate::settings::Settings;

/// Decides about pods, once for each change.
#[derive(Debug)]
pub(crate) struct Decide {
    pods: Reader,
    settings: Arc<Settings>,
    node: String,
    made: Mutex<HashMap<Arc<str>, Made>>,
    rules: Mutex<HashMap<Arc<str>, Read>>,
}

/// The rules of a namespace, and what they were read from.
#[derive(Debug)]
struct Read {
    namespace: Arc<Namespace>,
    rules: Arc<Rules>,
}

#[derive(Debug)]
struct Made {
    pod: Arc<Pod>,
    namespace: Option<Arc<Namespace>>,
    decision: Arc<Decision>,
}

fn same<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        _ => false,
    }
}

impl Decide {
    pub(crate) fn new(pods: Reader, settings: Arc<Settings>, node: String) -> Self {
        Self { pods, settings, node, made: Mutex::default(), rules: Mutex::default() }
    }

    /// What a pod may have.
    pub(crate) fn about(&self, pod: &Arc<Pod>) -> Arc<Decision> {
        let namespace = self.pods.namespace(&pod.namespace);
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&pod.uid)
            && Arc::ptr_eq(&known.pod, pod)
            && same(known.namespace.as_ref(), namespace.as_ref())
        {
            return known.decision.clone();
        }
        let rules = namespace.as_ref().map(|namespace| self.rules(namespace));
        let decision = Arc::new(authorise(pod, rules.as_deref(), &self.settings, &self.node));
        made.insert(pod.uid.clone(), Made { pod: pod.clone(), namespace, decision: decision.clone() });
        decision
    }

    fn rules(&self, namespace: &Arc<Namespace>) -> Arc<Rules> {
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = rules.get(&namespace.name)
            && Arc::ptr_eq(&known.namespace, namespace)
        {
            return known.rules.clone();
        }
        let read = Arc::new(rules_of(namespace, &self.settings));
        rules.insert(namespace.name.clone(), Read { namespace: namespace.clone(), rules: read.clone() });
        read
    }

    /// Forgets pods that are gone, and the rules of namespaces that none of the others is in.
    pub(crate) fn retain(&self, alive: &HashSet<Arc<str>>) {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        made.retain(|uid, _| alive.contains(uid));
        let used: HashSet<Arc<str>> = made.values().map(|made| made.pod.namespace.clone()).collect();
        drop(made);
        self.rules.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| used.contains(name));
    }
}
