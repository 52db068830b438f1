//! Throw-away network namespaces. One has no name, so it ends with the thread that made it, and takes the interfaces in it
//! along with their other ends: also when the process is killed.

use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time;

use super::Error;
use super::netlink::Netlink;

/// How long all of the work in one may take. Each step has its own deadline; this is for what has none.
const DEADLINE: Duration = Duration::from_secs(60);

/// The namespace from which a throw-away one was left.
#[derive(Debug)]
pub(super) struct Outside {
    pub(super) netlink: Netlink,
    pub(super) namespace: OwnedFd,
}

/// Does `work` on a thread of its own in a new namespace.
pub(super) async fn within<T, F>(work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: AsyncFnOnce(Outside) -> Result<T, Error> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let thread = move || {
        let done = run(work);
        // Nobody waits any more: the deadline was over.
        drop(answer.send(done));
    };
    std::thread::Builder::new()
        .name("sandbox".to_owned())
        .spawn(thread)
        .map_err(|source| Error::NoNamespace { source })?;
    let action = || "work in a throw-away network namespace".to_owned();
    match time::timeout(DEADLINE, answered).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) => Err(Error::NoNamespace { source: io::Error::other("its thread ended early") }),
        Err(_) => Err(Error::TooLong { action: action(), seconds: DEADLINE.as_secs() }),
    }
}

fn run<T>(work: impl AsyncFnOnce(Outside) -> Result<T, Error>) -> Result<T, Error> {
    let failed = |source| Error::NoNamespace { source };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let outside = Outside { netlink: Netlink::open()?, namespace: own_namespace().map_err(failed)? };
        // Of this thread alone, and there is no way back for it.
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| failed(errno.into()))?;
        work(outside).await
    })
}

#[expect(clippy::disallowed_methods, reason = "a handle of this thread's own namespace, not a file of the host")]
fn own_namespace() -> io::Result<OwnedFd> {
    Ok(File::open("/proc/thread-self/ns/net")?.into())
}
