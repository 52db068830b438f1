//! Looking at open files, and reading those that grew: in turns, oldest file of a container first.

use std::time::Duration;

use tokio::time::Instant;

use super::container::Container;
use super::files::{LogFile, Look};
use super::sink::FileSink;
use super::{Batcher, Pipeline, TICK};
use crate::ContainerNo;
use crate::source::Source;
use crate::tail::{Syntax, Turn, Waiting, Window};

/// Chunks that a container may read before the next one has its turn: about one batch.
const CHUNKS: usize = 4;

/// Longest time between looks at a file that does not grow, in milliseconds. A line that is found late is not sent late: the
/// flush interval counts from when it was written.
const LOOK_AT_LEAST_EVERY: u64 = 1_000;

/// After a file was rotated, the runtime may still write to it for a moment: the next file is read when this one was quiet
/// for this long.
const CARRY_QUIET: Duration = Duration::from_millis(500);

/// `.gz` files that may be read at the same time: each holds a decompressor.
const GZIP_AT_ONCE: usize = 8;

/// After an error of the disk, a file is left alone for this long.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// What a container's turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// There is more to read.
    More,
    /// Nothing to read now.
    Done,
    /// No room for what there is.
    Blocked,
}

impl Pipeline {
    /// Looks at the files whose time has come.
    pub(super) fn look(&mut self, now: Instant) {
        if now < self.next_look {
            return;
        }
        self.look_until(now, now);
    }

    /// Looks at every file, whether its time has come or not.
    pub(super) fn look_at_all(&mut self, now: Instant) {
        self.look_until(now, now + Duration::from_secs(3600));
    }

    fn look_until(&mut self, now: Instant, due: Instant) {
        let since_start = super::milliseconds(now.duration_since(self.started));
        let mut next = now + Duration::from_millis(LOOK_AT_LEAST_EVERY);
        let mut ready = Vec::new();
        for (number, container) in &mut self.containers {
            if !container.shipped {
                continue;
            }
            let mut known = container.files.len();
            let mut index = 0;
            while index < known {
                if container.files[index].source.is_some() && container.files[index].next_look <= due {
                    let unread = look_at(container, index, &mut self.next_file, now);
                    if container.files.len() > known {
                        // What was in the file is another file now, in front of it; its copy has to be found.
                        (known, index) = (known + 1, index + 1);
                        self.next_rescan = now;
                    }
                    let file = &mut container.files[index];
                    let grew = file.grew_at == now;
                    file.look_every = if grew { 50 } else { (file.look_every * 2).clamp(50, LOOK_AT_LEAST_EVERY) };
                    // On a grid, so that many idle files cost one wake-up.
                    let wait = file.look_every - since_start % file.look_every;
                    file.next_look = file.next_look.max(now + Duration::from_millis(wait));
                    // A file that something follows, or that has no name any more, has to be ended; pieces wait for their end.
                    let may_end = file.finished || file.tail.has_partial() || !file.listed || index + 1 < known;
                    if unread || may_end {
                        ready.push(*number);
                    }
                }
                if container.files[index].source.is_some() {
                    next = next.min(container.files[index].next_look);
                }
                index += 1;
            }
        }
        self.next_look = next.max(now + TICK / 5);
        for number in ready {
            if !self.blocked.contains(&number) {
                self.queue(number);
            }
        }
    }

    /// Gives containers that had no room another try: when something was settled, and once a second in any case.
    pub(super) fn unblock(&mut self) {
        for number in std::mem::take(&mut self.blocked) {
            self.queue(number);
        }
        self.journal.unblock();
    }

    /// Gives each container that may have something to read a turn.
    pub(super) fn read(&mut self, now: Instant) {
        // One round at most: receipts and requests want to be taken in between.
        for _ in 0..self.ready.len().min(8) {
            let Some(number) = self.ready.pop_front() else { return };
            let excluded = |c: &Container| c.ledger.excluded.bytes;
            let before = self.containers.get(&number).map_or(0, excluded);
            let progress = self.turn(number, now);
            let Some(container) = self.containers.get_mut(&number) else { continue };
            container.queued = false;
            let excluded = excluded(container).saturating_sub(before);
            if excluded > 0 {
                // Nobody sends a receipt for it.
                self.saver.settled(excluded);
            }
            match progress {
                Progress::More => self.queue(number),
                Progress::Blocked => drop(self.blocked.insert(number)),
                Progress::Done => {}
            }
        }
    }

