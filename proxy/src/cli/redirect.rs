//! `redirect up|down|check`: what is done once, and ends.

use std::path::PathBuf;

use safeguard_daemon::telemetry::quiet;
use safeguard_daemon::terminal::{Style, complain, exit, print};
use safeguard_proxy::config::SettingsFile;
use safeguard_proxy::redirect::{
    self, Error, Ipv6, METADATA_PORT, METADATA_V4, METADATA_V6, Redirect, Report, Standing,
};

use super::arguments::Format;
use super::report::table;

/// Nobody can tell whether all layers hold.
const UNKNOWN: u8 = 2;

pub(super) fn up(config: Option<PathBuf>) -> u8 {
    run(config, async |redirect| match redirect::up(redirect).await {
        Ok(ipv6) => print(&is_up(redirect, ipv6)),
        Err(error) => refuse(&error),
    })
}

pub(super) fn down(config: Option<PathBuf>) -> u8 {
    run(config, async |redirect| match redirect::down(redirect).await {
        Ok(()) => print(
            "The redirect is down: pods reach the instance metadata service, and with it the node's credentials.\n",
        ),
        Err(error) => refuse(&error),
    })
}

pub(super) fn check(config: Option<PathBuf>, repair: bool, format: Format) -> u8 {
    run(config, async |redirect| match redirect::check(redirect, repair).await {
        Ok(report) => {
            let written = match format {
                Format::Table => table(&report, Style::of_stdout()),
                Format::Json => match serde_json::to_string_pretty(&report) {
                    Ok(json) => format!("{json}\n"),
                    Err(error) => return complain(UNKNOWN, &format!("the report cannot be written: {error}")),
                },
            };
            match print(&written) {
                exit::OK => code(&report),
                failed => failed,
            }
        }
        Err(error) => complain(UNKNOWN, &error.to_string()),
    })
}

/// 0: all layers hold. 1: one does not. 2: none is known not to, and one could not be observed.
fn code(report: &Report) -> u8 {
    let layers = &report.state.layers;
    let broken = [layers.address, layers.table, layers.routing, layers.probe].contains(&Standing::Broken);
    match (report.state.ok, broken) {
        (true, _) => exit::OK,
        (false, true) => exit::FAILED,
        (false, false) => UNKNOWN,
    }
}

fn is_up(redirect: &Redirect, ipv6: Ipv6) -> String {
    let (v4, port) = (redirect.v4(), redirect.port());
    let of_v6 = match (ipv6, redirect.v6()) {
        (Ipv6::Redirected, Some(v6)) => format!("[{METADATA_V6}]:{METADATA_PORT} to [{v6}]:{port}"),
        (Ipv6::Absent, _) => "this kernel has no IPv6".to_owned(),
        (Ipv6::Redirected | Ipv6::Refused, _) => format!("pods are refused at [{METADATA_V6}]"),
    };
    format!(
        "The redirect is up: {METADATA_V4}:{METADATA_PORT} to {v4}:{port}; {of_v6}.\n`safeguard-proxy redirect check` proves it.\n"
    )
}

fn refuse(error: &Error) -> u8 {
    let code = if matches!(error, Error::Locked { .. }) { exit::BUSY } else { exit::FAILED };
    complain(code, &error.to_string())
}

/// With one thread: what is done belongs to the network namespace of the thread that does it.
pub(super) fn run(config: Option<PathBuf>, work: impl AsyncFnOnce(&Redirect) -> u8) -> u8 {
    let file = SettingsFile::new(config);
    let loaded = match file.load() {
        Ok(loaded) => loaded,
        Err(error) => return complain(exit::USAGE, &error.to_string()),
    };
    if let Err(error) = quiet(&loaded.value.log).install() {
        return complain(exit::USAGE, &error.to_string());
    }
    let checked = match loaded.value.checked() {
        Ok(checked) => checked,
        Err(problems) => return complain(exit::USAGE, &problems.to_string()),
    };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(work(&checked.redirect)),
        Err(error) => complain(exit::FAILED, &format!("cannot start: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::report::tests::report;

    #[test]
    fn the_exit_code_tells_broken_from_unknown() {
        let with = |ok, table, probe| {
            let mut report = report();
            report.state.ok = ok;
            (report.state.layers.table, report.state.layers.probe) = (table, probe);
            code(&report)
        };
        assert_eq!(with(true, Standing::Holds, Standing::Holds), 0);
        assert_eq!(with(false, Standing::Broken, Standing::Holds), 1);
        assert_eq!(with(false, Standing::Broken, Standing::Unknown), 1, "broken is worse than unknown");
        assert_eq!(with(false, Standing::Holds, Standing::Unknown), 2);
        assert_eq!(with(false, Standing::Holds, Standing::Holds), 2, "a problem that no layer has");
    }

    #[test]
    fn up_says_what_leads_where() {
        let redirect = Redirect::default();
        let said = is_up(&redirect, Ipv6::Redirected);
        assert!(said.contains("169.254.169.254:80 to 169.254.168.252:8181; [fd00:ec2::254]:80 to [fd0c:"), "{said}");
        assert!(is_up(&redirect, Ipv6::Refused).contains("refused at [fd00:ec2::254]"));
        assert!(is_up(&redirect, Ipv6::Absent).contains("no IPv6"));
    }
}
