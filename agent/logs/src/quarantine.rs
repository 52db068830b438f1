//! Events that the service refuses by themselves, kept on disk within a bound so that somebody can look at them.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::Target;
use crate::ship::Quarantined;

/// Bytes of a quarantine file. There are two, and the older one is replaced, so twice as much is kept at most.
const FILE_BYTES: u64 = 8 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Quarantine {
    path: PathBuf,
}

/// A line of the quarantine.
#[derive(Serialize)]
struct Row<'a> {
    refused_at_ms: i64,
    group: &'a str,
    stream: &'a str,
    error: &'a str,
    /// The event as it was sent: `timestamp` and `message`.
    event: &'a str,
}

impl Quarantine {
    pub(crate) fn new(state_dir: &Path) -> Self {
        Self { path: state_dir.join("quarantine.jsonl") }
    }

    /// Where it is, for messages.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps events. They may hold patient data, so only root may read the file.
    #[expect(clippy::disallowed_methods, reason = "the state directory is the agent's own")]
    pub(crate) fn keep(&self, target: &Target, events: &[Quarantined], now_ms: i64) -> std::io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|m| m.len() > FILE_BYTES) {
            fs::rename(&self.path, self.path.with_extension("jsonl.1"))?;
        }
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir)?;
        }
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&self.path)?;
        for event in events {
            let row = Row {
                refused_at_ms: now_ms,
                group: &target.group,
                stream: &target.stream,
                error: &event.why,
                event: std::str::from_utf8(&event.text).unwrap_or("(not UTF-8)"),
            };
            let mut line = serde_json::to_vec(&row)?;
            line.push(b'\n');
            file.write_all(&line)?;
        }
        // The receipt that follows says that they are kept.
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "a test looks at the files on disk")]

    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_bounded_and_only_root_may_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let quarantine = Quarantine::new(dir.path());
        let target = Target { group: "g".into(), stream: "s".into() };
        let text = format!("{{\"timestamp\":1,\"message\":\"{}\"}}", "x".repeat(1_000_000));
        let event = Quarantined { text: text.into(), why: "too large".into() };
        for _ in 0..40 {
            quarantine.keep(&target, std::slice::from_ref(&event), 1).unwrap();
        }
        let files: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().metadata().unwrap()).collect();
        assert_eq!(files.len(), 2);
        assert!(files.iter().map(fs::Metadata::len).sum::<u64>() < 3 * FILE_BYTES);
        assert!(files.iter().all(|m| m.permissions().mode() & 0o077 == 0));
        let line = fs::read_to_string(quarantine.path()).unwrap();
        let row: serde_json::Value = serde_json::from_str(line.lines().next().unwrap()).unwrap();
        assert_eq!(row["error"], "too large");
    }
}
