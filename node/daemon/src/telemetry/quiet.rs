//! Which events of other people's crates may be written: below `info` the AWS SDK writes requests with their headers, and
//! with them session tokens.

use std::str::FromStr;

use super::Telemetry;
use tracing::level_filters::LevelFilter;

/// Beginnings of the names of crates that handle credentials.
const GUARDED: [&str; 3] = ["aws_", "hyper", "rustls"];

/// Most that such crates may say.
const MOST: LevelFilter = LevelFilter::INFO;

/// The filter with a lid on the crates that handle credentials, whatever the level for everything else. What
/// [`check_quiet`] lets pass may say less about them, or up to `info`.
#[must_use]
pub fn quiet(log: &Telemetry) -> Telemetry {
    let lids = GUARDED.map(|name| format!("{name}=warn")).join(",");
    // An empty filter means the default; beside other directives it would mean silence.
    let filter = if log.filter.trim().is_empty() { "info" } else { &log.filter };
    Telemetry { format: log.format, filter: format!("{lids},{filter}") }
}

/// Whether the filter can be used and keeps credentials out of the log.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_quiet(log: &Telemetry) -> Result<(), String> {
    log.check().map_err(|error| error.to_string())?;
    for part in log.filter.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        // A span's filter opens every crate inside of the span.
        if part.contains(['[', ']', '{', '}']) {
            return Err(format!("{part:?}: allowed are levels and crate=level"));
        }
        let (target, level) = part.split_once('=').map_or((part, "trace"), |(target, level)| (target, level.trim()));
        let guarded = GUARDED.iter().any(|name| target.trim().starts_with(name));
        if guarded && LevelFilter::from_str(level).is_ok_and(|level| level > MOST) {
            return Err(format!(
                "{part:?} would write credentials into the log: for this crate at most {}=info is allowed",
                target.trim()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(filter: &str) -> Telemetry {
        Telemetry { filter: filter.to_owned(), ..Telemetry::default() }
    }

    #[test]
    fn no_filter_opens_the_crates_that_handle_credentials() {
        for filter in ["trace", "info,safeguard_logs=trace", "debug,aws_config=info", "aws=trace", ""] {
            assert_eq!(check_quiet(&log(filter)), Ok(()), "{filter}");
        }
        for filter in [
            "aws_sigv4=trace",
            "info, aws_smithy_runtime::client=debug",
            "aws_config",
            "hyper_util=5",
            "info,[try_attempt]=trace",
            "[{request}]",
            "info,rustls = trace",
        ] {
            assert!(check_quiet(&log(filter)).is_err(), "{filter}");
        }
    }

    #[test]
    fn the_lid_is_a_filter_itself() {
        for filter in ["trace", "", "warn,aws_config=info"] {
            let quiet = quiet(&log(filter));
            assert!(quiet.filter.starts_with("aws_=warn"), "{}", quiet.filter);
            quiet.check().unwrap();
        }
    }
}