    fn turn(&mut self, number: ContainerNo, now: Instant) -> Progress {
        let may_open_gzip = self.may_open_gzip(number);
        let Some(container) = self.containers.get_mut(&number) else { return Progress::Done };
        if !container.shipped {
            return Progress::Done;
        }
        let paused = self.batcher.is_paused(container.target, now);
        if paused && container.excluded.by.is_none() {
            return Progress::Blocked;
        }
        let mut reader = Reader {
            batcher: &mut self.batcher,
            window: &mut self.window,
            scratch: &mut self.scratch,
            settings: &self.settings,
            now,
            now_ms: (self.now_ms)(),
            draining: self.draining.is_some(),
            paused,
        };
        let mut at = 0;
        while at < container.files.len() {
            let known = container.files.len();
            let successor = container.files.iter().skip(at + 1).any(|f| f.source.is_some() && f.size > 0);
            let file = &container.files[at];
            if successor && file.source.is_some() && !file.finished {
                // The runtime may have written to it since it was looked at: a line that rotation cut begins at its end.
                look_at(container, at, &mut self.next_file, now);
            }
            at += container.files.len() - known;
            let index = at;
            at += 1;
            let until = self.draining.as_ref().and_then(|d| d.until.get(&container.files[index].number).copied());
            let file = &container.files[index];
            if file.source.is_none() {
                continue;
            }
            // What is written after draining began is for the next start.
            let draining = self.draining.is_some();
            let may_read = |f: &LogFile| {
                (!draining || until.is_some_and(|u| f.tail.position() < u)) && f.retry_at.is_none_or(|t| t <= now)
            };
            let gzip = matches!(file.source, Some(Source::Gzip(_)));
            if gzip && file.tail.position() == 0 && !may_open_gzip && !file.finished {
                // Its turn comes when another one is done.
                return Progress::Blocked;
            }
            let mut chunks = 0;
            while container.files[index].has_unread() && may_read(&container.files[index]) {
                if chunks == CHUNKS {
                    return Progress::More;
                }
                chunks += 1;
                match reader.chunk(container, index) {
                    Ok(Turn::More) => {}
                    Ok(Turn::CaughtUp) => caught_up(&mut container.files[index]),
                    Ok(Turn::Blocked) => return Progress::Blocked,
                    Err(error) => {
                        failed(container, index, &error, now);
                        break;
                    }
                }
            }
            match reader.end_of(container, index) {
                Ok(End::Open) => {}
                Ok(End::Wait) => return Progress::Done,
                Ok(End::Blocked) => return Progress::Blocked,
                Err(error) => failed(container, index, &error, now),
            }
        }
        Progress::Done
    }
}

impl Pipeline {
    /// Whether another compressed file may be begun. Only asked where there is one.
    fn may_open_gzip(&self, number: ContainerNo) -> bool {
        let is_gzip = |f: &&LogFile| matches!(f.source, Some(Source::Gzip(_))) && !f.finished;
        let has_one = self.containers.get(&number).is_some_and(|c| c.files.iter().any(|f| is_gzip(&f)));
        // One that waits for a stream that fails must not keep others from their turn.
        let moves =
            |c: &&Container| c.shipped && self.batcher.lanes.get(&c.target).is_some_and(|lane| lane.trouble.is_none());
        let files = || self.containers.values().filter(moves).flat_map(|c| &c.files);
        !has_one || files().filter(is_gzip).filter(|f| f.tail.position() > 0).count() < GZIP_AT_ONCE
    }
}

