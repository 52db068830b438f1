//! One node of the fleet, and its past.

use fastrand::Rng;
use rusqlite::params;
use safeguard_protocol::{Digest, State};
use serde_json::json;

use super::controls::{CONTROLS, Control, POLICIES};
use super::{DAY, HOUR, MINUTE, Place, TENANT, Writer};

/// A node that is about to be written.
struct Node<'a> {
    id: i64,
    state: State,
    place: &'a Place,
    now_ms: i64,
    born_ms: i64,
    heard_ms: Option<i64>,
    assessed_ms: Option<i64>,
    since_ms: i64,
    failing: Vec<&'static Control>,
    reasons: Vec<String>,
}

impl Writer<'_> {
    pub(super) fn node(&mut self, chance: &mut Rng, id: i64, place: &Place, now_ms: i64) -> rusqlite::Result<()> {
        let node = Node::make(chance, id, place, now_ms);
        self.itself(chance, &node)?;
        if node.heard_ms.is_some() {
            self.results(chance, &node)?;
            self.beats(chance, &node)?;
        }
        self.past(chance, &node)
    }

    fn itself(&mut self, chance: &mut Rng, node: &Node<'_>) -> rusqlite::Result<()> {
        let Node { id, heard_ms, born_ms, .. } = *node;
        let (cluster, account, region, group, _) = *node.place;
        let last = chance.u32(4..250);
        let name = format!("ip-10-{}-{}-{last}.{region}.compute.internal", id / 250 % 200 + 20, id % 250);
        let instance = format!("i-0{:016x}", chance.u64(..) >> 4);
        let image = if chance.u32(0..10) < 8 { "ami-0f3a91c7d25be6804" } else { "ami-07be21d4409cfa913" };
        let assurance = match chance.u32(0..100) {
            _ if heard_ms.is_none() => "none",
            0..6 => "iid",
            6..40 => "iid+sts",
            _ => "iid+sts+psat",
        };
        let content = heard_ms.map(|_| id);
        if content.is_some() {
            let digest = Digest::of(format!("content {id}").as_bytes());
            self.content.execute(params![id, digest.to_string(), statement(chance, node).to_string()])?;
        }
        let reasons = json!(node.reasons).to_string();
        let launched = heard_ms.map(|_| born_ms);
        self.node.execute(params![
            id,
            TENANT,
            account,
            region,
            instance,
            cluster,
            group,
            name,
            image,
            assurance,
            launched,
            born_ms,
            node.state.as_str(),
            node.since_ms,
            reasons,
            content
        ])?;
        Ok(())
    }

    fn results(&mut self, chance: &mut Rng, node: &Node<'_>) -> rusqlite::Result<()> {
        let Some(assessed) = node.assessed_ms else { return Ok(()) };
        for (policy, controls) in POLICIES {
            let mut counts = [0_u32; 3];
            for control in node.failing.iter().filter(|control| control.policy == policy) {
                let (place, verdict) = match chance.u32(0..100) {
                    _ if control.critical => (0, "fail"),
                    0..70 => (0, "fail"),
                    70..86 => (1, "excepted"),
                    _ => (2, "unknown"),
                };
                if let Some(count) = counts.get_mut(place) {
                    *count += 1;
                }
                let since = if control.critical {
                    node.since_ms
                } else {
                    node.born_ms + chance.i64(0..=assessed - node.born_ms)
                };
                self.finding(node.id, control, verdict, since)?;
            }
            let [fail, excepted, unknown] = counts;
            let (manual, not_applicable) = (0, controls / 8);
            let pass = controls - not_applicable - fail - excepted - unknown;
            self.result.execute(params![
                node.id,
                policy,
                pass,
                fail,
                excepted,
                not_applicable,
                manual,
                unknown,
                assessed
            ])?;
        }
        Ok(())
    }

    pub(super) fn finding(&mut self, node: i64, control: &Control, verdict: &str, since: i64) -> rusqlite::Result<()> {
        let observed = if verdict == "unknown" { "permission denied" } else { control.observed };
        let holds = if verdict == "unknown" { json!(null) } else { json!(false) };
        let seen =
            json!([{ "source": control.source, "observed": observed, "expected": control.expected, "holds": holds }]);
        self.finding.execute(params![
            node,
            control.policy,
            control.id,
            verdict,
            control.title,
            control.level,
            control.section,
            since,
            seen.to_string(),
            control.remedy
        ])?;
        Ok(())
    }

    fn beats(&mut self, chance: &mut Rng, node: &Node<'_>) -> rusqlite::Result<()> {
        let key = Digest::of(format!("key {}", node.id).as_bytes());
        let minutes = (node.heard_ms.unwrap_or(node.born_ms) - node.born_ms) / MINUTE;
        let boot = format!("{:08x}-1f2e-4d3c-8b4a-{:012x}", chance.u32(..), chance.u64(..) >> 16);
        let Some(heard) = node.heard_ms else { return Ok(()) };
        // Its key has its number.
        self.key.execute(params![node.id, key.to_string(), boot, node.born_ms])?;
        self.heard.execute(params![node.id, minutes, heard, node.assessed_ms])?;
        let hole = (chance.u32(0..8) == 0).then(|| chance.i64(3..40));
        for back in 0..48 {
            let hour = (node.now_ms.div_euclid(HOUR) - back) * HOUR;
            if hour < node.born_ms || hour > heard {
                continue;
            }
            let live = u32::try_from(((heard - hour).min(HOUR) / MINUTE).max(0)).unwrap_or(0);
            let late = if hole == Some(back) { live / 3 } else { 0 };
            self.hour.execute(params![node.id, hour, live - late, late, u32::from(late > 0)])?;
            if late > 0 {
                let first = (minutes - back * 60).max(1);
                let closed = (chance.u32(0..5) > 0).then_some(hour + 40 * MINUTE);
                self.gap.execute(params![
                    node.id,
                    node.id,
                    first,
                    first + i64::from(late) - 1,
                    hour + 20 * MINUTE,
                    closed
                ])?;
            }
        }
        Ok(())
    }

    fn past(&mut self, chance: &mut Rng, node: &Node<'_>) -> rusqlite::Result<()> {
        let mut change = |at: i64, from: Option<&str>, to: &str, reasons: &[String]| {
            self.change.execute(params![node.id, at, from, to, json!(reasons).to_string()])
        };
        if node.heard_ms.is_none() {
            change(node.born_ms, None, node.state.as_str(), &node.reasons)?;
            return Ok(());
        }
        change(node.born_ms, None, "stale", &["its first assessment has not ended".to_owned()])?;
        change(node.born_ms + 40_000, Some("stale"), "compliant", &[])?;
        if node.state != State::Compliant {
            change(node.since_ms, Some("compliant"), node.state.as_str(), &node.reasons)?;
        }
        let enrolled = json!({ "message": "with a new key, from agent 0.1.0" }).to_string();
        self.event.execute(params![node.id, node.born_ms, "enrolled", enrolled])?;
        for control in node.failing.iter().take(2) {
            let at = node.born_ms + chance.i64(0..=node.now_ms - node.born_ms);
            let detail =
                json!({ "control": format!("{}/{}", control.policy, control.id), "from": "pass", "to": "fail" });
            self.event.execute(params![node.id, at, "drift", detail.to_string()])?;
        }
        Ok(())
    }
}

