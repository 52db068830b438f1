//! What a setting may say. Every problem is found at once, and names the key, its value, and what is allowed.

mod names;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use safeguard_aws::Environment;
use safeguard_aws::kubelet::cluster_char;
use safeguard_daemon::settings::{Findings, HumanBytes, Problems};
use safeguard_daemon::telemetry::check_quiet;
use safeguard_heartbeat::{PublicKey, base_url};
use safeguard_logs::{
    FileSettings, JournalSettings, Multiline, MultilineSettings, NameKind, NodeNames, Selector, Template, UnitGlob,
    Variable, limits,
};

use names::Names;

use super::raw::{Class, Format, Logs, Oversize, Settings};

/// The unit that this process runs as on hardened images. What it says would feed back into itself.
const OWN_UNIT: &str = "safeguard-agent.service";

/// Examples for messages.
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
const API_SERVER: &str = "https://0123456789ABCDEF0123456789ABCDEF.gr7.eu-central-1.eks.amazonaws.com";
const URL: &str = "https://logs.eu-central-1.amazonaws.com";
const SAFEGUARD: &str = "https://safeguard.example.com";

/// Settings that were judged, in the types of the log room.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) metrics: Option<SocketAddr>,
    application: Template,
    dataplane_group: Template,
    host_group: Template,
    stream: Template,
    host_stream: Template,
    dataplane: Vec<Selector>,
    include: Vec<Selector>,
    exclude: Vec<Selector>,
    may_exclude: Vec<Selector>,
    files: FileSettings,
    journal: Option<JournalSettings>,
    multiline: MultilineSettings,
}

impl Settings {
    pub(crate) fn checked(&self) -> Result<Checked, Problems> {
        let mut found = Findings::default();
        let metrics = found.address_or_off("agent.metrics", &self.agent.metrics, METRICS);
        self.check_names(&mut found);
        self.check_kubernetes(&mut found);
        self.check_paths(&mut found);
        self.check_amounts(&mut found);
        self.check_new_groups(&mut found);
        self.check_checks(&mut found);
        self.check_heartbeat(&mut found);
        found.test("log.filter", &self.log.filter, check_quiet(&self.log));
        let groups = &self.logs.groups;
        let application = found.template("logs.groups.application", NameKind::Group, &groups.application);
        let dataplane_group = found.template("logs.groups.dataplane", NameKind::Group, &groups.dataplane);
        let host_group = found.template("logs.groups.host", NameKind::Group, &groups.host);
        let stream = found.template("logs.stream", NameKind::Stream, &self.logs.stream);
        let host_stream = found.host_stream(&self.logs.host_stream);
        let dataplane = found.selectors("logs.dataplane", &self.logs.dataplane);
        let include = found.selectors("logs.include", &self.logs.include);
        let exclude = found.selectors("logs.exclude", &self.logs.exclude);
        let may_exclude = found.namespaces("logs.annotations_may_exclude", &self.logs.annotations_may_exclude);
        let files = FileSettings {
            paths: found.paths("logs.files.paths", &self.logs.files.paths),
            exclude: found.paths("logs.files.exclude", &self.logs.files.exclude),
        };
        let journal = &self.logs.journal;
        let journal = JournalSettings {
            dirs: journal.dirs.clone(),
            dataplane: found.units("logs.journal.dataplane", &journal.dataplane),
            exclude: found.units("logs.journal.exclude", &journal.exclude),
        };
        let journal = Some(journal).filter(|_| self.logs.journal.enabled);
        let multiline = self.check_multiline(&mut found);
        match (application, dataplane_group, host_group, stream, host_stream) {
            (Some(application), Some(dataplane_group), Some(host_group), Some(stream), Some(host_stream))
                if found.is_empty() =>
            {
                Ok(Checked {
                    metrics,
                    application,
                    dataplane_group,
                    host_group,
                    stream,
                    host_stream,
                    dataplane,
                    include,
                    exclude,
                    may_exclude,
                    files,
                    journal,
                    multiline,
                })
            }
            _ => found.finish(None),
        }
    }

    fn check_multiline(&self, found: &mut Findings) -> MultilineSettings {
        let multiline = &self.logs.multiline;
        let mut rules = MultilineSettings { period: multiline.period.0, ..MultilineSettings::default() };
        for whose in &multiline.stack_traces {
            found.multiline("logs.multiline.stack_traces", whose, Multiline::StackTraces, &mut rules);
        }
        for (whose, start) in &multiline.start {
            match Multiline::start(start) {
                Ok(how) => found.multiline("logs.multiline.start", whose, how, &mut rules),
                Err(reason) => found.add("logs.multiline.start", &format!("{whose:?} = {start:?}"), &reason),
            }
        }
        rules
    }

