//! The loop: makes beats when they are due, and sends what waits while the safeguard takes it.

use std::sync::Arc;
use std::time::Duration;

use safeguard_protocol::{
    Acknowledgement, Beat, Code, Enrolment, Envelope, Kind, Received, Refusal, Remedy, Statement, VERSION, binding,
    limits,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::chain::{Chain, ChainError, Now, Standing};
use crate::exchange::Exchange;
use crate::heartbeat::{Turns, millis};
use crate::posture::Posture;
use crate::reply::Failure;
use crate::schedule::Schedule;
use crate::settings::{Clock, Settings};
use crate::source::{ProofSource, ReportSource};
use crate::spool::Stored;
use crate::status::{Status, Trouble};

/// Until the safeguard says how often.
const INTERVAL: Duration = Duration::from_secs(60);
/// What a safeguard may ask for: more often is a flood, more seldom is no heartbeat.
const INTERVALS: (u32, u32) = (5, 3_600);
/// After a refusal that only an operator can mend (docs/protocol.md, "Refusals").
const OPERATOR: Duration = Duration::from_secs(600);

/// After this long a beat that the disk did not take is made again.
const DISK_AGAIN: Duration = Duration::from_secs(10);

/// What to do about a disk that takes nothing.
const DISK: &str = "see to the disk under the agent's state directory";

/// Who asks for the next statement.
pub(crate) type Preview = oneshot::Sender<Option<Box<Statement>>>;

/// The ends of the arrows.
pub(crate) struct Outside {
    pub(crate) clock: Clock,
    pub(crate) postures: watch::Receiver<Option<Arc<Posture>>>,
    pub(crate) proofs: Arc<dyn ProofSource>,
    pub(crate) reports: Arc<dyn ReportSource>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) previews: mpsc::Receiver<Preview>,
    pub(crate) turns: Arc<Turns>,
}

/// What the last verified reply told.
#[derive(Debug, Default)]
struct Contact {
    clock_offset_ms: Option<i64>,
    interval_s: Option<u32>,
    /// How many of the newest beats were late, one after the other.
    late: u32,
}

pub(crate) struct Run {
    settings: Settings,
    chain: Chain,
    exchange: Exchange,
    outside: Outside,
    schedule: Schedule,
    contact: Contact,
    /// What the last beat told.
    told: Option<Arc<Posture>>,
    trouble: Option<Trouble>,
}

/// A beat that was sent.
#[derive(Debug, Clone, Copy)]
struct Sent {
    sequence: u64,
    /// Not of an earlier one.
    of_this_boot: bool,
}

/// Why a try failed.
enum Failed {
    /// By the safeguard, or because nobody answered.
    Exchange(Failure),
    /// Here.
    Chain(ChainError),
    /// Nobody vouches for this node.
    Proofs(String),
}

impl From<ChainError> for Failed {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self::Exchange(failure)
    }
}

impl Run {
    pub(crate) fn new(settings: Settings, chain: Chain, exchange: Exchange, outside: Outside) -> Self {
        let (contact, schedule) = (Contact::default(), Schedule::new(Instant::now()));
        Self { settings, chain, exchange, outside, schedule, contact, told: None, trouble: None }
    }

    pub(crate) async fn forever(&mut self) {
        loop {
            self.outside.turns.note();
            let posture = self.outside.postures.borrow_and_update().clone();
            if let Some(posture) = &posture {
                self.turn(posture).await;
            }
            self.tell();
            // Until there is a posture nothing has to be done.
            let next = posture.map(|_| self.schedule.next(self.chain.waiting().0 > 0));
            match next.filter(|_| self.trouble.is_none()) {
                Some(_) if self.chain.waiting().0 > 0 => {}
                Some(next) => self.exchange.rest(next.saturating_duration_since(Instant::now())),
                None => self.exchange.hang_up(),
            }
            self.outside.turns.waits_until(next);
            tokio::select! {
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {}
                changed = self.outside.postures.changed() => if changed.is_err() {
                    // Whoever told postures has ended: so does the agent.
                    self.outside.turns.note();
                    return;
                },
                Some(asked) = self.outside.previews.recv() => {
                    self.outside.turns.note();
                    self.answer(asked);
                }
            }
        }
    }

