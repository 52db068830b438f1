use super::*;

fn annotations(all: &[(&str, &str)]) -> Annotations {
    all.iter().map(|(key, value)| (Arc::from(*key), Arc::from(*value))).collect()
}

/// All containers by an annotation, or these.
fn excluded(all: &[(&str, &str)]) -> (Option<String>, Vec<(String, String)>) {
    let asked = asked(&annotations(all));
    assert_eq!(asked.problems, Vec::<String>::new(), "{all:?}");
    let PodExclusion { all, containers } = asked.exclusion;
    let containers = containers.into_iter().map(|(name, by)| (name, by.to_string())).collect();
    (all.map(|by| by.to_string()), containers)
}

fn by(by: &str, names: &[&str]) -> Vec<(String, String)> {
    names.iter().map(|name| ((*name).to_owned(), by.to_owned())).collect()
}

fn refused(all: &[(&str, &str)]) -> String {
    let asked = asked(&annotations(all));
    assert!(asked.exclusion.is_empty(), "{all:?}: {asked:?}");
    assert!(!asked.problems.is_empty(), "{all:?}");
    asked.problems.join("\n")
}

#[test]
fn ours_says_all_none_or_which() {
    assert_eq!(excluded(&[]), (None, vec![]));
    assert_eq!(excluded(&[(OURS, "true")]), (Some(OURS.to_owned()), vec![]));
    assert_eq!(excluded(&[(OURS, " true\n")]), (Some(OURS.to_owned()), vec![]));
    assert_eq!(excluded(&[(OURS, "false")]), (None, vec![]));
    assert_eq!(excluded(&[(OURS, "web")]), (None, by(OURS, &["web"])));
    assert_eq!(excluded(&[(OURS, "web, istio-proxy,web")]), (None, by(OURS, &["istio-proxy", "web"])));
}

#[test]
fn a_word_that_may_mean_two_things_is_refused_with_what_to_write() {
    for value in ["yes", "No", "on", "OFF", "1", "0", "web,yes", "true,web", "all"] {
        let problem = refused(&[(OURS, value)]);
        for part in [OURS, &format!("{value:?}"), "write \"true\", \"false\", or the names of containers"] {
            assert!(problem.contains(part), "{part} is not in {problem}");
        }
    }
}

#[test]
fn what_is_no_name_is_refused_whole() {
    let many: Vec<String> = (0..=MOST_CONTAINERS).map(|i| format!("c{i}")).collect();
    let long = "a".repeat(NAME_BYTES + 1);
    for value in
        ["", " ", ",", "web,", "web,,log", "True", "web log", "-web", "web-", "we*b", "../web", &long, &many.join(",")]
    {
        refused(&[(OURS, value)]);
    }
    assert!(refused(&[(OURS, TOO_LONG)]).contains("too long"));
}

#[test]
fn fluent_bits_are_obeyed() {
    let (pod, web) = (FLUENT_BIT, "fluentbit.io/exclude-web");
    assert_eq!(excluded(&[(pod, "true")]), (Some(pod.to_owned()), vec![]));
    assert_eq!(excluded(&[(web, "true")]), (None, by(web, &["web"])));
    assert_eq!(excluded(&[(pod, "false"), (web, "false")]), (None, vec![]));
    assert_eq!(excluded(&[("fluentbit.io/excludes", "true"), ("fluentbit.io/parser", "x")]), (None, vec![]));
    assert!(refused(&[(pod, "yes")]).contains("write \"true\" or \"false\""));
    assert!(refused(&[("fluentbit.io/exclude-Web", "true")]).contains("name of a container"));
    let asked = asked(&annotations(&[(web, "true"), ("fluentbit.io/exclude-log", "perhaps")]));
    assert_eq!((asked.exclusion.containers.len(), asked.problems.len()), (1, 1), "each speaks for itself");
}

#[test]
fn a_single_output_is_not_left_out_and_that_is_said() {
    for key in ["fluentbit.io/exclude_stdout", "fluentbit.io/exclude_stderr-web"] {
        let problem = refused(&[(key, "true")]);
        assert!(problem.contains(key) && problem.contains(OURS), "{problem}");
    }
}

#[test]
fn ours_decides_alone_where_it_is_there() {
    assert_eq!(excluded(&[(OURS, "false"), (FLUENT_BIT, "true")]), (None, vec![]));
    assert_eq!(excluded(&[(OURS, "web"), (FLUENT_BIT, "true")]), (None, by(OURS, &["web"])));
    refused(&[(OURS, "yes"), (FLUENT_BIT, "true")]);
}

#[test]
fn what_is_repeated_of_an_annotation_is_short_and_escaped() {
    let evil = "\u{1b}[2Jx\n\u{202e}evil";
    let problem = refused(&[(OURS, evil)]);
    assert!(!problem.contains(['\u{1b}', '\n', '\u{202e}']), "{problem:?}");
    let problem = refused(&[(OURS, &"x y ".repeat(4_000))]);
    assert!(problem.len() < 400, "{}", problem.len());
    let many: Vec<(String, &str)> = (0..MAX_PREFIXED).map(|i| (format!("fluentbit.io/exclude_{i}"), "true")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    let asked = asked(&annotations(&many));
    assert_eq!(asked.problems.len(), MOST_PROBLEMS);
    assert!(asked.problems[0].contains("only 64 are looked at"), "{:?}", asked.problems);
}

#[test]
fn a_static_pod_is_known_by_the_hash_of_its_manifest() {
    let hash = |value: &str| config_hash(&annotations(&[(CONFIG_HASH, value)])).map(|hash| hash.to_string());
    assert_eq!(hash("0123abcd").as_deref(), Some("0123abcd"));
    for no in ["", "a/b", "a b", &"a".repeat(64)] {
        assert_eq!(hash(no), None, "{no:?}");
    }
    assert_eq!(config_hash(&annotations(&[])), None);
}
