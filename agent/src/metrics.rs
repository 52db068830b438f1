//! Metrics for Prometheus, written afresh from a snapshot at each scrape.
//!
//! Containers come and go, and their series with them. What has to stay countable over the life of the agent is in the
//! `safeguard_logs_node_*` series, which count every log that ever was. A container's series have the labels `namespace`,
//! `pod` and `container`, a file's `path`, and a journal unit's `unit`.

mod checked;
mod heartbeat;

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode as encode_text;
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use safeguard_checks::continuous::Snapshot as CheckSnapshot;
use safeguard_heartbeat::Status as HeartbeatStatus;
use safeguard_logs::{Count, Ledger, LogName, Status};

/// What `encode` writes (OpenMetrics 1.0, which Prometheus and the CloudWatch agent read).
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of all metrics. Without a snapshot only those of the process are there.
pub(crate) fn encode(
    status: Option<&Status>,
    checks: Option<Arc<CheckSnapshot>>,
    heartbeat: Option<HeartbeatStatus>,
    healthy: bool,
) -> Result<String, Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot { status: status.cloned(), checks, heartbeat, healthy }));
    let mut text = String::new();
    encode_text(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Snapshot {
    status: Option<Status>,
    checks: Option<Arc<CheckSnapshot>>,
    heartbeat: Option<HeartbeatStatus>,
    healthy: bool,
}

type Labels<'a> = Vec<(&'static str, &'a str)>;
/// Of an exemplar, which there is none.
type NoLabels = [(&'static str, &'static str); 0];
/// A series: its labels and its value.
type Series<'a> = (Labels<'a>, u64);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let out = &mut encoder;
        gauge(out, "safeguard_healthy", "Whether the agent makes progress", [(vec![], u64::from(self.healthy))])?;
        let version = vec![("version", env!("CARGO_PKG_VERSION"))];
        gauge(out, "safeguard_build_info", "Version of the agent", [(version, 1)])?;
        if let Some(checks) = &self.checks {
            checked::encode(out, checks)?;
        }
        if let Some(heartbeat) = &self.heartbeat {
            heartbeat::encode(out, heartbeat)?;
        }
        let Some(status) = &self.status else { return Ok(()) };
        logs(out, status)?;
        node(out, &status.total)?;
        targets(out, status)?;
        room(out, status)
    }
}

/// Series of one log. Two pods of one name, an old one that is still read and its successor, share theirs.
struct Log<'a> {
    ledger: Ledger,
    behind: u64,
    labels: Labels<'a>,
}

fn labels(name: &LogName) -> Labels<'_> {
    match name {
        LogName::Container(key) => {
            vec![("namespace", &key.namespace), ("pod", &key.pod), ("container", &key.container)]
        }
        LogName::File { path } => vec![("path", path)],
        LogName::Unit { unit } => vec![("unit", unit)],
    }
}

