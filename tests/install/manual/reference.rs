//! `docs/configure.md`, made from what `config example` of each program prints and from the defaults themselves.
//!
//! The commented example is the place where every key is explained: tests of each program hold that it has all of them, with
//! their defaults. So the page is made from it, and nobody writes a key's meaning twice.

use std::fmt::Write as _;
use std::process::Command;

use safeguard_agent::config::ProgramSettings;
use safeguard_tests::built::program;
use serde_json::Value;

/// A key, or the head of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Table {
    /// `logs.groups`, or `verify.tenants` of `[[verify.tenants]]`.
    pub(super) name: String,
    /// What stands above it.
    pub(super) about: Vec<String>,
    /// Whether there may be several.
    pub(super) many: bool,
    /// Its keys.
    pub(super) keys: Vec<Key>,
}

/// A key with its value in the example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Key {
    /// Without its table.
    pub(super) name: String,
    /// What stands above it.
    pub(super) about: Vec<String>,
    /// What stands behind the `=`; several lines of a list.
    pub(super) value: Vec<String>,
}

/// Takes an example apart: comments begin with `# `, keys with `#` or `# ` and a name, tables with `[` or `#[[`.
pub(super) fn parse(example: &str) -> (Vec<String>, Vec<Table>) {
    let (mut head, mut tables, mut about) = (Vec::new(), Vec::<Table>::new(), Vec::new());
    let mut lines = example.lines();
    while let Some(line) = lines.next() {
        let bare = line.strip_prefix('#').unwrap_or(line);
        let setting = setting(bare.strip_prefix(' ').unwrap_or(bare));
        if bare.starts_with('[') {
            let (many, name) = (bare.starts_with("[["), bare.trim_matches(['[', ']']).to_owned());
            tables.push(Table { name, about: std::mem::take(&mut about), many, keys: Vec::new() });
        } else if let (Some((name, first)), Some(table)) = (setting, tables.last_mut()) {
            let mut value = vec![first.to_owned()];
            if first == "[" {
                value.extend(
                    lines
                        .by_ref()
                        .map(|line| line.strip_prefix('#').unwrap_or(line).to_owned())
                        .take_while(|l| l != "]"),
                );
                value.push("]".to_owned());
            }
            let about = std::mem::take(&mut about);
            table.keys.push(Key { name: name.to_owned(), about, value });
        } else if line.starts_with('#') {
            about.push(bare.trim().to_owned());
        } else if tables.is_empty() {
            head.append(&mut about);
        }
    }
    (head, tables)
}

/// `name = value`, where the name is one.
fn setting(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(" = ")?;
    let is_name = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    (is_name && !name.is_empty()).then_some((name, value))
}

/// The page's part of one program.
struct Part {
    program: &'static str,
    path: &'static str,
    defaults: Value,
    /// All keys that there are, with their tables.
    known: Vec<String>,
}

fn part<T: ProgramSettings>(program: &'static str) -> Part {
    let defaults = serde_json::to_value(T::default()).unwrap();
    Part { program, path: T::DEFAULT_PATH, defaults, known: T::keys() }
}

fn parts() -> [Part; 3] {
    [
        part::<safeguard_agent::Settings>("safeguard-agent"),
        part::<safeguard_proxy::config::Settings>("safeguard-proxy"),
        part::<safeguard::config::Settings>("safeguard"),
    ]
}

/// Every key of the three programs, and every table.
pub(super) fn known_keys() -> Vec<String> {
    let mut keys: Vec<String> = parts().into_iter().flat_map(|part| part.known).collect();
    for (program, tables) in examples() {
        assert!(!tables.is_empty(), "{program} has no tables");
        keys.extend(tables.iter().flat_map(|t| t.keys.iter().map(|key| format!("{}.{}", t.name, key.name))));
        keys.extend(tables.into_iter().map(|table| table.name));
    }
    keys.sort();
    keys.dedup();
    keys
}

fn examples() -> impl Iterator<Item = (&'static str, Vec<Table>)> {
    parts().into_iter().map(|part| (part.program, parse(&example(part.program)).1))
}

fn example(name: &str) -> String {
    let output = Command::new(program(name)).args(["config", "example"]).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

const HEAD: &str = "\
# How do I set it up?

<!-- sandbox: running -->

For the platform engineer: every setting of the three programs. Generated from what `config example` of each program prints; a test
holds that it is current, and `UPDATE_GOLDEN=1 cargo test --release --workspace --test install manual::configure` writes it anew.

- Settings are TOML files. Every key has a default, so a file holds only what differs. The agent and the proxy work on a stock EKS node
  without one.
- A key that does not exist is refused, with the nearest name that does.
- Where a key has no default, *none* says so; what follows is an example.
- Durations are written `\"250ms\"`, `\"5s\"`, `\"1m\"`, `\"2h\"` or `\"1d\"`; sizes `\"16MB\"` (thousands), `\"2GiB\"` or a number of bytes.

Before a change goes out:

```sh
safeguard-agent config check
safeguard-proxy config check
safeguard config check
```

`config show` of the agent and of the proxy prints each value in force and where it came from. How a change gets to the nodes is in
[operate.md](operate.md#change-a-setting).
";

/// The whole page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    for part in parts() {
        let (_, tables) = parse(&example(part.program));
        write!(page, "\n## {}\n\n`{}`. ", part.program, part.path).unwrap();
        page += match part.program {
            "safeguard-agent" => {
                "*Reload*: a key that `systemctl kill --signal=HUP safeguard-agent` takes over. The others need a restart.\n"
            }
            "safeguard-proxy" => "All keys need a restart, or `safeguard-proxy serve --replace`.\n",
            _ => "All keys need a restart.\n",
        };
        for table in &tables {
            page += &section(&part, table);
        }
    }
    page
}

