//! The node's key, and the chain of statements that it signs: each number is used once, and is on the disk before it is sent.

use std::path::Path;
use std::time::Duration;

use safeguard_protocol::{
    Acknowledgement, Beat, Enrolled, KeyError, Posture as Verdict, Received, SealError, SigningKey, Spool as SpoolSaid,
    Statement,
};

use crate::compose::{self, Moment};
use crate::disk::{self, DiskError};
use crate::posture::{Node, Posture};
use crate::spool::{Spool, Stored, Unreadable};
use crate::state::{Home, State};
use crate::status::Acknowledged;

/// Why a beat cannot be made or kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChainError {
    #[error(transparent)]
    Disk(#[from] DiskError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// What has to be done before a beat of a node can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There is no key, or it is of another instance or tenant: the disk is a copy.
    NeedsKey,
    /// The key is not enrolled, or for an earlier boot.
    NeedsEnrolment,
    /// Nothing.
    Enrolled,
}

/// What the clocks and the last reply say when a beat is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Now {
    pub(crate) now_ms: i64,
    pub(crate) uptime_ms: u64,
    pub(crate) clock_offset_ms: Option<i64>,
    pub(crate) next_due_s: u32,
}

/// A key and what depends on it.
#[derive(Debug)]
struct Keyed {
    key: SigningKey,
    state: State,
    spool: Spool,
}

/// The chain, or none yet.
#[derive(Debug)]
pub(crate) struct Chain {
    home: Home,
    tenant: String,
    keyed: Option<Keyed>,
    /// Enrol again although the key is enrolled: the safeguard says so.
    enrol_again: bool,
}

impl Chain {
    /// Reads what was kept.
    pub(crate) fn open(dir: &Path, tenant: &str) -> Result<Self, DiskError> {
        let home = Home::open(dir)?;
        let mut chain = Self { home, tenant: tenant.to_owned(), keyed: None, enrol_again: false };
        let Some((key, state)) = chain.home.load()? else { return Ok(chain) };
        let (spool, damaged) = Spool::open(chain.home.spool(), key.public(), state.sequence)?;
        let mut keyed = Keyed { key, state, spool };
        if let Some((sequence, waiting)) = keyed.spool.newest()
            && sequence > keyed.state.sequence
        {
            (keyed.state.sequence, keyed.state.previous) = (sequence, Some(waiting.digest));
        }
        for (sequence, _) in &damaged {
            tracing::warn!(sequence, "A beat that waited to be sent is damaged. It is declared as dropped.");
            // Its number was used, and what it said is not known: the next statement cannot name it.
            if *sequence > keyed.state.sequence {
                (keyed.state.sequence, keyed.state.previous) = (*sequence, None);
            }
            keyed.state.drop_number(*sequence);
        }
        let forget = || {
            chain.home.save(&keyed.state)?;
            damaged.iter().try_for_each(|(_, path)| disk::remove(path))
        };
        if !damaged.is_empty()
            && let Err(error) = forget()
        {
            // A disk that is full is no reason for a node to be silent. They are found again after the next start.
            tracing::warn!(%error, "What is damaged of the heartbeat cannot be put in order.");
        }
        chain.keyed = Some(keyed);
        Ok(chain)
    }

    pub(crate) fn standing(&self, node: &Node) -> Standing {
        match &self.keyed {
            None => Standing::NeedsKey,
            Some(k) if k.state.instance_id != node.instance_id || k.state.tenant != self.tenant => Standing::NeedsKey,
            Some(k) if k.state.boot_id.as_ref() != Some(&node.boot_id) || self.enrol_again => Standing::NeedsEnrolment,
            Some(_) => Standing::Enrolled,
        }
    }

