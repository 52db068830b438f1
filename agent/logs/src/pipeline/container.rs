//! One log, of a container, of a plain file, or of a unit of the journal: where its lines go, its files, and its account.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::Target;
use crate::TargetNo;
use crate::batch::Wrapping;
use crate::discover::{ContainerKey, LogName, Origin, unit_name};
use crate::exclude::{Excluded, Told};
use crate::ledger::Ledger;
use crate::multiline::Multiline;
use crate::parse::Stream;
use crate::settings::{Format, Settings};
use crate::status::LogStatus;

use super::batcher::Batcher;
use super::files::LogFile;

#[derive(Debug)]
pub(super) struct Container {
    pub(super) origin: Origin,
    pub(super) name: LogName,
    pub(super) shipped: bool,
    /// What its pod has left out.
    pub(super) excluded: Excluded,
    pub(super) multiline: Multiline,
    pub(super) target: TargetNo,
    pub(super) wrappings: [Wrapping; 2],
    pub(super) files: Vec<LogFile>,
    pub(super) ledger: Ledger,
    /// Since when its directory is not there.
    pub(super) gone_since: Option<Instant>,
    /// It is in the queue of containers that have something to read.
    pub(super) queued: bool,
    /// When an event was last made of it; for logs without files.
    pub(super) active_at: Instant,
    pub(super) last_error: Option<String>,
    /// Names that were complained about: once each.
    pub(super) refused: BTreeSet<Vec<u8>>,
}

impl Container {
    /// `None` if the directory is not that of a pod's container.
    pub(super) fn new(origin: Origin, settings: &Settings, batcher: &mut Batcher, now: Instant) -> Option<Self> {
        let name = match &origin {
            Origin::Container(dir) => LogName::Container(dir.key()?),
            Origin::Plain(log) => log.name(),
            Origin::Unit(unit) => unit_name(unit),
        };
        let (group, stream) = settings.destination(&name);
        Some(Self {
            shipped: settings.selects(&name),
            excluded: Excluded::default(),
            multiline: settings.multiline(&name),
            target: batcher.target(Target { group, stream }),
            wrappings: [Stream::Stdout, Stream::Stderr].map(|stream| wrapping(settings.format, stream, &name)),
            origin,
            name,
            files: Vec::new(),
            ledger: Ledger::default(),
            gone_since: None,
            queued: false,
            active_at: now,
            last_error: None,
            refused: BTreeSet::new(),
        })
    }

    /// Takes over settings that may change while the agent runs.
    pub(super) fn choose(&mut self, settings: &Settings) {
        self.shipped = settings.selects(&self.name);
        self.multiline = settings.multiline(&self.name);
    }

    /// Takes over what its pod has left out.
    pub(super) fn exclude(&mut self, told: &Told) {
        if let LogName::Container(key) = &self.name {
            self.excluded = told.of(key);
        }
    }

    /// Notes what went wrong, and says so when it is news.
    pub(super) fn complain(&mut self, error: String) {
        if self.last_error.as_ref() != Some(&error) {
            tracing::warn!(log = %self.name, error, "A log file cannot be read.");
            self.last_error = Some(error);
        }
    }

    /// Gives up what is unread of a file, with the lines that another file began and this one was to end. Returns how many
    /// bytes that is.
    pub(super) fn give_up(&mut self, index: usize) -> u64 {
        let Some(file) = self.files.get(index) else { return 0 };
        let lost = file.unread();
        let carried: Vec<_> = file.tail.carried().map(|(number, lines)| (number, lines.clone())).collect();
        for (number, lines) in carried {
            if let Some(begun) = self.files.iter_mut().find(|f| f.number == number) {
                // Nothing of it is to come any more, so nothing keeps it open.
                begun.settled.insert_all(&lines);
            }
        }
        self.ledger.abandoned_bytes += lost;
        lost
    }

    /// Bytes that are known and not settled.
    pub(super) fn behind(&self) -> u64 {
        match self.origin {
            _ if !self.shipped => 0,
            // What is not read of the journal is nobody's yet.
            Origin::Unit(_) => self.ledger.in_flight.bytes,
            _ => self.files.iter().map(LogFile::behind).sum(),
        }
    }

    pub(super) fn status(&mut self, target: &Target) -> LogStatus {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let shipped = self.shipped;
        let behind = self.files.iter_mut().filter(|f| shipped && f.behind() > 0);
        let oldest = behind.filter_map(LogFile::oldest_unsettled_ms).min();
        LogStatus {
            name: self.name.clone(),
            group: target.group.clone(),
            stream: target.stream.clone(),
            shipped: self.shipped,
            excluded_by: self.excluded.by.as_deref().map(str::to_owned),
            gone: self.gone_since.is_some(),
            files: count(self.files.len()),
            open_files: count(self.files.iter().filter(|f| f.source.is_some()).count()),
            behind_bytes: self.behind(),
            behind_since_ms: oldest,
            last_error: self.last_error.clone().or_else(|| self.files.iter().find_map(|f| f.error.clone())),
            ledger: self.ledger.clone(),
        }
    }
}

/// What stands around a line. The member names are those of Container Insights' Fluent Bit configuration, which its sample
/// queries and dashboards use. Entries of the journal differ from one to the next: theirs is made with each.
fn wrapping(format: Format, stream: Stream, name: &LogName) -> Wrapping {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    match (format, name) {
        (Format::Raw, _) | (_, LogName::Unit { .. }) => Wrapping::raw(),
        (Format::Json, LogName::Container(ContainerKey { namespace, pod, uid, container })) => Wrapping::json(
            "log",
            &format!(
                ",\"stream\":\"{}\",\"kubernetes\":{{\"namespace_name\":{},\"pod_name\":{},\"container_name\":{},\"pod_id\":{}}}",
                stream.name(),
                quoted(namespace),
                quoted(pod),
                quoted(container),
                quoted(uid),
            ),
        ),
        (Format::Json, LogName::File { path }) => Wrapping::json("log", &format!(",\"file\":{}", quoted(path))),
    }
}
