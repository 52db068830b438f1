#![expect(clippy::disallowed_methods, reason = "the test makes the files that it reads")]

use super::*;
use crate::redirect::{Ipv6, Layer, Standing};
use std::os::unix::fs::PermissionsExt as _;

fn report() -> Report {
    let layers = Layers { table: Standing::Broken, ..Layers::default() };
    let problems = vec![Finding { layer: Layer::Table, text: "it is gone".to_owned() }];
    let state = State { version: VERSION, ok: false, generation: 7, at_ms: 1_700_000_000_000, problems, layers };
    Report { state, ipv6: Ipv6::Refused, mended: Vec::new(), warnings: Vec::new(), probes: Vec::new() }
}

fn in_dir(test: impl FnOnce(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    test(&dir.path().join("redirect.json"));
}

#[test]
fn what_is_written_is_read_again_by_whoever_may() {
    in_dir(|path| {
        write(path, &report()).unwrap();
        assert_eq!(State::read(path).unwrap(), report().state);
        let mode = std::fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644);
        // A second one replaces it, also when a killed run left its half behind.
        std::fs::write(path.with_extension("tmp"), "{").unwrap();
        let mut next = report();
        next.state.generation = 8;
        write(path, &next).unwrap();
        assert_eq!(State::read(path).unwrap().generation, 8);
        assert!(!path.with_extension("tmp").exists());
    });
}

#[test]
fn the_file_has_the_keys_that_are_documented() {
    let json = serde_json::to_value(report()).unwrap();
    let mut keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    keys.sort();
    let documented =
        ["at_ms", "generation", "ipv6", "layers", "mended", "ok", "probes", "problems", "version", "warnings"];
    assert_eq!(keys, documented);
    assert_eq!(json["layers"]["table"], "broken");
    assert_eq!(json["layers"]["probe"], "unknown");
    assert_eq!(json["problems"][0]["layer"], "table");
}

#[test]
fn no_state_half_a_state_and_a_later_one_are_errors_with_what_to_do() {
    in_dir(|path| {
        let said = || State::read(path).unwrap_err().to_string();
        assert!(said().contains("redirect up"), "{}", said());
        for half in ["", "{", "[]", "{\"version\": 1, \"ok\": true}"] {
            std::fs::write(path, half).unwrap();
            assert!(matches!(State::read(path), Err(StateError::Strange { .. })), "{half}");
        }
        std::fs::write(path, "{\"version\": 2}").unwrap();
        assert!(said().contains("version 2"), "{}", said());
        std::fs::write(path, vec![b' '; 1 << 20]).unwrap();
        assert!(matches!(State::read(path), Err(StateError::Strange { .. })));
    });
}

#[test]
fn a_state_is_old_after_three_minutes_and_when_the_clock_was_set_back() {
    let state = report().state;
    let after = |ms: i64| state.freshness(state.at_ms + ms);
    assert_eq!(after(0), Freshness::Fresh { age_ms: 0 });
    assert_eq!(after(OLD_AFTER_MS - 1), Freshness::Fresh { age_ms: OLD_AFTER_MS - 1 });
    assert_eq!(after(OLD_AFTER_MS), Freshness::Old { age_ms: OLD_AFTER_MS });
    assert_eq!(after(-AHEAD_MS), Freshness::Fresh { age_ms: -AHEAD_MS });
    assert_eq!(after(-AHEAD_MS - 1), Freshness::Old { age_ms: -AHEAD_MS - 1 });
    assert!(matches!(state.freshness(i64::MAX), Freshness::Old { .. }));
    assert!(matches!(state.freshness(i64::MIN), Freshness::Old { .. }));
}
