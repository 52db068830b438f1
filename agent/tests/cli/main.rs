//! The program as its users meet it: arguments, exit codes, signals, and what it says.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod checks;
mod commands;
mod exclusions;
mod node;
mod secrets;
mod service;
mod signals;