    fn check_checks(&self, found: &mut Findings) {
        let checks = &self.checks;
        if !matches!(checks.level, 1 | 2) {
            found.add("checks.level", &checks.level, "is 1, or 2 for the controls of both levels");
        }
        // Each time everything is read; less often than once a day the counts of days have holes.
        found.duration("checks.interval", checks.interval, Duration::from_secs(10), Duration::from_secs(86_400));
    }

    fn check_heartbeat(&self, found: &mut Findings) {
        let heartbeat = &self.heartbeat;
        let word = |c: char| c.is_ascii_graphic();
        found.word("heartbeat.tenant", heartbeat.tenant.as_deref(), 253, word, "a name that the safeguard knows");
        for key in heartbeat.server_keys.iter().flatten() {
            if let Err(error) = key.parse::<PublicKey>() {
                found.add("heartbeat.server_keys", &format!("{key:?}"), &error.to_string());
            }
        }
        let (least, most) = (Duration::from_secs(5), Duration::from_secs(3_600));
        if let Some(interval) = heartbeat.interval {
            found.duration("heartbeat.interval", interval, least, most);
        }
        // The safeguard keeps single beats for 48 hours.
        let (least, most) = (Duration::from_secs(60), Duration::from_secs(48 * 3_600));
        found.duration("heartbeat.spool_age", heartbeat.spool_age, least, most);
        // One beat has 4 KiB.
        let (least, most) = (HumanBytes(64_000), HumanBytes(1_000_000_000));
        if !(least..=most).contains(&heartbeat.spool_bytes) {
            let reason = format!("allowed are {least} to {most}");
            found.add("heartbeat.spool_bytes", &format!("\"{}\"", heartbeat.spool_bytes), &reason);
        }
        let Some(url) = &heartbeat.url else { return };
        found.url("heartbeat.url", Some(url), SAFEGUARD);
        if let Err(error) = base_url(url) {
            found.add("heartbeat.url", &format!("{url:?}"), &error.to_string());
        }
        if heartbeat.tenant.is_none() {
            found.add("heartbeat.tenant", &"(nothing)", "has to be set where heartbeat.url is");
        }
        if heartbeat.server_keys.as_ref().is_none_or(Vec::is_empty) {
            let reason = "has to be set where heartbeat.url is: `safeguard key show` prints the key";
            found.add("heartbeat.server_keys", &"[]", reason);
        }
    }

    fn check_names(&self, found: &mut Findings) {
        let (node, aws) = (&self.node, &self.aws);
        found.region("aws.region", aws.region.as_deref());
        let name = |c: char| !c.is_control() && !c.is_whitespace();
        found.word("node.name", node.name.as_deref(), 253, name, "the name of a Kubernetes node");
        found.word("node.cluster", node.cluster.as_deref(), 100, cluster_char, "the name of an EKS cluster");
        let id = |c: char| c.is_ascii_alphanumeric() || c == '-';
        found.word("node.instance_id", node.instance_id.as_deref(), 64, id, "an id such as \"i-0123456789abcdef0\"");
        found.word("node.image_id", node.image_id.as_deref(), 64, id, "an id such as \"ami-0123456789abcdef0\"");
        let digit = |c: char| c.is_ascii_digit();
        found.word("node.account", node.account.as_deref(), 12, digit, "the 12 digits of an AWS account");
        found.url("aws.endpoint_url", aws.endpoint_url.as_deref(), URL);
        found.url("aws.imds_endpoint", aws.imds_endpoint.as_deref(), URL);
    }

    fn check_kubernetes(&self, found: &mut Findings) {
        let kubernetes = &self.kubernetes;
        found.url("kubernetes.url", kubernetes.url.as_deref(), API_SERVER);
        if let Some(wrong) = kubernetes.access().contradiction() {
            found.add(&format!("kubernetes.{}", wrong.field), &wrong.value, wrong.reason);
        }
    }

