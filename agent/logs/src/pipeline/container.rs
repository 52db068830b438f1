//! One container: where its lines go, its files, and its account.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::TargetNo;
use crate::batch::Wrapping;
use crate::discover::{ContainerDir, ContainerKey};
use crate::ledger::Ledger;
use crate::parse::Stream;
use crate::settings::{Format, Settings};
use crate::status::ContainerStatus;
use crate::{ContainerNames, Target};

use super::batcher::Batcher;
use super::files::LogFile;

#[derive(Debug)]
pub(super) struct Container {
    pub(super) dir: ContainerDir,
    pub(super) key: ContainerKey,
    pub(super) shipped: bool,
    pub(super) target: TargetNo,
    pub(super) wrappings: [Wrapping; 2],
    pub(super) files: Vec<LogFile>,
    pub(super) ledger: Ledger,
    /// Since when its directory is not there.
    pub(super) gone_since: Option<Instant>,
    /// It is in the queue of containers that have something to read.
    pub(super) queued: bool,
    pub(super) last_error: Option<String>,
    /// Names that were complained about: once each.
    pub(super) refused: BTreeSet<Vec<u8>>,
}

impl Container {
    pub(super) fn new(dir: ContainerDir, key: ContainerKey, settings: &Settings, batcher: &mut Batcher) -> Self {
        let names = ContainerNames { namespace: &key.namespace, pod: &key.pod, container: &key.container };
        let (group, stream) = settings.destination(&names);
        Self {
            shipped: settings.selects(&names),
            target: batcher.target(Target { group, stream }),
            wrappings: [Stream::Stdout, Stream::Stderr].map(|stream| wrapping(settings.format, stream, &key)),
            dir,
            key,
            files: Vec::new(),
            ledger: Ledger::default(),
            gone_since: None,
            queued: false,
            last_error: None,
            refused: BTreeSet::new(),
        }
    }

    /// Whether include and exclude let it be shipped.
    pub(super) fn choose(&mut self, settings: &Settings) {
        let key = &self.key;
        let names = ContainerNames { namespace: &key.namespace, pod: &key.pod, container: &key.container };
        self.shipped = settings.selects(&names);
    }

    /// Notes what went wrong, and says so when it is news.
    pub(super) fn complain(&mut self, error: String) {
        if self.last_error.as_ref() != Some(&error) {
            let ContainerKey { namespace, pod, container, .. } = &self.key;
            tracing::warn!(namespace, pod, container, error, "A log file cannot be read.");
            self.last_error = Some(error);
        }
    }

    /// Bytes that are known and not settled.
    pub(super) fn behind(&self) -> u64 {
        if self.shipped { self.files.iter().map(LogFile::behind).sum() } else { 0 }
    }

    pub(super) fn status(&mut self, target: &Target) -> ContainerStatus {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let shipped = self.shipped;
        let behind = self.files.iter_mut().filter(|f| shipped && f.behind() > 0);
        let oldest = behind.filter_map(LogFile::oldest_unsettled_ms).min();
        ContainerStatus {
            namespace: self.key.namespace.clone(),
            pod: self.key.pod.clone(),
            pod_uid: self.key.uid.clone(),
            container: self.key.container.clone(),
            group: target.group.clone(),
            stream: target.stream.clone(),
            shipped: self.shipped,
            gone: self.gone_since.is_some(),
            files: count(self.files.len()),
            open_files: count(self.files.iter().filter(|f| f.source.is_some()).count()),
            behind_bytes: self.behind(),
            behind_since_ms: oldest,
            last_error: self.last_error.clone(),
            ledger: self.ledger.clone(),
        }
    }
}

/// What stands around a line. The member names are those of Container Insights' Fluent Bit configuration, which its sample
/// queries and dashboards use.
fn wrapping(format: Format, stream: Stream, key: &ContainerKey) -> Wrapping {
    if format == Format::Raw {
        return Wrapping::raw();
    }
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    Wrapping::json(&format!(
        ",\"stream\":\"{}\",\"kubernetes\":{{\"namespace_name\":{},\"pod_name\":{},\"container_name\":{},\"pod_id\":{}}}",
        stream.name(),
        quoted(&key.namespace),
        quoted(&key.pod),
        quoted(&key.container),
        quoted(&key.uid),
    ))
}
