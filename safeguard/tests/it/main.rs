//! The safeguard as its nodes see it: a real server on loopback, and nodes that sign.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy.toml cannot tell")]
#![expect(clippy::print_stdout, reason = "tests say what they leave out, and what they measured")]
#![expect(clippy::disallowed_methods, reason = "tests make the files and start the programs that they look at")]

mod beats;
mod clusters;
mod crash;
mod enrolments;
mod expected;
mod node;
mod reports;
mod rough;
mod tls;
mod webhook;
