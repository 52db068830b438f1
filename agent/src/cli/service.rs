//! The life of a running agent: signals, the watchdog, and the end.

use std::time::Duration;

use safeguard_agent::config::SettingsFile;
use safeguard_agent::{Agent, Summary};
use safeguard_daemon::sd;
use safeguard_daemon::shutdown::{Signal, Signals};
use safeguard_daemon::telemetry::Gate;
use safeguard_daemon::terminal::exit;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How often progress is looked at when systemd has no watchdog on us.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often it is said that there is none.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Containers that are named at the end; the others are counted.
const MOST_NAMED: usize = 50;

/// Reloads and pings until a signal to end.
pub(super) async fn watch(agent: &Agent, file: &SettingsFile, signals: &mut Signals) {
    let watchdog = sd::watchdog_interval();
    let mut ticks = interval(watchdog.unwrap_or(LOOK_EVERY));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gate = Gate::new(SAY_EVERY);
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => reload(agent, file),
                Signal::Terminate | Signal::Interrupt => return,
            },
            _ = ticks.tick() => {
                let health = agent.health();
                if health.healthy {
                    gate.reset();
                    if watchdog.is_some() {
                        sd::ping();
                    }
                } else if gate.allow(Instant::now()).is_some() {
                    tracing::error!(reasons = health.reasons.join("; "), "No progress; systemd's watchdog is not answered.");
                    sd::status(&health.reasons.join("; "));
                }
            }
        }
    }
}

fn reload(agent: &Agent, file: &SettingsFile) {
    sd::reloading();
    let outcome = match file.load() {
        Ok(loaded) => agent.reload(&loaded.value).map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(waiting) if waiting.is_empty() => {
            tracing::info!(file = %file.path().display(), "The settings were read again.");
            sd::reloaded("shipping container logs");
        }
        Ok(waiting) => {
            let waiting = waiting.join(", ");
            tracing::warn!(needs_a_restart = waiting, "The settings were read again; some of them need a restart.");
            sd::reloaded(&format!("shipping container logs; needs a restart: {waiting}"));
        }
        Err(error) => {
            tracing::error!(error, "The settings file is refused; the old settings go on.");
            sd::reloaded("shipping container logs; the settings file is refused, the old settings go on");
        }
    }
}

/// Delivers what is there, within the grace; a second signal ends it at once.
pub(super) async fn drain(agent: Agent, signals: &mut Signals) -> u8 {
    tracing::info!("Ending: delivering what is there.");
    sd::stopping("delivering what is there");
    let again = async { while signals.next().await == Signal::Reload {} };
    tokio::select! {
        summary = agent.shutdown() => {
            tell(&summary);
            exit::OK
        }
        () = again => {
            tracing::warn!("Ended at once by a second signal. What was not delivered is read again at the next start.");
            exit::FAILED
        }
    }
}

fn tell(summary: &Summary) {
    if summary.stuck {
        tracing::warn!("The log room gave no last word. What was not delivered is read again at the next start.");
        return;
    }
    for left in summary.left.iter().take(MOST_NAMED) {
        tracing::warn!(
            log = left.log,
            behind_bytes = left.behind_bytes,
            in_flight_lines = left.in_flight.events,
            in_flight_bytes = left.in_flight.bytes,
            error = left.error,
            "Left for the next start."
        );
    }
    let delivered = summary.total.delivered.events;
    if summary.complete {
        tracing::info!(delivered, "Everything that was there is delivered.");
    } else {
        let (containers, behind_bytes) = (summary.left.len(), summary.behind_bytes);
        tracing::warn!(
            containers,
            behind_bytes,
            delivered,
            "Not everything is delivered; the rest stays in its files for the next start."
        );
    }
}
