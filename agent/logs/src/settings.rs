//! What the operator decides about logs, already checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use globset::{GlobBuilder, GlobMatcher};

use crate::discover::{LogName, PathGlob};
use crate::multiline::Multiline;
use crate::names::{ContainerNames, NodeNames, Template};

/// How a line looks in CloudWatch Logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Compact JSON with `log`, `stream` and `kubernetes`, as Container Insights queries expect it.
    Json,
    /// The line alone.
    Raw,
}

/// What happens to a line that is longer than the largest event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oversize {
    /// It becomes several events with a continuation mark.
    Split,
    /// Its start is sent with a mark, and the rest is dropped and counted.
    Truncate,
}

/// The class of log groups that the agent creates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupClass {
    /// `STANDARD`.
    Standard,
    /// `INFREQUENT_ACCESS`.
    InfrequentAccess,
}

/// What a log group gets when the agent creates it. Groups that exist are left as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewGroups {
    /// Whether the agent creates missing groups at all.
    pub create: bool,
    /// Days to keep events; for ever if `None`.
    pub retention_days: Option<u32>,
    /// KMS key id or ARN.
    pub kms_key: Option<String>,
    /// Class.
    pub class: GroupClass,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// Chooses containers by glob: `namespace`, `namespace/pod` or `namespace/pod/container`; what is left out is `*`.
#[derive(Debug, Clone)]
pub struct Selector {
    text: String,
    glob: GlobMatcher,
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Selector {
    /// Checks a selector.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let parts = text.split('/').count();
        if text.is_empty() || parts > 3 || text.split('/').any(str::is_empty) {
            return Err(format!("`{text}` is not namespace, namespace/pod or namespace/pod/container"));
        }
        let full = format!("{text}{}", "/*".repeat(3 - parts));
        let glob = GlobBuilder::new(&full).literal_separator(true).build();
        let glob = glob.map_err(|e| format!("`{text}` is not a glob: {}", e.kind()))?;
        Ok(Self { text: text.to_owned(), glob: glob.compile_matcher() })
    }

    /// Whether it chooses this container.
    #[must_use]
    pub fn matches(&self, names: &ContainerNames<'_>) -> bool {
        self.glob.is_match(format!("{}/{}/{}", names.namespace, names.pod, names.container))
    }
}

/// Chooses units of the journal by glob.
#[derive(Debug, Clone)]
pub struct UnitGlob {
    text: String,
    glob: GlobMatcher,
}

impl PartialEq for UnitGlob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl UnitGlob {
    /// Checks a glob.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("an empty name chooses no unit".to_owned());
        }
        let glob = GlobBuilder::new(text).build().map_err(|e| format!("`{text}` is not a glob: {}", e.kind()))?;
        Ok(Self { text: text.to_owned(), glob: glob.compile_matcher() })
    }

    /// Whether it chooses this unit.
    #[must_use]
    pub fn matches(&self, unit: &str) -> bool {
        self.glob.is_match(unit)
    }
}

/// How the systemd journal is read.
#[derive(Debug, Clone, PartialEq)]
pub struct JournalSettings {
    /// Directories of journals inside the host root; the files are in directories below them that are named by machine id.
    pub dirs: Vec<PathBuf>,
    /// Units that go to the dataplane group; all others go to the host group.
    pub dataplane: Vec<UnitGlob>,
    /// Units that are not shipped.
    pub exclude: Vec<UnitGlob>,
}

/// Which plain files are read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FileSettings {
    /// What is read.
    pub paths: Vec<PathGlob>,
    /// What is not, although `paths` match.
    pub exclude: Vec<PathGlob>,
}

/// Which lines become one event.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MultilineSettings {
    /// For containers; the first that matches counts.
    pub containers: Vec<(Selector, Multiline)>,
    /// For plain files.
    pub files: Vec<(PathGlob, Multiline)>,
    /// How long an event waits for more lines.
    pub period: Duration,
}

