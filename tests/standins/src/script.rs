//! A script of faults: one-shot faults by operation, then standing rules, in the order they were given.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex},
};

use crate::locked;

/// Faults `F` of operations `K`. A rule `R` is a `dyn Fn` from a view of the request to a fault.
pub(crate) struct Script<K, F, R: ?Sized>(Mutex<State<K, F, R>>);

struct State<K, F, R: ?Sized> {
    queue: VecDeque<(K, u32, F)>,
    rules: Vec<Arc<R>>,
}

impl<K, F, R: ?Sized> Default for Script<K, F, R> {
    fn default() -> Script<K, F, R> {
        Script(Mutex::new(State { queue: VecDeque::new(), rules: Vec::new() }))
    }
}

impl<K: PartialEq, F: Clone, R: ?Sized> Script<K, F, R> {
    /// The next `n` requests of `op` meet `fault`, after those queued before.
    pub(crate) fn next(&self, op: K, n: u32, fault: F) {
        if n > 0 {
            locked(&self.0).queue.push_back((op, n, fault));
        }
    }

    pub(crate) fn when(&self, rule: Arc<R>) {
        locked(&self.0).rules.push(rule);
    }

    pub(crate) fn clear(&self) {
        let mut state = locked(&self.0);
        state.queue.clear();
        state.rules.clear();
    }

    /// Requests that queued faults still wait for.
    pub(crate) fn pending(&self) -> u32 {
        locked(&self.0).queue.iter().map(|(_, n, _)| n).sum()
    }

    /// Takes the next queued fault of `op`.
    pub(crate) fn take(&self, op: &K) -> Option<F> {
        self.take_if(op, |_| true)
    }

    /// Takes the next queued fault of `op` if it is one of those `wanted`.
    pub(crate) fn take_if(&self, op: &K, wanted: impl Fn(&F) -> bool) -> Option<F> {
        let mut state = locked(&self.0);
        let at = state.queue.iter().position(|(of, _, _)| of == op)?;
        let (_, left, fault) = state.queue.get_mut(at)?;
        if !wanted(fault) {
            return None;
        }
        *left -= 1;
        let fault = fault.clone();
        if *left == 0 {
            state.queue.remove(at);
        }
        Some(fault)
    }

    /// The standing rules. They are run without the lock, so that a rule may use the script itself.
    pub(crate) fn rules(&self) -> Vec<Arc<R>> {
        locked(&self.0).rules.clone()
    }
}

impl<K: fmt::Debug, F: fmt::Debug, R: ?Sized> fmt::Debug for Script<K, F, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = locked(&self.0);
        f.debug_struct("Script").field("queue", &state.queue).field("rules", &state.rules.len()).finish()
    }
}
