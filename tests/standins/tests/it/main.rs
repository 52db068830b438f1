//! The stand-in against the AWS SDK, and against raw requests that no SDK would send.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy.toml cannot tell")]

mod client;
mod faults;
mod http;
mod imds;
mod kubernetes;
mod kubernetes_watch;
mod lifecycle;
mod manage;
mod put;
mod read;
mod shared;
mod signing;
mod sts;
mod sts_signing;