    /// The last thing that is done.
    pub(crate) fn end(&mut self) {
        if let Err(error) = self.chain.settle() {
            tracing::error!(%error, "The state of the heartbeat cannot be written; the last beat is sent again after the start.");
        }
    }

    async fn turn(&mut self, posture: &Arc<Posture>) {
        let now = Instant::now();
        if self.told.as_ref().is_some_and(|told| posture.calls_for_a_beat(told)) {
            self.schedule.hurry(now);
        }
        let due = self.schedule.is_due(now);
        if due
            && self.chain.standing(&posture.node) == Standing::NeedsKey
            && let Err(error) = self.chain.new_key(&posture.node)
        {
            return self.put_off(&error);
        }
        // Before the beat: it repeats the nonce of the enrolment, and without one it is late.
        if due && self.schedule.may_try(now) && self.chain.standing(&posture.node) == Standing::NeedsEnrolment {
            self.attempt(posture).await;
        }
        // What waits is sent all the same: it may be what the next one needs the room of.
        if due {
            match self.make(posture) {
                // What waited for this one was tried in vain, with longer and longer pauses.
                Ok(()) if self.trouble.as_ref().is_some_and(|trouble| trouble.remedy == DISK) => {
                    self.schedule.succeeded(now);
                }
                Ok(()) => {}
                Err(error) => self.put_off(&error),
            }
        }
        if self.schedule.may_try(now) && self.chain.waiting().0 > 0 {
            self.attempt(posture).await;
        }
    }

    /// The next beat is not made at once: the disk has to be mended first.
    fn put_off(&mut self, error: &ChainError) {
        let now = Instant::now();
        self.schedule.made(now, DISK_AGAIN, fastrand::u32(0..100));
        self.trouble(None, error.to_string(), DISK, self.schedule.next(false).saturating_duration_since(now));
    }

    fn make(&mut self, posture: &Arc<Posture>) -> Result<(), ChainError> {
        let most = (self.settings.spool_bytes, self.settings.spool_age);
        self.chain.make(posture, self.now(), most)?;
        self.told = Some(posture.clone());
        self.schedule.made(Instant::now(), self.interval(), fastrand::u32(0..100));
        Ok(())
    }

    fn now(&self) -> Now {
        Now {
            now_ms: (self.outside.clock.now_ms)(),
            uptime_ms: (self.outside.clock.uptime_ms)(),
            clock_offset_ms: self.contact.clock_offset_ms,
            next_due_s: u32::try_from(self.interval().as_secs()).unwrap_or(u32::MAX).max(1),
        }
    }

    fn interval(&self) -> Duration {
        let asked = || {
            let seconds = self.contact.interval_s?.clamp(INTERVALS.0, INTERVALS.1);
            Some(Duration::from_secs(u64::from(seconds)))
        };
        self.settings.interval.or_else(asked).unwrap_or(INTERVAL)
    }

    /// One request: an enrolment if one is needed, or else a beat.
    async fn attempt(&mut self, posture: &Arc<Posture>) {
        let (result, sent) = match self.chain.standing(&posture.node) {
            // The next beat makes the key. There is nothing to try before.
            Standing::NeedsKey => {
                self.schedule.hurry(Instant::now());
                return self.schedule.failed(Instant::now(), Duration::ZERO, fastrand::u32(0..100));
            }
            Standing::NeedsEnrolment => (self.enrol(posture).await, None),
            Standing::Enrolled => match self.chain.pending() {
                Ok(None) => return,
                Ok(Some(beat)) => {
                    let Beat { sequence, boot_id, .. } = &beat.statement.beat;
                    let sent = Sent { sequence: *sequence, of_this_boot: *boot_id == posture.node.boot_id };
                    (self.send(beat).await, Some(sent))
                }
                Err(error) => (Err(error.into()), None),
            },
        };
        self.outside.turns.note();
        match result {
            Ok(()) => {
                if let Some(trouble) = self.trouble.take() {
                    tracing::info!(tries = trouble.tries, "The safeguard answers again.");
                }
                self.schedule.succeeded(Instant::now());
            }
            Err(failed) => self.failed(failed, sent),
        }
    }

