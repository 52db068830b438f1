//! Finding files: what directories hold now against what we know. The listing is the truth; inotify only says when.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use safeguard_host::HostDir;
use tokio::time::Instant;

use super::Pipeline;
use super::container::Container;
use super::files::reconcile;
use super::plain::reconcile_plain;
use super::read::look_at;
use crate::ContainerNo;
use crate::discover::{
    ContainerDir, Found, Origin, PathGlob, PlainLog, containers, containers_of, directories, list, list_plain,
};

/// Without inotify, directories are listed this often.
const WITHOUT_INOTIFY: Duration = Duration::from_secs(1);

/// A copy that logrotate makes is looked at again after this long.
const COPYING: Duration = Duration::from_millis(200);

/// At most so many times in a row.
const COPYING_LISTS: u32 = 50;

/// A container that is gone stays in the status for this long.
const GONE: Duration = Duration::from_secs(600);

impl Pipeline {
    /// Lists what inotify announced, and everything when it is time.
    pub(super) fn rescan(&mut self, now: Instant) {
        if now >= self.next_rescan {
            self.dirty.clear();
            self.list_everything(now);
            self.list_plain_files(now);
            self.list_journals(now);
            let every = if self.watch.is_live() { self.settings.rescan_interval } else { WITHOUT_INOTIFY };
            // A copy that never becomes one is no reason to list for ever.
            let copies = std::mem::take(&mut self.rescan_soon);
            let soon = copies && self.soon_rescans < COPYING_LISTS;
            self.soon_rescans = if copies { (self.soon_rescans + 1).min(COPYING_LISTS) } else { 0 };
            self.next_rescan = now + if soon { COPYING } else { every };
            self.forget(now);
            self.unpin();
        } else if !self.dirty.is_empty() {
            let mut dirty = std::mem::take(&mut self.dirty);
            let pods_dir = self.host.locate(&self.settings.pods_dir);
            let others = dirty.extract_if(.., |dir| !dir.starts_with(&pods_dir)).collect::<Vec<_>>();
            for dir in others {
                self.list_other(&dir, now);
            }
            let Ok(pods) = self.host.dir(&self.settings.pods_dir) else { return };
            for dir in dirty {
                self.list_changed(&pods, &dir, now);
            }
        }
    }

    fn list_everything(&mut self, now: Instant) {
        // First the watch, then the listing: what appears between them is announced.
        let location = self.host.locate(&self.settings.pods_dir);
        self.watch.add(&location);
        let dirs = match containers(&self.host, &self.settings.pods_dir) {
            Ok(dirs) => dirs,
            Err(error) => {
                if self.missing_pods_dir.is_none() {
                    tracing::warn!(%error, "The directory of pod logs cannot be listed. It is tried again.");
                }
                self.missing_pods_dir = Some(error.to_string());
                return;
            }
        };
        self.missing_pods_dir = None;
        let Ok(pods) = self.host.dir(&self.settings.pods_dir) else { return };
        let mut seen = HashSet::new();
        for dir in dirs {
            seen.extend(self.list_container(&pods, &dir, now));
        }
        let of_pod = |c: &Container| matches!(c.origin, Origin::Container(_));
        let gone = self.containers.iter().filter(|(n, c)| of_pod(c) && !seen.contains(n)).map(|(n, _)| *n);
        for number in gone.collect::<Vec<_>>() {
            self.is_gone(number, now);
        }
    }