fn logs(out: &mut DescriptorEncoder<'_>, status: &Status) -> Result<(), Error> {
    let mut by_name: BTreeMap<Labels<'_>, Log<'_>> = BTreeMap::new();
    for log in &status.logs {
        let labels = labels(&log.name);
        let new = || Log { ledger: Ledger::default(), behind: 0, labels: labels.clone() };
        let series = by_name.entry(labels.clone()).or_insert_with(new);
        series.ledger.add(&log.ledger);
        series.behind += log.behind_bytes;
    }
    let all: Vec<&Log<'_>> = by_name.values().collect();
    let each = |value: fn(&Log<'_>) -> u64| all.iter().map(move |c| (c.labels.clone(), value(c)));
    for (name, what, count) in ACCOUNT {
        let (lines, bytes) = (format!("safeguard_logs_{name}_lines"), format!("safeguard_logs_{name}_bytes"));
        let counts: Vec<(Labels<'_>, Count)> = all.iter().map(|c| (c.labels.clone(), count(&c.ledger))).collect();
        counter(out, &lines, &format!("Lines {what}"), counts.iter().map(|(l, c)| (l.clone(), c.events)))?;
        counter(out, &bytes, &format!("Bytes of log files {what}"), counts.iter().map(|(l, c)| (l.clone(), c.bytes)))?;
    }
    let lost: Vec<(Labels<'_>, Count)> = all
        .iter()
        .flat_map(|c| c.ledger.lost().map(|(reason, count)| (with(&c.labels, "reason", reason.name()), count)))
        .collect();
    let (lines, bytes) =
        (lost.iter().map(|(l, c)| (l.clone(), c.events)), lost.iter().map(|(l, c)| (l.clone(), c.bytes)));
    counter(out, "safeguard_logs_lost_lines", "Lines that will never be delivered", lines)?;
    counter(out, "safeguard_logs_lost_bytes", "Bytes of log files that will never be delivered", bytes)?;
    for (name, what, value) in REMARKS {
        counter(
            out,
            &format!("safeguard_logs_{name}"),
            what,
            all.iter().map(|c| (c.labels.clone(), value(&c.ledger))),
        )?;
    }
    let in_flight = "Lines in batches that are not settled";
    gauge(out, "safeguard_logs_in_flight_lines", in_flight, each(|c| c.ledger.in_flight.events))?;
    let in_flight = "Bytes of log files in batches that are not settled";
    gauge(out, "safeguard_logs_in_flight_bytes", in_flight, each(|c| c.ledger.in_flight.bytes))?;
    gauge(out, "safeguard_logs_behind_bytes", "Bytes that were written and are not settled", each(|c| c.behind))
}

/// Name, meaning and value of a count of a ledger.
type Counted = (&'static str, &'static str, fn(&Ledger) -> Count);
const ACCOUNT: [Counted; 4] = [
    ("read", "taken from log files", |l| l.read),
    ("delivered", "accepted by CloudWatch Logs", |l| l.delivered),
    ("returned", "given back to their files, to be read again", |l| l.returned),
    ("excluded", "left out by word of their pods", |l| l.excluded),
];

/// The same for what is told about lines beside the balance.
type Remark = (&'static str, &'static str, fn(&Ledger) -> u64);
const REMARKS: [Remark; 5] = [
    ("abandoned_bytes", "Bytes that were deleted before they were read", |l| l.abandoned_bytes),
    ("repaired_lines", "Lines delivered with a replacement for invalid UTF-8", |l| l.repaired),
    ("malformed_lines", "Lines delivered whole although they are not in the CRI format", |l| l.malformed),
    ("retimed_lines", "Lines delivered under the present time instead of a future one", |l| l.retimed),
    ("split_parts", "Events beyond the first of lines longer than an event", |l| l.split_parts),
];

fn node(out: &mut DescriptorEncoder<'_>, total: &Ledger) -> Result<(), Error> {
    for (name, what, count) in ACCOUNT {
        let count = count(total);
        let lines = format!("safeguard_logs_node_{name}_lines");
        counter(out, &lines, &format!("Lines {what}, of all logs ever"), [(vec![], count.events)])?;
        let bytes = format!("safeguard_logs_node_{name}_bytes");
        counter(out, &bytes, &format!("Bytes of log files {what}, of all logs ever"), [(vec![], count.bytes)])?;
    }
    let lost = total.lost();
    let reasons = |value: fn(Count) -> u64| lost.map(|(reason, count)| (vec![("reason", reason.name())], value(count)));
    let what = "Lines that will never be delivered, of all logs ever";
    counter(out, "safeguard_logs_node_lost_lines", what, reasons(|c| c.events))?;
    let what = "Bytes of log files that will never be delivered, of all logs ever";
    counter(out, "safeguard_logs_node_lost_bytes", what, reasons(|c| c.bytes))?;
    let what = "Bytes that were deleted before they were read, of all logs ever";
    counter(out, "safeguard_logs_node_abandoned_bytes", what, [(vec![], total.abandoned_bytes)])
}

fn targets(out: &mut DescriptorEncoder<'_>, status: &Status) -> Result<(), Error> {
    let each = |value: fn(&safeguard_logs::TargetStatus) -> u64| {
        status.targets.iter().map(move |t| (vec![("group", t.group.as_str()), ("stream", t.stream.as_str())], value(t)))
    };
    let what = "Deliveries to a log stream that failed in a row";
    gauge(out, "safeguard_logs_target_failures", what, each(|t| u64::from(t.failures)))?;
    let what = "Seconds since deliveries to a log stream fail";
    gauge(out, "safeguard_logs_target_failing_seconds", what, each(|t| t.failing_seconds.unwrap_or(0)))?;
    let what = "Batches sent to a log stream and not settled";
    gauge(out, "safeguard_logs_target_outstanding_batches", what, each(|t| u64::from(t.outstanding)))
}

fn room(out: &mut DescriptorEncoder<'_>, status: &Status) -> Result<(), Error> {
    counter(out, "safeguard_logs_requests", "Requests that CloudWatch Logs accepted", [(vec![], status.requests)])?;
    counter(out, "safeguard_logs_wire_bytes", "Bytes of their bodies", [(vec![], status.wire_bytes)])?;
    for (name, what, value) in [
        ("memory_bytes", "Memory that batches hold", status.memory_bytes),
        ("memory_budget_bytes", "Most memory that batches may hold", status.memory_budget_bytes),
        ("pinned_bytes", "Disk space of deleted files that are held until they are delivered", status.pinned_bytes),
        ("inotify", "Whether inotify announces new files; if not, directories are listed", u64::from(status.inotify)),
        ("checkpoint_failing", "Whether checkpoints cannot be written", u64::from(status.checkpoint_error.is_some())),
    ] {
        gauge(out, &format!("safeguard_logs_{name}"), what, [(vec![], value)])?;
    }
    if let Some(exclusions) = &status.exclusions {
        let what = "Containers that are left out now by word of their pods";
        gauge(out, "safeguard_logs_excluded_containers", what, [(vec![], u64::from(exclusions.containers))])?;
        let what = "Whether the word of pods about their logs is not known, or not all of it obeyed";
        let problem = u64::from(exclusions.problem.is_some());
        gauge(out, "safeguard_logs_exclusions_problem", what, [(vec![], problem)])?;
    }
    if let Some(journal) = &status.journal {
        let what = "Journal entries that were written and are not settled";
        gauge(out, "safeguard_logs_journal_behind_entries", what, [(vec![], journal.behind_entries)])?;
        let what = "Journal entries that were deleted before they were read";
        counter(out, "safeguard_logs_journal_vacuumed_entries", what, [(vec![], journal.vacuumed_entries)])?;
        let what = "Journal entries of which something cannot be read because their file is damaged";
        counter(out, "safeguard_logs_journal_damaged_entries", what, [(vec![], journal.damaged_entries)])?;
    }
    let age = status.checkpoint_age_ms.into_iter().map(|ms| (vec![], ms.div_ceil(1_000)));
    gauge(out, "safeguard_logs_checkpoint_age_seconds", "Seconds since the last checkpoint was written", age)
}

fn with<'a>(labels: &Labels<'a>, name: &'static str, value: &'a str) -> Labels<'a> {
    labels.iter().copied().chain([(name, value)]).collect()
}

/// Writes a counter; `_total` is added to its name.
fn counter<'a>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = Series<'a>>,
) -> Result<(), Error> {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in series {
        match labels.is_empty() {
            true => metric.encode_counter::<NoLabels, u64, u64>(&value, None)?,
            false => metric.encode_family(&labels)?.encode_counter::<NoLabels, u64, u64>(&value, None)?,
        }
    }
    Ok(())
}

fn gauge<'a>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    series: impl IntoIterator<Item = Series<'a>>,
) -> Result<(), Error> {
    let mut metric = out.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in series {
        match labels.is_empty() {
            true => metric.encode_gauge(&value)?,
            false => metric.encode_family(&labels)?.encode_gauge(&value)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