    async fn enrol(&mut self, posture: &Arc<Posture>) -> Result<(), Failed> {
        let challenge = self.exchange.challenge().await?;
        self.outside.turns.note();
        let Some(key) = self.chain.key() else { return Ok(()) };
        let public_key = key.public();
        let binding = binding(&self.settings.tenant, &challenge.nonce, &public_key);
        let proofs = self.outside.proofs.proofs(binding).await.map_err(Failed::Proofs)?;
        self.outside.turns.note();
        let node = &posture.node;
        let enrolment = Enrolment {
            version: VERSION,
            tenant: self.settings.tenant.clone(),
            nonce: challenge.nonce,
            public_key,
            cluster: node.cluster.clone(),
            node_group: node.node_group.clone(),
            node_name: node.node_name.clone(),
            boot_id: node.boot_id.clone(),
            program: posture.program.clone(),
            sent_at_ms: (self.outside.clock.now_ms)(),
            last_sequence: self.chain.state().map_or(0, |state| state.sequence),
            proofs,
        };
        let sealed = Envelope::seal_json(Kind::Enrolment, &enrolment, key);
        let (envelope, digest) = sealed.map_err(|error| Failed::Proofs(error.to_string()))?;
        let enrolled = self.exchange.enrol(&envelope, digest).await?;
        let now_ms = (self.outside.clock.now_ms)();
        self.hear(enrolled.server_time_ms, enrolled.interval_s);
        self.chain.enrolled(node, &enrolled, now_ms)?;
        if self.chain.waiting().0 == 0 {
            // What waited was made in ignorance of what was sent before. The node has still to say that it is there.
            self.schedule.hurry(Instant::now());
        }
        tracing::info!(
            assurance = enrolled.assurance.as_str(),
            key_id = %enrolled.key_id,
            url = self.settings.url,
            "Enrolled with the safeguard."
        );
        Ok(())
    }

    async fn send(&mut self, beat: Stored) -> Result<(), Failed> {
        let acknowledgement = self.exchange.beat(beat.envelope, beat.digest).await?;
        self.hear(acknowledgement.server_time_ms, acknowledgement.interval_s);
        self.tell_state(&acknowledgement);
        if self.chain.state().is_some_and(|state| state.sequence == acknowledgement.sequence) {
            self.count_late(acknowledgement.received);
        }
        self.chain.acknowledged(&beat.statement, &acknowledgement, (self.outside.clock.now_ms)())?;
        self.outside.turns.note();
        for digest in acknowledgement.want.iter().take(safeguard_protocol::limits::WANTED) {
            let Some(report) = self.outside.reports.report(digest) else { continue };
            match self.exchange.report(*digest, &report).await {
                Ok(()) => tracing::debug!(%digest, "The safeguard has the report."),
                // The next acknowledgement asks for it again.
                Err(Failure::Refused(refusal)) => {
                    let (code, why) = (refusal.code.as_str(), refusal.message);
                    tracing::warn!(%digest, code, why, "The safeguard does not take the report that it asked for.");
                }
                Err(Failure::NoReply(why)) => tracing::info!(%digest, why, "The report could not be sent."),
            }
            self.outside.turns.note();
        }
        Ok(())
    }

