//! What outlives the process: whose key it is, how far its numbers went, and what the safeguard said last.

use std::path::{Path, PathBuf};

use safeguard_protocol::{Assurance, Digest, KeyId, Posture, SequenceRange, SigningKey, limits};
use serde::{Deserialize, Serialize};

use crate::disk::{self, DiskError};
use crate::status::Acknowledged;

const STATE: &str = "state.json";
const KEY: &str = "key.pk8";
/// A PKCS#8 document of an Ed25519 key has 83 bytes at most.
const MAX_KEY_BYTES: u64 = 1024;
/// Ranges and reasons are bounded; this is much more than they need.
const MAX_STATE_BYTES: u64 = 64 * 1024;
/// Ranges of dropped beats that are remembered; beyond that, neighbours are joined.
const MAX_RANGES: usize = 64;

/// What is known beside the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// The key that all of this is of.
    pub(crate) key_id: KeyId,
    /// The tenant and the instance that the key was made for.
    pub(crate) tenant: String,
    pub(crate) instance_id: String,
    /// The boot that the key is enrolled for.
    pub(crate) boot_id: Option<String>,
    /// As the safeguard verified it.
    pub(crate) assurance: Option<Assurance>,
    pub(crate) enrolled_at_ms: Option<i64>,
    /// The highest number that was used, and the digest of that statement.
    pub(crate) sequence: u64,
    pub(crate) previous: Option<Digest>,
    /// Numbers that will never be sent and are not declared yet.
    pub(crate) dropped: Vec<SequenceRange>,
    /// The last acknowledgement of a beat that counted as live.
    pub(crate) acknowledged: Option<Acknowledged>,
    /// How the safeguard sees the node.
    pub(crate) posture: Option<Posture>,
    /// The nonce of the last reply, which the next statement repeats.
    #[serde(default)]
    pub(crate) nonce: Option<String>,
}

impl State {
    /// Of a new key.
    pub(crate) fn new(key_id: KeyId, tenant: &str, instance_id: &str) -> Self {
        Self {
            key_id,
            tenant: tenant.to_owned(),
            instance_id: instance_id.to_owned(),
            boot_id: None,
            assurance: None,
            enrolled_at_ms: None,
            sequence: 0,
            previous: None,
            dropped: Vec::new(),
            acknowledged: None,
            posture: None,
            nonce: None,
        }
    }

    /// Takes a nonce to repeat. One that no statement can hold is none.
    pub(crate) fn hear(&mut self, nonce: &str) {
        self.nonce = Some(nonce).filter(|nonce| nonce.len() <= limits::NONCE_CHARACTERS).map(str::to_owned);
    }

    /// Notes a number that will never be sent.
    pub(crate) fn drop_number(&mut self, sequence: u64) {
        self.dropped.push(SequenceRange { first: sequence, last: sequence });
        self.join();
    }

    /// Forgets what a statement that was acknowledged has declared.
    pub(crate) fn declared(&mut self, ranges: &[SequenceRange]) {
        for told in ranges {
            let left = |range: &SequenceRange| {
                let before = (range.first < told.first)
                    .then(|| SequenceRange { first: range.first, last: range.last.min(told.first - 1) });
                let after = (range.last > told.last)
                    .then(|| SequenceRange { first: range.first.max(told.last + 1), last: range.last });
                before.into_iter().chain(after)
            };
            self.dropped = self.dropped.iter().flat_map(left).collect();
        }
        self.join();
    }

    /// In order, joined where they touch; if there are too many, the nearest neighbours are joined as well: what is declared as
    /// dropped then holds beats that arrived, which the safeguard has and keeps.
    fn join(&mut self) {
        self.dropped.sort_by_key(|range| range.first);
        let mut joined: Vec<SequenceRange> = Vec::new();
        for range in self.dropped.drain(..) {
            match joined.last_mut().filter(|last| range.first <= last.last.saturating_add(1)) {
                Some(last) => last.last = last.last.max(range.last),
                None => joined.push(range),
            }
        }
        while joined.len() > MAX_RANGES {
            let last = joined.remove(1).last;
            if let Some(first) = joined.first_mut() {
                first.last = last;
            }
        }
        self.dropped = joined;
    }
}

/// Where it is kept.
#[derive(Debug)]
pub(crate) struct Home {
    dir: PathBuf,
}

impl Home {
    pub(crate) fn open(dir: &Path) -> Result<Self, DiskError> {
        disk::make_dir(dir)?;
        Ok(Self { dir: dir.to_owned() })
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }

    /// Key and state, if both are there, whole, and of each other.
    pub(crate) fn load(&self) -> Result<Option<(SigningKey, State)>, DiskError> {
        let key = disk::read(&self.dir.join(KEY), MAX_KEY_BYTES)?;
        let state = disk::read(&self.dir.join(STATE), MAX_STATE_BYTES)?;
        let (Some(key), Some(state)) = (key, state) else { return Ok(None) };
        let found = SigningKey::from_pkcs8(&key).ok().zip(serde_json::from_slice::<State>(&state).ok());
        let found = found.filter(|(key, state)| key.public().id() == state.key_id);
        if found.is_none() {
            tracing::warn!(dir = %self.dir.display(), "What was kept of the heartbeat is damaged: the node gets a new key.");
        }
        Ok(found)
    }

    /// Keeps a new key. Its state has to be saved too before it is used.
    pub(crate) fn put_key(&self, pkcs8: &[u8]) -> Result<(), DiskError> {
        disk::put(&self.dir.join(KEY), pkcs8)
    }

    pub(crate) fn save(&self, state: &State) -> Result<(), DiskError> {
        let bytes = serde_json::to_vec(state).expect("a state is made of texts and numbers, which JSON can hold");
        disk::put(&self.dir.join(STATE), &bytes)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> State {
        State::new(KeyId::from_bytes([0; 32]), "acme", "i-1")
    }

    #[test]
    fn numbers_that_touch_are_one_range() {
        let mut state = state();
        for n in [5, 3, 4, 9] {
            state.drop_number(n);
        }
        let range = |first, last| SequenceRange { first, last };
        assert_eq!(state.dropped, [range(3, 5), range(9, 9)]);
        state.declared(&[range(4, 9)]);
        assert_eq!(state.dropped, [range(3, 3)]);
    }

    proptest! {
        /// Whatever is dropped is in a range until it was declared, and the ranges stay few.
        #[test]
        fn nothing_that_was_dropped_is_forgotten(numbers in prop::collection::vec(1_u64..5_000, 1..300)) {
            let mut state = state();
            for n in &numbers {
                state.drop_number(*n);
            }
            prop_assert!(state.dropped.len() <= MAX_RANGES);
            for n in &numbers {
                prop_assert!(state.dropped.iter().any(|r| (r.first..=r.last).contains(n)));
            }
            let all = state.dropped.clone();
            state.declared(&all);
            prop_assert!(state.dropped.is_empty());
        }
    }
}
