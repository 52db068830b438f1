//! `serve` and `key show`

use safeguard::config::Settings;
use safeguard::reply_key;
use safeguard::server::{Server, StartError};
use safeguard_daemon::lock::LockError;
use safeguard_daemon::shutdown::{Signal, Signals};
use safeguard_daemon::telemetry::quiet;
use safeguard_daemon::terminal::{complain, exit, print};
use safeguard_daemon::{clock, open_files, sd};

pub(super) fn serve(settings: &Settings) -> u8 {
    if let Err(error) = quiet(&settings.log).install() {
        return complain(exit::USAGE, &error.to_string());
    }
    open_files::raise_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return complain(exit::FAILED, &format!("cannot start: {error}")),
    };
    runtime.block_on(async {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => return complain(exit::FAILED, &format!("cannot listen for signals: {error}")),
        };
        let server = match Server::start(settings, clock::now_ms).await {
            Ok(server) => server,
            Err(error) => {
                tracing::error!(%error, "Cannot start.");
                return match error {
                    StartError::Lock(LockError::Held { .. }) => exit::BUSY,
                    StartError::Settings(_) | StartError::Verify(_) => exit::USAGE,
                    _ => exit::FAILED,
                };
            }
        };
        let (version, address, key) = (env!("CARGO_PKG_VERSION"), server.address(), server.public_key());
        tracing::info!(version, %address, %key, tenants = settings.verify.tenants.len(), "Ready.");
        sd::ready("taking beats");
        while signals.next().await == Signal::Reload {
            tracing::warn!("Settings are read at the start only: restart to take them over.");
        }
        tracing::info!("Ending: storing what is under way.");
        server.shutdown().await;
        exit::OK
    })
}

pub(super) fn show_key(settings: &Settings) -> u8 {
    match reply_key::load_or_make(&settings.server.state_dir) {
        Ok(key) => print(&format!("{}\n", key.public())),
        Err(error) => complain(exit::FAILED, &error.to_string()),
    }
}
