#![expect(clippy::disallowed_methods, reason = "a test writes the directory that it reads")]

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

fn policy(id: &str) -> String {
    format!(
        "policy: {id}\nversion: '1'\ntitle: T\nsource: S\ncontrols:\n- {{id: A-1, title: T, level: 1, assessment: manual, \
         severity: low, why: W, remedy: R}}\n"
    )
}

fn read(files: &[(&str, String)], known: &[&str]) -> Result<Vec<Policy>, Vec<String>> {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("etc/policies")).unwrap();
    for (name, text) in files {
        fs::write(dir.path().join("etc/policies").join(name), text).unwrap();
    }
    let root = HostRoot::open(dir.path()).unwrap();
    let found = directory(&root, Path::new("/etc/policies"), known.iter().copied());
    found.map_err(|mistakes| mistakes.iter().map(Mistake::to_string).collect())
}

#[test]
fn a_directory_gives_its_policies_by_name() {
    let files = [("b.yaml", policy("two")), ("a.yml", policy("one")), ("notes.txt", "no policy".to_owned())];
    let policies = read(&files, &[]).unwrap();
    assert_eq!(policies.iter().map(|p| p.policy.as_str()).collect::<Vec<_>>(), ["one", "two"]);
}

#[test]
fn every_mistake_of_every_file_is_told() {
    let bad = policy("three").replace("level: 1", "level: 3").replace("why: W", "why: ''");
    let files = [("a.yaml", policy("cis-eks-1.8.0")), ("b.yaml", bad), ("c.yaml", "- no policy".to_owned())];
    let mistakes = read(&files, &["cis-eks-1.8.0"]).unwrap_err();
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    assert_eq!(mistakes[0], "/etc/policies/a.yaml: there is another policy `cis-eks-1.8.0`");
    assert!(
        mistakes[1].starts_with("/etc/policies/b.yaml:6:") && mistakes[1].contains("why: is empty"),
        "{mistakes:#?}"
    );
    assert!(mistakes[2].contains("controls[0].level: is 3"), "{mistakes:#?}");
    assert!(mistakes[3].starts_with("/etc/policies/c.yaml:1:1: invalid type"), "{mistakes:#?}");
}

#[test]
fn what_cannot_be_read_is_a_mistake_and_no_empty_policy() {
    let large = format!("{}#{}", policy("large"), "x".repeat(1 << 20));
    assert!(read(&[("large.yaml", large)], &[]).unwrap_err()[0].contains("/etc/policies/large.yaml"));
    let dir = TempDir::new().unwrap();
    let root = HostRoot::open(dir.path()).unwrap();
    assert!(directory(&root, Path::new("/etc/policies"), []).unwrap_err()[0].to_string().contains("/etc/policies"));
    let many: Vec<_> = (0..101).map(|n| format!("{n}.yaml")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), policy("p"))).collect();
    assert!(read(&many, &[]).unwrap_err()[0].contains("has 101 policies, and 100 are the most"));
}

#[test]
fn a_link_out_of_the_root_leads_nowhere() {
    let dir = TempDir::new().unwrap();
    let outside = TempDir::new().unwrap();
    fs::write(outside.path().join("p.yaml"), policy("outside")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("p.yaml"), dir.path().join("p.yaml")).unwrap();
    let root = HostRoot::open(dir.path()).unwrap();
    assert!(directory(&root, Path::new("/"), []).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_loading_panic(text in "[ -~\\n]{0,200}") {
        prop_assert!(load(&text, "any.yaml").is_err());
    }
}
