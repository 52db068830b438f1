//! The full report of a node: what of it is kept for questions.
//!
//! It is the JSON of `safeguard-agent check --format json`, and hostile like everything that a node sends: what is too long is
//! cut, what is too much is left out, and what is no report is refused.

use std::collections::HashMap;

use rusqlite::{Transaction, params};
use safeguard_protocol::{Digest, limits};
use serde::Deserialize;
use serde_json::Value;

/// Controls of one report that are kept.
const MOST: usize = 2_000;
/// Bytes of a title, evidence or remedy that are kept.
const TEXT_BYTES: usize = 2_000;

/// What a report says of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Result {
    /// The policy.
    pub policy: String,
    /// Pass, fail, excepted, not applicable, manual, unknown.
    pub counts: [u32; 6],
}

/// What a report says of a control that does not simply pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The policy.
    pub policy: String,
    /// The control.
    pub control: String,
    /// `fail`, `unknown`, `excepted` or `manual`.
    pub verdict: &'static str,
    /// Its title.
    pub title: String,
    /// 1 or 2.
    pub level: u8,
    /// What it belongs to: its number without the last part.
    pub section: String,
    /// What it rests on.
    pub evidence: String,
    /// How to mend it.
    pub remedy: String,
}

/// A report that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Read {
    /// By policy.
    pub results: Vec<Result>,
    /// Controls that do not simply pass.
    pub findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Document {
    policies: Vec<OfPolicy>,
}

#[derive(Deserialize)]
struct OfPolicy {
    policy: String,
    findings: Vec<OfControl>,
}

#[derive(Deserialize)]
struct OfControl {
    control: String,
    #[serde(default)]
    title: String,
    #[serde(default)]
    level: u8,
    status: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    evidence: Vec<Value>,
    #[serde(default)]
    remedy: Option<String>,
}

impl Read {
    /// Reads a report.
    ///
    /// # Errors
    /// When it is none.
    pub fn of(json: &[u8]) -> serde_json::Result<Self> {
        let document: Document = serde_json::from_slice(json)?;
        let mut read = Self::default();
        let mut seen = 0;
        for policy in document.policies.into_iter().take(limits::POLICIES * 4) {
            let name = cut(policy.policy, limits::NAME_BYTES);
            let mut counts = [0; 6];
            for control in policy.findings {
                seen += 1;
                if seen > MOST {
                    break;
                }
                let (at, verdict) = match control.status.as_str() {
                    "pass" => (0, None),
                    "fail" => (1, Some("fail")),
                    "excepted" => (2, Some("excepted")),
                    "not-applicable" | "not_applicable" => (3, None),
                    "manual" => (4, Some("manual")),
                    _ => (5, Some("unknown")),
                };
                if let Some(count) = counts.get_mut(at) {
                    *count += 1;
                }
                if let Some(verdict) = verdict {
                    read.findings.push(finding(&name, control, verdict));
                }
            }
            if read.results.iter().all(|result| result.policy != name) {
                read.results.push(Result { policy: name, counts });
            }
        }
        Ok(read)
    }
}

fn finding(policy: &str, control: OfControl, verdict: &'static str) -> Finding {
    let evidence = structured(&control).unwrap_or_else(|| {
        let lines: Vec<String> = control.reason.iter().cloned().chain(control.evidence.iter().map(line)).collect();
        cut(lines.join("\n"), TEXT_BYTES)
    });
    let id = cut(control.control, limits::NAME_BYTES);
    let section = id.rsplit_once(['.', '-']).map_or("", |(section, _)| section).to_owned();
    Finding {
        policy: policy.to_owned(),
        control: id,
        verdict,
        title: cut(control.title, TEXT_BYTES),
        level: control.level,
        section,
        evidence,
        remedy: cut(control.remedy.unwrap_or_default(), TEXT_BYTES),
    }
}

/// The list of evidence as the report has it, with the reason as its first, where it is of the form that the agent writes and not too
/// long: the page tells source, observation and what was wanted apart.
fn structured(control: &OfControl) -> Option<String> {
    let known = |each: &Value| {
        ["source", "observed", "expected"].iter().all(|name| each.get(name).is_some_and(Value::is_string))
    };
    if control.evidence.is_empty() || !control.evidence.iter().all(known) {
        return None;
    }
    let reason = control.reason.iter().map(|why| serde_json::json!({ "source": "", "observed": why, "expected": "" }));
    let all: Vec<Value> = reason.chain(control.evidence.iter().cloned()).collect();
    serde_json::to_string(&all).ok().filter(|text| text.len() <= TEXT_BYTES)
}

/// A piece of evidence in a line.
fn line(evidence: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    match evidence {
        Value::Object(members) => {
            let pair = |(name, value): (&String, &Value)| format!("{name}: {}", text(value));
            members.iter().filter(|(_, value)| !value.is_null()).map(pair).collect::<Vec<_>>().join(", ")
        }
        other => text(other),
    }
}

fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

pub(super) fn put(
    db: &Transaction<'_>,
    node_id: i64,
    digest: &Digest,
    packed: &[u8],
    read: &Read,
    now_ms: i64,
) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO report (digest, node_id, received_ms, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (digest) DO NOTHING",
    )?
    .execute(params![digest.to_string(), node_id, now_ms, packed])?;
    // A control that goes on failing has failed since it began to.
    let mut old = db.prepare_cached("SELECT policy, control, verdict, since_ms FROM finding WHERE node_id = ?1")?;
    let row = |row: &rusqlite::Row<'_>| {
        Ok(((row.get::<_, String>(0)?, row.get::<_, String>(1)?), (row.get::<_, String>(2)?, row.get::<_, i64>(3)?)))
    };
    let since: HashMap<(String, String), (String, i64)> =
        old.query_map([node_id], row)?.collect::<rusqlite::Result<_>>()?;
    db.prepare_cached("DELETE FROM finding WHERE node_id = ?1")?.execute([node_id])?;
    db.prepare_cached("DELETE FROM result WHERE node_id = ?1")?.execute([node_id])?;
    for Result { policy, counts: [pass, fail, excepted, not_applicable, manual, unknown] } in &read.results {
        db.prepare_cached(
            "INSERT INTO result (node_id, policy, pass, fail, excepted, not_applicable, manual, unknown, finished_at_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![node_id, policy, pass, fail, excepted, not_applicable, manual, unknown, now_ms])?;
    }
    let mut insert = db.prepare_cached(
        "INSERT INTO finding (node_id, policy, control, verdict, title, level, section, since_ms, evidence, remedy)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (node_id, policy, control) DO NOTHING",
    )?;
    for found in &read.findings {
        let key = (found.policy.clone(), found.control.clone());
        let before = since.get(&key).filter(|(verdict, _)| verdict == found.verdict);
        let Finding { policy, control, verdict, title, level, section, evidence, remedy } = found;
        let since_ms = before.map_or(now_ms, |(_, since)| *since);
        insert
            .execute(params![node_id, policy, control, verdict, title, level, section, since_ms, evidence, remedy])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_counted_and_what_does_not_is_kept() {
        let json = r#"{"version":1,"policies":[{"policy":"p","findings":[
            {"control":"3.1.1","title":"t","level":1,"status":"pass"},
            {"control":"3.1.2","title":"<b>","level":2,"status":"fail","reason":"r","evidence":[{"what":"mode","seen":"0777"}],"remedy":"chmod"},
            {"control":"KUB-10","status":"unknown"},{"control":"x","status":"not-applicable"},{"control":"y","status":"tomorrow"}]}]}"#;
        let read = Read::of(json.as_bytes()).unwrap();
        assert_eq!(read.results, [Result { policy: "p".to_owned(), counts: [1, 1, 0, 1, 0, 2] }]);
        let failed = &read.findings[0];
        assert_eq!((failed.verdict, failed.section.as_str(), failed.level), ("fail", "3.1", 2));
        assert_eq!((failed.evidence.as_str(), failed.remedy.as_str()), ("r\nseen: 0777, what: mode", "chmod"));
        assert_eq!((read.findings[1].section.as_str(), read.findings.len()), ("KUB", 3));
    }

    #[test]
    fn evidence_of_the_agents_form_keeps_it_with_the_reason_first() {
        let json = r#"{"policies":[{"policy":"p","findings":[{"control":"c","status":"unknown","reason":"denied",
            "evidence":[{"source":"/etc/shadow","observed":"?","expected":"mode 0000","holds":null}]}]}]}"#;
        let read = Read::of(json.as_bytes()).unwrap();
        let kept: Vec<Value> = serde_json::from_str(&read.findings[0].evidence).unwrap();
        assert_eq!(kept.iter().map(|each| each["observed"].as_str().unwrap()).collect::<Vec<_>>(), ["denied", "?"]);
    }

    #[test]
    fn too_much_is_left_out_and_too_long_is_cut() {
        let long = "ä".repeat(3_000);
        let one = format!(r#"{{"control":"c","title":"{long}","status":"fail"}}"#);
        let all = vec![one; 2_500].join(",");
        let read = Read::of(format!(r#"{{"policies":[{{"policy":"p","findings":[{all}]}}]}}"#).as_bytes()).unwrap();
        assert_eq!(read.findings.len(), MOST);
        assert!(read.findings[0].title.len() <= TEXT_BYTES + "…".len());
    }

    #[test]
    fn what_is_no_report_is_refused() {
        for json in ["", "[]", "{}", r#"{"policies":{}}"#, r#"{"policies":[{"policy":1,"findings":[]}]}"#] {
            assert!(Read::of(json.as_bytes()).is_err(), "{json}");
        }
    }
}
