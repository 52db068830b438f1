//! What a settings file can say.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use safeguard_daemon::settings::{Findings, HumanDuration, Problems, ProgramSettings};
use safeguard_daemon::telemetry::Telemetry;
use serde::{Deserialize, Serialize};

use crate::expected;
use crate::explorer;
use crate::registrar::Retention;
use crate::serve;
use crate::states::Periods;
use crate::verify;
use crate::webhook;

/// The commented example.
pub const EXAMPLE: &str = include_str!("config/example.toml");

/// All settings of the safeguard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// `[nodes]`
    pub nodes: Nodes,
    /// `[keep]`
    pub keep: Keep,
    /// `[page]`
    pub page: explorer::Settings,
    /// Who is believed: `[verify]`
    pub verify: verify::Settings,
    /// Which instances should be there: `[expected]`
    pub expected: expected::Settings,
    /// Who is told of changes of state: `[webhook]`
    pub webhook: webhook::Settings,
    /// The process's own log.
    pub log: Telemetry,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Where nodes and people connect.
    pub listen: String,
    /// PEM file with the certificate chain.
    pub certificate: Option<PathBuf>,
    /// PEM file with its key.
    pub key: Option<PathBuf>,
    /// The store and the key that signs replies.
    pub state_dir: PathBuf,
    /// For so many nodes the connection is held from beat to beat.
    pub held_connections: u16,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8420".to_owned(),
            certificate: None,
            key: None,
            state_dir: "/var/lib/safeguard-server".into(),
            held_connections: serve::MOST_HELD,
        }
    }
}

/// `[nodes]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nodes {
    /// What nodes are told to wait between beats.
    pub interval: HumanDuration,
    /// An assessment that is older makes a node stale.
    pub stale_after: HumanDuration,
    /// How long a node may take from its first sign to its first beat.
    pub grace: HumanDuration,
    /// Share of a fleet that may go missing within ten minutes, in percent, before that is an incident and not theirs.
    pub brake_percent: u8,
}

fn minutes(n: u64) -> HumanDuration {
    Duration::from_secs(60 * n).into()
}

impl Default for Nodes {
    fn default() -> Self {
        Self { interval: minutes(1), stale_after: minutes(45), grace: minutes(15), brake_percent: 20 }
    }
}

/// `[keep]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keep {
    /// Hours of beats, events, and reports that a newer one replaced: days.
    pub recent_days: u32,
    /// Changes of state and the signed statements behind them: days.
    pub evidence_days: u32,
}

impl Default for Keep {
    fn default() -> Self {
        Self { recent_days: 31, evidence_days: 2_192 }
    }
}

/// An example for messages.
const LISTEN: &str = "127.0.0.1:8420";

impl ProgramSettings for Settings {
    const DEFAULT_PATH: &'static str = "/etc/safeguard/safeguard.toml";

    fn check(&self) -> Result<(), Problems> {
        let mut found = Findings::default();
        if self.server.listen.parse::<SocketAddr>().is_err() {
            let reason = format!("allowed is an address with a port, such as {LISTEN:?}");
            found.add("server.listen", &format!("{:?}", self.server.listen), &reason);
        }
        for (key, path) in [
            ("server.certificate", self.server.certificate.as_deref()),
            ("server.key", self.server.key.as_deref()),
            ("server.state_dir", Some(self.server.state_dir.as_path())),
        ] {
            found.absolute(key, path);
        }
        if self.server.certificate.is_some() != self.server.key.is_some() {
            found.add("server.key", &"(one of two)", "server.certificate and server.key are set together");
        }
        let loopback = self.server.listen.parse::<SocketAddr>().is_ok_and(|at| at.ip().is_loopback());
        if self.server.certificate.is_none() && !loopback {
            let reason = "without server.certificate only an address of this machine is allowed: proofs of nodes and tokens of \
                          people would go over the network in the clear";
            found.add("server.listen", &format!("{:?}", self.server.listen), reason);
        }
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(86_400));
        found.duration("nodes.interval", self.nodes.interval, second * 5, second * 3_600);
        found.duration("nodes.stale_after", self.nodes.stale_after, second * 60, day * 7);
        found.duration("nodes.grace", self.nodes.grace, second * 60, day);
        if self.page.open && !loopback {
            let reason =
                "is allowed only where server.listen is an address of this machine: everybody who reaches it may read";
            found.add("page.open", &true, reason);
        }
        if let Some(url) = self.webhook.url.as_ref().filter(|url| !webhook::is_allowed(url)) {
            let reason = "has to be an https URL (plain http only to this machine), without a password";
            found.add("webhook.url", &format!("{url:?}"), reason);
        }
        if self.webhook.url.is_some() != self.webhook.secret_file.is_some() {
            found.add("webhook.secret_file", &"(one of two)", "webhook.url and webhook.secret_file are set together");
        }
        self.verify.check(&mut found);
        self.expected.check(&mut found);
        if self.server.held_connections > serve::MOST_HELD {
            let reason = format!("allowed are 0 to {}: others have to find room too", serve::MOST_HELD);
            found.add("server.held_connections", &self.server.held_connections, &reason);
        }
        if !(1..=100).contains(&self.nodes.brake_percent) {
            found.add("nodes.brake_percent", &self.nodes.brake_percent, "allowed are 1 to 100");
        }
        if !(2..=400).contains(&self.keep.recent_days) {
            found.add("keep.recent_days", &self.keep.recent_days, "allowed are 2 to 400");
        }
        if !(31..=36_500).contains(&self.keep.evidence_days) {
            found.add("keep.evidence_days", &self.keep.evidence_days, "allowed are 31 to 36500");
        }
        found.finish(Some(()))
    }
}

impl Settings {
    /// What states follow from.
    #[must_use]
    pub fn periods(&self) -> Periods {
        let ms = |duration: HumanDuration| i64::try_from(duration.0.as_millis()).unwrap_or(i64::MAX);
        Periods {
            interval_ms: ms(self.nodes.interval),
            stale_ms: ms(self.nodes.stale_after),
            grace_ms: ms(self.nodes.grace),
        }
    }

    /// How long things are kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        Retention {
            recent_days: self.keep.recent_days.into(),
            evidence_days: self.keep.evidence_days.into(),
            brake_percent: self.nodes.brake_percent.into(),
        }
    }

    /// What nodes are told to wait between beats, in seconds.
    #[must_use]
    pub fn interval_s(&self) -> u32 {
        u32::try_from(self.nodes.interval.0.as_secs()).unwrap_or(u32::MAX)
    }

    /// The store's file.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.server.state_dir.join("safeguard.db")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeguard_daemon::settings::{known_keys, load};

    fn parsed(text: &str) -> Settings {
        let keys = known_keys(&Settings::default());
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        load(text, "test", &keys).unwrap().value
    }

    #[test]
    fn the_example_says_what_holds_without_it() {
        assert_eq!(parsed(EXAMPLE), Settings::default());
        let set: String = EXAMPLE
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '['])).unwrap_or(line))
            .filter(|line| !line.starts_with("certificate") && !line.starts_with("key = "))
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(parsed(&set), Settings::default());
    }

    #[test]
    fn proofs_do_not_go_over_the_network_in_the_clear() {
        let problems = parsed("[server]\nheld_connections = 13000").check().unwrap_err().to_string();
        assert!(problems.contains("server.held_connections") && problems.contains("0 to 12288"), "{problems}");
        let problems = parsed("[server]\nlisten = \"0.0.0.0:8420\"").check().unwrap_err().to_string();
        assert!(problems.contains("server.listen") && problems.contains("certificate"), "{problems}");
    }
}
