//! What happens while pods ask: one ends and another gets its address, an annotation changes, STS is away.

use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Clients;
use super::pods::{CATALOG, CATALOG_AGAIN, IMPORT, MIGRATE};
use super::services::Services;

/// How long an address belongs to nobody before the next pod gets it.
const FREE: Duration = Duration::from_secs(1);

/// How long STS is away.
const OUTAGE: Duration = Duration::from_secs(2);

/// Plays it once in `length`, and says so. With `trouble` STS is away once.
pub(super) async fn play(
    services: &Services,
    clients: &Clients,
    length: Duration,
    trouble: bool,
    say: &UnboundedSender<String>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    // Who listens is gone only when the demo is over.
    let said = |text: String| drop(say.send(text));

    sleep_until(started + length / 4).await;
    clients.end(MIGRATE).await;
    services.remove(MIGRATE);
    said(format!("the pod {} has ended; its address {} is free", MIGRATE.called(), MIGRATE.address));
    sleep(FREE).await;
    services.run(IMPORT);
    clients.start(Some(IMPORT), IMPORT.address, IMPORT.due());
    said(format!("the pod {} starts, and has the address {}", IMPORT.called(), IMPORT.address));

    sleep_until(started + length / 2).await;
    clients.now_due(CATALOG, CATALOG_AGAIN.due());
    services.run(CATALOG_AGAIN);
    let role = CATALOG_AGAIN.asks.unwrap_or_default();
    said(format!("the annotation of {} is changed: it asks for {role} now", CATALOG.called()));

    sleep_until(started + length * 7 / 10).await;
    if trouble {
        services.sts.go_down().await;
        clients.sts_is_away(true);
        said(format!("INJECTED: STS is away for {} s; sessions that there are go on", OUTAGE.as_secs()));
        sleep(OUTAGE).await;
        clients.sts_is_away(false);
        services.sts.come_up().await.context("bring the stand-in of STS up again")?;
        said("INJECTED: STS is back".to_owned());
    }
    Ok(())
}
