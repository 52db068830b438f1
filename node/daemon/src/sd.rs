//! What systemd wants to know: ready, reloading, stopping, and that we are still making progress.
//!
//! Every function does nothing when `NOTIFY_SOCKET` is unset (a container, a terminal) and never fails its caller: a
//! lost message is logged and systemd's own timeout decides. The environment is read and never changed, so the calls
//! are safe from any thread; nothing is started that could inherit it ([`crate::seccomp`]).
//!
//! The messages are those of sd_notify(3). They are sent here rather than by the `sd-notify` crate because its socket
//! blocks without a limit and knows no abstract addresses (`@...`), which systemd-nspawn and some container managers use.

use sd_notify::NotifyState;
use std::ffi::OsString;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a message may wait for room in the manager's queue. It is handed over on the caller's thread, and PID 1
/// stops reading for a moment during `daemon-reload`.
const SEND_DEADLINE: Duration = Duration::from_secs(1);

/// Start-up is finished; `status` is the line that `systemctl status` shows.
pub fn ready(status: &str) {
    Notifier::from_environment().tell(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// A reload begins. Must be followed by [`reloaded`], whether the new settings were taken or refused.
pub fn reloading() {
    // systemd 253 and later want the time with it (`Type=notify-reload`).
    match NotifyState::monotonic_usec_now() {
        Ok(now) => Notifier::from_environment().tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "systemd was not told of the reload: no monotonic clock"),
    }
}

/// The reload has ended; `status` says how.
pub fn reloaded(status: &str) {
    ready(status);
}

/// Shutdown begins.
pub fn stopping(status: &str) {
    Notifier::from_environment().tell(&[NotifyState::Stopping, NotifyState::Status(&one_line(status))]);
}

/// Changes the line that `systemctl status` shows.
pub fn status(status: &str) {
    Notifier::from_environment().tell(&[NotifyState::Status(&one_line(status))]);
}

/// How often to [`ping`]: half of `WATCHDOG_USEC`, as sd_watchdog_enabled(3) recommends. None when no watchdog is set,
/// or when it is meant for another process (`WATCHDOG_PID`).
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}

/// Tells the watchdog that we are healthy. Call it only after progress was seen, not from a timer that runs whatever
/// the rest of the process does.
pub fn ping() {
    Notifier::from_environment().tell(&[NotifyState::Watchdog]);
}

/// A newline would end the field and begin another: a status quoting a file name could otherwise say `MAINPID=1`.
fn one_line(status: &str) -> String {
    status.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

struct Notifier {
    address: Option<OsString>,
}

impl Notifier {
    fn from_environment() -> Self {
        Self { address: std::env::var_os("NOTIFY_SOCKET").filter(|address| !address.is_empty()) }
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if let Err(error) = self.send(states) {
            let address = self.address.as_deref().unwrap_or_default();
            tracing::warn!(%error, socket = %address.display(), "systemd was not told: {}", lines(states).trim_end());
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) -> io::Result<()> {
        let Some(address) = &self.address else { return Ok(()) };
        let address = match address.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(address)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(SEND_DEADLINE))?;
        socket.send_to_addr(lines(states).as_bytes(), &address)?;
        Ok(())
    }
}

fn lines(states: &[NotifyState<'_>]) -> String {
    states.iter().map(|state| format!("{state}\n")).collect()
}

#[cfg(test)]
mod tests;
