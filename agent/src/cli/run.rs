//! `run`: what is done once, for the whole process, around the agent.

use std::path::PathBuf;
use std::time::Duration;

use safeguard_agent::config::SettingsFile;
use safeguard_agent::{Agent, Environment, StartError};
use safeguard_daemon::lock::LockError;
use safeguard_daemon::shutdown::{Signal, Signals};
use safeguard_daemon::telemetry::quiet;
use safeguard_daemon::terminal::{complain, exit};
use safeguard_daemon::{open_files, sd, seccomp};

use super::service;

/// Threads of the runtime: it ships and answers; reading has a thread of its own.
const WORKERS: usize = 2;

/// For a thread that waits for a disk when everything else has ended.
const LAST_WAIT: Duration = Duration::from_millis(500);

pub(super) fn run(config: Option<PathBuf>) -> u8 {
    let file = SettingsFile::new(config);
    let settings = match file.load() {
        Ok(loaded) => loaded.value,
        Err(error) => return complain(exit::USAGE, &error.to_string()),
    };
    if let Err(error) = quiet(&settings.log).install() {
        return complain(exit::USAGE, &error.to_string());
    }
    // Before the first byte that a container wrote can be read.
    if let Err(error) = seccomp::confine() {
        tracing::error!(%error, "The seccomp filter is not in force: programs can be started from this process, and others reached. It runs on without that protection.");
    }
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(exit::FAILED, &format!("cannot start: {error}")),
    };
    let code = runtime.block_on(async {
        let mut signals = match Signals::install() {
            Ok(signals) => signals,
            Err(error) => return complain(exit::FAILED, &format!("cannot listen for signals: {error}")),
        };
        let starting = Agent::start(settings, Environment::of_process());
        let agent = tokio::select! {
            agent = starting => agent,
            () = end(&mut signals) => return exit::OK,
        };
        match agent {
            Ok(agent) => serve(agent, &file, &mut signals).await,
            Err(error) => refuse(&error),
        }
    });
    runtime.shutdown_timeout(LAST_WAIT);
    code
}

async fn serve(agent: Agent, file: &SettingsFile, signals: &mut Signals) -> u8 {
    let names = &agent.resolved().names;
    let metrics = agent.metrics().map(tracing::field::display);
    let (socket, version) = (agent.socket().display(), env!("CARGO_PKG_VERSION"));
    tracing::info!(version, node = names.node, cluster = names.cluster, region = names.region, %socket, metrics, "Ready.");
    sd::ready("shipping container logs");
    service::watch(&agent, file, signals).await;
    service::drain(agent, signals).await
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