/// Looks at one file. `true` if there may be something to read. A plain file that was cut becomes two: what it was, in front
/// of what it is.
pub(super) fn look_at(container: &mut Container, index: usize, next_file: &mut crate::FileNo, now: Instant) -> bool {
    let file = &mut container.files[index];
    match file.look(now) {
        Ok(Look::Same) => false,
        Ok(Look::Grew) => true,
        Ok(Look::Cut) => {
            let number = *next_file;
            *next_file += 1;
            if file.syntax == Syntax::Plain {
                return match file.split_off(number, now) {
                    Ok(old) => {
                        container.files.insert(index, old);
                        true
                    }
                    Err(_) => false,
                };
            }
            let lost = container.give_up(index);
            let file = &mut container.files[index];
            let name = file.name.to_string_lossy().into_owned();
            let message = format!("{name} was cut short; {lost} bytes that had not been read are gone");
            tracing::warn!(file = name, abandoned_bytes = lost, "A log file was cut short. It is read from its start.");
            let begun = file.start_over(number, now).is_ok();
            container.last_error = Some(message);
            begun
        }
        Err(error) => {
            file.next_look = now + AFTER_ERROR;
            container.last_error = Some(format!("{}: {error}", file.name.to_string_lossy()));
            false
        }
    }
}

fn caught_up(file: &mut LogFile) {
    file.caught_up_at = file.size;
    if let Some(Source::Gzip(_)) = &file.source {
        // Nobody writes to it any more, so it is read to its end.
        file.finished = true;
        if let Some(Ok(Some(size))) = file.source.as_ref().map(Source::size) {
            file.size = size;
        }
    }
}

fn failed(container: &mut Container, index: usize, error: &std::io::Error, now: Instant) {
    let Some(file) = container.files.get_mut(index) else { return };
    let name = file.name.to_string_lossy().into_owned();
    file.next_look = now + AFTER_ERROR;
    if matches!(file.source, Some(Source::Gzip(_))) {
        // A compressed file does not get better: it ends here.
        caught_up(file);
    } else {
        // A disk may: what is unread stays unread.
        file.retry_at = Some(now + AFTER_ERROR);
    }
    let error = format!("{name}: {error}");
    // Listings that find nothing wrong do not take it back.
    file.error = Some(error.clone());
    container.complain(error);
}

/// How things stand at the end of a file that was read.
enum End {
    /// The next file may be read.
    Open,
    /// First it has to be sure that this file is complete.
    Wait,
    /// No room for what is left of it.
    Blocked,
}

/// What reading needs beside the file.
struct Reader<'a> {
    batcher: &'a mut Batcher,
    window: &'a mut Window,
    scratch: &'a mut Vec<u8>,
    settings: &'a crate::Settings,
    now: Instant,
    now_ms: i64,
    draining: bool,
    /// The stream of the container takes nothing now.
    paused: bool,
}