    /// What the newest beat counted as.
    fn count_late(&mut self, received: Received) {
        let before = self.contact.late;
        self.contact.late = match received {
            Received::Live => 0,
            // The first reply was lost, and nobody knows what it said.
            Received::Duplicate => before.max(1),
            Received::Late => before.saturating_add(1),
        };
        let off = self.contact.clock_offset_ms.unwrap_or(0);
        match (before, self.contact.late) {
            // It repeated no nonce, or an old one, as after an outage. The next one repeats that of this reply.
            (0, 1) => self.schedule.hurry(Instant::now()),
            (1, 2) if off.saturating_abs() > limits::CLOCK_SKEW_MS => tracing::warn!(
                clock_offset_ms = off,
                remedy = "see whether the node's clock is set: `timedatectl`",
                "The safeguard counts what this node says as late: the node is not alive by it."
            ),
            // Neither for want of a nonce nor by the clock. Perhaps the safeguard knows of higher numbers: an enrolment tells.
            (1, 2) => {
                tracing::info!("The safeguard counts what this node says as late. It enrols again.");
                self.chain.enrol_again();
            }
            _ => {}
        }
    }

    /// What a verified reply tells of the safeguard.
    fn hear(&mut self, server_time_ms: i64, interval_s: u32) {
        let offset = (self.outside.clock.now_ms)().saturating_sub(server_time_ms);
        let interval_s = Some(interval_s).filter(|seconds| *seconds > 0);
        let waits = Duration::from_secs(interval_s.unwrap_or(0).max(limits::PROMISE_SECONDS).into());
        if let Some(own) = self.settings.interval.filter(|own| *own > waits && interval_s != self.contact.interval_s) {
            tracing::warn!(
                interval_s = own.as_secs(),
                waits_s = waits.as_secs(),
                remedy = "shorten `heartbeat.interval`, or lengthen `nodes.interval` of the safeguard",
                "This node speaks less often than the safeguard waits for, and will be missing in between."
            );
        }
        self.contact = Contact { clock_offset_ms: Some(offset), interval_s, ..self.contact };
        self.schedule.at_the_latest(self.interval());
    }

    /// A state that is another than before is worth a line in the log.
    fn tell_state(&self, acknowledgement: &Acknowledgement) {
        let before = self.chain.state().and_then(|state| state.posture.as_ref()).map(|posture| posture.state);
        let now = &acknowledgement.posture;
        if before != Some(now.state) {
            let (state, reasons) = (now.state.as_str(), now.reasons.join("; "));
            tracing::info!(state, reasons, "The safeguard sees this node in another state.");
        }
    }

    fn failed(&mut self, failed: Failed, sent: Option<Sent>) {
        let (code, message, remedy, asked) = match failed {
            // It is taken after one of this boot. That there is none is the disk's doing, and told already; to enrol helps nothing.
            Failed::Exchange(Failure::Refused(refusal))
                if refusal.code == Code::UnknownBoot && sent.is_some_and(|sent| !sent.of_this_boot) =>
            {
                return self.schedule.failed(Instant::now(), Duration::ZERO, fastrand::u32(0..100));
            }
            Failed::Exchange(Failure::Refused(refusal)) => {
                let asked = self.obey(&refusal, sent.map(|sent| sent.sequence));
                (Some(refusal.code), refusal.message, remedy_of(refusal.code), asked)
            }
            Failed::Exchange(Failure::NoReply(why)) => {
                (None, why, "see whether the address is right and reachable from this node", Duration::ZERO)
            }
            Failed::Proofs(why) => {
                (None, why, "the node cannot prove who it is: see docs/permissions.md", Duration::ZERO)
            }
            Failed::Chain(error) => (None, error.to_string(), DISK, Duration::ZERO),
        };
        let now = Instant::now();
        self.schedule.failed(now, asked, fastrand::u32(0..100));
        self.trouble(code, message, remedy, self.schedule.next_try().saturating_duration_since(now));
    }

