//! `logs status`: asks the running agent.

use std::io::{IsTerminal, stdout};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use safeguard_agent::Status;
use safeguard_daemon::admin::get_unix;
use safeguard_daemon::terminal::{Style, complain, exit, print};

use super::arguments::Format;
use super::table::table;

/// For one answer.
const DEADLINE: Duration = Duration::from_secs(8);
const EVERY: Duration = Duration::from_secs(1);
/// Cursor to the upper left, and everything below it cleared.
const CLEAR: &str = "\x1b[H\x1b[J";

pub(super) fn status(socket: &Path, format: Format, watch: bool) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(exit::FAILED, &format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        if !watch {
            return match ask(socket, format, false).await {
                Ok(text) => print(&text),
                Err(message) => complain(exit::FAILED, &message),
            };
        }
        let screen = stdout().is_terminal() && format == Format::Table;
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            let answer = ask(socket, format, true).await;
            let code = match answer {
                Ok(text) if screen => print(&format!("{CLEAR}{text}")),
                Ok(text) => print(&text),
                // The agent may be restarting: go on asking.
                Err(message) if screen => print(&format!("{CLEAR}{message}\n")),
                Err(message) => complain(exit::OK, &message),
            };
            if code != exit::OK {
                return code;
            }
        }
    })
}

async fn ask(socket: &Path, format: Format, one_line: bool) -> Result<String, String> {
    let (code, body) = get_unix(socket, "/v1/logs", DEADLINE).await.map_err(|error| error.to_string())?;
    if code != 200 {
        return Err(format!("the agent answered {code}: {}", String::from_utf8_lossy(&body).trim_end()));
    }
    if format == Format::Json {
        return json(&body, one_line);
    }
    let status: Status = serde_json::from_slice(&body)
        .map_err(|error| format!("the agent's answer is not understood ({error}); is it of another version?"))?;
    Ok(table(&status, Style::of_stdout()))
}

/// The document as it came, so that a field of a later version is not lost on the way.
fn json(body: &Bytes, one_line: bool) -> Result<String, String> {
    let document: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| format!("the agent's answer is no JSON: {error}"))?;
    Ok(if one_line { format!("{document}\n") } else { format!("{document:#}\n") })
}