    fn check_paths(&self, found: &mut Findings) {
        for (key, path) in [
            ("node.host_root", Some(self.node.host_root.as_path())),
            ("checks.policy_dir", Some(self.checks.policy_dir.as_path())),
            ("checks.exceptions", Some(self.checks.exceptions.as_path())),
            ("aws.ca_bundle", self.aws.ca_bundle.as_deref()),
            ("kubernetes.kubeconfig", self.kubernetes.kubeconfig.as_deref()),
            ("kubernetes.ca_file", self.kubernetes.ca_file.as_deref()),
            ("kubernetes.token_file", self.kubernetes.token_file.as_deref()),
            ("heartbeat.ca_file", self.heartbeat.ca_file.as_deref()),
            ("heartbeat.service_account_token_file", self.heartbeat.service_account_token_file.as_deref()),
            ("heartbeat.proxy_socket", Some(self.heartbeat.proxy_socket.as_path())),
            ("logs.pods_dir", Some(self.logs.pods_dir.as_path())),
            ("agent.state_dir", Some(self.agent.state_dir.as_path())),
            ("agent.run_dir", Some(self.agent.run_dir.as_path())),
        ] {
            found.absolute(key, path);
        }
        for (at, path) in self.logs.journal.dirs.iter().enumerate() {
            found.absolute(&format!("logs.journal.dirs[{at}]"), Some(path));
        }
        // sockaddr_un(7) has room for 107 bytes and the final NUL.
        if self.socket().as_os_str().len() > 107 {
            let reason = "the path is too long for the admin socket below it (107 bytes)";
            found.add("agent.run_dir", &self.agent.run_dir.display(), reason);
        }
    }

    fn check_amounts(&self, found: &mut Findings) {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let m = |minutes: u64| s(60 * minutes);
        let logs = &self.logs;
        found.duration("logs.flush_interval", logs.flush_interval, ms(100), m(5));
        found.duration("logs.rescan_interval", logs.rescan_interval, ms(100), m(10));
        found.duration("logs.checkpoint_interval", logs.checkpoint_interval, ms(100), m(1));
        found.duration("logs.quiet_period", logs.quiet_period, ms(100), m(10));
        found.duration("logs.missing_period", logs.missing_period, ms(100), m(60));
        found.duration("logs.partial_period", logs.partial_period, s(1), m(60));
        found.duration("logs.multiline.period", logs.multiline.period, ms(100), m(5));
        found.duration("logs.request_deadline", logs.request_deadline, s(1), m(5));
        found.duration("logs.connect_deadline", logs.connect_deadline, ms(100), logs.request_deadline.0);
        found.duration("agent.shutdown_grace", self.agent.shutdown_grace, ms(100), m(60));
        if logs.gzip_level > 9 {
            found.add("logs.gzip_level", &logs.gzip_level, "allowed are 0 (off) to 9");
        }
        if !(1..=limits::ACCOUNT_PUTS_PER_SECOND).contains(&logs.max_puts_per_second) {
            let reason = format!("allowed are 1 to {} (the account's quota)", limits::ACCOUNT_PUTS_PER_SECOND);
            found.add("logs.max_puts_per_second", &logs.max_puts_per_second, &reason);
        }
        // Less than a few full batches and one busy group stops all others.
        let (least, most) = (HumanBytes(4_000_000), HumanBytes(1_000_000_000));
        if !(least..=most).contains(&logs.memory_budget) {
            let reason = format!("allowed are {least} to {most}");
            found.add("logs.memory_budget", &format!("\"{}\"", logs.memory_budget), &reason);
        }
    }

    fn check_new_groups(&self, found: &mut Findings) {
        let groups = &self.logs.groups;
        if let Some(days) = groups.retention_days.filter(|days| !limits::RETENTION_DAYS.contains(days)) {
            let allowed = limits::RETENTION_DAYS.map(|days| days.to_string()).join(", ");
            found.add(
                "logs.groups.retention_days",
                &days,
                &format!("allowed are {allowed}, or leave it out to keep all"),
            );
        }
        let key = |c: char| c.is_ascii_graphic();
        found.word("logs.groups.kms_key", groups.kms_key.as_deref(), limits::KMS_KEY_CHARS, key, "a key id or ARN");
        if groups.tags.len() > limits::TAGS {
            let reason = format!("at most {} tags are allowed", limits::TAGS);
            found.add("logs.groups.tags", &format!("({} tags)", groups.tags.len()), &reason);
        }
        for (name, value) in &groups.tags {
            let long = name.chars().count() > limits::TAG_KEY_CHARS || value.chars().count() > limits::TAG_VALUE_CHARS;
            let strange = !name.chars().chain(value.chars()).all(limits::tag_char);
            if name.is_empty() || long || strange || name.to_ascii_lowercase().starts_with("aws:") {
                let reason = format!(
                    "a tag's key has 1 to {} characters and does not start with `aws:`, its value at most {}; both are \
                     letters, digits, blanks and _ . : / = + - @",
                    limits::TAG_KEY_CHARS,
                    limits::TAG_VALUE_CHARS
                );
                found.add("logs.groups.tags", &format!("{name:?} = {value:?}"), &reason);
            }
        }
    }