impl Reader<'_> {
    /// Calls `act` with a file and the sink for its records.
    fn with<T>(
        &mut self,
        container: &mut Container,
        index: usize,
        act: impl FnOnce(&mut crate::tail::Tail, &mut Source, &mut Window, &mut FileSink<'_>) -> std::io::Result<T>,
    ) -> std::io::Result<Option<T>> {
        let file = &mut container.files[index];
        let Some(source) = &mut file.source else { return Ok(None) };
        let mut sink = FileSink {
            batcher: self.batcher,
            ledger: &mut container.ledger,
            wrappings: &container.wrappings,
            settled: &mut file.settled,
            target: container.target,
            container: file.container,
            file: file.number,
            format: self.settings.format,
            oversize: self.settings.oversize,
            syntax: file.syntax,
            multiline: &container.multiline,
            excluded: &container.excluded.spans,
            paused: self.paused,
            settled_elsewhere: Vec::new(),
            now: self.now,
            now_ms: self.now_ms,
            scratch: self.scratch,
        };
        let result = act(&mut file.tail, source, self.window, &mut sink).map(Some);
        for (number, lines) in sink.settled_elsewhere {
            if let Some(other) = container.files.iter_mut().find(|f| f.number == number) {
                other.settled.insert_all(&lines);
            }
        }
        result
    }

    fn chunk(&mut self, container: &mut Container, index: usize) -> std::io::Result<Turn> {
        let turn = self.with(container, index, |tail, source, window, sink| tail.turn(source, window, sink))?;
        let file = &mut container.files[index];
        if matches!(file.source, Some(Source::Plain(_))) {
            (file.error, file.retry_at) = (None, None);
        }
        Ok(turn.unwrap_or(Turn::CaughtUp))
    }

    /// Ends a file that nobody writes any more, and sends pieces that waited too long for their end.
    fn end_of(&mut self, container: &mut Container, index: usize) -> std::io::Result<End> {
        let file = &container.files[index];
        if file.has_unread() {
            return Ok(End::Open);
        }
        let quiet = self.now.duration_since(file.grew_at);
        let successor = container.files.iter().skip(index + 1).position(|f| f.source.is_some()).map(|i| i + index + 1);
        // The next run of a container has begun, or the runtime has reopened its log: an empty file may only be about to.
        let follows = |next: &LogFile| next.size > 0 || next.place.restart > file.place.restart;
        let superseded = successor.is_some_and(|s| follows(&container.files[s])) || file.finished;
        let nameless = !file.listed;
        if !superseded && !nameless {
            if file.tail.has_partial() {
                let waiting = Waiting { pieces: self.settings.partial_period, lines: self.settings.multiline.period };
                let turn = self.with(container, index, |tail, source, window, sink| {
                    tail.flush_late(&waiting, source, window, sink)
                })?;
                return Ok(if turn == Some(Turn::Blocked) { End::Blocked } else { End::Open });
            }
            return Ok(End::Open);
        }
        if superseded && self.may_still_be_cut(container, index, successor, quiet) {
            return Ok(End::Wait);
        }
        if superseded && file.tail.has_partial() {
            self.carry(container, index, successor)?;
        }
        let file = &mut container.files[index];
        // A file without a name ends with us. What another file follows is as good as ended: nothing in it waits for us.
        let last_chance = self.draining;
        if !file.finished && quiet < self.settings.quiet_period && !last_chance {
            return Ok(End::Open);
        }
        let turn = self.with(container, index, |tail, source, window, sink| tail.finish(source, window, sink))?;
        if turn == Some(Turn::Blocked) {
            return Ok(End::Blocked);
        }
        let file = &mut container.files[index];
        if turn == Some(Turn::More) {
            // It has grown since it was looked at.
            (file.caught_up_at, file.next_look) = (0, self.now);
            file.look(self.now)?;
            return Ok(End::Open);
        }
        file.finished = true;
        file.caught_up_at = file.size;
        // Until all of it is settled it may have to be read again.
        if file.is_settled() {
            file.close();
        }
        Ok(End::Open)
    }

    /// Whether the runtime may still write the start of a cut line to this file: it drains what it had read for the old file
    /// while it writes to the new one. Until the old one is quiet, the first lines of the new one may be the ends of others.
    fn may_still_be_cut(&self, container: &Container, index: usize, successor: Option<usize>, quiet: Duration) -> bool {
        let Some(next) = successor.and_then(|s| container.files.get(s)) else { return false };
        let file = &container.files[index];
        let may_go_on =
            file.place.restart == next.place.restart && next.tail.is_untouched() && !next.tail.has_partial();
        may_go_on && !file.finished && quiet < CARRY_QUIET && !self.draining
    }

    /// Hands a line that rotation cut over to the next file of the same run.
    fn carry(&mut self, container: &mut Container, index: usize, successor: Option<usize>) -> std::io::Result<()> {
        let Some(successor) = successor else { return Ok(()) };
        let [file, next] = container.files.get_disjoint_mut([index, successor]).expect("two different places");
        if file.place.restart != next.place.restart || !next.tail.is_untouched() || next.tail.has_partial() {
            return Ok(());
        }
        if let Some(source) = &mut file.source {
            next.tail.continue_with(file.tail.carry(file.number, source, self.window)?);
        }
        Ok(())
    }
}
