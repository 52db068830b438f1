//! The safeguard: the compliance backend that nodes report to.
//!
//! Comes in: enrolments, beats and reports of nodes (docs/protocol.md), which instances EC2 knows, and which nodes clusters
//! have. Goes out: the state of each node with its reasons, to the Compliance Explorer, the API, and webhooks.
//!
//! Never: takes a node's word for who it is, calls a node compliant that was not assessed lately, or acts on an instance.
//!
//! ```text
//! serve -> ingest -> verify (enrolments) -> registrar -> store -> read -> page, api -> serve
//!                    chain, states (pure) ----^    fleet: what the registrar knows, in memory
//! ```

pub mod api;
pub mod chain;
pub mod clusters;
pub mod config;
pub mod dry_run;
pub mod expected;
pub mod explorer;
pub mod fleet;
mod https;
pub mod ingest;
mod live;
pub mod page;
pub mod registrar;
pub mod reply_key;
pub mod serve;
pub mod server;
pub mod states;
pub mod store;
pub mod verify;
pub mod vouching;
pub mod webhook;
