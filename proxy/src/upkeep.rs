//! What goes on without anybody asking: sessions are fetched before their pods ask, and again before they end; what belongs to pods
//! that are gone is forgotten.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use safeguard_daemon::shutdown::Shutdown;
use safeguard_pods::Reader;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::answer::Stages;
use crate::assume::LOOK_EVERY;
use crate::authorise::SessionKey;
use crate::standing::Standing;

/// How often the CNI's directory is looked at. A pod's file is there 0.2 to 0.4 s before its first instruction (research section 5c).
const CNI_EVERY: Duration = Duration::from_millis(50);

/// Keeps everything fresh until `stop`.
pub(crate) async fn upkeep(stages: Arc<Stages>, pods: Reader, standing: Arc<Standing>, prefetch: bool, stop: Shutdown) {
    let mut changes = pods.changes();
    let mut ticks = interval(CNI_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut results = None;
    let mut next_look = Instant::now();
    loop {
        let changed = tokio::select! {
            () = stop.requested() => return,
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
                true
            }
            _ = ticks.tick() => false,
        };
        standing.turned();
        let now = Instant::now();
        let generation = stages.identify.generation();
        let due = now >= next_look;
        if changed || due || generation != results {
            results = generation;
            let wanted = wanted(&stages, prefetch);
            if due {
                next_look = now + LOOK_EVERY;
                forget(&stages, &pods);
                stages.sessions.maintain(&wanted);
            }
        }
    }
}

/// The sessions that living pods are entitled to; those that are missing are fetched.
fn wanted(stages: &Stages, prefetch: bool) -> HashSet<Arc<SessionKey>> {
    let mut wanted = HashSet::new();
    for pod in stages.identify.all() {
        if let Ok(grant) = &stages.decide.about(&pod).outcome
            && wanted.insert(grant.key().clone())
            && prefetch
        {
            stages.sessions.prefetch(grant);
        }
    }
    wanted
}

fn forget(stages: &Stages, pods: &Reader) {
    let alive: HashSet<Arc<str>> = pods.pods().iter().map(|pod| pod.uid.clone()).collect();
    stages.decide.retain(&alive);
    stages.audit.retain(&alive);
}
