//! One beat: judged by the chain of its key, stored, and what it changes of its node.

use std::hash::{Hash, Hasher};

use safeguard_protocol::{Code, Digest, Opened, Posture, Received, State, Statement};
use serde::Serialize;
use serde_json::json;

use super::{Refused, Registrar, Taken};
use crate::chain::{Late, Place, Seen};
use crate::fleet::Node;
use crate::states;
use crate::store::{Batch, Heard};

/// What a node says is written again after this long, though nothing but numbers changed.
const SAID_AGAIN_MS: i64 = 300_000;
/// A beat that was made before its key was replaced may come so much later: a node waits 5 s and 10 s for a reply before it gives up.
const ON_ITS_WAY_MS: i64 = 15_000;
/// Reports that may be asked for and not be here yet.
const WANTED: usize = 20_000;

impl Registrar {
    pub(super) fn beat(
        &mut self,
        batch: &Batch<'_>,
        opened: &Opened<Statement>,
        (contact_ms, envelope): (Option<i64>, &[u8]),
        now_ms: i64,
    ) -> rusqlite::Result<Result<Taken, Refused>> {
        let (statement, beat) = (&opened.content, &opened.content.beat);
        let Some(key) = self.fleet.keys.get(opened.key.as_bytes()).cloned() else {
            return Ok(Err(Refused::new(Code::UnknownKey, "no node is known by this key")));
        };
        let Some(node) = self.fleet.nodes.get(&key.node_id) else {
            return Ok(Err(Refused::new(Code::UnknownKey, "the node of this key is not known any more")));
        };
        if let Some(other) = speaks_for_another(statement, &node.instance, &node.place) {
            return Ok(Err(Refused::new(
                Code::Identity,
                format!("the statement names another {other} than its key's enrolment"),
            )));
        }
        let mut failed = None;
        // By what the last live beat promised: this one may have been signed by somebody who promises himself time.
        let due_ms = states::due_ms(node.known.next_due_ms, &self.periods);
        let place = key.chain.place(beat, &opened.digest, &Seen { now_ms, contact_ms, due_ms }, |sequence| {
            batch.stored(key.no, sequence).unwrap_or_else(|error| {
                failed = Some(error);
                None
            })
        });
        if let Some(error) = failed {
            return Err(error);
        }
        if let Some(retired_ms) = key.retired_ms {
            let made_at_ms = beat.made_at_ms.saturating_sub(beat.clock_offset_ms.unwrap_or(0));
            let was_on_its_way = made_at_ms <= retired_ms && now_ms.saturating_sub(retired_ms) <= ON_ITS_WAY_MS;
            if matches!(place, Place::Newest { .. }) && was_on_its_way {
                let detail = json!({ "code": Code::RetiredKey, "key": opened.key.id(), "sequence": beat.sequence });
                self.tell_refused(batch, key.node_id, "refused", &detail, now_ms)?;
            } else if matches!(place, Place::Newest { .. }) {
                // With its number: who looked into one beat has not looked into the next.
                let why = format!(
                    "a key that was replaced by another one speaks again (its beat {}): there may be two of this node",
                    beat.sequence
                );
                self.suspect(batch, key.node_id, &why, Some((&opened.digest, envelope)), now_ms)?;
            }
            return Ok(Err(Refused::new(Code::RetiredKey, "the key was replaced by another one of this instance")));
        }
        let (gap, forked, late) = match place {
            Place::Duplicate => return Ok(Ok(self.taken(key.node_id, statement, Received::Duplicate))),
            Place::Reused => {
                let detail = json!({ "sequence": beat.sequence, "key": opened.key.id() });
                self.tell_refused(batch, key.node_id, "sequence-reused", &detail, now_ms)?;
                let message = format!("sequence number {} was used for another statement", beat.sequence);
                return Ok(Err(Refused::new(Code::SequenceReused, message)));
            }
            Place::Newest { .. } if beat.boot_id != key.boot_id => {
                return Ok(Err(Refused::new(Code::UnknownBoot, "the key is not enrolled for this boot")));
            }
            Place::Newest { gap, forked, late } => (gap, forked, late),
            Place::Older => (None, false, None),
        };
        let newest = matches!(place, Place::Newest { .. });
        let live = newest && late.is_none();
        let heard = Heard {
            key_no: key.no,
            statement,
            digest: opened.digest,
            received_ms: now_ms,
            live,
            newest,
            gap: gap.is_some(),
        };
        batch.beat(&heard)?;
        if let Some(range) = gap {
            batch.open_gap(key.node_id, key.no, range, now_ms)?;
        }
        if !newest {
            batch.fill_gap(key.node_id, key.no, beat.sequence, now_ms)?;
        }
        for range in &statement.spool.dropped {
            batch.declare_gap(key.node_id, key.no, (range.first, range.last), now_ms)?;
        }
        if forked {
            let (kind, reason) = match beat.previous {
                Some(_) => ("forked", "it names another beat before this one than the last that came"),
                None => ("forgot", "it does not know what it said last: what its disk kept was lost or damaged"),
            };
            let detail = json!({
                "sequence": beat.sequence, "previous": beat.previous, "known": key.chain.last, "reason": reason,
            });
            batch.event(Some(key.node_id), kind, &detail, now_ms)?;
        }
        if newest {
            if let Some(known) = self.fleet.keys.get_mut(opened.key.as_bytes()) {
                known.chain.sequence = beat.sequence;
                known.chain.last = Some(opened.digest);
            }
            self.hear(batch, key.node_id, statement, late, now_ms)?;
            self.speaks_again(batch, key.node_id, live, now_ms)?;
            self.judge(batch, key.node_id, Some((&opened.digest, envelope)), now_ms)?;
        }
        let received = if live { Received::Live } else { Received::Late };
        Ok(Ok(self.taken(key.node_id, statement, received)))
    }