impl<'a> Node<'a> {
    fn make(chance: &mut Rng, id: i64, place: &'a Place, now_ms: i64) -> Self {
        let state = match chance.u32(0..1_000) {
            0..25 => State::Stale,
            25..55 => State::Missing,
            55..61 => State::Suspect,
            61..71 => State::NeverEnrolled,
            71..95 => State::Retired,
            _ => State::Compliant,
        };
        let born_ms = now_ms - chance.i64(2..40) * DAY - chance.i64(0..DAY);
        let silent = match state {
            State::Missing => chance.i64(6 * MINUTE..9 * HOUR),
            State::Retired => chance.i64(DAY..2 * DAY),
            _ => chance.i64(1_000..55_000),
        };
        let heard_ms = (state != State::NeverEnrolled).then_some(now_ms - silent);
        let age = if state == State::Stale { chance.i64(3 * HOUR..30 * HOUR) } else { chance.i64(20_000..8 * MINUTE) };
        let assessed_ms = heard_ms.map(|heard| (heard - age).max(born_ms));
        // Nodes of one group come from one template: some groups fail more than others.
        let often = if matches!(place.3, "gpu" | "spot") { 2 } else { 1 };
        let fails = |control: &&Control, chance: &mut Rng| chance.u32(0..1_000) < control.fails * often;
        let failing: Vec<_> = CONTROLS.iter().filter(|control| heard_ms.is_some() && fails(control, chance)).collect();
        let critical: Vec<_> = failing.iter().filter(|control| control.critical).collect();
        let state = if state == State::Compliant && !critical.is_empty() { State::NonCompliant } else { state };
        let (since_ms, reasons) = match (state, heard_ms) {
            (State::NonCompliant, _) => (
                now_ms - chance.i64(2 * MINUTE..40 * HOUR),
                critical.iter().map(|c| format!("{}/{} fails: {}", c.policy, c.id, c.title)).collect(),
            ),
            (State::Stale, _) => {
                (assessed_ms.unwrap_or(now_ms) + 2 * HOUR, vec!["its checks did not run for two hours".to_owned()])
            }
            (State::Missing, Some(heard)) => (heard + 3 * MINUTE, vec!["three beats did not come".to_owned()]),
            (State::Suspect, _) => (
                now_ms - chance.i64(HOUR..20 * HOUR),
                vec!["two keys speak for this instance: the one that was replaced spoke again".to_owned()],
            ),
            (State::NeverEnrolled, _) => (born_ms, vec!["EC2 knows the instance; it has never enrolled".to_owned()]),
            (State::Retired, Some(heard)) => {
                (heard + 10 * MINUTE, vec!["EC2 says that the instance was terminated".to_owned()])
            }
            _ => (born_ms + 40_000, Vec::new()),
        };
        Self { id, state, place, now_ms, born_ms, heard_ms, assessed_ms, since_ms, failing, reasons }
    }
}

