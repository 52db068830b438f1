//! The open batches of all streams, and the one memory budget that bounds them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::batch::{Buffers, Claim, Compression, Event, OpenBatch};
use crate::ship::{Command, LANE_REQUESTS, Trouble};
use crate::tail::Blocked;
use crate::{Target, TargetNo};

/// Batches of one stream that may be sent and unsettled: what a lane works on, so that the next is ready when one ends.
const OUTSTANDING: usize = LANE_REQUESTS;

/// How late a line may be found, which counts as waiting: see `LOOK_AT_LEAST_EVERY`.
const FOUND_LATE: Duration = Duration::from_secs(1);

/// A stream, the batch that fills for it, and how its deliveries go.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) target: Arc<Target>,
    open: Option<OpenBatch>,
    opened_at: Instant,
    pub(super) outstanding: usize,
    pub(super) trouble: Option<Trouble>,
    /// Nothing is read for it before: what it had was given back.
    pub(super) paused_until: Option<Instant>,
}

#[derive(Debug)]
pub(super) struct Batcher {
    pub(super) lanes: BTreeMap<TargetNo, Lane>,
    next_target: TargetNo,
    by_target: HashMap<Target, TargetNo>,
    compression: Compression,
    budget: usize,
    /// Bytes held by open and outstanding batches.
    memory: usize,
    /// Somebody was refused memory since the last look.
    pressed: bool,
    buffers: Buffers,
    pub(super) flush_interval: Duration,
    pub(super) puts_per_second: f64,
    puts: f64,
    puts_at: Instant,
    commands: UnboundedSender<Command>,
}

impl Batcher {
    pub(super) fn new(
        compression: Compression,
        budget: usize,
        flush_interval: Duration,
        max_puts_per_second: u32,
        commands: UnboundedSender<Command>,
    ) -> Self {
        let puts_per_second = f64::from(max_puts_per_second.max(1));
        Self {
            lanes: BTreeMap::new(),
            next_target: 0,
            by_target: HashMap::new(),
            compression,
            budget,
            memory: 0,
            pressed: false,
            buffers: Buffers::default(),
            flush_interval,
            puts_per_second,
            puts: puts_per_second,
            puts_at: Instant::now(),
            commands,
        }
    }

    /// The number of a stream.
    pub(super) fn target(&mut self, target: Target) -> TargetNo {
        if let Some(number) = self.by_target.get(&target) {
            return *number;
        }
        let number = self.next_target;
        self.next_target += 1;
        self.by_target.insert(target.clone(), number);
        let lane = Lane {
            target: Arc::new(target),
            open: None,
            opened_at: Instant::now(),
            outstanding: 0,
            trouble: None,
            paused_until: None,
        };
        self.lanes.insert(number, lane);
        number
    }

    /// Forgets streams that no container uses any more, once they are idle.
    pub(super) fn keep_only(&mut self, used: &HashSet<TargetNo>) {
        self.lanes.retain(|number, lane| used.contains(number) || lane.outstanding > 0 || lane.open.is_some());
        self.by_target.retain(|_, number| self.lanes.contains_key(number));
    }

    fn lane(&mut self, number: TargetNo) -> &mut Lane {
        self.lanes.get_mut(&number).expect("numbers are only given out by `target`")
    }

    /// Whether a stream takes events now.
    pub(super) fn is_paused(&self, number: TargetNo, now: Instant) -> bool {
        self.lanes.get(&number).is_some_and(|l| l.paused_until.is_some_and(|t| t > now))
    }

    /// Adds an event, written `age_ms` ago, to the batch of a stream; sends the batch when it is full.
    pub(super) fn push(&mut self, number: TargetNo, event: &Event<'_>, age_ms: i64) -> Result<(), Blocked> {
        if self.lane(number).open.is_none() {
            if self.memory >= self.budget {
                self.pressed = true;
                return Err(Blocked);
            }
            let text = self.buffers.take();
            let waited = Duration::from_millis(u64::try_from(age_ms).unwrap_or(0)).min(FOUND_LATE);
            let lane = self.lane(number);
            let batch = OpenBatch::new(number, &lane.target.group, &lane.target.stream, text);
            let now = Instant::now();
            lane.opened_at = now.checked_sub(waited).unwrap_or(now);
            let memory = batch.memory();
            lane.open = Some(batch);
            self.memory += memory;
        }
        let (memory, budget) = (self.memory, self.budget);
        let lane = self.lane(number);
        let free = lane.outstanding < OUTSTANDING;
        let open = lane.open.as_mut().expect("opened above");
        let before = open.memory();
        let over = memory >= budget;
        // An event that is larger than the budget itself goes alone.
        let alone = open.is_empty() && memory - before < budget;
        if over && !alone && !open.has_room(event) {
            // Without memory to grow, it goes as it is; or waits until its stream is free.
            if free && !open.is_empty() {
                self.send(number);
            }
            self.pressed = true;
            return Err(Blocked);
        }
        let pushed = open.push(event);
        let after = open.memory();
        let nearly_full = open.is_nearly_full();
        self.memory += after - before;
        match pushed {
            Ok(()) if nearly_full && free => {
                self.send(number);
                Ok(())
            }
            Ok(()) => Ok(()),
            Err(_) if free => {
                self.send(number);
                if over {
                    self.pressed = true;
                    return Err(Blocked);
                }
                self.push(number, event, age_ms)
            }
            Err(_) => Err(Blocked),
        }
    }

