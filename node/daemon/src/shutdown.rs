//! Signals in, one token out.

use std::io;
use std::sync::Arc;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};
use tokio::sync::watch;

/// What the outside wants of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM: drain, then end.
    Terminate,
    /// SIGINT: Ctrl-C on a terminal; drain, then end.
    Interrupt,
    /// SIGHUP: read the settings again.
    Reload,
}

/// The signals that a process of ours answers. While one of these exists, none of them ends the process by itself.
#[derive(Debug)]
pub struct Signals {
    terminate: Stream,
    interrupt: Stream,
    reload: Stream,
}

impl Signals {
    /// Starts listening. Call it before anything slow, so that an early SIGTERM is not lost.
    ///
    /// # Errors
    /// When the kernel refuses a handler.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn install() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reload: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal. Signals of one kind that arrive close together count once. Nothing is lost when the
    /// returned future is dropped.
    pub async fn next(&mut self) -> Signal {
        tokio::select! {
            // A request to end must not wait behind a stream of reloads.
            biased;
            Some(()) = self.terminate.recv() => Signal::Terminate,
            Some(()) = self.interrupt.recv() => Signal::Interrupt,
            Some(()) = self.reload.recv() => Signal::Reload,
            else => std::future::pending().await,
        }
    }
}

/// A request to stop that everybody can hold, wait for, and make. It stays made.
#[derive(Debug, Clone)]
pub struct Shutdown {
    requested: Arc<watch::Sender<bool>>,
}

impl Shutdown {
    /// Not requested yet.
    #[must_use]
    pub fn new() -> Self {
        Self { requested: Arc::new(watch::Sender::new(false)) }
    }

    /// Asks every holder of a clone to stop. Asking again changes nothing.
    pub fn trigger(&self) {
        self.requested.send_if_modified(|requested| !std::mem::replace(requested, true));
    }

    /// Whether it was requested.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow()
    }

    /// Returns once it is requested, at once if it already was. Safe to drop and call again.
    pub async fn requested(&self) {
        let mut changes = self.requested.subscribe();
        // `self` keeps the sender alive, so this only ends with the value.
        if changes.wait_for(|requested| *requested).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::signal::{Signal as Number, raise};
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn every_clone_hears_it_early_or_late() {
        let shutdown = Shutdown::new();
        let early = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.requested().await }
        });
        tokio::task::yield_now().await;
        assert!(!early.is_finished() && !shutdown.is_requested());
        shutdown.clone().trigger();
        shutdown.trigger();
        timeout(Duration::from_secs(5), early).await.unwrap().unwrap();
        timeout(Duration::from_secs(5), shutdown.requested()).await.unwrap();
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn two_processes_in_one_do_not_share_a_shutdown() {
        let (ours, theirs) = (Shutdown::default(), Shutdown::new());
        ours.trigger();
        assert!(!theirs.is_requested());
    }

    #[tokio::test]
    async fn names_each_signal_and_puts_the_end_before_a_reload() {
        let mut signals = Signals::install().unwrap();
        for (number, name) in [
            (Number::SIGHUP, Signal::Reload),
            (Number::SIGTERM, Signal::Terminate),
            (Number::SIGINT, Signal::Interrupt),
        ] {
            raise(number).unwrap();
            assert_eq!(timeout(Duration::from_secs(5), signals.next()).await.unwrap(), name);
        }
        raise(Number::SIGHUP).unwrap();
        raise(Number::SIGTERM).unwrap();
        // Both are delivered to the runtime's pipe before this asks.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(timeout(Duration::from_secs(5), signals.next()).await.unwrap(), Signal::Terminate);
        assert_eq!(timeout(Duration::from_secs(5), signals.next()).await.unwrap(), Signal::Reload);
    }
}
