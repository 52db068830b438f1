//! News from inotify: which of the files that facts came from may be others now.

use std::collections::{BTreeSet, HashSet};
use std::ops::Bound;
use std::path::{Path, PathBuf};

use notify::{Config, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::host::concerns;

/// Most directories that are watched: the kernel's memory for watches is everybody's.
const MAX_DIRS: usize = 2_000;

/// Watches the directories of the files that facts came from.
#[derive(Debug)]
pub(super) struct Watch {
    root: PathBuf,
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    touched: BTreeSet<PathBuf>,
    said: bool,
}

impl Watch {
    /// Nothing is watched yet. Paths in news are those of this process; [`concerns`](Self::concerns) makes them the host's.
    pub(super) fn new(root: PathBuf) -> (Self, UnboundedReceiver<PathBuf>) {
        let (sender, receiver) = unbounded_channel();
        // Not each write, but its end; and modes and owners, which are what is looked at most.
        let mask = EventKindMask::CREATE
            | EventKindMask::REMOVE
            | EventKindMask::MODIFY_NAME
            | EventKindMask::MODIFY_META
            | EventKindMask::ACCESS_CLOSE;
        let config = Config::default().with_event_kinds(mask).with_follow_symlinks(false);
        let forward = move |event: notify::Result<notify::Event>| {
            for path in event.into_iter().flat_map(|event| event.paths) {
                // The receiver is gone only when the room ends.
                drop(sender.send(path));
            }
        };
        let watcher = RecommendedWatcher::new(forward, config).inspect_err(tell).ok();
        (Self { root, watcher, watched: HashSet::new(), touched: BTreeSet::new(), said: false }, receiver)
    }

    /// From now on these matter; what mattered before goes on. `true` if a directory is watched that was not before.
    pub(super) fn set(&mut self, touched: BTreeSet<PathBuf>) -> bool {
        let before = self.watched.len();
        for path in &touched {
            if !self.touched.contains(path) {
                // A file that is looked at, and a directory that is listed.
                self.watch_nearest(path.parent().unwrap_or(path));
                self.watch_nearest(path);
            }
        }
        self.touched.extend(touched);
        self.watched.len() > before
    }

    /// The path of the host that a piece of news is about, if a fact came from it, from the directory it is in, or from something
    /// below it.
    pub(super) fn concerns(&mut self, path: &Path) -> Option<PathBuf> {
        let path = Path::new("/").join(path.strip_prefix(&self.root).ok()?);
        if !concerns(&self.touched, &path) {
            return None;
        }
        self.watch_again(&path);
        Some(path)
    }

    /// What was not there may be a directory now, or another one than before: whatever watched it and what is in it is gone. More may
    /// be in it than was announced before it is watched.
    fn watch_again(&mut self, path: &Path) {
        let seen = self.root.join(path.strip_prefix("/").unwrap_or(path));
        self.watched.retain(|dir| !dir.starts_with(&seen));
        self.watch_nearest(path);
        let below = self.touched.range::<Path, _>((Bound::Included(path), Bound::Unbounded));
        let below: Vec<PathBuf> = below.take_while(|one| one.starts_with(path)).cloned().collect();
        for one in below {
            self.watch_nearest(&one);
        }
    }

    /// Watches the directory, or the nearest one above that exists.
    fn watch_nearest(&mut self, path: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        for dir in path.ancestors() {
            let seen = self.root.join(dir.strip_prefix("/").unwrap_or(dir));
            if self.watched.contains(&seen) || self.watched.len() >= MAX_DIRS {
                return;
            }
            if !is_directory(&seen) {
                continue;
            }
            match watcher.watch(&seen, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.watched.insert(seen)),
                // It went just now, or there is no more room for watches.
                Err(error) if !self.said => {
                    self.said = true;
                    tell(&error);
                }
                Err(_) => {}
            }
            return;
        }
    }
}

fn tell(error: &notify::Error) {
    tracing::warn!(
        %error,
        "Not every change of the host's files is seen at once; they are all looked at in each interval. \
         Raise fs.inotify.max_user_watches and fs.inotify.max_user_instances to end this."
    );
}

/// inotify takes a path, so the path is asked; what it names is never read.
#[expect(clippy::disallowed_methods, reason = "a look at what inotify is about to be given; nothing is opened")]
fn is_directory(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|m| m.is_dir())
}

#[cfg(test)]
mod tests;