fn section(part: &Part, table: &Table) -> String {
    let brackets = if table.many { ("[[", "]]") } else { ("[", "]") };
    let mut text = format!("\n### {}{}{} of {}\n\n", brackets.0, table.name, brackets.1, part.program);
    if !table.about.is_empty() {
        text += &sentences(&table.about);
        text += "\n\n";
    }
    let value = if table.many { "example" } else { "default" };
    let mut rows = vec![["key", value, "what it does"].map(str::to_owned).to_vec()];
    let (mut lists, mut reloads) = (String::new(), false);
    for key in &table.keys {
        let pointer = format!("/{}/{}", table.name.replace('.', "/"), key.name);
        // A list that is empty by default has an example, too.
        let is_example = match part.defaults.pointer(&pointer) {
            None | Some(Value::Null) => !table.many,
            Some(Value::Array(list)) => list.is_empty() && key.value != ["[]"],
            Some(_) => false,
        };
        let value = match key.value.as_slice() {
            [one] => format!("`{}`", one.trim()),
            several => {
                write!(lists, "\n`{}`:\n\n```toml {}\n[{}]\n{} = ", key.name, part.program, table.name, key.name)
                    .unwrap();
                lists += &several.join("\n");
                lists += "\n```\n";
                "below".to_owned()
            }
        };
        // Keys one below the other share what stands above the first; what is alone in its table is explained by its head.
        let about = if key.about.is_empty() { "See above.".to_owned() } else { sentences(&key.about) };
        // The mark is for all keys that share it.
        reloads = if key.about.is_empty() { reloads } else { about.contains("[reload]") };
        let reload = if reloads { "*Reload.* " } else { "" };
        let about = about.replace(" [reload]", "").replace("[reload]", "");
        let value = if is_example { format!("*none*; {value}") } else { value };
        rows.push(vec![format!("`{}`", key.name), value, format!("{reload}{about}")]);
    }
    text += &aligned(&rows);
    text + &lists
}

/// Lines of a comment as running text. What is no code keeps its asterisks.
fn sentences(lines: &[String]) -> String {
    let text = lines.iter().filter(|line| !line.is_empty()).map(String::as_str).collect::<Vec<_>>().join(" ");
    let spans = text.split('`').enumerate();
    spans
        .map(|(n, span)| if n % 2 == 0 { span.replace('*', "\\*") } else { span.to_owned() })
        .collect::<Vec<_>>()
        .join("`")
}

/// A table whose columns are as wide as what is in them.
pub(super) fn aligned(rows: &[Vec<String>]) -> String {
    let escaped: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| cell.replace('|', "\\|")).collect()).collect();
    let columns = escaped.first().map_or(0, Vec::len);
    let width = |column: usize| escaped.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in escaped.iter().enumerate() {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} |"));
        text += &format!("|{}\n", cells.collect::<String>());
        if number == 0 {
            text += &format!("|{}\n", widths.iter().map(|width| "-".repeat(width + 2) + "|").collect::<String>());
        }
    }
    text
}

/// Keys that no part of the page names.
pub(super) fn missing(page: &str) -> Vec<String> {
    let mut missing = Vec::new();
    for part in parts() {
        let from = page.split_once(&format!("\n## {}\n", part.program)).map_or("", |(_, rest)| rest);
        let own = from.split_once("\n## ").map_or(from, |(own, _)| own);
        for key in part.known {
            let (table, name) = key.rsplit_once('.').unwrap_or(("", &key));
            let section = own
                .split("\n### ")
                .find(|s| s.starts_with(&format!("[{table}]")) || s.starts_with(&format!("[[{table}]]")));
            // A list of tables is a section by itself.
            let listed = own.contains(&format!("\n### [[{key}]]"));
            if !listed && !section.is_some_and(|section| section.contains(&format!("| `{name}`"))) {
                missing.push(format!("{key} of {}", part.program));
            }
        }
    }
    missing
}

#[test]
fn an_example_is_taken_apart() {
    let (head, tables) = parse(
        "# Head.\n\n# The first.\n[a]\n# One | two. [reload]\n#b = \"x\"\n#c = 2\n# List:\n#d = [\n#  \"e\",  # why\n#]\n\n# Many.\n#[[a.f]]\n# Its name.\n# name = \"g\"\n",
    );
    assert_eq!(head, ["Head."]);
    let names: Vec<_> = tables.iter().map(|t| (t.name.as_str(), t.many, t.keys.len())).collect();
    assert_eq!(names, [("a", false, 3), ("a.f", true, 1)]);
    assert_eq!(tables[0].keys[0].about, ["One | two. [reload]"]);
    assert_eq!(tables[0].keys[1].about, [""; 0]);
    assert_eq!(tables[0].keys[2].value, ["[", "  \"e\",  # why", "]"]);
    assert_eq!(
        tables[1].keys[0],
        Key { name: "name".to_owned(), about: vec!["Its name.".to_owned()], value: vec!["\"g\"".to_owned()] }
    );
    assert_eq!(
        aligned(&[vec!["k".into(), "v|".into()], vec!["key".into(), "1".into()]]),
        "| k   | v\\| |\n|-----|-----|\n| key | 1   |\n"
    );
}

#[test]
fn a_key_that_the_page_leaves_out_is_found() {
    let page = page();
    assert_eq!(missing(&page), [""; 0]);
    let without = page.replace("| `gzip_level`", "| `gzip`");
    assert_eq!(missing(&without), ["logs.gzip_level of safeguard-agent"]);
}
