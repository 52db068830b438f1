//! The command line: what can be asked for, and what comes back.

mod arguments;
mod check;
mod config;
mod heartbeat;
mod overview;
mod policy;
mod run;
mod service;
mod status;
mod table;
mod units;

pub(crate) use arguments::Cli;

pub(crate) use safeguard_daemon::terminal::exit;
