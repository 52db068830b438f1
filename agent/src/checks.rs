//! Hands the room of the checks what it needs, and says in the agent's log what it finds.

mod clock;
mod kubelet;

use std::sync::Arc;
use std::time::Duration;

use safeguard_aws::status_without_token;
use safeguard_checks::continuous::{Checks, Drift, Settings as RoomSettings, Snapshot, StartError};
use safeguard_checks::{Host, Inputs, NodeScope, Phase, Sources, Status};
use safeguard_daemon::clock::now_ms;
use safeguard_daemon::shutdown::Shutdown;
use safeguard_host::HostRoot;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tokio::task::JoinSet;

#[cfg(feature = "fuzzing")]
pub(crate) use clock::read as clock_of;

use crate::agent::StartError as AgentError;
use crate::config::{Environment, Resolved, Settings, Source};
use kubelet::Kubelet;

/// Changes of one evaluation that are told one by one; the others are counted.
const MOST_TOLD: usize = 50;

/// Starts the room, and the task that tells what it finds.
pub(crate) fn start(
    settings: &Settings,
    resolved: &Resolved,
    environment: &Environment,
    tasks: &mut JoinSet<()>,
    shutdown: &Shutdown,
) -> Result<Checks, AgentError> {
    let open = || HostRoot::open(&settings.node.host_root);
    let host = open()?;
    let checks = &settings.checks;
    let room = RoomSettings {
        sources: Sources {
            policies: checks.policies.clone(),
            directory: Some(checks.policy_dir.clone()),
            exceptions: Some(checks.exceptions.clone()),
            directory_required: false,
            exceptions_required: false,
            eks_exceptions: checks.eks_exceptions,
            level: checks.level,
            only: Vec::new(),
            node: NodeScope { node_group: checks.node_group.clone(), labels: checks.labels.clone() },
        },
        interval: checks.interval.0,
        state_dir: settings.agent.state_dir.join("checks"),
    };
    let node = match resolved.names.node.as_str() {
        // Names of groups and streams did not need it.
        "" => Host::new(open()?, Phase::Run).name().unwrap_or_else(|| "unnamed".to_owned()),
        name => name.to_owned(),
    };
    let (learnt, inputs) = watch::channel(Inputs { node: node.clone(), ..Inputs::default() });
    let (room, drifts) = Checks::start(room, host, inputs, now_ms).map_err(|error: StartError| error)?;
    let endpoint = resolved.found.or(settings.aws.imds_endpoint.as_ref(), "aws.imds_endpoint");
    let asks = endpoint.is_some() || is_instance(resolved);
    let kubelet = Kubelet::new(settings, resolved, environment, node);
    let (latest, looked, ended) = (room.subscribe(), room.subscribe(), shutdown.clone());
    let (every, told, timed) = (checks.interval.0, learnt.clone(), learnt.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = tell(latest, drifts) => {}
            () = ask_imds(learnt, endpoint, every), if asks => {}
            () = clock::ask(timed, every) => {}
            () = kubelet::ask(told, looked, || kubelet.configz()) => {}
            () = ended.requested() => {}
        }
    });
    Ok(room)
}

/// Whether the metadata service was asked already, and answered: elsewhere nothing is sent to its address.
fn is_instance(resolved: &Resolved) -> bool {
    resolved.found.iter().any(|(_, _, source)| matches!(source, Source::Imds | Source::Tag(_)))
}

/// Sees at each interval whether the metadata service refuses requests without a token.
async fn ask_imds(learnt: watch::Sender<Inputs>, endpoint: Option<String>, every: Duration) {
    loop {
        let status = status_without_token(endpoint.as_deref()).await.map_err(|error| error.to_string());
        learnt.send_if_modified(|inputs| replace(&mut inputs.tokenless_imds, status));
        tokio::time::sleep(every).await;
    }
}

/// Whether this is another answer than the last one, which it takes the place of.
fn replace<T: PartialEq>(known: &mut Option<T>, answer: T) -> bool {
    let new = Some(answer);
    let differs = *known != new;
    *known = new;
    differs
}

/// The first result, problems when they are others than before, and every drift.
async fn tell(mut latest: watch::Receiver<Option<Arc<Snapshot>>>, mut drifts: UnboundedReceiver<Drift>) {
    let (mut first, mut problems) = (true, Vec::new());
    loop {
        tokio::select! {
            drift = drifts.recv() => match drift {
                Some(drift) => tell_drift(&drift),
                None => return,
            },
            changed = latest.changed() => {
                let Some(snapshot) = latest.borrow_and_update().clone().filter(|_| changed.is_ok()) else { continue };
                if std::mem::take(&mut first) {
                    tell_first(&snapshot);
                }
                if snapshot.problems != problems {
                    for problem in &snapshot.problems {
                        tracing::error!(problem, "The host checks go on without something.");
                    }
                    problems.clone_from(&snapshot.problems);
                }
            }
        }
    }
}

fn tell_first(snapshot: &Snapshot) {
    for policy in &snapshot.report.policies {
        let (counts, name) = (&policy.counts, policy.policy.as_str());
        let (pass, fail, excepted, unknown) = (counts.pass, counts.fail, counts.excepted, counts.unknown);
        let coverage_percent = counts.coverage();
        tracing::info!(policy = name, pass, fail, excepted, unknown, coverage_percent, "Looked at the host.");
    }
}

fn tell_drift(drift: &Drift) {
    for change in drift.changes.iter().take(MOST_TOLD) {
        let (from, to) = (change.from.map_or("-", Status::word), change.to.map_or("-", Status::word));
        let (control, title, because) = (&change.control, &change.title, &change.because);
        match change.to {
            Some(Status::Fail | Status::Unknown) => {
                tracing::warn!(control, from, to, title, because, "A control has drifted.");
            }
            _ => tracing::info!(control, from, to, title, because, "A control has another status."),
        }
    }
    if let Some(more) = drift.changes.len().checked_sub(MOST_TOLD).filter(|more| *more > 0) {
        tracing::warn!(more, "More controls have another status.");
    }
    for drop in &drift.coverage {
        tracing::warn!(
            policy = drop.policy,
            from_percent = drop.from,
            to_percent = drop.to,
            applicable_before = drop.applicable_before,
            applicable_now = drop.applicable_now,
            "Less is known about the host than before."
        );
    }
}
