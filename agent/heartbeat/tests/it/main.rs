//! The heartbeat and a real safeguard, over HTTP on loopback.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy.toml cannot tell")]
#![expect(clippy::print_stdout, reason = "tests say what they leave out")]
#![expect(clippy::disallowed_methods, reason = "tests copy and restore what is on the disk")]

mod beats;
mod connections;
mod identity;
mod outage;
mod rig;
