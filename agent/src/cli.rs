//! The command line: what can be asked for, and what comes back.

mod arguments;
mod config;
mod output;
mod run;
mod service;
mod status;
mod table;

pub(crate) use arguments::Cli;

/// Exit codes. 64 and 75 are those of sysexits(3).
pub(crate) mod exit {
    /// Done.
    pub(crate) const OK: u8 = 0;
    /// It did not work.
    pub(crate) const FAILED: u8 = 1;
    /// The command line or the settings are wrong; trying again does not help.
    pub(crate) const USAGE: u8 = 64;
    /// Another agent runs on this node.
    pub(crate) const BUSY: u8 = 75;
}