/// What a node says, without what changes with every beat.
fn statement(chance: &mut Rng, node: &Node<'_>) -> serde_json::Value {
    let digest = |what: &str| Digest::of(what.as_bytes()).to_string();
    let broken = node.failing.iter().any(|control| control.id == "N1");
    let behind = if chance.u32(0..20) == 0 { chance.u64(100_000..40_000_000) } else { 0 };
    let lost = if chance.u32(0..40) == 0 { json!({ "deleted_unread": chance.u64(10..4_000) }) } else { json!({}) };
    let policies: Vec<_> = POLICIES.iter().map(|(id, _)| json!({ "id": id, "digest": digest(id) })).collect();
    json!({
        "version": 1,
        "program": { "version": "0.1.0", "binary": digest("agent") },
        "configuration": digest("settings"),
        "policies": policies,
        "exceptions": { "count": 4, "digest": digest("exceptions"), "next_expiry": "2027-03-31" },
        "membership": { "ready": node.state != State::Missing, "lease_age_s": chance.u32(1..12), "role_mapping": "seen" },
        "logs": {
            "behind_bytes": behind, "excluded": chance.u64(0..3) * 1_204, "lost": lost,
            "oldest_unsent_ms": if behind > 0 { json!(node.now_ms - 90_000) } else { json!(null) },
        },
        "proxy": {
            "redirect": if broken { "broken" } else { "in_place" }, "refusals": chance.u64(0..40), "host_network_pods": chance.u32(3..6),
        },
        "spool": { "beats": 0 },
    })
}
