//! One copy of each string: many pods have the same namespace, account and role.

use std::collections::HashSet;
use std::sync::Arc;

/// Pruned when it has grown to this, at first.
const FIRST_PRUNE: usize = 256;

#[derive(Debug, Default)]
pub(crate) struct Pool {
    strings: HashSet<Arc<str>>,
    prune_at: usize,
}

impl Pool {
    /// The one copy of `text`.
    pub(crate) fn get(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.strings.get(text) {
            return known.clone();
        }
        if self.strings.len() >= self.prune_at.max(FIRST_PRUNE) {
            self.prune();
        }
        let new: Arc<str> = text.into();
        self.strings.insert(new.clone());
        new
    }

    /// Forgets what nobody else holds.
    pub(crate) fn prune(&mut self) {
        self.strings.retain(|text| Arc::strong_count(text) > 1);
        self.strings.shrink_to(FIRST_PRUNE);
        self.prune_at = self.strings.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_strings_are_one_and_unused_ones_are_forgotten() {
        let mut pool = Pool::default();
        let kept = pool.get("kept");
        assert!(Arc::ptr_eq(&kept, &pool.get("kept")));
        for i in 0..100_000 {
            assert_eq!(&*pool.get(&i.to_string()), i.to_string());
        }
        assert!(pool.strings.len() <= 2 * FIRST_PRUNE, "{}", pool.strings.len());
        assert!(Arc::ptr_eq(&kept, &pool.get("kept")));
    }
}
