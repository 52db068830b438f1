//! News from inotify: which directories to list again now. Listing them every few seconds stays the truth.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use notify::event::{EventKind, ModifyKind};
use notify::{Config, EventKindMask, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A directory in which something was created, renamed or removed; or the news that news were lost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    Changed(PathBuf),
    /// The kernel's queue overflowed, or an event makes no sense: list everything.
    Lost,
}

/// Watches directories, one by one.
#[derive(Debug)]
pub(crate) struct Watch {
    watcher: Option<RecommendedWatcher>,
    watched: HashSet<PathBuf>,
    said: bool,
}

impl Watch {
    pub(crate) fn new() -> (Self, UnboundedReceiver<News>) {
        let (sender, receiver) = unbounded_channel();
        let mut watch = Self { watcher: None, watched: HashSet::new(), said: false };
        // Every write would wake us; new bytes are found by looking at the sizes of open files.
        let mask = EventKindMask::CREATE | EventKindMask::REMOVE | EventKindMask::MODIFY_NAME;
        let config = Config::default().with_event_kinds(mask).with_follow_symlinks(false);
        match RecommendedWatcher::new(move |event| forward(&sender, event), config) {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => watch.give_up(&error),
        }
        (watch, receiver)
    }

    /// Whether changes are announced. If not, the caller lists more often.
    pub(crate) fn is_live(&self) -> bool {
        self.watcher.is_some()
    }

    /// Watches a directory, if it is not watched already.
    pub(crate) fn add(&mut self, dir: &Path) {
        let Some(watcher) = &mut self.watcher else { return };
        if self.watched.contains(dir) {
            return;
        }
        match watcher.watch(dir, RecursiveMode::NonRecursive) {
            Ok(()) => drop(self.watched.insert(dir.to_path_buf())),
            // It is gone again, or there is no more room for watches.
            Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
            Err(error) if matches!(&error.kind, notify::ErrorKind::Io(e) if e.kind() == std::io::ErrorKind::NotFound) =>
                {}
            Err(error) => self.give_up(&error),
        }
    }

    /// Whether a directory is watched.
    pub(crate) fn has(&self, dir: &Path) -> bool {
        self.watched.contains(dir)
    }

    /// Forgets a directory that is gone. The kernel has dropped its watch already.
    pub(crate) fn forget(&mut self, dir: &Path) {
        if self.watched.remove(dir)
            && let Some(watcher) = &mut self.watcher
        {
            drop(watcher.unwatch(dir));
        }
    }

    fn give_up(&mut self, error: &notify::Error) {
        self.watcher = None;
        self.watched.clear();
        if !self.said {
            self.said = true;
            tracing::warn!(
                %error,
                "inotify is not available; new files are found by listing directories every second. \
                 Raise fs.inotify.max_user_watches and fs.inotify.max_user_instances to end this."
            );
        }
    }
}

fn forward(sender: &UnboundedSender<News>, event: notify::Result<notify::Event>) {
    let news = match event {
        Ok(event) if event.need_rescan() => vec![News::Lost],
        Ok(event) => match event.kind {
            EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
                let parents = event.paths.iter().filter_map(|p| p.parent());
                parents.map(|p| News::Changed(p.to_path_buf())).collect()
            }
            _ => Vec::new(),
        },
        Err(_) => vec![News::Lost],
    };
    for item in news {
        // The receiver is gone only when the process ends.
        drop(sender.send(item));
    }
}
