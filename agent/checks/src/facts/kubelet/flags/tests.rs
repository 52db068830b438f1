use proptest::prelude::*;

use super::*;

fn flags(line: &str) -> Flags {
    Flags::parse(&words(line)).unwrap()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

fn refused(line: &str) -> (usize, &'static str) {
    let refused = Flags::parse(&words(line)).unwrap_err();
    (refused.argument, refused.problem)
}

fn says(line: &str, path: &str) -> Option<(Option<Value>, usize)> {
    flags(line).says(path).map(|said| said.map(|said| (said.value, said.argument)).unwrap())
}

const ANONYMOUS: &str = "authentication.anonymous.enabled";

/// kube-bench takes the first occurrence (`FindStringSubmatch`); nodeadm appends the user's flags "to give them precedence".
#[test]
fn the_last_occurrence_decides() {
    let line = "--anonymous-auth=false --v=2 --anonymous-auth=true";
    assert_eq!(says(line, ANONYMOUS), Some((Some(Value::bool(true)), 3)));
}

#[test]
fn a_flag_is_written_in_many_ways() {
    for line in ["--read-only-port=0", "--read-only-port 0", "--read_only_port=0", "--read-only-port 0x0"] {
        assert_eq!(says(line, "readOnlyPort").unwrap().0, Some(Value::int(0)), "{line}");
    }
    for line in ["--anonymous-auth", "--anonymous-auth=T", "--anonymous-auth=1 --"] {
        assert_eq!(says(line, ANONYMOUS).unwrap().0, Some(Value::bool(true)), "{line}");
    }
    for line in ["--v=4", "--v 4", "-v=4", "-v4", "-v 4"] {
        assert_eq!(says(line, "logging.verbosity").unwrap().0, Some(Value::int(4)), "{line}");
    }
}

/// A tool that takes `false` for the value of the boolean before it passes a kubelet that would be open, if it started.
#[test]
fn a_stray_word_is_no_value_of_a_boolean() {
    assert_eq!(refused("--anonymous-auth false"), (2, "is no flag"));
    assert_eq!(refused("agent --anonymous-auth=false"), (1, "is no flag"));
    assert_eq!(refused("--v=2 -- x"), (2, "is no flag"));
    assert_eq!(refused("-anonymous-auth=false").0, 1);
    assert_eq!(refused("--=x").0, 1);
    assert_eq!(refused("---x").0, 1);
    assert_eq!(refused("--config"), (1, "lacks its value"));
}

#[test]
fn a_value_may_look_like_a_flag() {
    let flags = flags("--hostname-override --node --unknown --unknown-too x --last");
    assert_eq!(flags.text("hostname-override"), Some(("--node", 1)));
    assert_eq!(flags.text("unknown"), Some(("true", 3)));
    assert_eq!(flags.text("unknown-too"), Some(("x", 4)));
    assert_eq!(flags.text("last"), Some(("true", 6)));
}

#[test]
fn lists_gather_all_occurrences() {
    let line = "--tls-cipher-suites=A,B --tls-cipher-suites=C";
    let list = ["A", "B", "C"].map(str::to_owned).to_vec();
    assert_eq!(says(line, "tlsCipherSuites"), Some((Some(Value::List(list)), 2)));
    assert_eq!(says("--tls-cipher-suites=", "tlsCipherSuites"), Some((Some(Value::List(Vec::new())), 1)));
    assert!(flags("--tls-cipher-suites=\"A\"").says("tlsCipherSuites").unwrap().is_err());
}

#[test]
fn gates_are_changed_one_by_one_and_maps_are_replaced() {
    let line = "--feature-gates=A=true,B=false --feature-gates=A=false";
    assert_eq!(says(line, "featureGates.A"), Some((Some(Value::bool(false)), 2)));
    assert_eq!(says(line, "featureGates.B"), Some((Some(Value::bool(false)), 1)));
    assert_eq!(says(line, "featureGates.C"), None);
    let line = "--eviction-hard=memory.available<1Gi,nodefs.available<5%";
    assert_eq!(says(line, "evictionHard.nodefs.available"), Some((Some(Value::text("5%")), 1)));
    assert_eq!(says(line, "evictionHard.imagefs.available"), Some((None, 1)));
    assert_eq!(flags(line).settings(), ["evictionHard.memory.available", "evictionHard.nodefs.available"]);
}

#[test]
fn a_value_of_another_type_is_refused() {
    for (line, path) in [
        ("--read-only-port=abc", "readOnlyPort"),
        ("--anonymous-auth=no", ANONYMOUS),
        ("--streaming-connection-idle-timeout=5", "streamingConnectionIdleTimeout"),
        ("--feature-gates=A", "featureGates.A"),
        ("--feature-gates=A=maybe", "featureGates.A"),
        ("--event-qps=99999999999", "eventRecordQPS"),
    ] {
        assert!(flags(line).says(path).unwrap().is_err(), "{line}");
    }
}

/// kube-bench#1954, amazon-eks-ami#391: the help of `--event-qps` says that 0 is the default. The kubelet puts flag and file into
/// the same field, where 0 is no limit.
#[test]
fn zero_events_is_zero_as_a_flag_too() {
    assert_eq!(says("--event-qps=0", "eventRecordQPS"), Some((Some(Value::int(0)), 1)));
}

/// A header of `--manifest-url-header` may be a password.
#[test]
fn secrets_are_not_kept_as_values() {
    let said = says("--manifest-url-header=Authorization:hunter2", "staticPodURLHeader");
    assert_eq!(said, Some((Some(Value::text(value::NOT_SHOWN)), 1)));
}

proptest! {
    #[test]
    fn never_panics(arguments in proptest::collection::vec("(-{0,3}[a-z_-]{0,12}=?.{0,8})|\\PC{0,12}", 0..8)) {
        if let Ok(flags) = Flags::parse(&arguments) {
            for path in flags.settings() {
                drop(flags.says(&path));
            }
        }
    }
}