    /// Where the admin socket is.
    #[must_use]
    pub fn socket(&self) -> std::path::PathBuf {
        self.agent.run_dir.join("agent.sock")
    }

    /// Where the lock is.
    #[must_use]
    pub fn lock(&self) -> std::path::PathBuf {
        self.agent.run_dir.join("agent.lock")
    }
}

impl Checked {
    /// Whether a name that is given to CloudWatch Logs uses this variable.
    pub(crate) fn uses(&self, variable: Variable) -> bool {
        let host = self.journal.is_some() || !self.files.paths.is_empty();
        let of_host = [&self.host_group, &self.host_stream].into_iter().filter(|_| host);
        [&self.application, &self.dataplane_group, &self.stream]
            .into_iter()
            .chain(of_host)
            .any(|template| template.uses(variable))
    }

    /// The namespaces whose pods may exclude containers by annotation. Where there are none, Kubernetes is not asked.
    pub(crate) fn may_exclude(&self) -> &[Selector] {
        &self.may_exclude
    }

    /// The settings of the log room.
    pub(crate) fn logs(
        mut self,
        logs: &Logs,
        state_dir: &Path,
        node: NodeNames,
        environment: &Environment,
    ) -> safeguard_logs::Settings {
        if let Some(own) = own_pod(environment).filter(|_| !logs.include_self) {
            self.exclude.push(own);
        }
        if let (false, Some(journal)) = (logs.include_self, &mut self.journal) {
            journal.exclude.extend(UnitGlob::new(OWN_UNIT));
        }
        safeguard_logs::Settings {
            pods_dir: logs.pods_dir.clone(),
            state_dir: state_dir.to_owned(),
            node,
            application_group: self.application,
            dataplane_group: self.dataplane_group,
            host_group: self.host_group,
            dataplane: self.dataplane,
            stream: self.stream,
            host_stream: self.host_stream,
            format: match logs.format {
                Format::Json => safeguard_logs::Format::Json,
                Format::Raw => safeguard_logs::Format::Raw,
            },
            oversize: match logs.oversize {
                Oversize::Split => safeguard_logs::Oversize::Split,
                Oversize::Truncate => safeguard_logs::Oversize::Truncate,
            },
            include: self.include,
            exclude: self.exclude,
            files: self.files,
            journal: self.journal,
            multiline: self.multiline,
            new_groups: safeguard_logs::NewGroups {
                create: logs.groups.create,
                retention_days: logs.groups.retention_days,
                kms_key: logs.groups.kms_key.clone(),
                class: match logs.groups.class {
                    Class::Standard => safeguard_logs::GroupClass::Standard,
                    Class::InfrequentAccess => safeguard_logs::GroupClass::InfrequentAccess,
                },
                tags: logs.groups.tags.clone(),
            },
            gzip_level: Some(logs.gzip_level).filter(|level| *level > 0),
            flush_interval: logs.flush_interval.0,
            max_puts_per_second: logs.max_puts_per_second,
            memory_budget: usize::try_from(logs.memory_budget.0).unwrap_or(usize::MAX),
            rescan_interval: logs.rescan_interval.0,
            pinned_bytes: logs.pinned_bytes.0,
            checkpoint_interval: logs.checkpoint_interval.0,
            quiet_period: logs.quiet_period.0,
            missing_period: logs.missing_period.0,
            partial_period: logs.partial_period.0,
        }
    }
}

/// The pod that this process runs in, as the downward API tells it. Its log would feed back into itself.
fn own_pod(environment: &Environment) -> Option<Selector> {
    let (namespace, pod) = (environment.get("POD_NAMESPACE")?, environment.get("POD_NAME")?);
    // RFC 1123 names: nothing that a glob would understand.
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.');
    if !is_name(namespace) || !is_name(pod) {
        tracing::warn!(namespace, pod, "POD_NAMESPACE and POD_NAME are no names of Kubernetes: they are not used");
        return None;
    }
    Selector::new(&format!("{namespace}/{pod}")).ok()
}
