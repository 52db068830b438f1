//! `heartbeat show`: the next statement, as it would be signed and sent.

use std::path::Path;

use safeguard_daemon::terminal::{complain, exit};

use super::overview::{ask, json};

/// Asks the running agent for the statement.
pub(super) fn show(socket: &Path) -> u8 {
    match ask(socket, "/v1/heartbeat/next") {
        Ok(body) => json(&body),
        Err(message) => complain(exit::FAILED, &message),
    }
}