    /// Makes a key for a node. Beats that the old one signed are dropped: nobody would take them any more.
    pub(crate) fn new_key(&mut self, node: &Node) -> Result<(), ChainError> {
        let (key, pkcs8) = SigningKey::generate()?;
        let state = State::new(key.public().id(), &self.tenant, &node.instance_id);
        if let Some(old) = self.keyed.take() {
            let beats = old.spool.len();
            tracing::info!(beats, key_id = %state.key_id, "The node has a new key. Beats of the old one are dropped.");
        }
        self.home.put_key(&pkcs8)?;
        self.home.save(&state)?;
        let spool = Spool::empty(self.home.spool(), key.public())?;
        self.keyed = Some(Keyed { key, state, spool });
        Ok(())
    }

    /// The key, once there is one.
    pub(crate) fn key(&self) -> Option<&SigningKey> {
        self.keyed.as_ref().map(|keyed| &keyed.key)
    }

    /// What is kept, once there is a key.
    pub(crate) fn state(&self) -> Option<&State> {
        self.keyed.as_ref().map(|keyed| &keyed.state)
    }

    /// Beats that wait, and when the oldest of them was made.
    pub(crate) fn waiting(&self) -> (u32, Option<i64>) {
        let spool = self.keyed.as_ref().map(|keyed| &keyed.spool);
        (spool.map_or(0, Spool::len), spool.and_then(Spool::oldest).map(|(_, oldest)| oldest.made_at_ms))
    }

    /// The key has to be enrolled again.
    pub(crate) fn enrol_again(&mut self) {
        self.enrol_again = true;
    }

    /// The key is enrolled for this boot.
    pub(crate) fn enrolled(&mut self, node: &Node, enrolled: &Enrolled, now_ms: i64) -> Result<(), ChainError> {
        self.enrol_again = false;
        let Some(keyed) = &mut self.keyed else { return Ok(()) };
        let state = &mut keyed.state;
        state.boot_id = Some(node.boot_id.clone());
        (state.assurance, state.enrolled_at_ms) = (Some(enrolled.assurance), Some(now_ms));
        state.hear(&enrolled.nonce);
        if enrolled.sequence > state.sequence {
            tracing::warn!(
                known = enrolled.sequence,
                here = state.sequence,
                "The safeguard knows of beats that this state directory does not: it was restored from an older copy."
            );
            (state.sequence, state.previous) = (enrolled.sequence, None);
            // Numbers of beats that wait may be used, with other content.
            keyed.spool.numbers().for_each(|sequence| state.drop_number(sequence));
            self.home.save(state)?;
            return Ok(keyed.spool.clear()?);
        }
        Ok(self.home.save(state)?)
    }

    /// The next statement as it would be made now. `None` without a key.
    pub(crate) fn next(&self, posture: &Posture, now: Now) -> Option<Statement> {
        let keyed = self.keyed.as_ref()?;
        let state = &keyed.state;
        let (beats, oldest_ms) = self.waiting();
        let mut dropped = state.dropped.clone();
        dropped.truncate(safeguard_protocol::limits::DROPPED_RANGES);
        let beat = Beat {
            sequence: state.sequence.saturating_add(1),
            previous: state.previous,
            boot_id: posture.node.boot_id.clone(),
            made_at_ms: now.now_ms,
            uptime_ms: now.uptime_ms,
            clock_offset_ms: now.clock_offset_ms,
            server_nonce: state.nonce.clone(),
            next_due_s: now.next_due_s,
        };
        let spool = SpoolSaid { beats, oldest_ms, dropped };
        Some(compose::statement(posture, Moment { tenant: &self.tenant, key_id: state.key_id, beat, spool }))
    }

    /// Makes the next beat and keeps it, on the disk when this returns. Drops what waits too long or is too much.
    pub(crate) fn make(&mut self, posture: &Posture, now: Now, most: (u64, Duration)) -> Result<(), ChainError> {
        let now_ms = now.now_ms;
        let Some(statement) = self.next(posture, now) else { return Ok(()) };
        let Some(keyed) = &mut self.keyed else { return Ok(()) };
        let sealed = statement.seal(&keyed.key)?;
        let sequence = sealed.statement.beat.sequence;
        let stored =
            Stored { envelope: sealed.envelope.to_bytes(), digest: sealed.digest, statement: sealed.statement };
        keyed.spool.put(sequence, stored)?;
        (keyed.state.sequence, keyed.state.previous) = (sequence, Some(sealed.digest));
        while let Some(old) = keyed.spool.to_drop(most.0, most.1, now_ms) {
            keyed.state.drop_number(old);
            self.home.save(&keyed.state)?;
            keyed.spool.remove(old)?;
        }
        Ok(())
    }

