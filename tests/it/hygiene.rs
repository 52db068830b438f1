//! What ARCHITECTURE.md says of the code is what the code is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Most lines of a source file. Tables of data would be excepted; there is none so far.
const MOST_LINES: usize = 600;

/// What a file must not be called: these names gather what belongs nowhere.
const NAMELESS: [&str; 4] = ["util", "common", "helpers", "mod.rs"];

/// Directories that only exist on somebody's machine. Written so that this file does not hold what it looks for.
const OF_A_MACHINE: [&str; 3] = [concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/wo", "rk/")];

/// The marks around the table of arrows.
const BEGIN: &str = "<!-- arrows:begin -->";
const END: &str = "<!-- arrows:end -->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Files that are committed, or would be by `git add --all`.
fn files() -> Vec<String> {
    let listed = output("git", &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let mut files: Vec<String> = listed.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    // Deleted and not yet committed.
    files.retain(|name| root().join(name).exists());
    assert!(files.len() > 50, "git lists only {} files", files.len());
    files
}

fn sources() -> Vec<String> {
    files().into_iter().filter(|name| name.ends_with(".rs")).collect()
}

/// A crate of the workspace: where it is, and the crates of the workspace that it names.
struct Crate {
    dir: String,
    normal: BTreeSet<String>,
    all: BTreeSet<String>,
}

fn crates() -> BTreeMap<String, Crate> {
    let text = output(env!("CARGO"), &["metadata", "--format-version", "1", "--no-deps", "--offline"]);
    let metadata: Value = serde_json::from_str(&text).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let root = root().canonicalize().unwrap();
    let of = |package: &Value| {
        let depends = |any: bool| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let chosen = dependencies.filter(|d| any || d["kind"].is_null()).map(name);
            chosen.filter(|dependency| ours.contains(dependency)).collect()
        };
        let manifest = Path::new(package["manifest_path"].as_str().unwrap());
        let dir = manifest.parent().unwrap().canonicalize().unwrap();
        let dir = dir.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        (name(package), Crate { dir, normal: depends(false), all: depends(true) })
    };
    packages.iter().map(of).collect()
}

/// The rows between the marks: a crate, and those it may depend on.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("ARCHITECTURE.md");
    let table = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once(END)).map(|(table, _)| table);
    let table = table.unwrap_or_else(|| panic!("ARCHITECTURE.md has no table between {BEGIN} and {END}"));
    let names = |cell: &str| -> BTreeSet<String> {
        let words = cell.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        words.filter(|word| word.starts_with("safeguard")).map(str::to_owned).collect()
    };
    let rows = table.lines().filter_map(|line| line.trim().strip_prefix('|')?.strip_suffix('|')?.split_once('|'));
    rows.filter_map(|(name, may)| Some((names(name).pop_first()?, names(may)))).collect()
}

#[test]
fn dependencies_follow_the_arrows() {
    let actual: BTreeMap<_, _> = crates().into_iter().map(|(name, of)| (name, of.normal)).collect();
    let allowed = allowed();
    for (name, depends) in &actual {
        let may = allowed.get(name).unwrap_or_else(|| panic!("{name} has no row in the table of ARCHITECTURE.md"));
        let beyond: Vec<_> = depends.difference(may).collect();
        assert!(beyond.is_empty(), "{name} may not depend on {beyond:?}: see the table in ARCHITECTURE.md");
    }
    let unknown: Vec<_> = allowed.keys().filter(|name| !actual.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "the table in ARCHITECTURE.md has crates that do not exist: {unknown:?}");
}

