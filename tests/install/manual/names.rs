//! Settings and metrics that pages name are there.

use std::collections::{BTreeMap, BTreeSet};

use super::pages::Page;

/// Beginnings of our metrics' names.
const FAMILIES: [&str; 5] =
    ["safeguard_logs_", "safeguard_proxy_", "safeguard_checks_", "safeguard_heartbeat_", "safeguard_healthy"];

/// What files' names end with: `server.rs` is no key of `[server]`, and `logs.checkpoint` is in the state directory.
const FILES: [&str; 5] = [".checkpoint", ".corrupt", ".json", ".rs", ".toml"];

/// Keys that a page names and no program has. In backticks, `table.key`, `table.key = value` and `[table]`.
pub(super) fn unknown_settings(page: &Page, known: &[String]) -> Vec<String> {
    let tables: BTreeSet<&str> = known.iter().filter_map(|key| key.rsplit_once('.')).map(|(table, _)| table).collect();
    let tables: BTreeSet<&str> =
        tables.iter().flat_map(|table| [*table, table.split('.').next().unwrap_or(table)]).collect();
    let has = |key: &str| known.iter().any(|known| known == key);
    let is_key = |key: &str| key.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_.".contains(&b));
    let unknown = page.spans().filter_map(|(line, span)| {
        let name = span.split([' ', '=', '[']).next().unwrap_or_default();
        let table = span.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(|t| t.trim_matches(['[', ']']));
        let wrong = if let Some(table) = table {
            // `[reload]` marks keys in the example.
            is_key(table) && table.len() > 2 && table != "reload" && !tables.contains(table)
        } else {
            let is_of_ours =
                name.rsplit_once('.').is_some_and(|(table, key)| tables.contains(table) && !key.is_empty());
            is_of_ours && is_key(name) && !has(name) && !FILES.iter().any(|end| name.ends_with(end))
        };
        wrong.then(|| format!("{}:{line}: `{span}`", page.path))
    });
    unknown.collect()
}

/// How many settings a page names.
pub(super) fn settings(page: &Page, known: &[String]) -> usize {
    page.spans().filter(|(_, span)| known.iter().any(|key| span.split([' ', '=']).next() == Some(key))).count()
}

/// What a program shows at `/metrics`: names, and for each name the labels with their values.
pub(super) type Shown = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Reads the text of metrics, in either of the two forms.
pub(super) fn shown(text: &str) -> Shown {
    let mut shown = Shown::new();
    for line in text.lines() {
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            // OpenMetrics declares a counter without what its samples end with.
            let whole =
                if kind == "counter" && !name.ends_with("_total") { format!("{name}_total") } else { name.to_owned() };
            shown.entry(whole).or_default();
        } else if let Some((name, rest)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let labels = shown.entry(name.to_owned()).or_default();
            let inner = rest.split_once('}').map_or("", |(inner, _)| inner);
            for (label, value) in inner.split("\",").filter_map(|pair| pair.split_once("=\"")) {
                labels.entry(label.to_owned()).or_default().insert(value.trim_end_matches('"').to_owned());
            }
        }
    }
    shown
}

/// Metrics, and labels of them, that a text names and no program shows. `whole_*` stands for all that begin so.
pub(super) fn unknown_metrics(at: &str, text: &str, shown: &Shown) -> Vec<String> {
    let mut unknown = Vec::new();
    for (found, _) in text.match_indices("safeguard_") {
        let (before, rest) = text.split_at(found);
        let length = rest.bytes().take_while(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || *b == b'_').count();
        let (name, after) = rest.split_at(length);
        let inner = before.ends_with(|c: char| c.is_alphanumeric() || "_/.-".contains(c));
        if inner || !FAMILIES.iter().any(|family| name.starts_with(family)) {
            continue;
        }
        if after.starts_with('*') {
            if !shown.keys().any(|known| known.starts_with(name)) {
                unknown.push(format!("{at}: {name}*"));
            }
            continue;
        }
        let Some(labels) = shown.get(name) else {
            unknown.push(format!("{at}: {name}"));
            continue;
        };
        let inside = after.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        for pair in inside.split(',').filter(|pair| !pair.is_empty()) {
            let (label, value) = pair.split_once(['=', '!']).unwrap_or((pair, ""));
            let exact = pair.strip_prefix(&format!("{label}=\"")).map(|value| value.trim_end_matches('"'));
            let is_there = labels.get(label.trim());
            let known = is_there.is_some_and(|values| exact.is_none_or(|exact| values.contains(exact)));
            if !known && !labels.is_empty() {
                unknown.push(format!("{at}: {name} has no {label} {value}"));
            }
        }
    }
    unknown
}

/// Sentences of our logs that a page quotes and no source has: between backticks, from a capital to a full stop.
pub(super) fn unsaid(page: &Page, sources: &str) -> Vec<String> {
    let quoted = page.spans().filter(|(_, span)| {
        span.starts_with(|c: char| c.is_ascii_uppercase()) && span.ends_with('.') && span.split(' ').count() > 2
    });
    quoted.filter(|(_, span)| !sources.contains(span)).map(|(n, span)| format!("{}:{n}: {span}", page.path)).collect()
}

#[test]
fn a_sentence_that_no_program_says_is_found() {
    let page = Page::parse("a.md", "`A control has drifted.` and `A control has gone.`, `Storage=` and `No.`").unwrap();
    assert_eq!(unsaid(&page, "warn!(\"A control has drifted.\");"), ["a.md:1: A control has gone."]);
}

#[test]
fn a_setting_that_no_program_has_is_found() {
    let known = ["logs.groups", "logs.groups.create", "logs.gzip_level", "log.filter"].map(str::to_owned);
    let text = "`logs.gzip_level = 0`, `logs.groups.create`, `[logs]`, `logs status`, `kubelet.service`, `log.filter`";
    let page = Page::parse("a.md", text).unwrap();
    assert_eq!(unknown_settings(&page, &known), [""; 0]);
    assert_eq!(settings(&page, &known), 3);
    let page = Page::parse("a.md", "`logs.gzip_levels`\n`[lugs]`\n`logs.groups.made = 1`").unwrap();
    assert_eq!(
        unknown_settings(&page, &known),
        ["a.md:1: `logs.gzip_levels`", "a.md:2: `[lugs]`", "a.md:3: `logs.groups.made = 1`"]
    );
}

#[test]
fn a_metric_that_no_program_shows_is_found() {
    let shown = shown(
        "# HELP safeguard_logs_lost_lines Lost\n# TYPE safeguard_logs_lost_lines counter\n\
         safeguard_logs_lost_lines_total{pod=\"a\",reason=\"too_old\"} 1\n# TYPE safeguard_proxy_ready gauge\nsafeguard_proxy_ready 1\n",
    );
    let unknown = |text: &str| unknown_metrics("a.md", text, &shown);
    for good in [
        "safeguard_logs_*",
        "rate(safeguard_logs_lost_lines_total{reason=\"too_old\"}[5m])",
        "safeguard_proxy_ready == 0",
        "safeguard_tests",
        "`safeguard_logs=debug`, x_safeguard_logs_x",
    ] {
        assert_eq!(unknown(good), [""; 0], "{good}");
    }
    for bad in [
        "safeguard_logs_lost_lines",
        "safeguard_proxy_read",
        "safeguard_proxy_requests_*",
        "safeguard_logs_lost_lines_total{why=\"x\"}",
        "safeguard_logs_lost_lines_total{reason=\"tooold\"}",
    ] {
        assert_eq!(unknown(bad).len(), 1, "{bad}: {:?}", unknown(bad));
    }
}
