//! How a process of ours lives, whatever its job is.
//!
//! Comes in: the text of a settings file, a path for a lock, a path or address to answer on, signals from the kernel
//! and the environment that systemd sets (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`).
//!
//! Goes out: typed settings that know which keys were given, one instance per node, log lines on stderr, readiness and
//! watchdog messages, HTTP answers on the admin socket, text on the terminal, manual pages, and a process that can no longer start another.
//!
//! Never belongs here: what any single program does (no logs, pods, roles or rules), a setting with a meaning of its
//! own, a call to a remote service, or state that is global to the process. Two exceptions are named for what they are
//! and are called from `main` alone: [`telemetry::Telemetry::install`] and [`seccomp::confine`].
//!
//! Depends on no crate of ours.

pub mod admin;
pub mod clock;
pub mod lock;
pub mod manual;
pub mod open_files;
pub mod sd;
pub mod seccomp;
pub mod settings;
pub mod shutdown;
pub mod telemetry;
pub mod terminal;

#[cfg(test)]
mod child;
