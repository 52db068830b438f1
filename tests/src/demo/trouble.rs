//! What goes wrong on purpose: CloudWatch Logs throttles for a moment, and later is gone for two seconds.

use std::sync::Arc;
use std::time::Duration;

use safeguard_standins::{CloudWatch, Fault, Op};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

/// Requests that are throttled.
const THROTTLED: u32 = 2;

/// How long the service is gone.
const OUTAGE: Duration = Duration::from_secs(2);

/// Causes both, at a fifth and at three fifths of the demo's `length`, and says so.
pub(super) async fn cause(service: Arc<CloudWatch>, length: Option<Duration>, say: UnboundedSender<String>) {
    let length = length.unwrap_or(Duration::from_secs(30));
    let started = Instant::now();
    // Who listens is gone only when the demo is over.
    let said = |text: String| drop(say.send(text));

    tokio::time::sleep_until(started + length / 5).await;
    service.faults().next(Op::PutLogEvents, THROTTLED, Fault::throttled());
    said(format!("INJECTED: the stand-in throttles the next {THROTTLED} PutLogEvents requests"));
    while service.faults().pending() > 0 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    said("INJECTED: throttling is over".to_owned());

    tokio::time::sleep_until(started + length * 3 / 5).await;
    service.go_down().await;
    said(format!("INJECTED: outage, the stand-in refuses connections for {} s", OUTAGE.as_secs()));
    tokio::time::sleep(OUTAGE).await;
    match service.come_up().await {
        Ok(()) => said("INJECTED: outage is over".to_owned()),
        Err(error) => said(format!("the stand-in cannot listen again: {error}")),
    }
}