    /// Notes what is the matter, and tells it if it was not told yet.
    fn trouble(&mut self, code: Option<Code>, message: String, remedy: &str, pause: Duration) {
        let now_ms = (self.outside.clock.now_ms)();
        let next_try_ms = now_ms.saturating_add(i64::try_from(millis(pause)).unwrap_or(i64::MAX));
        let told = self.trouble.as_ref().is_some_and(|before| before.code == code && before.message == message);
        if !told {
            let code = code.map(Code::as_str);
            tracing::warn!(code, why = message, remedy, "The safeguard was not told how this node stands.");
        }
        let (since_ms, tries) =
            self.trouble.as_ref().map_or((now_ms, 1), |before| (before.since_ms, before.tries.saturating_add(1)));
        let remedy = remedy.to_owned();
        self.trouble = Some(Trouble { since_ms, tries, code, message, remedy, next_try_ms });
    }

    /// Does what the protocol says about a refusal. Gives how long to wait at least.
    fn obey(&mut self, refusal: &Refusal, sequence: Option<u64>) -> Duration {
        let asked = Duration::from_secs(u64::from(refusal.retry_after_s.unwrap_or(0)));
        let done = match (refusal.code.remedy(), sequence) {
            (Remedy::Wait, _) => Ok(()),
            (Remedy::Enrol, _) => {
                self.chain.enrol_again();
                let now = self.outside.postures.borrow().clone();
                match now.filter(|_| refusal.code == Code::Identity) {
                    // What was made when the node was called otherwise is refused however often it enrols.
                    Some(posture) => self.chain.drop_named_otherwise(&posture.node),
                    None => Ok(()),
                }
            }
            (Remedy::NewKey, _) => match self.outside.postures.borrow().clone() {
                Some(posture) => self.chain.new_key(&posture.node).map(|()| self.schedule.hurry(Instant::now())),
                None => Ok(()),
            },
            (Remedy::Drop, Some(sequence)) => self.chain.drop_beat(sequence),
            (Remedy::Drop, None) => Ok(()),
            (Remedy::Operator, _) => return asked.max(OPERATOR),
        };
        if let Err(error) = done {
            tracing::error!(%error, "The state of the heartbeat cannot be written.");
        }
        asked
    }

    fn answer(&self, asked: Preview) {
        let posture = self.outside.postures.borrow().clone();
        let statement = posture.and_then(|posture| self.chain.next(&posture, self.now()));
        // Who asked may have gone.
        drop(asked.send(statement.map(Box::new)));
    }

    fn tell(&self) {
        let (waiting, oldest_waiting_ms) = self.chain.waiting();
        let state = self.chain.state();
        let dropped =
            state.map_or(0, |s| s.dropped.iter().map(|r| r.last.saturating_sub(r.first).saturating_add(1)).sum());
        let status = Status {
            url: self.settings.url.clone(),
            tenant: self.settings.tenant.clone(),
            key_id: state.map(|s| s.key_id),
            assurance: state.and_then(|s| s.assurance),
            enrolled_at_ms: state.and_then(|s| s.enrolled_at_ms),
            sequence: state.map_or(0, |s| s.sequence),
            acknowledged: state.and_then(|s| s.acknowledged),
            posture: state.and_then(|s| s.posture.clone()),
            clock_offset_ms: self.contact.clock_offset_ms,
            waiting,
            oldest_waiting_ms,
            dropped,
            interval_s: self.interval().as_secs(),
            trouble: self.trouble.clone(),
        };
        self.outside.status.send_if_modified(|before| {
            let differs = *before != status;
            if differs {
                *before = status;
            }
            differs
        });
    }
}

fn remedy_of(code: Code) -> &'static str {
    match code.remedy() {
        Remedy::Wait => "it is tried again; nothing has to be done",
        Remedy::Enrol => "the node enrols again by itself",
        Remedy::NewKey => "the node takes a new key by itself",
        Remedy::Drop => "this beat is not sent again; is the safeguard of another version?",
        Remedy::Operator => "an operator has to act: see this code in docs/protocol.md",
    }
}
