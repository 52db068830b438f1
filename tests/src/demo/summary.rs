//! The end: every line that was written, looked for by its number in what the stand-in holds.

use std::time::Duration;

use safeguard_agent::Summary as LastWord;
use safeguard_standins::{CloudWatch, Op};

use super::screen::Paint;
use super::table::bytes;
use crate::node::{Report, SampleLog, SampleNode, WriterReport};

/// What was written, what arrived, and what the agent says about it.
#[derive(Debug)]
pub(super) struct Summary {
    logs: Vec<SampleLog>,
    report: Report,
    agent: LastWord,
    looks: u64,
    imbalances: Vec<String>,
    requests: u64,
    received: u64,
    faults: u64,
    rejected: u64,
}

impl Summary {
    pub(super) fn new(node: &SampleNode, service: &CloudWatch, agent: LastWord, balance: (u64, &[String])) -> Self {
        let mut check = node.oracle().check();
        service.for_each_event(|group, stream, event| check.see(group, stream, event.timestamp, event.message));
        let counts = service.counts();
        let puts = counts.op(Op::PutLogEvents);
        let rejected = counts.events_rejected;
        Self {
            logs: node.written().into_iter().map(|(log, _)| log).collect(),
            report: check.report(),
            agent,
            looks: balance.0,
            imbalances: balance.1.to_vec(),
            requests: puts.calls,
            received: counts.bytes_received,
            faults: puts.faults,
            rejected: rejected.too_old + rejected.too_new + rejected.expired,
        }
    }

    /// Whether nothing was lost or damaged, and the agent's own account says the same.
    pub(super) fn is_good(&self) -> bool {
        self.report.is_complete() && self.problems().is_empty()
    }

    /// What is wrong with the agent's account.
    fn problems(&self) -> Vec<String> {
        let agent = &self.agent;
        if agent.stuck {
            return vec!["the agent gave no last word".to_owned()];
        }
        let mut problems: Vec<String> = self.imbalances.iter().take(5).cloned().collect();
        problems.extend(agent.total.imbalance());
        for left in &agent.left {
            let why = left.error.as_deref().unwrap_or("no error");
            problems.push(format!("{} of {} were left: {why}", bytes(left.behind_bytes), left.log));
        }
        if !agent.complete && agent.left.is_empty() {
            problems.push("the agent did not deliver everything in time".to_owned());
        }
        if agent.total.abandoned_bytes > 0 {
            problems.push(format!("{} were deleted before they were read", bytes(agent.total.abandoned_bytes)));
        }
        for (reason, count) in agent.total.lost().into_iter().filter(|(_, count)| count.events > 0) {
            problems.push(format!("{} lines were given up: {}", count.events, reason.name()));
        }
        if agent.total.delivered.events != self.report.delivered_distinct() {
            problems.push(format!(
                "the agent counts {} lines as delivered, and the stand-in holds {}",
                agent.total.delivered.events,
                self.report.delivered_distinct()
            ));
        }
        problems
    }

    /// For the reader.
    pub(super) fn lines(&self, drained_in: Duration, paint: Paint) -> Vec<String> {
        let heading = format!(
            "{:<44} {:>9} {:>9} {:>6} {:>8} {:>10} {:>12}",
            "log", "written", "delivered", "lost", "damaged", "duplicated", "out of order"
        );
        let mut lines = vec![
            format!("Drained in {}.{} s.", drained_in.as_secs(), drained_in.subsec_millis() / 100),
            String::new(),
            "Every line carries the tag of who wrote it, a number and a checksum; this is what the stand-in holds:"
                .to_owned(),
            paint.bold(&heading),
        ];
        let mut writers = &self.report.writers[..];
        for log in &self.logs {
            // Standard output and standard error have numbers of their own.
            let numbered = if matches!(log, SampleLog::Container(_)) { 2 } else { 1 };
            let (of_log, rest) = writers.split_at(numbered.min(writers.len()));
            lines.push(row(&log.to_string(), of_log, paint));
            writers = rest;
        }
        lines.push(paint.bold(&row("total", &self.report.writers, paint)));
        lines.push(String::new());
        lines.extend(self.account(paint));
        lines.push(self.verdict(paint));
        lines
    }

    fn account(&self, paint: Paint) -> Vec<String> {
        let total = &self.agent.total;
        let lost: u64 = total.lost().iter().map(|(_, count)| count.events).sum();
        let balance = if self.problems().is_empty() {
            paint.green(&format!("it balances, as at each of {} looks before", self.looks))
        } else {
            paint.red("see below")
        };
        vec![
            format!(
                "The agent's account: read {} = delivered {} + in flight {} + returned {} + given up {lost}: {balance}.",
                total.read.events, total.delivered.events, total.in_flight.events, total.returned.events
            ),
            format!(
                "{} PutLogEvents requests, {} of them met an injected fault; {} received on the wire; {} events rejected.",
                self.requests,
                self.faults,
                bytes(self.received),
                self.rejected
            ),
        ]
    }

    fn verdict(&self, paint: Paint) -> String {
        let report = &self.report;
        if self.is_good() {
            let once = match report.duplicated() {
                0 => "none was delivered twice".to_owned(),
                n => format!("{n} were delivered again, because the receipt of their request was lost in the outage"),
            };
            let text = format!("NOTHING WAS LOST: {} lines written, each one delivered; {once}.", report.written());
            let text = paint.green(&text);
            return if report.out_of_order() > 0 { format!("{text}\nOut of order: {report}") } else { text };
        }
        let mut wrong = self.problems();
        if !report.is_complete() {
            wrong.insert(0, report.to_string());
        }
        paint.red(&format!("NOT GOOD: {}", wrong.join("\n  ")))
    }
}

fn row(name: &str, outputs: &[WriterReport], paint: Paint) -> String {
    let sum = |of: fn(&WriterReport) -> u64| outputs.iter().map(of).sum::<u64>();
    let lost = sum(WriterReport::lost_lines);
    let text = format!(
        "{name:<44} {:>9} {:>9} {lost:>6} {:>8} {:>10} {:>12}",
        sum(|w| w.written),
        sum(|w| w.delivered_distinct),
        sum(|w| w.damaged),
        sum(|w| w.duplicated),
        sum(|w| w.out_of_order),
    );
    if lost > 0 { paint.red(&text) } else { text }
}
