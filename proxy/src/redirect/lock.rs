//! Two runs never interleave.

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;
use tokio::time;

use super::Error;

/// How long a run waits for another: longer than any of them takes on a busy node.
const WAIT: Duration = Duration::from_secs(30);

const AGAIN: Duration = Duration::from_millis(50);

/// Held until it is dropped, or the process ends in whatever way. The file stays, since a third run could otherwise lock a
/// new file of the same name while a second waits on the old one.
#[derive(Debug)]
#[must_use = "the lock is released when this is dropped"]
pub(super) struct Lock {
    _file: Flock<File>,
}

/// Takes the lock that is beside the state file.
pub(super) async fn take(state_file: &Path) -> Result<Lock, Error> {
    take_within(state_file, WAIT).await
}

async fn take_within(state_file: &Path, wait: Duration) -> Result<Lock, Error> {
    let path = state_file.with_extension("lock");
    let failed = |action| {
        let path = path.clone();
        move |source| Error::File { action, path, source }
    };
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(failed("make the directory of"))?;
    }
    let mut file = open(&path).map_err(failed("open"))?;
    let until = time::Instant::now() + wait;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => return Ok(Lock { _file: file }),
            Err((file, Errno::EWOULDBLOCK)) if time::Instant::now() < until => file,
            Err((_, Errno::EWOULDBLOCK)) => return Err(Error::Locked { path, seconds: wait.as_secs() }),
            Err((_, errno)) => return Err(failed("lock")(errno.into())),
        };
        time::sleep(AGAIN).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the lock is our own file in our own runtime directory")]
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_second_run_waits_and_names_the_file_when_that_is_too_long() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("deep/redirect.json");
        let first = take(&state).await.unwrap();
        let said = take_within(&state, Duration::from_millis(120)).await.unwrap_err().to_string();
        assert!(said.contains("deep/redirect.lock"), "{said}");
        let second = tokio::spawn({
            let state = state.clone();
            async move { take(&state).await.map(drop) }
        });
        time::sleep(AGAIN * 2).await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap().unwrap();
    }
}
