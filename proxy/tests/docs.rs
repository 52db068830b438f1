//! What the operator's pages say of settings is what the settings are.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;

use safeguard_proxy::config::{ProgramSettings, Settings};

#[expect(clippy::disallowed_methods, reason = "a page of this repository")]
fn page(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)).unwrap()
}

/// What stands in backticks and begins with a table of the settings and a dot.
fn settings(page: &str, keys: &BTreeSet<String>) -> BTreeSet<String> {
    let tables: BTreeSet<&str> = keys.iter().filter_map(|key| key.split_once('.')).map(|(table, _)| table).collect();
    let spans = page.split('`').skip(1).step_by(2);
    let keys = spans.filter_map(|span| {
        let key = span.split([' ', '=']).next()?;
        let (table, name) = key.split_once('.')?;
        let is_name =
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        (tables.contains(table) && is_name).then(|| key.to_owned())
    });
    keys.collect()
}

#[test]
fn every_setting_that_a_page_names_exists() {
    let keys: BTreeSet<String> = Settings::keys().into_iter().collect();
    let pages = [("migrate-kube2iam.md", 25), ("why-was-my-pod-refused.md", 5), ("permissions.md", 2)];
    for (name, least) in pages {
        let named = settings(&page(name), &keys);
        assert!(named.len() >= least, "{name} names only {named:?}");
        let unknown: Vec<_> = named.difference(&keys).collect();
        assert!(unknown.is_empty(), "{name} names settings that do not exist: {unknown:?}");
    }
}

#[test]
fn the_migration_page_names_every_annotation() {
    let page = page("migrate-kube2iam.md");
    let names = safeguard_proxy::settings::AnnotationNames::default();
    let missing: Vec<_> = names
        .of_pods()
        .into_iter()
        .chain(names.of_namespaces())
        // What the kubelet writes, and nobody migrates.
        .filter(|name| name != safeguard_proxy::settings::AnnotationNames::MIRROR)
        .filter(|name| !page.contains(&format!("`{name}")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
