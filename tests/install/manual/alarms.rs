//! The alarms of `docs/operate.md`: Prometheus takes the rules, each fires on a node that it is for, and none on a node that is well.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::pages::{Block, Page};

/// Two hours of a node where everything is wrong at once, and of one that is well, as promtool writes it: `0+60x120` begins with 0
/// and grows by 60 a minute.
const SERIES: [(&str, &str, &str); 17] = [
    ("up{job=\"safeguard-agent\", instance=\"a\"}", "0x120", "1x120"),
    ("up{job=\"safeguard-proxy\", instance=\"b\"}", "1x120", "1x120"),
    // Not there where everything is wrong: nobody has checked of late.
    ("safeguard_proxy_redirect_ok{instance=\"b\"}", "", "1x120"),
    ("safeguard_proxy_ready{instance=\"b\"}", "0x120", "1x120"),
    ("safeguard_proxy_sessions_failing{instance=\"b\"}", "1x120", "0x120"),
    ("safeguard_proxy_session_least_left_seconds{instance=\"b\"}", "600x120", "1900x120"),
    ("safeguard_proxy_requests_total{instance=\"b\", outcome=\"refused\"}", "0+1x120", "7x120"),
    ("safeguard_healthy{instance=\"a\"}", "0x120", "1x120"),
    ("safeguard_logs_node_lost_lines_total{instance=\"a\", reason=\"too_old\"}", "0+1x120", "3x120"),
    ("safeguard_logs_node_abandoned_bytes_total{instance=\"a\"}", "0+100x120", "100x120"),
    ("safeguard_logs_target_failing_seconds{instance=\"a\", group=\"g\", stream=\"s\"}", "0+60x120", "0x120"),
    ("safeguard_logs_behind_bytes{instance=\"a\", pod=\"p\"}", "0+10000000x120", "5000000x120"),
    ("safeguard_logs_checkpoint_failing{instance=\"a\"}", "1x120", "0x120"),
    ("safeguard_logs_pinned_bytes{instance=\"a\"}", "2000000000x120", "1000x120"),
    ("safeguard_checks_finished_timestamp_seconds{instance=\"a\"}", "0x120", "0+60x120"),
    ("safeguard_checks_controls{instance=\"a\", policy=\"p\", status=\"fail\"}", "0+1x120", "4x120"),
    ("safeguard_heartbeat_acknowledged_timestamp_seconds{instance=\"a\"}", "0x120", "0+60x120"),
];

/// The rules of a page, as one block of YAML.
pub(super) fn rules(page: &Page) -> &Block {
    let rules = page.blocks.iter().find(|block| block.language == "yaml" && block.text.starts_with("groups:"));
    rules.unwrap_or_else(|| panic!("{} has no rules", page.path))
}

/// The names of its alarms.
pub(super) fn names(rules: &str) -> BTreeSet<&str> {
    rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect()
}

/// The names in the first column of the page's tables, where they are those of alarms: in backticks, beginning with a capital.
pub(super) fn rows(page: &Page) -> BTreeSet<&str> {
    let cells =
        page.prose.iter().filter_map(|(_, line)| line.strip_prefix("| `")?.split_once('`').map(|(name, _)| name));
    let is_name = |name: &&str| name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains(' ');
    cells.filter(is_name).collect()
}

/// Asks Prometheus whether it takes these rules, and whether each alarm fires where it should and only there.
pub(super) fn wrong(rules: &str) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), rules).unwrap();
    let mut tests = "rule_files: [rules.yaml]\nevaluation_interval: 1m\ntests:\n".to_owned();
    for well in [false, true] {
        tests += "  - interval: 1m\n    input_series:\n";
        for (series, ill, fine) in SERIES {
            let values = if well { fine } else { ill };
            if !values.is_empty() {
                writeln!(tests, "      - {{series: '{series}', values: '{values}'}}").unwrap();
            }
        }
        tests += "    promql_expr_test:\n      - expr: count by (alertname) (ALERTS{alertstate=\"firing\"})\n        eval_time: 110m\n";
        if !well {
            tests += "        exp_samples:\n";
            for name in names(rules) {
                writeln!(tests, "          - {{labels: '{{alertname=\"{name}\"}}', value: 1}}").unwrap();
            }
        }
    }
    fs::write(dir.path().join("tests.yaml"), tests).unwrap();
    ["check", "test"]
        .into_iter()
        .find_map(|verb| promtool(dir.path(), verb, if verb == "check" { "rules.yaml" } else { "tests.yaml" }))
}

/// Asks Prometheus whether it takes the queries of a block, one a line.
pub(super) fn unreadable(block: &Block) -> Option<String> {
    let mut text = "groups:\n  - name: queries\n    rules:\n".to_owned();
    for (number, query) in block.text.lines().filter(|line| !line.trim().is_empty()).enumerate() {
        writeln!(text, "      - {{record: query_{number}, expr: {query:?}}}").unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("rules.yaml"), text).unwrap();
    promtool(dir.path(), "check", "rules.yaml").map(|said| format!("{}: {said}", block.at))
}

/// What promtool says of a file, if it does not take it.
fn promtool(dir: &Path, verb: &str, file: &str) -> Option<String> {
    let output = Command::new("promtool").args([verb, "rules", file]).current_dir(dir).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
}
