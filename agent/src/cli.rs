//! The command line: what can be asked for, and what comes back.

mod arguments;
mod check;
mod config;
mod policy;
mod run;
mod service;
mod status;
mod table;

pub(crate) use arguments::Cli;

pub(crate) use safeguard_daemon::terminal::exit;
