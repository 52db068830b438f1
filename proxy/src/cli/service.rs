//! The life of a running proxy: signals, the watchdog, and the end.

use std::time::Duration;

use safeguard_daemon::sd;
use safeguard_daemon::settings::differing;
use safeguard_daemon::shutdown::{Signal, Signals};
use safeguard_daemon::telemetry::Gate;
use safeguard_daemon::terminal::exit;
use safeguard_proxy::Proxy;
use safeguard_proxy::config::{Settings, SettingsFile};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// What systemd shows.
pub(super) const WORK: &str = "answering pods";

/// How often progress is looked at when systemd has no watchdog on us.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often it is said that there is none.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Pings, and says what a reload would change, until a signal to end or until another proxy takes over.
pub(super) async fn watch(proxy: &Proxy, settings: &Settings, file: &SettingsFile, signals: &mut Signals) {
    let watchdog = sd::watchdog_interval();
    let mut ticks = interval(watchdog.unwrap_or(LOOK_EVERY));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut gate = Gate::new(SAY_EVERY);
    loop {
        tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => reload(settings, file),
                Signal::Terminate | Signal::Interrupt => return,
            },
            () = proxy.replaced() => {
                tracing::info!("Another proxy answers pods from now on.");
                return;
            }
            _ = ticks.tick() => {
                let health = proxy.health();
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

/// No setting changes while pods are answered: who may have what is decided by one set of settings from start to end. A reload
/// says what a restart would change.
fn reload(settings: &Settings, file: &SettingsFile) {
    sd::reloading();
    match file.load() {
        Ok(loaded) => {
            let waiting = differing(settings, &loaded.value).join(", ");
            if waiting.is_empty() {
                tracing::info!(file = %file.path().display(), "The settings were read again; they are those in force.");
                sd::reloaded(WORK);
            } else {
                tracing::warn!(
                    needs_a_restart = waiting,
                    "The settings were read again; what differs needs a restart."
                );
                sd::reloaded(&format!("{WORK}; needs a restart: {waiting}"));
            }
        }
        Err(error) => {
            tracing::error!(%error, "The settings file is refused; the old settings go on, and a restart would fail.");
            sd::reloaded(&format!("{WORK}; the settings file is refused, the old settings go on"));
        }
    }
}

/// Answers what is under way, within the grace; a second signal ends it at once.
pub(super) async fn finish(proxy: Proxy, signals: &mut Signals) -> u8 {
    tracing::info!(
        "Ending: no more pods are let in; the redirect stays, so they are refused until a proxy runs again."
    );
    sd::stopping("answering what is under way");
    let again = async { while signals.next().await == Signal::Reload {} };
    tokio::select! {
        () = proxy.shutdown() => exit::OK,
        () = again => {
            tracing::warn!("Ended at once by a second signal.");
            exit::FAILED
        }
    }
}
