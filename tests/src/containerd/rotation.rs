//! Log rotation as kubelet does it (`pkg/kubelet/logs/container_log_manager.go` in kubernetes/kubernetes).

use std::fs::File;
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Container, Containerd};

/// kubelet's default for `containerLogMaxFiles`: the live log and all rotated ones.
const MAX_FILES: usize = 5;

/// Pause while waiting for the clock's next second.
const NEXT_SECOND: Duration = Duration::from_millis(20);

impl Containerd {
    /// Rotates the container's log as kubelet does with its default of five files, whatever the log's size.
    ///
    /// Returns the path of the rotated, not yet compressed log. See [`Self::rotate_keeping`].
    pub async fn rotate(&self, container: &Container) -> anyhow::Result<PathBuf> {
        self.rotate_keeping(container, MAX_FILES).await
    }

    /// Rotates only when the log has at least `max_bytes`, as kubelet checks every 10 seconds (10 MiB by default).
    ///
    /// A log that is gone is reopened first, as kubelet does.
    pub async fn rotate_above(
        &self,
        container: &Container,
        max_bytes: u64,
        max_files: usize,
    ) -> anyhow::Result<Option<PathBuf>> {
        if !container.log_path().exists() {
            self.reopen_log(container).await?;
        }
        let length = std::fs::metadata(container.log_path()).context("read the log's size")?.len();
        if length < max_bytes {
            return Ok(None);
        }
        self.rotate_keeping(container, max_files).await.map(Some)
    }

    /// Rotates the container's log so that at most `max_files` remain (at least 2): deletes what an interrupted
    /// rotation left and the oldest rotated logs, compresses the other rotated logs, renames the live log to
    /// `<log>.YYYYMMDD-HHMMSS` (local time) and has the runtime reopen it; if that fails, renames it back.
    ///
    /// A line that containerd was in the middle of is cut: its start ends the rotated log with the tag `P`, and the
    /// rest starts the new log. containerd may also write a few more kilobytes to the rotated log after this has
    /// returned.
    ///
    /// One thing differs: two rotations within one second give kubelet the same name twice, whereupon it takes the
    /// second file for a leftover and deletes it. kubelet's ten-second period keeps that from happening; here the
    /// rotation waits for the next second.
    pub async fn rotate_keeping(&self, container: &Container, max_files: usize) -> anyhow::Result<PathBuf> {
        ensure!(max_files >= 2, "max_files is {max_files}, and kubelet refuses less than 2");
        let log = container.log_path().to_owned();
        tokio::task::spawn_blocking(move || prepare(&log, max_files)).await??;

        let log = container.log_path();
        let rotated = loop {
            let rotated = with_suffix(log, &format!(".{}", local_time().await?));
            if !rotated.exists() && !with_suffix(&rotated, ".gz").exists() {
                break rotated;
            }
            tokio::time::sleep(NEXT_SECOND).await;
        };
        std::fs::rename(log, &rotated).with_context(|| format!("rename {}", log.display()))?;
        if let Err(error) = self.reopen_log(container).await {
            std::fs::rename(&rotated, log).with_context(|| format!("rename {} back", rotated.display()))?;
            return Err(error);
        }
        Ok(rotated)
    }
}

/// What kubelet does before it renames the live log.
fn prepare(log: &Path, max_files: usize) -> anyhow::Result<()> {
    let all = rotated_logs(log)?;
    let (mut logs, unused): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|path| is_in_use(path, &all));
    for path in unused {
        remove(&path)?;
    }
    // The live log and the one it is about to become also count.
    let excess = logs.len().saturating_sub(max_files - 2);
    for path in logs.drain(..excess) {
        remove(&path)?;
    }
    for path in logs.iter().filter(|path| !has_extension(path, "gz")) {
        compress(path).with_context(|| format!("compress {}", path.display()))?;
    }
    Ok(())
}

/// Deletes a log and everything whose name starts with the log's (`<path>*`), as kubelet does for a removed container.
pub(super) fn remove_logs(log: &Path) -> anyhow::Result<()> {
    for path in siblings(log, "")? {
        remove(&path)?;
    }
    Ok(())
}

/// The rotated logs (`<log>.*`), oldest first.
fn rotated_logs(log: &Path) -> anyhow::Result<Vec<PathBuf>> {
    siblings(log, ".")
}

/// The files beside `log` whose name is the log's with `then` and anything after it, sorted.
fn siblings(log: &Path, then: &str) -> anyhow::Result<Vec<PathBuf>> {
    let directory = log.parent().context("the log has no directory")?;
    let prefix = with_suffix(log, then);
    let prefix = prefix.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).with_context(|| format!("list {}", directory.display()))? {
        let path = entry?.path();
        if path.as_os_str().as_encoded_bytes().starts_with(prefix) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a rotated log is neither a temporary file nor one whose compressed form exists already.
fn is_in_use(path: &Path, all: &[PathBuf]) -> bool {
    has_extension(path, "gz") || !(has_extension(path, "tmp") || all.contains(&with_suffix(path, ".gz")))
}

fn has_extension(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|found| found == extension)
}

/// `<log>` to `<log>.gz` by way of `<log>.tmp`, with the log's permissions.
fn compress(log: &Path) -> anyhow::Result<()> {
    let mut source = File::open(log)?;
    let temporary = with_suffix(log, ".tmp");
    let mode = source.metadata()?.permissions().mode();
    let target = File::options().write(true).create(true).truncate(true).mode(mode).open(&temporary)?;
    let mut encoder = GzEncoder::new(target, Compression::default());
    io::copy(&mut source, &mut encoder)?;
    encoder.finish()?;
    std::fs::rename(&temporary, with_suffix(log, ".gz"))?;
    remove(log)
}

fn remove(path: &Path) -> anyhow::Result<()> {
    std::fs::remove_file(path).with_context(|| format!("remove {}", path.display()))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Now, in local time, as kubelet names rotated logs. The standard library knows no time zones, so `date` is asked.
async fn local_time() -> anyhow::Result<String> {
    let output = tokio::process::Command::new("date").arg("+%Y%m%d-%H%M%S").output().await.context("run date")?;
    ensure!(output.status.success(), "date: {}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
