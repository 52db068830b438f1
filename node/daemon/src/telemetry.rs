//! How a process of ours speaks: one line per event, on stderr, never anywhere that it also reads.
//!
//! Libraries only emit events. The subscriber and the panic hook are global to the process, so `main` alone installs
//! them; tests and the demo run several agents in one process under one subscriber of their own.

use serde::{Deserialize, Serialize};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

mod gate;
mod quiet;

pub use gate::Gate;
pub use quiet::{check_quiet, quiet};

/// The shape of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people. Coloured only on a terminal, and not where `NO_COLOR` is set (no-color.org).
    Text,
    /// One JSON object a line, fields at its top level, as CloudWatch Logs Insights discovers them.
    Json,
    /// Text when stderr is a terminal, JSON otherwise.
    #[default]
    Auto,
}

/// The settings of a process's own log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Telemetry {
    /// The shape of a line.
    pub format: Format,
    /// Which events are written, in the syntax of tracing's `EnvFilter`: `info`, `warn,safeguard_logs=debug`.
    pub filter: String,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { format: Format::Auto, filter: "info".to_owned() }
    }
}

/// Why the process cannot speak as asked.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is not one.
    #[error(
        "the log filter {filter:?} cannot be used: {reason}. Write for example \"info\" or \"info,safeguard_logs=debug\""
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A subscriber was installed before; only `main` may, once.
    #[error("telemetry is already installed in this process")]
    Installed,
}

impl Telemetry {
    /// Installs the subscriber, and a panic hook that writes a panic as one event in place of Rust's free text. Only
    /// `main` calls it.
    ///
    /// # Errors
    /// A filter that does not parse, or a second call.
    pub fn install(&self) -> Result<(), TelemetryError> {
        let terminal = std::io::stderr().is_terminal();
        let builder =
            tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(self.env_filter()?).with_ansi(false);
        let installed = if self.is_json(terminal) {
            builder.json().flatten_event(true).with_span_list(false).finish().try_init()
        } else {
            builder.with_ansi(terminal && colours_wanted(|name| std::env::var_os(name))).finish().try_init()
        };
        installed.map_err(|_| TelemetryError::Installed)?;
        std::panic::set_hook(Box::new(log_panic));
        Ok(())
    }

    /// Whether the filter can be used, for `config check`.
    ///
    /// # Errors
    /// [`TelemetryError::Filter`].
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.env_filter().map(drop)
    }

    fn is_json(&self, terminal: bool) -> bool {
        match self.format {
            Format::Json => true,
            Format::Text => false,
            Format::Auto => !terminal,
        }
    }

    fn env_filter(&self) -> Result<EnvFilter, TelemetryError> {
        let refused = |reason| TelemetryError::Filter { filter: self.filter.clone(), reason };
        // EnvFilter takes a misspelt level for the name of a crate, and then everything else falls silent.
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        for word in self.filter.split(',').map(str::trim) {
            let exact = LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
            if let (false, Some(level)) = (exact, crate::settings::nearest(&word.to_ascii_lowercase(), LEVELS)) {
                return Err(refused(format!("{word:?} is no level; did you mean {level:?}?")));
            }
        }
        EnvFilter::builder()
            .with_default_directive(LevelFilter::INFO.into())
            .parse(&self.filter)
            .map_err(|error| refused(error.to_string()))
    }
}

/// no-color.org: set and not empty means no. `TERM=dumb` cannot show them.
pub(crate) fn colours_wanted(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> bool {
    variable("NO_COLOR").is_none_or(|value| value.is_empty()) && variable("TERM").is_none_or(|term| term != "dumb")
}

fn log_panic(info: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(
        thread = thread.name().unwrap_or("unnamed"),
        location = info.location().map(tracing::field::display),
        panic = info.payload_as_str().unwrap_or("(not text)"),
        backtrace = (backtrace.status() == std::backtrace::BacktraceStatus::Captured)
            .then(|| tracing::field::display(&backtrace)),
        "a thread panicked; this is a bug in this program"
    );
}

#[cfg(test)]
mod tests;