    /// The beat to send: the newest that waits. One that is damaged is dropped on the way.
    pub(crate) fn pending(&mut self) -> Result<Option<Stored>, ChainError> {
        while let Some(keyed) = &self.keyed
            && let Some((sequence, _)) = keyed.spool.newest()
        {
            match keyed.spool.get(sequence) {
                Ok(stored) => return Ok(Some(stored)),
                Err(Unreadable::Damaged | Unreadable::OtherKey) => self.drop_beat(sequence)?,
            }
        }
        Ok(None)
    }

    /// A beat will not be sent any more. The next statement declares it.
    pub(crate) fn drop_beat(&mut self, sequence: u64) -> Result<(), ChainError> {
        let Some(keyed) = &mut self.keyed else { return Ok(()) };
        keyed.state.drop_number(sequence);
        self.home.save(&keyed.state)?;
        Ok(keyed.spool.remove(sequence)?)
    }

    /// Beats that call the node otherwise will not be sent any more. The next statement declares them.
    pub(crate) fn drop_named_otherwise(&mut self, node: &Node) -> Result<(), ChainError> {
        let Some(keyed) = &mut self.keyed else { return Ok(()) };
        let holds = |sequence: &u64| keyed.spool.get(*sequence).is_ok_and(|beat| node.is_named_by(&beat.statement));
        let gone: Vec<u64> = keyed.spool.numbers().filter(|sequence| !holds(sequence)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            beats = gone.len(),
            "Beats that wait call the node what it is called no more. They are dropped."
        );
        gone.iter().for_each(|sequence| keyed.state.drop_number(*sequence));
        self.home.save(&keyed.state)?;
        Ok(gone.iter().try_for_each(|sequence| keyed.spool.remove(*sequence))?)
    }

    /// The safeguard has a beat. What it told that a restart must know is on the disk when this returns.
    pub(crate) fn acknowledged(
        &mut self,
        sent: &Statement,
        acknowledgement: &Acknowledgement,
        now_ms: i64,
    ) -> Result<(), ChainError> {
        let Some(keyed) = &mut self.keyed else { return Ok(()) };
        let (state, sequence) = (&mut keyed.state, sent.beat.sequence);
        let stays = keyed.spool.acknowledged(sequence);
        // Reasons may tell of times, and be others each time.
        let now = |posture: &Verdict| (posture.state, posture.since_ms);
        let (late, newest) = (acknowledgement.received == Received::Late, sequence == state.sequence);
        let news = state.posture.as_ref().map(now) != Some(now(&acknowledgement.posture))
            // An agent that ends soon, time after time, is alive by its next beat.
            || (late && newest)
            || !sent.spool.dropped.is_empty()
            || (newest && !stays);
        state.declared(&sent.spool.dropped);
        state.posture = Some(acknowledgement.posture.clone());
        if acknowledgement.received == Received::Live
            && state.acknowledged.as_ref().is_none_or(|before| before.sequence < sequence)
        {
            let made_at_ms = sent.beat.made_at_ms;
            state.acknowledged = Some(Acknowledged { sequence, made_at_ms, at_ms: now_ms });
        }
        state.hear(&acknowledgement.nonce);
        if news {
            self.home.save(state)?;
        }
        if stays { Ok(()) } else { Ok(keyed.spool.remove(sequence)?) }
    }

    /// Writes down what is known, so that the next process begins where this one ends.
    pub(crate) fn settle(&mut self) -> Result<(), ChainError> {
        let Some(keyed) = &mut self.keyed else { return Ok(()) };
        self.home.save(&keyed.state)?;
        Ok(keyed.spool.forget_acknowledged()?)
    }
}

#[cfg(test)]
mod tests;
