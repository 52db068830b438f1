//! Everything at once, as CSV or JSON: streamed, part by part, so that its size costs no memory here.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::stream;

use super::{Asked, Problem};
use crate::explorer::Explorer;
use crate::store::read::{self, Cursor, Filter, Finding, Node, ReadError, Which};

/// Rows of a part.
const PART: u32 = 500;

/// Files that there are.
pub(super) const FILES: [&str; 4] = ["nodes.csv", "nodes.json", "findings.csv", "findings.json"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Csv,
    Json,
}

/// What is left to send.
struct Rest {
    explorer: Arc<Explorer>,
    filter: Filter,
    which: Option<Which>,
    form: Form,
    after: Option<Cursor>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Begin,
    Middle,
    Done,
}

pub(super) async fn file(
    State(explorer): State<Arc<Explorer>>,
    Path(file): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let unknown = || Problem::missing(format!("there is {}", FILES.join(", ")));
    let (what, form) = file.split_once('.').ok_or_else(unknown)?;
    let form = match form {
        "csv" => Form::Csv,
        "json" => Form::Json,
        _ => return Err(unknown()),
    };
    let (asked, which) = match what {
        "nodes" => (Asked::read(query.as_deref(), &[])?, None),
        "findings" => {
            let asked = Asked::read(query.as_deref(), &["control", "verdict"])?;
            let which = asked.which()?;
            (asked, Some(which))
        }
        _ => return Err(unknown()),
    };
    let filter = asked.filter()?;
    let rest = Rest { explorer, filter, which, form, after: None, stage: Stage::Begin };
    let kind = match form {
        Form::Csv => "text/csv; charset=utf-8; header=present",
        Form::Json => "application/json",
    };
    // The name is one of ours, not what was asked for.
    let name = FILES.into_iter().find(|name| *name == file).ok_or_else(unknown)?;
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, Body::from_stream(stream::try_unfold(rest, Rest::next))).into_response())
}

impl Rest {
    /// The next part. An error breaks the transfer off, so that half a file is never taken for a whole one.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, ReadError> {
        if self.stage == Stage::Done {
            return Ok(None);
        }
        let (filter, after) = (self.filter.clone(), self.after.take());
        let mut out = String::new();
        let first = self.stage == Stage::Begin;
        let next = match self.which.clone() {
            None => {
                let page = self.explorer.reader.ask(move |db| read::nodes(db, &filter, PART, after.as_ref())).await?;
                self.write(&mut out, first, &page.items, NODE, node);
                page.next
            }
            Some(which) => {
                let ask = move |db: &_| read::part_of_findings(db, &filter, &which, PART, after.as_ref());
                let (items, next) = self.explorer.reader.ask(ask).await?;
                self.write(&mut out, first, &items, FINDING, finding);
                next
            }
        };
        self.after = next.as_deref().and_then(Cursor::read);
        self.stage = if self.after.is_some() { Stage::Middle } else { Stage::Done };
        if self.form == Form::Json && self.stage == Stage::Done {
            out.push_str("\n]\n");
        }
        Ok(Some((Bytes::from(out), self)))
    }

    fn write<T: serde::Serialize>(
        &self,
        out: &mut String,
        first: bool,
        items: &[T],
        columns: &[&str],
        cells: fn(&T) -> Vec<String>,
    ) {
        if first {
            match self.form {
                Form::Csv => line(out, columns.iter().copied()),
                Form::Json => out.push('['),
            }
        }
        for (i, item) in items.iter().enumerate() {
            match self.form {
                Form::Csv => line(out, cells(item).iter().map(String::as_str)),
                Form::Json => {
                    out.push_str(if first && i == 0 { "\n" } else { ",\n" });
                    out.push_str(&serde_json::to_string(item).unwrap_or_else(|_| "null".to_owned()));
                }
            }
        }
    }
}

const NODE: &[&str] = &[
    "id",
    "tenant",
    "account",
    "region",
    "instance_id",
    "cluster",
    "node_group",
    "name",
    "image_id",
    "assurance",
    "state",
    "state_since",
    "reasons",
    "last_live",
    "assessed",
    "simulated",
    "pass",
    "fail",
    "excepted",
    "unknown",
    "manual",
    "not_applicable",
];

fn node(node: &Node) -> Vec<String> {
    let c = &node.checks;
    let mut cells = vec![
        node.id.to_string(),
        node.tenant.clone(),
        node.account.clone(),
        node.region.clone(),
        node.instance_id.clone(),
        node.cluster.clone(),
        node.group.clone().unwrap_or_default(),
        node.name.clone(),
        node.image_id.clone(),
        node.assurance.clone(),
        node.state.clone(),
        time(Some(node.state_since_ms)),
        node.reasons.join("; "),
        time(node.last_live_ms),
        time(node.assessed_ms),
        if node.simulated { "yes" } else { "no" }.to_owned(),
    ];
    cells.extend([c.pass, c.fail, c.excepted, c.unknown, c.manual, c.not_applicable].map(|n| n.to_string()));
    cells
}

const FINDING: &[&str] = &[
    "node_id",
    "node",
    "cluster",
    "node_group",
    "policy",
    "control",
    "verdict",
    "title",
    "level",
    "section",
    "since",
    "evidence",
    "remedy",
];

fn finding(finding: &Finding) -> Vec<String> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    vec![
        finding.node_id.to_string(),
        finding.node.clone(),
        finding.cluster.clone(),
        text(&finding.group),
        finding.policy.clone(),
        finding.control.clone(),
        finding.verdict.clone(),
        finding.title.clone(),
        finding.level.map(|level| level.to_string()).unwrap_or_default(),
        text(&finding.section),
        time(Some(finding.since_ms)),
        text(&finding.evidence),
        text(&finding.remedy),
    ]
}

fn time(ms: Option<i64>) -> String {
    ms.map(safeguard_daemon::clock::utc).unwrap_or_default()
}

/// One line of CSV (RFC 4180): every cell in quotes, and none that a spreadsheet would take for a formula.
fn line<'a>(out: &mut String, cells: impl Iterator<Item = &'a str>) {
    for (i, cell) in cells.enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let formula =
            cell.trim_start().starts_with(['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'])
                || cell.starts_with(['\t', '\r', '\n']);
        let safe = if formula { "'" } else { "" };
        write!(out, "{comma}\"{safe}{}\"", cell.replace('"', "\"\"")).expect("a String takes everything");
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula_and_none_leaves_its_place() {
        let mut out = String::new();
        line(&mut out, ["=1+1", " @x", "-2", "\tx", "a\"b,c", "a=b", ""].into_iter());
        assert_eq!(out, "\"'=1+1\",\"' @x\",\"'-2\",\"'\tx\",\"a\"\"b,c\",\"a=b\",\"\"\r\n");
    }
}