/// Rooms only meet in the assembler, and leaves stand alone. Not even tests go around that.
#[test]
fn a_room_names_no_other_room_and_a_leaf_names_nothing() {
    let crates = crates();
    let is_room = |of: &Crate| Path::new(&of.dir).parent() == Some(Path::new("agent"));
    let rooms: BTreeSet<&String> = crates.iter().filter(|(_, of)| is_room(of)).map(|(name, _)| name).collect();
    assert!(!rooms.is_empty());
    for (name, of) in crates.iter().filter(|(_, of)| is_room(of)) {
        let others: Vec<_> = of.all.iter().filter(|other| rooms.contains(other)).collect();
        assert!(others.is_empty(), "{name} is a room and names the rooms {others:?}");
    }
    for (name, of) in crates.iter().filter(|(_, of)| of.dir.starts_with("node/")) {
        assert!(of.normal.is_empty(), "{name} is a leaf and depends on {:?}", of.normal);
    }
}

#[test]
fn files_have_names_and_a_size_that_one_can_read() {
    let mut wrong = Vec::new();
    for path in sources() {
        let name = path.rsplit('/').next().unwrap();
        if NAMELESS.iter().any(|nameless| name.starts_with(nameless)) {
            wrong.push(format!("{path}: name it after what it does"));
        }
        let lines = read(&path).lines().count();
        if lines > MOST_LINES {
            wrong.push(format!("{path}: {lines} lines, and {MOST_LINES} are the most"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What stands in backticks as `path::name`, where the name is that of a test: all small letters, and at least two
/// underscores or a path with a slash before it. The path is that of a file or directory, or of a module.
fn named_tests(text: &str) -> Vec<(String, String)> {
    let spans = text.split('`').skip(1).step_by(2);
    let pairs = spans.filter_map(|span| span.rsplit_once("::"));
    let is_test = |(path, name): &(&str, &str)| {
        let small = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        small && !name.is_empty() && (path.contains('/') || name.matches('_').count() > 1)
    };
    pairs.filter(is_test).map(|(path, name)| (path.to_owned(), name.to_owned())).collect()
}

/// Whether a source file is meant by a path such as `tests/it/kill.rs`, `tests/it/kill`, `logs::tail::tests`, `kill`.
fn is_meant(file: &str, path: &str) -> bool {
    let plain = |path: &str| path.replace("::", "/").trim_end_matches(".rs").trim_end_matches("/tests").to_owned();
    let (file, path) = (plain(file), plain(path));
    let dir = file.contains(&format!("{path}/"));
    let last = path.rsplit('/').next().unwrap_or_default();
    if path.contains('/') {
        dir || file.ends_with(&path) || file.rsplit('/').next() == Some(last)
    } else {
        file.rsplit('/').next() == Some(last) || file.contains(&format!("/{last}/"))
    }
}

#[test]
fn every_test_that_a_page_names_exists() {
    let sources = sources();
    let exists = |(path, name): &&(String, String)| {
        let function = format!("fn {name}(");
        sources.iter().any(|file| is_meant(file, path) && read(file).contains(&function))
    };
    for page in ["ARCHITECTURE.md", "SECURITY.md"] {
        let named = named_tests(&read(page));
        assert!(!named.is_empty(), "{page} names no test");
        let missing: Vec<_> = named.iter().filter(|test| !exists(test)).collect();
        assert!(missing.is_empty(), "{page} names tests that do not exist: {missing:#?}");
    }
}

#[test]
fn the_changelog_has_a_place_for_what_is_new() {
    let text = read("CHANGELOG.md");
    assert!(text.lines().any(|line| line.trim() == "## [Unreleased]"), "CHANGELOG.md has no section [Unreleased]");
}

#[test]
fn no_file_names_a_directory_of_somebodys_machine() {
    let mut wrong = Vec::new();
    for path in files() {
        // What is not UTF-8 is no text.
        let Ok(text) = std::fs::read_to_string(root().join(&path)) else { continue };
        for (number, line) in text.lines().enumerate() {
            for dir in OF_A_MACHINE {
                // The inner part of a longer path, such as /proc/1/root/etc, is another matter.
                let inner = |c: char| c.is_alphanumeric() || "_.-}>)".contains(c);
                if line.match_indices(dir).any(|(at, _)| !line.split_at(at).0.ends_with(inner)) {
                    wrong.push(format!("{path}:{}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