    /// What the newest statement changes of its node: nothing but that it was heard, if it is late.
    fn hear(
        &mut self,
        batch: &Batch<'_>,
        node_id: i64,
        statement: &Statement,
        late: Option<Late>,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        let Some(node) = self.fleet.nodes.get_mut(&node_id) else { return Ok(()) };
        node.known.late = late.map(|late| (late, now_ms));
        if late.is_some() {
            return Ok(());
        }
        let (critical, more) = statement.assessment.as_ref().map_or((&[][..], 0), |a| (&a.critical, a.critical_more));
        if node.known.critical != critical || node.known.critical_more != more || node.group != statement.node_group {
            batch.stands(node_id, statement)?;
        }
        let assessed_before = node.known.assessed_ms;
        node.known.hear(statement, now_ms);
        node.group.clone_from(&statement.node_group);
        if let Some(assessment) = &statement.assessment
            && node.known.assessed_ms != assessed_before
            && !assessment.changed.is_empty()
        {
            let detail = json!({ "changed": assessment.changed, "more": assessment.changed_more });
            batch.event(Some(node_id), "drift", &detail, now_ms)?;
        }
        let digest = Steady::of(statement).digest();
        let as_before = |(before, at): &(Digest, i64)| *before == digest && now_ms - at < SAID_AGAIN_MS;
        if !node.content.as_ref().is_some_and(as_before) {
            let body = json_of(&Said { steady: Steady::of(statement), logs: &statement.logs, proxy: &statement.proxy });
            batch.content(node_id, &digest.to_string(), &String::from_utf8_lossy(&body), now_ms)?;
            node.content = Some((digest, now_ms));
        }
        Ok(())
    }

    /// One whose instance is gone cannot speak: somebody has its key, or EC2's list was not whole.
    fn speaks_again(&mut self, batch: &Batch<'_>, node_id: i64, live: bool, now_ms: i64) -> rusqlite::Result<()> {
        let Some(node) = self.fleet.nodes.get_mut(&node_id).filter(|node| node.known.retired && live) else {
            return Ok(());
        };
        node.known.retired = false;
        batch.retired(node_id, None)?;
        let why =
            format!("EC2 said that its instance is gone, and it speaks at {}", safeguard_daemon::clock::utc(now_ms));
        self.suspect(batch, node_id, &why, None, now_ms)
    }

    /// Looks at the state of a node again, and notes what changed.
    pub(super) fn judge(
        &mut self,
        batch: &Batch<'_>,
        node_id: i64,
        evidence: Option<(&Digest, &[u8])>,
        now_ms: i64,
    ) -> rusqlite::Result<bool> {
        let Some(node) = self.fleet.nodes.get_mut(&node_id) else { return Ok(false) };
        let mut found = states::state(&node.known, &self.periods, self.alive_since_ms, now_ms);
        let covers = |[account, group, _]: &&[String; 3]| {
            *account == node.instance[1] && (group.is_empty() || node.group.as_ref() == Some(group))
        };
        let excluded = self.excluded.iter().find(covers).map(|[_, _, words]| words.clone());
        // What is left alone is as it is, and says why nobody does anything about it.
        let left_alone = found.0 != State::Compliant && excluded.is_some();
        found.1.extend(excluded.filter(|_| left_alone));
        let posture = states::posture(Some(&node.posture), found, now_ms);
        if posture == node.posture {
            return Ok(false);
        }
        let changed = posture.state != node.posture.state;
        if changed {
            batch.state(node_id, Some(node.posture.state.as_str()), &posture, evidence, now_ms)?;
            if self.webhook && !left_alone {
                batch.tell(node_id, &told(node_id, node, &posture, now_ms), now_ms)?;
            }
            tracing::info!(
                node = node.place.join("/"),
                instance = node.instance.join("/"),
                from = node.posture.state.as_str(),
                to = posture.state.as_str(),
                reasons = posture.reasons.join("; "),
                "A node has another state."
            );
        } else {
            batch.reasons(node_id, &posture)?;
        }
        node.posture = posture;
        Ok(changed)
    }

