//! Pure: the screen of `status`.

use safeguard_agent::{Delivery, Found, HeartbeatStatus, Overview, Proxy, Redirect};
use safeguard_daemon::terminal::{BOLD, GREEN, RED, Style, YELLOW, printable};
use safeguard_heartbeat::limits::CLOCK_SKEW_MS;

use crate::cli::units::{age, bytes};

/// Width of the names of lines.
const NAMES: usize = 10;
/// A node that is not heard for three intervals is missing (docs/protocol.md, "States").
const LATE_INTERVALS: i64 = 3;
/// A clock that is off by more than this is worth a line.
const CLOCK_NOTED_MS: i64 = 60_000;

struct Screen {
    text: String,
    style: Style,
}

impl Screen {
    fn line(&mut self, name: &str, colour: Option<&str>, text: &str) {
        let text = printable(text);
        let text = colour.map_or_else(|| text.clone(), |colour| self.style.paint(colour, &text));
        self.text.push_str(&format!("{name:<NAMES$} {text}\n"));
    }

    fn head(&mut self, name: &str, text: &str) {
        let name = self.style.paint(BOLD, &format!("{name:<NAMES$}"));
        self.text.push_str(&format!("{name} {}\n", printable(text)));
    }
}

/// Who the node is, how the safeguard sees it, and how each room does.
pub(super) fn screen(overview: &Overview, style: Style) -> String {
    let mut screen = Screen { text: String::new(), style };
    node(&mut screen, overview);
    match &overview.heartbeat {
        None => screen.head("safeguard", "no heartbeat (`heartbeat.url` is not set)"),
        Some(status) => heartbeat(&mut screen, status, overview.at_ms),
    }
    match &overview.checks {
        None => screen.head("checks", "nothing was looked at yet, or they are off (`checks.enabled`)"),
        Some(found) => checks(&mut screen, found, overview.at_ms),
    }
    match &overview.logs {
        None => screen.head("logs", "off (`logs.enabled`), or the log room does not answer"),
        Some(delivery) => logs(&mut screen, delivery, overview.at_ms),
    }
    match overview.proxy {
        None => screen.head("proxy", "there is none on this node"),
        Some(told) => proxy(&mut screen, told),
    }
    screen.text
}

fn node(screen: &mut Screen, overview: &Overview) {
    let who = &overview.node;
    let known = [
        ("", &who.name),
        ("instance ", &who.instance_id),
        ("cluster ", &who.cluster),
        ("region ", &who.region),
        ("account ", &who.account),
    ];
    let known = known.iter().filter(|(_, value)| !value.is_empty());
    let known: Vec<String> = known.map(|(name, value)| format!("{name}{value}")).collect();
    screen
        .head("node", &if known.is_empty() { "unnamed: nothing needed its name".to_owned() } else { known.join(", ") });
    let health = &overview.health;
    match (health.healthy, health.reasons.is_empty()) {
        (true, true) => screen.line("agent", Some(GREEN), &format!("{}, makes progress", overview.agent)),
        (true, false) => {
            screen.line("agent", Some(YELLOW), &format!("{}, {}", overview.agent, health.reasons.join("; ")))
        }
        (false, _) => screen.line("agent", Some(RED), &format!("{}, {}", overview.agent, health.reasons.join("; "))),
    }
}

