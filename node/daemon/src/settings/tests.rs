use super::*;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    region: Option<String>,
    logs: Logs,
    extra: Vec<File>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Logs {
    flush_interval_ms: u64,
    format: Format,
    exclude: Vec<String>,
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
    gzip: bool,
    batch: Batch,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Batch {
    events: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    Json,
    Raw,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: String,
}

impl Default for Logs {
    fn default() -> Self {
        Self {
            flush_interval_ms: 5000,
            format: Format::Json,
            exclude: Vec::new(),
            tags: BTreeMap::from([("owner".to_owned(), "platform".to_owned())]),
            kms_key: None,
            gzip: true,
            batch: Batch::default(),
        }
    }
}

const ORIGIN: &str = "/etc/safeguard/agent.toml";

fn read(text: &str) -> Result<Loaded<Settings>, SettingsError> {
    let known = known_keys(&Settings::default());
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    load(text, ORIGIN, &known)
}

fn refusal(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn knows_every_key_unset_skipped_and_nested_and_nothing_inside_a_map() {
    assert_eq!(
        known_keys(&Settings::default()),
        [
            "region",
            "logs.flush_interval_ms",
            "logs.format",
            "logs.exclude",
            "logs.tags",
            "logs.kms_key",
            "logs.gzip",
            "logs.batch.events",
            "extra"
        ]
    );
}

#[test]
fn an_optional_table_that_is_set_by_default_is_walked() {
    #[derive(Serialize)]
    struct Outer {
        given: Option<Batch>,
        missing: Option<Batch>,
        variant: Result<u8, u8>,
        pair: (u8, u8),
    }
    let outer = Outer { given: Some(Batch::default()), missing: None, variant: Ok(1), pair: (1, 2) };
    assert_eq!(known_keys(&outer), ["given.events", "missing", "variant", "pair"]);
}

#[test]
fn no_file_at_all_gives_the_defaults() {
    let loaded = read("").unwrap();
    assert_eq!(loaded.value, Settings::default());
    assert!(loaded.present.is_empty());
}

#[test]
fn tells_what_the_file_gave_however_it_was_written() {
    let loaded = read("region = 'eu-west-1'\nlogs.gzip = false\n[logs.batch]\nevents = 7\n").unwrap();
    assert_eq!(loaded.value.region.as_deref(), Some("eu-west-1"));
    assert_eq!((loaded.value.logs.gzip, loaded.value.logs.batch.events), (false, 7));
    assert_eq!(loaded.value.logs.flush_interval_ms, 5000);
    assert_eq!(Vec::from_iter(&loaded.present), ["logs.batch.events", "logs.gzip", "region"]);

    let inline = read("logs = { batch = { events = 7 } }").unwrap();
    assert_eq!(Vec::from_iter(&inline.present), ["logs.batch.events"]);
}

#[test]
fn a_map_takes_any_key_and_counts_as_given_with_all_it_holds() {
    let loaded = read("[logs.tags]\ncost-centre = '12'\n'a.b' = 'c'\n").unwrap();
    assert_eq!(loaded.value.logs.tags.len(), 2);
    assert_eq!(Vec::from_iter(&loaded.present), ["logs.tags"]);
    assert!(loaded.gives("logs.tags") && loaded.gives("logs.tags.cost-centre"));
    assert!(!loaded.gives("logs.tagsx") && !loaded.gives("logs"));
}

#[test]
fn an_unknown_key_is_refused_with_file_line_key_and_the_nearest() {
    assert_eq!(
        refusal("# comment\n[logs]\ngzip = true\nflush_intervall_ms = 3\n"),
        "/etc/safeguard/agent.toml:4: unknown key `logs.flush_intervall_ms`; did you mean `logs.flush_interval_ms`?"
    );
    assert_eq!(
        refusal("\nflush_interval_ms = 3\n"),
        "/etc/safeguard/agent.toml:2: unknown key `flush_interval_ms`; did you mean `logs.flush_interval_ms`?"
    );
    assert_eq!(
        refusal("[colour]\nscheme = 'dark'"),
        "/etc/safeguard/agent.toml:1: unknown key `colour`; `config example` lists every setting"
    );
}

#[test]
fn a_mistyped_table_finds_its_table() {
    assert_eq!(refusal("[log]\ngzip = true\n"), "/etc/safeguard/agent.toml:1: unknown key `log`; did you mean `logs`?");
}

#[test]
fn all_unknown_keys_are_told_at_once_in_the_order_of_the_file() {
    let message = refusal("zzz = 1\n[logs]\ngzipp = true\n[logs.batch]\nevent = 1\n");
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), 3, "{message}");
    for (line, start) in lines.iter().zip([":1: unknown key `zzz`", ":3: unknown key `logs.gzipp`", ":5: "]) {
        assert!(line.starts_with(&format!("{ORIGIN}{start}")), "{line}");
    }
}