    /// Seals the batch of a stream and hands it on.
    fn send(&mut self, number: TargetNo) {
        let compression = &mut self.compression;
        let lane = self.lanes.get_mut(&number).expect("numbers are only given out by `target`");
        let Some(open) = lane.open.take() else { return };
        let before = open.memory();
        let sealed = open.seal(compression, &self.buffers);
        let after = sealed.memory();
        lane.outstanding += 1;
        let command = Command::Ship(lane.target.clone(), Box::new(sealed));
        self.memory = self.memory + after - before;
        // The other side ends only with the process.
        drop(self.commands.send(command));
    }

    /// Sends batches that waited long enough. `all` sends every batch whose stream is free.
    pub(super) fn flush(&mut self, now: Instant, all: bool) {
        let elapsed = now.duration_since(self.puts_at).as_secs_f64();
        self.puts = elapsed.mul_add(self.puts_per_second, self.puts).min(self.puts_per_second);
        self.puts_at = now;
        let all = all || self.pressed;
        // While a batch of a stream is on its way, its next one fills: a slow service stretches the interval by itself.
        let is_due = |lane: &Lane| {
            let idle = if all { lane.outstanding < OUTSTANDING } else { lane.outstanding == 0 };
            let due = all || now.duration_since(lane.opened_at) >= self.flush_interval;
            idle && due && lane.open.as_ref().is_some_and(|open| !open.is_empty())
        };
        let due = self.lanes.iter().filter(|(_, lane)| is_due(lane));
        let mut due: Vec<(Instant, TargetNo)> = due.map(|(number, lane)| (lane.opened_at, *number)).collect();
        // The oldest first: where the requests do not suffice, every stream waits longer and none for ever.
        due.sort_unstable();
        for (_, number) in due {
            if !all {
                if self.puts < 1.0 {
                    break;
                }
                self.puts -= 1.0;
            }
            self.send(number);
        }
    }

    /// When the next batch has to be flushed.
    pub(super) fn next_flush(&self, now: Instant) -> Option<Instant> {
        let waiting =
            self.lanes.values().filter(|l| l.outstanding == 0 && l.open.as_ref().is_some_and(|o| !o.is_empty()));
        let due = waiting.map(|l| l.opened_at + self.flush_interval).min()?;
        let missing = (1.0 - self.puts).max(0.0) / self.puts_per_second;
        Some(if due <= now && missing > 0.0 { now + Duration::from_secs_f64(missing) } else { due })
    }

    /// A batch of a stream is settled or was given back.
    pub(super) fn settled(&mut self, number: TargetNo, memory: usize) {
        self.memory = self.memory.saturating_sub(memory);
        let lane = self.lane(number);
        lane.outstanding = lane.outstanding.saturating_sub(1);
    }

    /// Memory was refused, and streams that fail hold some: asks for theirs back. Returns what their open batches held.
    pub(super) fn relieve(&mut self, now: Instant) -> Vec<Claim> {
        if !std::mem::take(&mut self.pressed) || self.memory < self.budget {
            return Vec::new();
        }
        let mut claims = Vec::new();
        let mut any = false;
        for lane in self.lanes.values_mut().filter(|l| l.trouble.is_some()) {
            any = true;
            if let Some(open) = lane.open.take() {
                self.memory = self.memory.saturating_sub(open.memory());
                claims.extend_from_slice(open.claims());
                let paused = lane.paused_until.filter(|until| *until > now);
                lane.paused_until = paused.or(Some(now + Duration::from_secs(1)));
            }
        }
        if any {
            // The other side ends only with the process.
            drop(self.commands.send(Command::Relieve));
        }
        claims
    }

    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    /// Whether nothing waits to be sent or settled.
    pub(super) fn is_idle(&self) -> bool {
        self.lanes.values().all(|l| l.outstanding == 0 && l.open.as_ref().is_none_or(OpenBatch::is_empty))
    }
}

#[cfg(test)]
mod tests;
