//! What may change while the agent runs, and what needs a restart.

use safeguard_daemon::settings::differing;

use super::raw::{Logs, Multiline, Settings};

/// The settings that the log room takes over while it runs.
const LIVE: [&str; 11] = [
    "logs.include",
    "logs.exclude",
    "logs.include_self",
    "logs.oversize",
    "logs.flush_interval",
    "logs.max_puts_per_second",
    "logs.rescan_interval",
    "logs.pinned_bytes",
    "logs.partial_period",
    "logs.quiet_period",
    "logs.multiline.period",
];

/// `running` with everything of `new` that may change while it runs.
pub(crate) fn merge(running: &Settings, new: &Settings) -> Settings {
    let new = &new.logs;
    let logs = Logs {
        include: new.include.clone(),
        exclude: new.exclude.clone(),
        include_self: new.include_self,
        oversize: new.oversize,
        flush_interval: new.flush_interval,
        max_puts_per_second: new.max_puts_per_second,
        rescan_interval: new.rescan_interval,
        pinned_bytes: new.pinned_bytes,
        partial_period: new.partial_period,
        quiet_period: new.quiet_period,
        multiline: Multiline { period: new.multiline.period, ..running.logs.multiline.clone() },
        ..running.logs.clone()
    };
    Settings { logs, ..running.clone() }
}

/// The keys whose value differs and cannot change while the agent runs.
pub(crate) fn needs_restart(running: &Settings, new: &Settings) -> Vec<String> {
    let differing = differing(running, new).into_iter();
    differing.filter(|key| !LIVE.contains(&key.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use safeguard_daemon::settings::ProgramSettings;
    use std::time::Duration;

    #[test]
    fn every_live_key_is_taken_over_and_every_other_one_is_named() {
        let running = Settings::default();
        let mut new = running.clone();
        new.logs.include = vec!["shop".into()];
        new.logs.exclude = vec!["dev".into()];
        new.logs.include_self = true;
        new.logs.oversize = super::super::raw::Oversize::Truncate;
        new.logs.flush_interval = Duration::from_secs(1).into();
        new.logs.max_puts_per_second = 9;
        new.logs.rescan_interval = Duration::from_secs(9).into();
        new.logs.pinned_bytes = 9.into();
        new.logs.partial_period = Duration::from_secs(9).into();
        new.logs.quiet_period = Duration::from_secs(9).into();
        new.logs.multiline.period = Duration::from_secs(9).into();
        assert_eq!(needs_restart(&running, &new), Vec::<String>::new());
        assert_eq!(merge(&running, &new), new);

        new.logs.groups.tags.insert("owner".into(), "platform".into());
        new.agent.metrics = "off".into();
        new.logs.annotations_may_exclude = vec!["dev".into()];
        new.node.cluster = Some("prod".into());
        assert_eq!(
            needs_restart(&running, &new),
            ["node.cluster", "logs.annotations_may_exclude", "logs.groups.tags", "agent.metrics"]
        );
        assert_eq!(merge(&running, &new).agent, running.agent);
        let known = Settings::keys();
        assert!(LIVE.iter().all(|key| known.iter().any(|known| known == key)));
    }
}
