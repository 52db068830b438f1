//! The watch against a scripted API server: a real HTTP server on loopback, whose every answer a test decides.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests, which clippy.toml cannot tell")]

mod auth;
mod configz;
mod faults;
mod lists;
mod outages;
mod rig;
mod script;
mod standing;
mod tls;
mod watches;
