//! The tables of values in the charts' README.md, made of the comments in `values.yaml`.

use safeguard_tests::helm::chart;
use serde_json::Value;

use super::{CASES, is_as_made};

const BEGIN: &str = "<!-- values:begin -->\n";
const END: &str = "<!-- values:end -->\n";

/// A value, what it is without being set, and what its comment says.
struct Row {
    path: Vec<String>,
    comment: String,
}

/// The values that have a comment, in their order.
///
/// # Panics
/// Where one has none, nor one above it: nobody would know what it is for.
fn rows(text: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut at: Vec<String> = Vec::new();
    let mut comment = String::new();
    for line in text.lines() {
        let bare = line.trim_start();
        let depth = (line.len() - bare.len()) / 2;
        if bare.is_empty() {
            comment.clear();
        } else if let Some(said) = bare.strip_prefix('#') {
            comment = format!("{comment}{said}").trim_start().to_owned();
        } else if let Some((key, value)) = bare.split_once(':').filter(|(key, _)| !key.starts_with(['-', '{', '"'])) {
            at.truncate(depth);
            at.push(key.to_owned());
            if comment.is_empty() {
                let explained = rows.iter().any(|row| at.starts_with(&row.path));
                assert!(explained || value.is_empty(), "values.yaml says of {} what it is for", at.join("."));
            } else {
                rows.push(Row { path: at.clone(), comment: std::mem::take(&mut comment) });
            }
        }
    }
    rows
}

fn table(text: &str) -> String {
    let values: Value = serde_yaml_ng::from_str(text).unwrap();
    let rows = rows(text);
    let lines: Vec<[String; 3]> = rows
        .iter()
        .map(|row| {
            let below = |other: &Row| other.path.len() > row.path.len() && other.path.starts_with(&row.path);
            let value = row.path.iter().fold(&values, |value, key| &value[key]);
            // One that is made of others is shown with them.
            let default = if rows.iter().any(below) { String::new() } else { format!("`{value}`") };
            [format!("`{}`", row.path.join(".")), default, row.comment.replace('|', "\\|")]
        })
        .collect();
    let wide = |column: usize| lines.iter().map(|cells| cells[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (wide(0), wide(1));
    let mut table = format!("| {:first$} | {:second$} | what it is |\n", "value", "default");
    table.push_str(&format!("|-{}-|-{}-|------------|\n", "-".repeat(first), "-".repeat(second)));
    for [path, default, comment] in lines {
        table.push_str(&format!("| {path:first$} | {default:second$} | {comment} |\n"));
    }
    table
}

#[test]
fn each_readme_has_every_value_as_it_is() {
    for (name, _) in CASES {
        let values = std::fs::read_to_string(chart(name).join("values.yaml")).unwrap();
        let file = chart(name).join("README.md");
        let page = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = page.split_once(BEGIN).expect("the table has a beginning");
        let (_, after) = rest.split_once(END).expect("the table has an end");
        is_as_made(&file, &format!("{before}{BEGIN}{}{END}{after}", table(&values)));
    }
}

#[test]
fn a_table_has_defaults_and_comments() {
    let text = "# Of the file.\n\nimage:\n  # Where\n  # it is.\n  registry: \"\"\n# Limits a|b.\nresources:\n  cpu: 1\nlist:\n  # All.\n  of:\n    - a: b\n";
    let expected = "\
| value            | default       | what it is |
|------------------|---------------|------------|
| `image.registry` | `\"\"`          | Where it is. |
| `resources`      | `{\"cpu\":1}`   | Limits a\\|b. |
| `list.of`        | `[{\"a\":\"b\"}]` | All. |
";
    assert_eq!(table(text), expected);
}

#[test]
#[should_panic(expected = "values.yaml says of image.tag what it is for")]
fn a_value_without_a_comment_is_not_let_through() {
    rows("image:\n  # Where it is.\n  registry: \"\"\n\n  tag: 1\n");
}
