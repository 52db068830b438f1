//! `redirect check --every`: the check again and again, where there is no timer to do it.

use std::path::PathBuf;
use std::time::Duration;

use safeguard_daemon::settings::HumanDuration;
use safeguard_daemon::shutdown::{Signal, Signals};
use safeguard_daemon::terminal::{Style, complain, exit, print};
use safeguard_proxy::redirect::{self, Error, OLD_AFTER_MS, Report};
use tokio::time::sleep;

use super::arguments::Format;
use super::redirect::run;
use super::report::table;

/// More often is load without a gain.
const LEAST: Duration = Duration::from_secs(1);

/// What a check found is not gone by after three minutes: one has to fit in, and may be late.
const MOST: Duration = Duration::from_millis(OLD_AFTER_MS.cast_unsigned() * 2 / 3);

/// Reads the option's value.
pub(super) fn every(text: &str) -> Result<Duration, String> {
    let HumanDuration(every) = text.parse().map_err(|error| format!("{error}"))?;
    let fits = (LEAST..=MOST).contains(&every);
    fits.then_some(every).ok_or_else(|| "allowed are 1s to 2m: what was found is old after 3m".to_owned())
}

/// Checks at once and after each pause, until SIGTERM. A check that is under way ends first, so that nothing of it is left.
pub(super) fn check(config: Option<PathBuf>, repair: bool, every: Duration, format: Format) -> u8 {
    run(config, async |redirect| {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => return complain(exit::FAILED, &format!("cannot listen for signals: {error}")),
        };
        let mut before = None;
        loop {
            let found = redirect::check(redirect, repair).await;
            let news = News::of(&found);
            if before.as_ref() != Some(&news) && say(&found, format) != exit::OK {
                // Whoever starts it again gives it somewhere to print to.
                return exit::FAILED;
            }
            before = Some(news);
            tokio::select! {
                () = end(&mut signals) => return exit::OK,
                () = sleep(every) => {}
            }
        }
    })
}

async fn end(signals: &mut Signals) {
    while signals.next().await == Signal::Reload {}
}

fn say(found: &Result<Report, Error>, format: Format) -> u8 {
    match (found, format) {
        (Ok(report), Format::Table) => print(&table(report, Style::of_stdout())),
        (Ok(report), Format::Json) => match serde_json::to_string(report) {
            Ok(line) => print(&format!("{line}\n")),
            Err(error) => complain(exit::FAILED, &format!("the report cannot be written: {error}")),
        },
        // It is tried again: another run may hold the lock, or the disk be full.
        (Err(error), _) => complain(exit::OK, &error.to_string()),
    }
}

/// What somebody who has read the report before wants to read again: all of it but the time and the count.
#[derive(Debug, PartialEq)]
struct News(Result<Report, String>);

impl News {
    fn of(found: &Result<Report, Error>) -> Self {
        Self(match found {
            Ok(report) => {
                let mut report = report.clone();
                (report.state.at_ms, report.state.generation) = (0, 0);
                Ok(report)
            }
            Err(error) => Err(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::report::tests::report;
    use safeguard_proxy::redirect::{Finding, Layer};

    #[test]
    fn what_was_found_never_gets_old_between_two_checks() {
        assert_eq!(every("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(every("2m"), Ok(MOST));
        for text in ["500ms", "121s", "1h", "soon"] {
            assert!(every(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_what_differs_is_said_again() {
        let first = News::of(&Ok(report()));
        let mut later = report();
        (later.state.at_ms, later.state.generation) = (60_000, 3);
        assert_eq!(News::of(&Ok(later)), first);
        let mut mended = report();
        mended.mended.push(Finding { layer: Layer::Table, text: "it was gone".to_owned() });
        assert_ne!(News::of(&Ok(mended)), first);
    }
}