    /// Lists every directory that may hold a plain file.
    fn list_plain_files(&mut self, now: Instant) {
        let mut seen = HashSet::new();
        let mut errors = Vec::new();
        for (dir, globs) in directories(&self.settings.files.paths, &self.host) {
            match globs.and_then(|globs| self.list_plain_dir(&dir, &globs, now)) {
                Ok(logs) => seen.extend(logs),
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    errors.push(error.to_string());
                    // Not seen is not gone.
                    seen.extend(self.plain_logs_in(&dir));
                }
            }
        }
        if errors != self.listing_errors {
            errors.iter().for_each(|error| tracing::warn!(error, "A directory of log files cannot be listed."));
            self.listing_errors = errors;
        }
        let is_plain = |c: &Container| matches!(c.origin, Origin::Plain(_));
        let gone = self.containers.iter().filter(|(n, c)| is_plain(c) && !seen.contains(n)).map(|(n, _)| *n);
        for number in gone.collect::<Vec<_>>() {
            self.is_gone(number, now);
        }
    }

    /// The logs that are known of a directory. Those of one that cannot be listed are kept as they are.
    fn plain_logs_in(&self, dir: &Path) -> Vec<ContainerNo> {
        let inside = |c: &Container| matches!(&c.origin, Origin::Plain(log) if log.dir == dir);
        self.containers.iter().filter(|(_, c)| inside(c)).map(|(n, _)| *n).collect()
    }

    /// Lists one directory of plain files. Returns the logs that are there.
    fn list_plain_dir(
        &mut self,
        path: &Path,
        globs: &[PathGlob],
        now: Instant,
    ) -> Result<Vec<ContainerNo>, safeguard_host::HostError> {
        // First the watch, then the listing: what appears between them is announced.
        self.watch.add(&self.host.locate(path));
        let dir = self.host.dir(path)?;
        let listing = list_plain(path, &dir, globs, &self.settings.files.exclude)?;
        let mut logs = Vec::new();
        for (name, kind) in &listing.refused {
            let log = PlainLog { dir: path.to_owned(), base: name.clone() };
            let Some(number) = self.container(&Origin::Plain(log)) else { continue };
            logs.push(number);
            if let Some(log) = self.containers.get_mut(&number) {
                let path = dir.path().join(name);
                log.complain(format!("{} is not a regular file ({kind:?}); it is not read", path.display()));
            }
        }
        for (base, found) in listing.logs {
            let Some(number) = self.container(&Origin::Plain(PlainLog { dir: path.to_owned(), base })) else {
                continue;
            };
            logs.push(number);
            self.reconcile_plain_log(number, &dir, &found, now);
        }
        Ok(logs)
    }

    fn reconcile_plain_log(&mut self, number: ContainerNo, dir: &HostDir, found: &[Found], now: Instant) {
        let Some(log) = self.containers.get_mut(&number) else { return };
        log.gone_since = None;
        if !log.shipped {
            for file in &mut log.files {
                file.close();
                file.missing_since = now;
            }
            return;
        }
        // A file that was cut is another one from now on, and what it was may be in the listing under another name.
        let mut index = 0;
        while index < log.files.len() {
            let known = log.files.len();
            look_at(log, index, &mut self.next_file, now);
            index += 1 + log.files.len() - known;
        }
        let mut complaints = Vec::new();
        let known = log.files.len();
        let again =
            reconcile_plain(&mut log.files, dir, found, number, &mut self.next_file, now, |e| complaints.push(e));
        if complaints.is_empty() {
            log.last_error = None;
        }
        let is_new = log.files.len() > known;
        complaints.into_iter().for_each(|error| log.complain(error));
        if again {
            if self.soon_rescans < COPYING_LISTS {
                self.next_rescan = self.next_rescan.min(now + COPYING);
            }
            self.rescan_soon = true;
        }
        if is_new {
            self.saver.changed();
        }
        self.next_look = now;
    }

    /// Lists a directory outside those of pods that an event named.
    fn list_other(&mut self, location: &Path, now: Instant) {
        let dirs = directories(&self.settings.files.paths, &self.host);
        let mut known = false;
        for (dir, globs) in dirs {
            if self.host.locate(&dir) == location
                && let Ok(globs) = globs
            {
                known = true;
                // The next full listing says what went wrong.
                drop(self.list_plain_dir(&dir, &globs, now));
            }
        }
        if !known {
            self.list_journals(now);
        }
    }

    /// Lists the directory that an event named: that of all pods, of a pod, or of a container.
    fn list_changed(&mut self, pods: &HostDir, dir: &std::path::Path, now: Instant) {
        let location = self.host.locate(&self.settings.pods_dir);
        let Ok(below) = dir.strip_prefix(&location) else { return };
        let names: Vec<&OsStr> = below.iter().collect();
        match *names.as_slice() {
            [] => {
                let Ok(entries) = pods.entries() else { return };
                for entry in entries {
                    if !self.watch.has(&location.join(&entry.name)) {
                        self.list_pod(pods, &entry.name, now);
                    }
                }
            }
            [pod] => self.list_pod(pods, pod, now),
            [pod, container] => {
                let dir = ContainerDir { pod: pod.to_owned(), container: container.to_owned() };
                if self.list_container(pods, &dir, now).is_none()
                    && let Some(number) = self.by_origin.get(&Origin::Container(dir)).copied()
                {
                    self.is_gone(number, now);
                }
            }
            _ => {}
        }
    }

    fn list_pod(&mut self, pods: &HostDir, pod: &OsStr, now: Instant) {
        let location = self.host.locate(&self.settings.pods_dir).join(pod);
        self.watch.add(&location);
        for dir in containers_of(pods, pod) {
            self.list_container(pods, &dir, now);
        }
    }

    /// Lists a container's directory. `None` if it is gone or is not one.
    fn list_container(&mut self, pods: &HostDir, dir: &ContainerDir, now: Instant) -> Option<ContainerNo> {
        let number = self.container(&Origin::Container(dir.clone()))?;
        let location = self.host.locate(&self.settings.pods_dir).join(&dir.pod);
        let container = self.containers.get_mut(&number)?;
        container.gone_since = None;
        if !container.shipped {
            // Remembered, so that including it again goes on where it was.
            for file in &mut container.files {
                file.close();
                file.missing_since = now;
            }
            return Some(number);
        }
        self.watch.add(&location);
        self.watch.add(&location.join(&dir.container));
        let opened = pods.dir(&dir.pod).and_then(|pod| pod.dir(&dir.container));
        let (opened, listing) = match opened.and_then(|d| list(&d).map(|l| (d, l))) {
            Ok(listed) => listed,
            Err(error) if error.is_not_found() => return None,
            Err(error) => {
                // Not seen is not gone.
                container.files.iter_mut().for_each(|f| f.missing_since = now);
                container.complain(error.to_string());
                return Some(number);
            }
        };
        for (name, kind) in &listing.refused {
            use std::os::unix::ffi::OsStrExt;
            if container.refused.insert(name.as_bytes().to_vec()) {
                let path = opened.path().join(name);
                container.complain(format!("{} is not a regular file ({kind:?}); it is not read", path.display()));
            }
        }
        let mut complaints = Vec::new();
        let known = container.files.len();
        reconcile(&mut container.files, &opened, &listing.files, number, &mut self.next_file, now, |error| {
            complaints.push(error);
        });
        let is_new = container.files.len() > known;
        if complaints.is_empty() && listing.refused.is_empty() {
            container.last_error = None;
        }
        complaints.into_iter().for_each(|error| container.complain(error));
        if is_new {
            // So that a crash during a large backlog does not start over (a cold start must write early).
            self.saver.changed();
        }
        self.next_look = now;
        Some(number)
    }

    fn is_gone(&mut self, number: ContainerNo, now: Instant) {
        let Some(container) = self.containers.get_mut(&number) else { return };
        for file in &mut container.files {
            file.listed = false;
        }
        if container.gone_since.is_none() {
            container.gone_since = Some(now);
            self.next_look = now;
            match &container.origin {
                Origin::Container(dir) => {
                    let location = self.host.locate(&self.settings.pods_dir).join(&dir.pod);
                    self.watch.forget(&location.join(&dir.container));
                    self.watch.forget(&location);
                }
                // A directory that is made again is another one.
                Origin::Plain(log) if self.host.dir(&log.dir).is_err() => {
                    self.watch.forget(&self.host.locate(&log.dir));
                }
                Origin::Plain(_) | Origin::Unit(_) => {}
            }
        }
    }

    /// Forgets files that are gone for good, counting what was not read of them; then containers without files.
    fn forget(&mut self, now: Instant) {
        if self.missing_pods_dir.is_some() {
            // Not seen is not gone.
            let of_pods = self.containers.values_mut().filter(|c| matches!(c.origin, Origin::Container(_)));
            of_pods.flat_map(|c| &mut c.files).for_each(|f| f.missing_since = now);
        }
        let mut done = Vec::new();
        for (number, container) in &mut self.containers {
            let mut lost = 0;
            container.files.retain(|file| {
                let missing = !file.listed && now.duration_since(file.missing_since) >= self.settings.missing_period;
                let idle = file.source.is_none();
                // What is excluded was not to be read.
                if missing && idle && container.shipped {
                    lost += file.unread();
                }
                !(missing && idle)
            });
            if lost > 0 {
                container.ledger.abandoned_bytes += lost;
                container.complain(format!("{lost} bytes were deleted before they were read"));
                self.saver.changed();
            }
            let quiet = matches!(container.origin, Origin::Unit(_)) && now.duration_since(container.active_at) >= GONE;
            let gone = quiet || container.gone_since.is_some_and(|since| now.duration_since(since) >= GONE);
            if gone && container.files.is_empty() && container.ledger.in_flight.events == 0 {
                done.push(*number);
            }
        }
        if !done.is_empty() {
            self.journal.forget_units();
        }
        for number in done {
            if let Some(container) = self.containers.remove(&number) {
                self.by_origin.remove(&container.origin);
                self.past.add(&container.ledger);
                self.saver.changed();
            }
        }
        let used: HashSet<_> = self.containers.values().map(|c| c.target).collect();
        self.batcher.keep_only(&used);
    }

    /// Lets go of deleted files, largest first, when they hold more disk space than the operator allows.
    fn unpin(&mut self) {
        let mut pinned: u64 = self.containers.values().flat_map(|c| &c.files).map(|f| f.pinned).sum();
        while pinned > self.settings.pinned_bytes {
            let pinned_most = |c: &Container| c.files.iter().map(|f| f.pinned).max();
            let Some(container) = self.containers.values_mut().max_by_key(|c| pinned_most(c)) else { return };
            let Some(index) = (0..container.files.len()).max_by_key(|i| container.files[*i].pinned) else { return };
            let unread = container.give_up(index);
            let file = &mut container.files[index];
            tracing::error!(
                log = %container.name,
                abandoned_bytes = unread,
                "Deleted log files hold more disk space than `logs.pinned_bytes` allows; the largest is given up."
            );
            pinned = pinned.saturating_sub(file.pinned.max(1));
            file.size = file.tail.position();
            (file.finished, file.given_up) = (true, true);
            file.close();
        }
    }
}