fn heartbeat(screen: &mut Screen, status: &HeartbeatStatus, now_ms: i64) {
    screen.head("safeguard", &format!("{}, tenant {}", status.url, status.tenant));
    let ago = |ms: i64| format!("{} ago", age(now_ms.saturating_sub(ms)));
    match (status.assurance, status.enrolled_at_ms) {
        (Some(assurance), Some(at)) => {
            let key = status.key_id.map_or_else(String::new, |key| key.to_string().chars().take(12).collect());
            screen.line(
                "identity",
                None,
                &format!("proved by {}, enrolled {}, key {key}…", assurance.as_str(), ago(at)),
            );
        }
        _ => screen.line("identity", Some(RED), "not enrolled"),
    }
    match status.acknowledged {
        Some(beat) => {
            let interval_ms = i64::try_from(status.interval_s).unwrap_or(i64::MAX).saturating_mul(1_000);
            let late = now_ms.saturating_sub(beat.at_ms) > interval_ms.saturating_mul(LATE_INTERVALS);
            let text = format!("#{} acknowledged {}, one each {} s", beat.sequence, ago(beat.at_ms), status.interval_s);
            screen.line("beat", Some(if late { RED } else { GREEN }), &text);
        }
        None => screen.line("beat", Some(RED), "none was acknowledged yet"),
    }
    if let Some(off) = status.clock_offset_ms.filter(|off| off.saturating_abs() > CLOCK_NOTED_MS) {
        let way = if off > 0 { "ahead of" } else { "behind" };
        let (colour, then) = if off.saturating_abs() > CLOCK_SKEW_MS {
            (RED, "; beats prove nothing until it is set (`timedatectl`)")
        } else {
            (YELLOW, "; up to 5 minutes are borne")
        };
        let off = age(off.saturating_abs());
        screen.line("clock", Some(colour), &format!("{off} {way} the safeguard's at its last reply{then}"));
    }
    if let Some(posture) = &status.posture {
        use safeguard_heartbeat::State::{Compliant, NeverEnrolled, Stale};
        let colour = match posture.state {
            Compliant => GREEN,
            Stale | NeverEnrolled => YELLOW,
            _ => RED,
        };
        let why = if posture.reasons.is_empty() { String::new() } else { format!(": {}", posture.reasons.join("; ")) };
        let since = age(now_ms.saturating_sub(posture.since_ms));
        screen.line("state", Some(colour), &format!("{} for {since}{why}", posture.state.as_str()));
    }
    if let (1.., Some(oldest)) = (status.waiting, status.oldest_waiting_ms) {
        screen.line("waiting", Some(YELLOW), &format!("{} beats, the oldest made {}", status.waiting, ago(oldest)));
    }
    if status.dropped > 0 {
        screen.line("dropped", Some(YELLOW), &format!("{} beats, to be declared with the next", status.dropped));
    }
    if let Some(trouble) = &status.trouble {
        let code = trouble.code.map_or_else(String::new, |code| format!("{}: ", code.as_str()));
        let (since, tries) = (age(now_ms.saturating_sub(trouble.since_ms)), trouble.tries);
        screen.line("trouble", Some(RED), &format!("{code}{} ({tries} tries in {since})", trouble.message));
        let next = age(trouble.next_try_ms.saturating_sub(now_ms));
        screen.line("", Some(YELLOW), &format!("{}; next try in {next}", trouble.remedy));
    }
}

fn checks(screen: &mut Screen, found: &Found, now_ms: i64) {
    let Found { pass, fail, excepted, unknown, .. } = found;
    let ago = age(now_ms.saturating_sub(found.finished_ms));
    let text = format!("{pass} pass, {fail} fail, {excepted} excepted, {unknown} unknown; looked at {ago} ago");
    screen.head("checks", &text);
    if !found.critical.is_empty() {
        screen.line("critical", Some(RED), &found.critical.join(", "));
    }
    for problem in &found.problems {
        screen.line("problem", Some(YELLOW), problem);
    }
}

fn logs(screen: &mut Screen, delivery: &Delivery, now_ms: i64) {
    let oldest = delivery.oldest_unsent_ms;
    let oldest = oldest.map_or_else(String::new, |ms| format!(", the oldest line {}", age(now_ms.saturating_sub(ms))));
    screen.head("logs", &format!("{} behind{oldest}", bytes(delivery.behind_bytes)));
    if delivery.failing_streams > 0 {
        let error = delivery.error.as_deref().unwrap_or_default();
        screen.line("failing", Some(RED), &format!("{} streams: {error}", delivery.failing_streams));
    }
    if !delivery.lost.is_empty() {
        let lost: Vec<String> = delivery.lost.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        screen.line("lost", Some(RED), &lost.join(", "));
    }
    if delivery.excluded > 0 {
        screen.line("excluded", Some(YELLOW), &format!("{} lines, by word of their pods", delivery.excluded));
    }
}

fn proxy(screen: &mut Screen, proxy: Proxy) {
    let (colour, redirect) = match proxy.redirect {
        Redirect::InPlace => (GREEN, "pods are redirected to it"),
        Redirect::Broken => (RED, "the redirect is broken: `safeguard-proxy redirect check --repair`"),
        Redirect::Unknown => (YELLOW, "it does not say whether pods are redirected to it"),
    };
    screen
        .head("proxy", &format!("{} refusals, {} pods on the host's network", proxy.refusals, proxy.host_network_pods));
    screen.line("redirect", Some(colour), redirect);
}

#[cfg(test)]
mod tests;
