use super::*;
use safeguard_daemon::settings::{document, rows};

/// The example with the settings that it shows as comments put in force.
fn uncommented() -> String {
    let setting = |rest: &&str| rest.starts_with(|c: char| c.is_ascii_lowercase());
    let lines = EXAMPLE.lines().map(|line| line.strip_prefix('#').filter(setting).unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

fn problems(text: &str) -> String {
    match Settings::parse(text, "agent.toml") {
        Ok(loaded) => loaded.value.check().unwrap_err().to_string(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn the_example_as_it_is_changes_nothing() {
    assert_eq!(Settings::parse(EXAMPLE, "example").unwrap().value, Settings::default());
    Settings::default().check().unwrap();
}

#[test]
fn the_example_names_every_key_with_its_default() {
    let loaded = Settings::parse(&uncommented(), "example").unwrap();
    loaded.value.check().unwrap();
    let known = Settings::keys();
    assert_eq!(loaded.present.iter().collect::<Vec<_>>(), {
        let mut known: Vec<&String> = known.iter().collect();
        known.sort();
        known
    });

    // Keys without a default carry an example; everything else is the default.
    let (shown, defaults) = (serde_json::to_value(&loaded.value).unwrap(), Settings::default());
    let defaults = serde_json::to_value(&defaults).unwrap();
    for key in known {
        let at = format!("/{}", key.replace('.', "/"));
        let (shown, default) = (shown.pointer(&at).unwrap(), defaults.pointer(&at).unwrap());
        if default.is_null() {
            assert!(!shown.is_null(), "{key}");
        } else {
            assert_eq!(shown, default, "{key}");
        }
    }
}

#[test]
fn every_problem_names_its_key_its_value_and_what_is_allowed() {
    for (text, parts) in [
        ("[logs]\ngzip_level = 12", ["`logs.gzip_level`", "12", "0 (off) to 9"]),
        ("[logs]\nflush_interval = \"1ms\"", ["`logs.flush_interval`", "\"1ms\"", "100ms to 5m"]),
        ("[logs]\nmemory_budget = 1", ["`logs.memory_budget`", "1B", "4MB to 1GB"]),
        ("[logs]\nmax_puts_per_second = 0", ["`logs.max_puts_per_second`", "0", "5000"]),
        ("[logs]\nstream = \"{nod}\"", ["`logs.stream`", "{nod}", "{node}"]),
        ("[logs]\nexclude = [\"dev\", \"a/b/c/d\"]", ["`logs.exclude[1]`", "a/b/c/d", "namespace/pod/container"]),
        (
            "[logs]\nannotations_may_exclude = [\"dev-*\", \"dev/web\"]",
            ["`logs.annotations_may_exclude[1]`", "dev/web", "a namespace"],
        ),
        ("[kubernetes]\nmode = \"url\"", ["`kubernetes.mode`", "\"url\"", "it needs `kubernetes.url`"]),
        ("[kubernetes]\ntoken_file = \"token\"", ["`kubernetes.token_file`", "token", "absolute"]),
        ("[logs]\npods_dir = \"var/log\"", ["`logs.pods_dir`", "var/log", "absolute"]),
        ("[logs.groups]\napplication = \"aws/x\"", ["`logs.groups.application`", "aws/x", "start"]),
        ("[logs.groups]\nretention_days = 31", ["`logs.groups.retention_days`", "31", "30, 60"]),
        ("[logs.groups]\ntags = { \"aws:x\" = \"y\" }", ["`logs.groups.tags`", "aws:x", "128"]),
        ("[aws]\nregion = \"EU\"", ["`aws.region`", "EU", "eu-central-1"]),
        ("[aws]\nendpoint_url = \"logs.example\"", ["`aws.endpoint_url`", "logs.example", "https://"]),
        ("[agent]\nmetrics = \"9464\"", ["`agent.metrics`", "9464", "127.0.0.1:9464"]),
        ("[log]\nfilter = \"aws_sigv4=trace\"", ["`log.filter`", "aws_sigv4=trace", "credentials"]),
    ] {
        let message = problems(text);
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
    }
}

#[test]
fn a_wrong_type_or_key_is_refused_with_its_line() {
    let cases = [
        ("[logs]\nflush_interval = 5", ["agent.toml:2", "`logs.flush_interval`", "a duration such as"]),
        ("[logs]\nformat = \"xml\"", ["agent.toml:2", "`logs.format`", "json"]),
        (
            "[logs]\nflush_intervall = \"5s\"",
            ["agent.toml:2", "flush_intervall", "did you mean `logs.flush_interval`?"],
        ),
        ("[logs.groups]\nclass = \"standard\"", ["agent.toml:2", "`logs.groups.class`", "INFREQUENT_ACCESS"]),
    ];
    for (text, parts) in cases {
        let message = problems(text);
        assert!(parts.iter().all(|part| message.contains(part)), "{text}: {message}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let message = problems("[logs]\ngzip_level = 12\n[agent]\nmetrics = \"x\"\nshutdown_grace = \"0s\"");
    assert_eq!(message.lines().count(), 3, "{message}");
}

#[test]
fn the_agents_own_container_is_left_out_unless_it_is_asked_for() {
    let environment = Environment::empty().with("POD_NAMESPACE", "ops").with("POD_NAME", "safeguard-x1");
    let names = |pod: &str| {
        let key = safeguard_logs::ContainerKey {
            namespace: "ops".to_owned(),
            pod: pod.to_owned(),
            uid: "u".to_owned(),
            container: "agent".to_owned(),
        };
        safeguard_logs::LogName::Container(key)
    };
    let mut settings = Settings::default();
    let room = |settings: &Settings, environment: &Environment| {
        let checked = settings.checked().unwrap();
        checked.logs(&settings.logs, &settings.agent.state_dir, safeguard_logs::NodeNames::default(), environment)
    };
    assert!(!room(&settings, &environment).selects(&names("safeguard-x1")));
    assert!(room(&settings, &environment).selects(&names("safeguard-x2")));
    let unit = |unit: &str| safeguard_logs::LogName::Unit { unit: unit.to_owned() };
    assert!(!room(&settings, &environment).selects(&unit("safeguard-agent.service")));
    assert!(room(&settings, &environment).selects(&unit("sshd.service")));
    assert!(room(&settings, &Environment::empty()).selects(&names("safeguard-x1")));
    let wild = Environment::empty().with("POD_NAMESPACE", "*").with("POD_NAME", "*");
    assert!(room(&settings, &wild).selects(&names("safeguard-x1")), "a glob is no name");
    settings.logs.include_self = true;
    assert!(room(&settings, &environment).selects(&names("safeguard-x1")));
}

#[test]
fn show_tells_where_each_value_came_from() {
    let path = std::path::Path::new("/etc/safeguard/agent.toml");
    let loaded = Settings::parse("[logs]\nformat = \"raw\"", "agent.toml").unwrap();
    let mut found = Found::default();
    found.insert("aws.region", "eu-central-1".to_owned(), Source::Env("AWS_REGION"));
    found.insert("node.cluster", "prod".to_owned(), Source::Tag("eks:cluster-name".to_owned()));
    let rows = rows(&loaded, path, &found);
    let row =
        |key: &str| rows.iter().find(|row| row.key == key).map(|r| (r.value.as_str(), r.source.as_str())).unwrap();
    assert_eq!(row("logs.format"), ("\"raw\"", "file /etc/safeguard/agent.toml"));
    assert_eq!(row("logs.flush_interval"), ("\"5s\"", "default"));
    assert_eq!(row("aws.region"), ("\"eu-central-1\"", "env AWS_REGION"));
    assert_eq!(row("node.cluster"), ("\"prod\"", "instance tag eks:cluster-name"));
    assert_eq!(rows.len(), Settings::keys().len());
    let document = document(&rows);
    assert_eq!(document["aws.region"]["value"], "eu-central-1");
    assert_eq!(document["node.name"]["value"], serde_json::Value::Null);
}
