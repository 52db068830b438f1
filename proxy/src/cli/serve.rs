//! `serve`: what is done once, for the whole process, around the proxy.

use std::path::PathBuf;
use std::time::Duration;

use safeguard_daemon::lock::LockError;
use safeguard_daemon::shutdown::{Signal, Signals};
use safeguard_daemon::telemetry::quiet;
use safeguard_daemon::terminal::{complain, exit};
use safeguard_daemon::{open_files, sd, seccomp};
use safeguard_proxy::config::{Environment, Settings, SettingsFile};
use safeguard_proxy::{Other, Proxy, StartError};

use super::service;

/// Threads of the runtime: requests are answered from memory.
const WORKERS: usize = 2;

/// For a thread that waits for a disk when everything else has ended.
const LAST_WAIT: Duration = Duration::from_millis(500);

pub(super) fn serve(config: Option<PathBuf>, replace: bool) -> u8 {
    let file = SettingsFile::new(config);
    let settings = match file.load() {
        Ok(loaded) => loaded.value,
        Err(error) => return complain(exit::USAGE, &error.to_string()),
    };
    if let Err(error) = quiet(&settings.log).install() {
        return complain(exit::USAGE, &error.to_string());
    }
    // Before the first byte of a pod can be read.
    if let Err(error) = seccomp::confine() {
        tracing::error!(%error, "The seccomp filter is not in force: programs can be started from this process, and others reached. It runs on without that protection.");
    }
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(exit::FAILED, &format!("cannot start: {error}")),
    };
    let other = if replace { Other::Replace } else { Other::Refuse };
    let code = runtime.block_on(async {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => return complain(exit::FAILED, &format!("cannot listen for signals: {error}")),
        };
        let starting = Proxy::start(settings.clone(), Environment::of_process(), other);
        let proxy = tokio::select! {
            proxy = starting => proxy,
            () = end(&mut signals) => return exit::OK,
        };
        match proxy {
            Ok(proxy) => run(proxy, &settings, &file, &mut signals).await,
            Err(error) => refuse(&error),
        }
    });
    runtime.shutdown_timeout(LAST_WAIT);
    code
}

async fn run(proxy: Proxy, settings: &Settings, file: &SettingsFile, signals: &mut Signals) -> u8 {
    let resolved = proxy.resolved();
    let (node, region) = (&resolved.node, &resolved.region);
    let addresses = proxy.addresses().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let metrics = proxy.metrics().map(tracing::field::display);
    let (socket, version) = (proxy.socket().display(), env!("CARGO_PKG_VERSION"));
    tracing::info!(version, node, region, addresses, %socket, metrics, "Ready.");
    sd::ready(service::WORK);
    service::watch(&proxy, settings, file, signals).await;
    service::finish(proxy, signals).await
}

/// Waits for a signal to end.
async fn end(signals: &mut Signals) {
    while signals.next().await == Signal::Reload {}
}

fn refuse(error: &StartError) -> u8 {
    tracing::error!(%error, "Cannot start.");
    match error {
        StartError::Lock(LockError::Held { .. }) => exit::BUSY,
        StartError::Settings(_) => exit::USAGE,
        _ => exit::FAILED,
    }
}
