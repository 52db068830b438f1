//! Whole-system tests: the real rooms against strict stand-ins and real parts.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests write files and stop at what surprises them"
)]

mod api_server;
mod checks;
mod containerd;
mod expected;
mod explorer;
mod fabric;
mod heartbeat;
mod hygiene;
mod journald;
mod kill;
mod limits_of_the_node;
mod logrotate;
mod logs_delivery;
mod logs_edges;
mod logs_exclusions;
mod logs_files;
mod logs_journal;
mod logs_rotation;
mod moto;
mod program;
mod proxy;
mod redirect;
mod rig;
mod units;
