//! `status`: how everything stands, on one screen for the engineer on call.

mod screen;

use std::path::Path;
use std::time::Duration;

use safeguard_agent::Overview;
use safeguard_daemon::admin::get_unix;
use safeguard_daemon::terminal::{Style, complain, exit, print};

use super::arguments::Format;

/// For the answer: the log room and the proxy are asked for it.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks the running agent and prints its answer.
pub(super) fn status(socket: &Path, format: Format) -> u8 {
    let body = match ask(socket, "/v1/status") {
        Ok(body) => body,
        Err(message) => return complain(exit::FAILED, &message),
    };
    if format == Format::Json {
        return json(&body);
    }
    match serde_json::from_slice::<Overview>(&body) {
        Ok(overview) => print(&screen::screen(&overview, Style::of_stdout())),
        Err(error) => complain(
            exit::FAILED,
            &format!("the agent's answer is not understood ({error}); is it of another version?"),
        ),
    }
}

/// The document as it came, so that a field of a later version is not lost on the way.
pub(super) fn json(body: &[u8]) -> u8 {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(document) => print(&format!("{document:#}\n")),
        Err(error) => complain(exit::FAILED, &format!("the agent's answer is no JSON: {error}")),
    }
}

/// One answer of the agent that listens on a socket.
pub(super) fn ask(socket: &Path, path: &str) -> Result<Vec<u8>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
    let (code, body) = runtime.block_on(get_unix(socket, path, DEADLINE)).map_err(|error| error.to_string())?;
    match code {
        200 => Ok(body.to_vec()),
        _ => Err(format!("the agent answered {code}: {}", String::from_utf8_lossy(&body).trim_end())),
    }
}
