//! The stand-in against the AWS SDK, and against raw requests that no SDK would send.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy.toml cannot tell")]

mod client;
mod faults;
mod lifecycle;
mod manage;
mod put;
mod read;
mod signing;