#[test]
fn a_quoted_dot_is_no_path() {
    assert!(refusal("'logs.gzip' = false").contains("unknown key `\"logs.gzip\"`; did you mean `logs.gzip`?"));
}

#[test]
fn a_wrong_type_names_file_line_key_and_what_is_expected() {
    for (text, message) in [
        (
            "[logs]\n\nflush_interval_ms = '5s'",
            ":3: `logs.flush_interval_ms`: invalid type: string \"5s\", expected a whole number, not negative",
        ),
        ("logs.gzip = 'yes'", ":1: `logs.gzip`: invalid type: string \"yes\", expected true or false"),
        ("[logs]\nexclude = 'a'", ":2: `logs.exclude`: invalid type: string \"a\", expected a list"),
        ("[logs]\nexclude = [\n'a',\n3]", ":4: `logs.exclude[1]`: invalid type: integer `3`, expected a string"),
        ("logs = 3", ":1: `logs`: invalid type: integer, expected a table"),
        ("[[logs]]\ngzip = true", ":1: `logs`: invalid type: array, expected a table"),
        ("region = 7", ":1: `region`: invalid type: integer `7`, expected a string"),
        ("[logs]\nformat = 'yaml'", ":2: `logs.format`: unknown variant `yaml`, expected `json` or `raw`"),
        (
            "[logs.batch]\nevents = 70000",
            ":2: `logs.batch.events`: invalid value: integer `70000`, expected a whole number, not negative",
        ),
        ("[logs.tags]\nowner = 3", ":2: `logs.tags.owner`: invalid type: integer `3`, expected a string"),
    ] {
        assert_eq!(refusal(text), format!("{ORIGIN}{message}"), "{text}");
    }
}

#[test]
fn an_unknown_name_inside_a_list_is_refused_by_its_place() {
    let message = refusal("[[extra]]\npath = '/var/log/a'\n[[extra]]\npth = '/var/log/b'\n");
    assert!(message.starts_with(&format!("{ORIGIN}:4: `extra[1].pth`: unknown field `pth`")), "{message}");
}

#[test]
fn broken_toml_is_told_with_its_line() {
    let message = refusal("region = 'eu'\nlogs = [");
    assert!(message.starts_with(&format!("{ORIGIN}:2: not valid TOML: ")), "{message}");
    let message = refusal("region = 'a'\nregion = 'b'");
    assert!(message.starts_with(&format!("{ORIGIN}:2: not valid TOML: ")), "{message}");
}

#[test]
fn hostile_text_is_an_error_and_not_a_crash() {
    for text in ["[".repeat(100_000), format!("a = {}", "[".repeat(100_000)), "\u{0}".to_owned(), "é=".to_owned()] {
        assert!(read(&text).is_err());
    }
    let deep = vec!["a"; 5_000].join(".");
    assert!(read(&format!("{deep} = 1")).is_err());
}

#[test]
fn shows_every_value_with_its_source_in_aligned_columns() {
    let loaded = read("[logs]\nexclude = ['kube-system']\n[logs.tags]\n'a.b' = \"é\\u001b\"\n").unwrap();
    let effective = serde_json::to_value(&loaded.value).unwrap();
    let rows = show(&effective, &|key| if loaded.gives(key) { ORIGIN.to_owned() } else { "default".to_owned() });
    let table = render_table(&rows);
    let expected = [
        "KEY                     VALUE            SOURCE",
        "extra                   []               default",
        "logs.batch.events       0                default",
        "logs.exclude            [\"kube-system\"]  /etc/safeguard/agent.toml",
        "logs.flush_interval_ms  5000             default",
        "logs.format             \"json\"           default",
        "logs.gzip               true             default",
        "logs.tags.\"a.b\"         \"é\\u001b\"        /etc/safeguard/agent.toml",
        "region                  -                default",
    ];
    assert_eq!(table, expected.join("\n") + "\n");
}

#[test]
fn a_long_value_pushes_nothing_but_its_own_source_away() {
    let row = |key: &str, value: String| Row { key: key.to_owned(), value, source: "default".to_owned() };
    let table = render_table(&[row("a", "x".repeat(500)), row("b", "1".to_owned())]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[1].ends_with("x  default") && lines[1].len() > 500, "{table}");
    assert!(lines[2].ends_with("default") && lines[2].len() < 100, "{table}");
}
