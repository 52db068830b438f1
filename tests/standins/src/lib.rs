//! Stand-ins for the services the agent talks to, for tests, the `demo` program and benchmarks.
//!
//! In: real HTTP requests on loopback. Out: the replies the real service would give, and an exact account of what
//! was received. They are strict on purpose: what the real service refuses, they refuse, with the same words.
//! They never contact anything.

pub mod cloudwatch;
pub mod journald;

pub use cloudwatch::{
    CloudWatch, Counts, Credential, EventRef, Fault, Faults, GroupInfo, Op, OpCounts, Options, RejectIndexes,
    Rejections, RequestView, StoredEvent, StreamInfo, Tls,
};
pub use journald::{Journald, Shape};
