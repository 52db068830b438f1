//! The live table of pods: what each asks for and got, by the account that issued the key, and why, by the proxy's own `explain`.

use std::path::Path;
use std::time::Duration;

use safeguard_daemon::admin::get_unix;
use safeguard_daemon::clock;
use safeguard_proxy::explain::Explanation;

use super::record::{Answer, Record, Visitor, short};
use crate::demo::screen::Paint;

/// For an explanation: the proxy answers from memory.
const DEADLINE: Duration = Duration::from_secs(1);

/// How it stands, at one moment.
#[derive(Debug)]
pub(in crate::demo) struct Table {
    rows: Vec<Row>,
    asked: u64,
    requests: u64,
    served: usize,
    refused: usize,
    wrong: usize,
}

#[derive(Debug)]
struct Row {
    visitor: Visitor,
    explanation: Option<Explanation>,
}

impl Table {
    /// Of each address only who has it now, or had it last.
    pub(super) async fn new(record: &Record, socket: &Path) -> Self {
        let visitors = record.visitors();
        let asked = visitors.iter().map(|visitor| visitor.asked).sum();
        let wrong = visitors.iter().filter(|visitor| !visitor.problems.is_empty()).count();
        let mut latest: Vec<Visitor> = Vec::new();
        for visitor in visitors {
            match latest.iter_mut().find(|before| before.address == visitor.address) {
                Some(before) => *before = visitor,
                None => latest.push(visitor),
            }
        }
        latest.sort_by_key(|visitor| visitor.address);
        let present = || latest.iter().filter(|visitor| !visitor.gone);
        let served = present().filter(|visitor| visitor.last_owner().is_some()).count();
        let refused = present().filter(|visitor| matches!(visitor.last, Some(Answer::Refused(_)))).count();
        let mut rows = Vec::new();
        for visitor in latest {
            let explanation = if visitor.gone { None } else { explanation(&visitor, socket).await };
            rows.push(Row { visitor, explanation });
        }
        Self { rows, asked, requests: record.requests(), served, refused, wrong }
    }

    pub(in crate::demo) fn lines(&self, paint: Paint) -> Vec<String> {
        let heading = line(["pod", "address", "asks for", "rule", "got", "asked", "left"]);
        let mut lines = vec![paint.bold(&heading)];
        lines.extend(self.rows.iter().map(|row| row.line(paint)));
        lines.push(paint.bold(&self.totals()));
        lines
    }

    /// Everything in one line.
    pub(in crate::demo) fn totals(&self) -> String {
        let wrong = if self.wrong > 0 { format!("; {} WRONG", self.wrong) } else { String::new() };
        format!(
            "pods asked {} times ({} requests): {} served, {} refused{wrong}",
            self.asked, self.requests, self.served, self.refused,
        )
    }
}

async fn explanation(visitor: &Visitor, socket: &Path) -> Option<Explanation> {
    let whom = match visitor.pod {
        Some(pod) => format!("pod={}", pod.called()),
        None => format!("ip={}", visitor.address),
    };
    let (status, body) = get_unix(socket, &format!("/v1/explain?{whom}"), DEADLINE).await.ok()?;
    (status == 200).then(|| serde_json::from_slice(&body).ok()).flatten()
}

impl Row {
    fn line(&self, paint: Paint) -> String {
        let (visitor, explanation) = (&self.visitor, self.explanation.as_ref());
        let asks = explanation.and_then(|e| e.role.as_ref()?.written.clone());
        let entry = explanation.and_then(|e| e.namespace.as_ref()).map(|rule| match (&rule.entry, rule.allowed) {
            (Some(entry), _) => entry.clone(),
            (None, true) => rule.policy.clone(),
            (None, false) => "no match".to_owned(),
        });
        let cells = [
            visitor.called(),
            visitor.address.to_string(),
            asks.unwrap_or_else(|| "-".to_owned()),
            entry.unwrap_or_else(|| "-".to_owned()),
            self.got(),
            visitor.asked.to_string(),
            self.left().unwrap_or_else(|| "-".to_owned()),
        ];
        let line = line(cells.each_ref().map(String::as_str));
        match (visitor.problems.is_empty(), visitor.gone) {
            (false, _) => paint.red(&line),
            (true, true) => paint.dim(&line),
            (true, false) => line,
        }
    }

    fn got(&self) -> String {
        if self.visitor.gone {
            return "has ended".to_owned();
        }
        match &self.visitor.last {
            None => String::new(),
            Some(Answer::Key(key)) => self.visitor.last_owner().map_or_else(|| format!("key {key}?"), short),
            Some(Answer::Refused(status)) => {
                let reason = self.explanation.as_ref().map(|e| e.decision.reason.as_str());
                format!("{status} {}", reason.map(in_words).unwrap_or_default())
            }
            Some(Answer::None(_)) => "no answer".to_owned(),
        }
    }

    /// How long the session still lives, as minutes and seconds.
    fn left(&self) -> Option<String> {
        let ends = self.explanation.as_ref()?.session.as_ref()?.expires_at_ms?;
        let seconds = (ends - clock::now_ms()).max(0) / 1_000;
        Some(format!("{}:{:02}", seconds / 60, seconds % 60))
    }
}

/// The reasons of `explain`, short.
fn in_words(reason: &str) -> String {
    match reason {
        "role_not_allowed" | "namespace_allows_nothing" | "service_account_not_allowed" => "not allowed".to_owned(),
        "unknown_address" | "pod_not_known" => "unknown".to_owned(),
        other => other.replace('_', " "),
    }
}

/// 79 columns, so that it fits on any terminal.
fn line([pod, address, asks, rule, got, asked, left]: [&str; 7]) -> String {
    format!("{pod:<15} {address:<9} {asks:<8} {rule:<8} {got:<23} {asked:>5} {left:>5}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::proxy::pods::{CATALOG, FIRST, IMPORT, MIGRATE, NOBODY};
    use safeguard_standins::{Account, Principal};
    use tokio::time::Instant;

    #[tokio::test]
    async fn every_row_fits_on_80_columns_and_an_address_has_one_row() {
        let account = Account::new("123456789012").unwrap();
        let record = Record::new(account.clone(), "arn:aws:iam::123456789012:role/node".to_owned());
        for pod in FIRST.into_iter().chain([IMPORT]) {
            let id = record.enter(Some(pod), pod.address, pod.due());
            let role = format!("arn:aws:iam::123456789012:role/{}", pod.asks.unwrap_or("none"));
            let owner = Principal::session(role, format!("{}.{}", pod.namespace, pod.name));
            let key = account.issue_temporary(owner, None).access_key_id;
            for _ in 0..10_000 {
                record.took(id, Instant::now(), Answer::Key(key.clone()));
            }
            if pod == MIGRATE {
                record.gone(id);
            }
        }
        record.enter(None, NOBODY, CATALOG.due());
        let table = Table::new(&record, Path::new("/nowhere")).await;
        let lines = table.lines(Paint::none());
        assert_eq!(lines.len(), 1 + 8 + 1, "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() < 80), "{lines:#?}");
        assert!(
            lines[3].starts_with("clinic/import   127.0.1.3") && lines[3].contains("lab/clinic.import"),
            "{lines:#?}"
        );
    }
}
