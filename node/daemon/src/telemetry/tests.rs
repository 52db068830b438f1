use super::*;
use crate::child;
use serde_json::Value;

const SPEAKER: &str = "telemetry::tests::child_that_speaks";

#[test]
fn child_that_speaks() {
    if !child::is_child(SPEAKER) {
        return;
    }
    let telemetry: Telemetry = serde_json::from_str(&std::env::var("TELEMETRY").unwrap()).unwrap();
    telemetry.install().unwrap();
    assert!(matches!(telemetry.install(), Err(TelemetryError::Installed)));
    let span = tracing::info_span!("ship", group = "/aws/containerinsights/prod/application");
    span.in_scope(|| tracing::info!(events = 3, file = "a\"b\nc\u{1b}[31m", "batch accepted"));
    tracing::debug!("too much detail");
    let crashed = std::thread::Builder::new().name("tailer".to_owned()).spawn(|| panic!("first line\nsecond line"));
    assert!(crashed.unwrap().join().is_err());
}

fn said(telemetry: &Telemetry) -> Vec<String> {
    let output = child::command(SPEAKER)
        .env("TELEMETRY", serde_json::to_string(telemetry).unwrap())
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn without_a_terminal_every_line_is_json_and_a_panic_is_one_line() {
    let lines: Vec<Value> =
        said(&Telemetry::default()).iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    let [event, panic] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(event["message"], "batch accepted");
    assert_eq!(event["level"], "INFO");
    assert_eq!(event["events"], 3);
    assert_eq!(event["file"], "a\"b\nc\u{1b}[31m");
    assert_eq!(event["span"]["group"], "/aws/containerinsights/prod/application");
    assert!(event["timestamp"].as_str().unwrap().ends_with('Z'), "{event}");
    assert_eq!(panic["level"], "ERROR");
    assert_eq!(panic["panic"], "first line\nsecond line");
    assert_eq!(panic["thread"], "tailer");
    assert!(panic["location"].as_str().unwrap().contains("telemetry/tests.rs:"), "{panic}");
}

#[test]
fn text_in_a_pipe_has_no_colours() {
    let lines = said(&Telemetry { format: Format::Text, filter: "debug".to_owned() });
    let all = lines.join("\n");
    assert!(all.contains("batch accepted") && all.contains("too much detail") && all.contains("second line"), "{all}");
    assert!(!all.contains('\u{1b}'), "{all:?}");
}

#[test]
fn a_filter_per_crate_silences_the_rest() {
    let lines = said(&Telemetry { format: Format::Json, filter: "warn,somebody_else=trace".to_owned() });
    assert_eq!(lines.len(), 1, "only the panic: {lines:?}");
}

#[test]
fn auto_follows_the_terminal() {
    let with = |format| Telemetry { format, ..Telemetry::default() };
    assert!(with(Format::Auto).is_json(false) && !with(Format::Auto).is_json(true));
    assert!(with(Format::Json).is_json(true) && !with(Format::Text).is_json(false));
}

#[test]
fn no_color_is_honoured() {
    let with = |name: &'static str, value: &'static str| move |asked: &str| (asked == name).then(|| value.into());
    assert!(colours_wanted(|_| None));
    assert!(!colours_wanted(with("NO_COLOR", "1")));
    assert!(colours_wanted(with("NO_COLOR", "")), "empty counts as unset");
    assert!(!colours_wanted(with("TERM", "dumb")));
}

#[test]
fn a_misspelt_filter_is_refused_rather_than_silent() {
    let check = |filter: &str| Telemetry { filter: filter.to_owned(), ..Telemetry::default() }.check();
    for good in
        ["info", "WARN", "", "off", "info,safeguard_logs=debug", "warn,hyper=info,safeguard_agent", "[ship]=trace"]
    {
        check(good).expect(good);
    }
    let message = check("inof").unwrap_err().to_string();
    assert!(message.contains("\"inof\"") && message.contains("did you mean \"info\""), "{message}");
    assert!(check("warn,dbug").is_err());
    let message = check("safeguard_logs=loud").unwrap_err().to_string();
    assert!(message.contains("safeguard_logs=loud") && message.contains("\"info\""), "{message}");
}
