//! How the heartbeat goes, as metrics.

use std::fmt::Error;

use prometheus_client::encoding::DescriptorEncoder;
use safeguard_heartbeat::{State, Status};

use super::{Labels, gauge};

pub(super) fn encode(out: &mut DescriptorEncoder<'_>, status: &Status) -> Result<(), Error> {
    let none = || -> Labels<'_> { Vec::new() };
    let at = status.acknowledged.map_or(0, |acknowledged| acknowledged.at_ms / 1_000);
    let what = "When the safeguard last acknowledged a beat, in seconds since 1970; 0 if it never did";
    let acknowledged = u64::try_from(at).unwrap_or(0);
    gauge(out, "safeguard_heartbeat_acknowledged_timestamp_seconds", what, [(none(), acknowledged)])?;
    let what = "Beats that wait to be sent";
    gauge(out, "safeguard_heartbeat_waiting_beats", what, [(none(), u64::from(status.waiting))])?;
    let what = "Tries in a row that failed";
    let failed = status.trouble.as_ref().map_or(0, |trouble| u64::from(trouble.tries));
    gauge(out, "safeguard_heartbeat_failed_tries", what, [(none(), failed)])?;
    let seen = status.posture.as_ref().map(|posture| posture.state);
    let states = State::ALL.into_iter().map(|state| {
        let labels: Labels<'_> = vec![("state", state.as_str())];
        (labels, u64::from(seen == Some(state)))
    });
    gauge(out, "safeguard_heartbeat_state", "How the safeguard sees this node: 1 for its state", states)
}
