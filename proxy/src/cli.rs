//! The command line: what can be asked for, and what comes back.

mod arguments;
mod config;
mod explain;
mod explanation;
mod keep;
mod redirect;
mod report;
mod serve;
mod service;

pub(crate) use arguments::Cli;
