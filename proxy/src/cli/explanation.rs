//! Pure: an explanation as text for people.

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use safeguard_daemon::terminal::{BOLD, GREEN, RED, Style, YELLOW, printable};
use safeguard_proxy::explain::{Explanation, Found, Role, Rule, Session, State, Who};

/// Width of the first column.
const LABEL: usize = 11;

/// One fact a line, what was decided first.
pub(super) fn text(explanation: &Explanation, style: Style) -> String {
    let decision = &explanation.decision;
    let colour = if decision.served { GREEN } else { RED };
    let mut page = Page { text: String::new(), style };
    let sentence = decision.sentence.trim_end_matches('.');
    let verdict = format!("{sentence} ({}, HTTP {})", decision.reason, decision.status);
    page.line("", colour, &format!("{}: {verdict}", explanation.asked));
    if let Some(remedy) = &decision.remedy {
        page.fact("remedy", YELLOW, remedy);
    }
    if let Some(pod) = &explanation.pod {
        page.fact("pod", "", &who(pod));
    }
    page.fact("found", "", &found(explanation));
    if let Some(asked) = &explanation.role {
        page.fact("role", "", &role(asked));
        if let Some(external_id) = &asked.external_id {
            page.fact("external id", "", &format!("{external_id:?}"));
        }
    }
    if let Some(of_namespace) = &explanation.namespace {
        page.fact("namespace", "", &rule(of_namespace));
    }
    if let Some(imdsv2) = &explanation.imdsv2 {
        let must = if imdsv2.required { "required: without a token the answer is 401" } else { "optional" };
        page.fact("IMDSv2", "", &format!("{must} ({})", imdsv2.from));
    }
    if let Some(session) = &explanation.session {
        sessions(&mut page, session, explanation.at_ms);
    }
    page.text
}

struct Page {
    text: String,
    style: Style,
}

impl Page {
    fn fact(&mut self, label: &str, colour: &str, fact: &str) {
        self.line(&format!("{label:LABEL$}  "), colour, fact);
    }

    /// Everything comes by here: names and annotations are written by others, and no control character reaches the terminal.
    fn line(&mut self, label: &str, colour: &str, line: &str) {
        let line = printable(line);
        let line = if colour.is_empty() { line } else { self.style.paint(colour, &line) };
        let label = if label.is_empty() { String::new() } else { self.style.paint(BOLD, label) };
        self.text.push_str(&format!("{label}{line}\n"));
    }
}

fn who(pod: &Who) -> String {
    let addresses = match pod.addresses.as_slice() {
        [] => "no address yet".to_owned(),
        addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let Who { namespace, name, uid, service_account, phase, .. } = pod;
    let host = if pod.host_network { ", on the host's network" } else { "" };
    let deleting = if pod.deleting { ", being deleted" } else { "" };
    format!("{namespace}/{name}, {addresses}, {phase}{deleting}{host}, service account {service_account}, UID {uid}")
}

fn found(explanation: &Explanation) -> String {
    match &explanation.found {
        Found::CniResult { file } => format!("by the CNI's result {file}"),
        Found::PodIps => "by status.podIPs of the Kubernetes API".to_owned(),
        Found::Nobody { reason } => format!("no: {reason}"),
    }
}

fn role(role: &Role) -> String {
    let (Some(from), Some(written)) = (&role.from, &role.written) else {
        return "none: neither the pod, nor its namespace, nor the settings name one".to_owned();
    };
    match (&role.arn, &role.error) {
        (Some(arn), _) => format!("{arn}: {written:?} in {from}"),
        (None, Some(error)) => format!("none: {written:?} in {from}: {error}"),
        (None, None) => format!("none: {written:?} in {from}"),
    }
}

fn rule(rule: &Rule) -> String {
    let policy = &rule.policy;
    if policy == "off" {
        return "not looked at (roles.namespace_policy is \"off\")".to_owned();
    }
    if rule.allowed {
        let annotation = rule.annotation.as_ref().map(|name| format!(" of {name}")).unwrap_or_default();
        let entry = rule.entry.as_ref().map_or_else(String::new, |entry| format!(": entry {entry:?}{annotation}"));
        return format!("allows it{entry} (policy {policy})");
    }
    let reason = rule.reason.as_deref().unwrap_or("it says nothing of that role");
    let anyway = if policy == "report" { ", given all the same" } else { "" };
    format!("does not allow it: {reason} (policy {policy}{anyway})")
}

fn sessions(page: &mut Page, session: &Session, at_ms: i64) {
    let (state, colour) = match session.state {
        State::None => ("not wanted yet: it is fetched when the pod asks", ""),
        State::Fetching => ("STS is being asked", YELLOW),
        State::Ready => ("ready", ""),
        State::ReadyAndFailing => ("ready, and STS gives no new one", YELLOW),
        State::Failing => ("STS gives none", RED),
    };
    let key = session.access_key_id.as_ref().map(|key| format!(", access key {key}")).unwrap_or_default();
    page.fact("session", colour, &format!("{state}; name {}{key}", session.name));
    for (label, at) in
        [("issued", session.issued_at_ms), ("expires", session.expires_at_ms), ("refresh", session.refresh_at_ms)]
    {
        if let Some(at) = at {
            page.fact(label, "", &when(at, at_ms));
        }
    }
    if let Some(error) = &session.last_error {
        let again = error.retry_at_ms.map(|at| format!("; asked again {}", relative(at, at_ms))).unwrap_or_default();
        let said = format!("{}, {}: {}{again}", when(error.at_ms, at_ms), error.code, error.message);
        page.fact("STS error", YELLOW, &said);
    }
}

/// As CloudTrail writes it, and how long that is from now.
fn when(ms: i64, now_ms: i64) -> String {
    let written = DateTime::from_secs(ms.div_euclid(1_000)).fmt(Format::DateTime);
    written.map_or_else(|_| relative(ms, now_ms), |written| format!("{written}, {}", relative(ms, now_ms)))
}

fn relative(ms: i64, now_ms: i64) -> String {
    let seconds = ms.saturating_sub(now_ms).unsigned_abs() / 1_000;
    let length = match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3_600, seconds % 3_600 / 60),
    };
    if ms > now_ms { format!("in {length}") } else { format!("{length} ago") }
}

#[cfg(test)]
mod tests;