/// Everything the log room needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the kubelet keeps the logs of pods, inside the host root.
    pub pods_dir: PathBuf,
    /// Where checkpoints and quarantined events are kept.
    pub state_dir: PathBuf,
    /// What the node is called.
    pub node: NodeNames,
    /// Group of containers.
    pub application_group: Template,
    /// Group of the containers and units that are part of the node's own machinery.
    pub dataplane_group: Template,
    /// Group of plain files and of all other units.
    pub host_group: Template,
    /// Containers that are part of the node's own machinery.
    pub dataplane: Vec<Selector>,
    /// Stream of a container.
    pub stream: Template,
    /// Stream of plain files and of the journal.
    pub host_stream: Template,
    /// What a line looks like.
    pub format: Format,
    /// What happens to a line longer than an event.
    pub oversize: Oversize,
    /// If not empty, only containers chosen by one of these are shipped.
    pub include: Vec<Selector>,
    /// Containers chosen by one of these are not shipped.
    pub exclude: Vec<Selector>,
    /// Plain files.
    pub files: FileSettings,
    /// The journal; `None` if it is not read.
    pub journal: Option<JournalSettings>,
    /// Lines that belong together.
    pub multiline: MultilineSettings,
    /// What new groups get.
    pub new_groups: NewGroups,
    /// gzip level of request bodies, 1 to 9; `None` sends them as they are.
    pub gzip_level: Option<u32>,
    /// How long an event waits for its batch to fill.
    pub flush_interval: Duration,
    /// `PutLogEvents` requests a second that this node spends on batches that are not full.
    pub max_puts_per_second: u32,
    /// Bytes that batches may hold in memory, in all.
    pub memory_budget: usize,
    /// How often every directory is listed, whatever inotify says.
    pub rescan_interval: Duration,
    /// Bytes of deleted files that may be kept on disk until they are delivered.
    pub pinned_bytes: u64,
    /// Longest time between two checkpoints while offsets move.
    pub checkpoint_interval: Duration,
    /// A file that was rotated or whose container ended is let go when it was quiet for this long.
    pub quiet_period: Duration,
    /// A file that is in no listing any more is forgotten after this long: compressing it takes the kubelet a while.
    pub missing_period: Duration,
    /// Pieces of a line whose end does not come are sent after this long.
    pub partial_period: Duration,
}

impl Settings {
    /// Whether a log is shipped.
    #[must_use]
    pub fn selects(&self, name: &LogName) -> bool {
        match name {
            LogName::Container(key) => {
                let names = key.names();
                (self.include.is_empty() || self.include.iter().any(|s| s.matches(&names)))
                    && !self.exclude.iter().any(|s| s.matches(&names))
            }
            LogName::File { path } => {
                let path = Path::new(path);
                self.files.paths.iter().any(|g| g.matches(path)) && !self.files.exclude.iter().any(|g| g.matches(path))
            }
            LogName::Unit { unit } => {
                self.journal.as_ref().is_some_and(|journal| !journal.exclude.iter().any(|g| g.matches(unit)))
            }
        }
    }

    /// Whether a log is part of the node's own machinery.
    #[must_use]
    pub fn is_dataplane(&self, name: &LogName) -> bool {
        match name {
            LogName::Container(key) => self.dataplane.iter().any(|s| s.matches(&key.names())),
            LogName::File { .. } => false,
            LogName::Unit { unit } => {
                self.journal.as_ref().is_some_and(|journal| journal.dataplane.iter().any(|g| g.matches(unit)))
            }
        }
    }

    /// The group and stream of a log.
    #[must_use]
    pub fn destination(&self, name: &LogName) -> (String, String) {
        let names = match name {
            LogName::Container(key) => key.names(),
            // A stream's template for containers has no names for them: what is left is the node.
            LogName::File { .. } | LogName::Unit { .. } => ContainerNames { namespace: "", pod: "", container: "" },
        };
        let group = match (self.is_dataplane(name), name) {
            (true, _) => &self.dataplane_group,
            (false, LogName::Container(_)) => &self.application_group,
            (false, _) => &self.host_group,
        };
        let stream = if matches!(name, LogName::Container(_)) { &self.stream } else { &self.host_stream };
        (group.fill(&self.node, &names), stream.fill(&self.node, &names))
    }

    /// Which lines of a log become one event.
    #[must_use]
    pub(crate) fn multiline(&self, name: &LogName) -> Multiline {
        let rule = match name {
            LogName::Container(key) => {
                self.multiline.containers.iter().find(|(s, _)| s.matches(&key.names())).map(|(_, m)| m)
            }
            LogName::File { path } => {
                self.multiline.files.iter().find(|(g, _)| g.matches(Path::new(path))).map(|(_, m)| m)
            }
            // An entry of the journal is an event.
            LogName::Unit { .. } => None,
        };
        rule.cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chooses(selector: &str, namespace: &str, pod: &str, container: &str) -> bool {
        Selector::new(selector).unwrap().matches(&ContainerNames { namespace, pod, container })
    }

    #[test]
    fn selectors_choose_by_namespace_pod_and_container() {
        assert!(chooses("dev", "dev", "a", "b"));
        assert!(!chooses("dev", "dev2", "a", "b"));
        assert!(chooses("dev-*", "dev-2", "a", "b"));
        assert!(chooses("kube-system/coredns-*", "kube-system", "coredns-5d78c9869d-x", "coredns"));
        assert!(chooses("*/*/istio-proxy", "shop", "cart-1", "istio-proxy"));
        assert!(!chooses("*/*/istio-proxy", "shop", "cart-1", "cart"));
        for wrong in ["", "a/b/c/d", "a//c", "[", "/"] {
            assert!(Selector::new(wrong).unwrap_err().contains(wrong), "{wrong}");
        }
    }
}