    /// Believes a node no more.
    pub(super) fn suspect(
        &mut self,
        batch: &Batch<'_>,
        node_id: i64,
        why: &str,
        evidence: Option<(&Digest, &[u8])>,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        let Some(node) = self.fleet.nodes.get_mut(&node_id) else { return Ok(()) };
        // What an operator has looked into is not brought up again.
        if node.known.suspicion.is_none() && node.known.acquitted.as_deref() != Some(why) {
            node.known.suspicion = Some(why.to_owned());
            batch.suspect(node_id, why)?;
            batch.event(Some(node_id), "suspect", &json!({ "why": why }), now_ms)?;
        }
        self.judge(batch, node_id, evidence, now_ms).map(drop)
    }

    fn taken(&mut self, node_id: i64, statement: &Statement, received: Received) -> Taken {
        // The report of a late one is not how the node stands.
        let live = statement.assessment.as_ref().filter(|_| received == Received::Live);
        let report = live.map(|assessment| assessment.report);
        let want = report.filter(|report| !self.fleet.reports.contains(report));
        if let Some(report) = want
            && self.wanted.len() < WANTED
        {
            self.wanted.insert(report, node_id);
        }
        let never = || states::posture(None, (safeguard_protocol::State::NeverEnrolled, Vec::new()), 0);
        let posture = self.fleet.nodes.get(&node_id).map_or_else(never, |node| node.posture.clone());
        Taken { received, posture, want: want.into_iter().collect() }
    }
}

/// What the webhook tells of a change (docs/webhook.md).
fn told(node_id: i64, node: &Node, posture: &Posture, now_ms: i64) -> serde_json::Value {
    let [tenant, account, region, instance_id] = &*node.instance;
    let [cluster, name] = &node.place;
    json!({
        "version": 1,
        "at_ms": now_ms,
        "node": {
            "id": node_id, "tenant": tenant, "account": account, "region": region, "instance_id": instance_id, "cluster": cluster,
            "group": node.group, "name": name,
        },
        "from": node.posture.state,
        "to": posture.state,
        "reasons": posture.reasons,
    })
}

/// What the statement says of who speaks, and its key's enrolment does not.
fn speaks_for_another(statement: &Statement, instance: &[String; 4], place: &[String; 2]) -> Option<&'static str> {
    let [tenant, account, region, id] = instance;
    let [cluster, name] = place;
    let said = [
        ("tenant", &statement.tenant, tenant),
        ("account", &statement.account, account),
        ("region", &statement.region, region),
        ("instance", &statement.instance_id, id),
        ("cluster", &statement.cluster, cluster),
        ("node name", &statement.node_name, name),
    ];
    said.into_iter().find(|(_, said, known)| said != known).map(|(what, ..)| what)
}

/// What a node says that does not change with every beat.
#[derive(Serialize, Hash)]
struct Steady<'a> {
    image_id: &'a str,
    program: &'a safeguard_protocol::Program,
    configuration: &'a Digest,
    policies: &'a [safeguard_protocol::Policy],
    assessment: &'a Option<safeguard_protocol::Assessment>,
    exceptions: &'a safeguard_protocol::Exceptions,
    ready: Option<bool>,
    role_mapping: safeguard_protocol::RoleMapping,
}

impl<'a> Steady<'a> {
    fn of(statement: &'a Statement) -> Self {
        Self {
            image_id: &statement.image_id,
            program: &statement.program,
            configuration: &statement.configuration,
            policies: &statement.policies,
            assessment: &statement.assessment,
            exceptions: &statement.exceptions,
            ready: statement.membership.ready,
            role_mapping: statement.membership.role_mapping,
        }
    }

    /// Each beat asks for it, so nothing is written as JSON for it. Of another build it may be another one: what the node says is then stored
    /// once more.
    fn digest(&self) -> Digest {
        let mut bytes = Bytes(Vec::with_capacity(1_024));
        self.hash(&mut bytes);
        Digest::of(&bytes.0)
    }
}

/// What is hashed, as it is.
struct Bytes(Vec<u8>);

impl Hasher for Bytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// Nobody asks.
    fn finish(&self) -> u64 {
        0
    }
}

/// What is kept of a statement: no more than its reader is shown.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(flatten)]
    steady: Steady<'a>,
    logs: &'a Option<safeguard_protocol::Logs>,
    proxy: &'a Option<safeguard_protocol::Proxy>,
}

fn json_of(value: &impl Serialize) -> Vec<u8> {
    let mut json = Vec::with_capacity(2_048);
    // These types can be written, and memory takes all.
    drop(serde_json::to_writer(&mut json, value));
    json
}
