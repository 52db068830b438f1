//! One enrolment whose proofs hold: whose key it is from now on.

use std::sync::Arc;

use safeguard_protocol::{Assurance, Code, Enrolment, Opened, Posture, State};
use serde_json::json;

use super::{Known, Refused, Registrar};
use crate::fleet::{Key, Node};
use crate::states;
use crate::store::{Batch, Enrolling};
use crate::verify::Verified;

impl Registrar {
    pub(super) fn enrol(
        &mut self,
        batch: &Batch<'_>,
        opened: &Opened<Enrolment>,
        verified: &Verified,
        now_ms: i64,
    ) -> rusqlite::Result<Result<Known, Refused>> {
        let said = &opened.content;
        let instance = [&said.tenant, &verified.account, &verified.region, &verified.instance_id];
        let instance = Arc::new(instance.map(Clone::clone));
        let existing = self.fleet.instances.get(&instance).copied();
        let known = self.fleet.keys.get(opened.key.as_bytes()).cloned();
        let kind = match self.judge_key(known.as_ref(), existing, verified) {
            Ok(kind) => kind,
            Err(refused) => {
                for node_id in existing.into_iter().chain(known.as_ref().map(|key| key.node_id)) {
                    let detail =
                        json!({ "code": refused.code, "key": opened.key.id(), "instance": verified.instance_id });
                    self.tell_refused(batch, node_id, "refused", &detail, now_ms)?;
                }
                return Ok(Err(refused));
            }
        };
        let key_id = opened.key.id().to_string();
        let public_key = opened.key.to_string();
        let before = existing.and_then(|id| self.fleet.nodes.get(&id)).and_then(|node| node.key);
        let chain = known.as_ref().map(|key| key.chain).unwrap_or_default();
        let [tenant, account, region, id] = &*instance;
        let enrolling = Enrolling {
            instance: [tenant, account, region, id],
            place: [&said.cluster, &said.node_name],
            node_group: said.node_group.as_deref(),
            image_id: &verified.image_id,
            assurance: verified.assurance.as_str(),
            pending_time_ms: verified.pending_time_ms,
            key: [&key_id, &public_key],
            boot_id: &said.boot_id,
            simulated: self.simulated,
        };
        let (node_id, no) = batch.enrol(&enrolling, now_ms)?;
        let detail =
            json!({ "key": key_id, "boot": said.boot_id, "assurance": verified.assurance, "role": verified.role_arn });
        batch.event(Some(node_id), kind, &detail, now_ms)?;
        if let Some(replaced) = before.and_then(|key| self.fleet.keys.get_mut(&key)) {
            replaced.retired_ms = replaced.retired_ms.or(Some(now_ms));
        }
        let key = Key { no, node_id, boot_id: said.boot_id.clone(), retired_ms: None, chain };
        self.fleet.keys.insert(*opened.key.as_bytes(), key);
        self.keys.put(std::iter::once(opened.key));
        let node = self.fleet.nodes.entry(node_id).or_insert_with(|| {
            Box::new(Node {
                instance: instance.clone(),
                place: Default::default(),
                group: None,
                key: None,
                known: states::Known { first_seen_ms: now_ms, next_due_ms: 60_000, ..states::Known::default() },
                posture: Posture { state: State::NeverEnrolled, since_ms: now_ms, reasons: Vec::new() },
                content: None,
                pending_time_ms: None,
                readiness: None,
            })
        });
        // What another cluster said says nothing of this one.
        node.readiness = node.readiness.filter(|_| node.place[0] == said.cluster);
        node.place = [said.cluster.clone(), said.node_name.clone()];
        node.group.clone_from(&said.node_group);
        node.key = Some(*opened.key.as_bytes());
        node.pending_time_ms = verified.pending_time_ms;
        if before.is_none() {
            // EC2 may have told of it long ago: its first beat is due from now on.
            node.known.first_seen_ms = now_ms;
        }
        (node.known.enrolled, node.known.retired) = (true, false);
        self.fleet.instances.insert(instance, node_id);
        self.judge(batch, node_id, None, now_ms)?;
        Ok(Ok(Known { sequence: chain.sequence }))
    }

    /// Whether the key may be the instance's; what kind of event that is.
    fn judge_key(
        &self,
        known: Option<&Key>,
        existing: Option<i64>,
        verified: &Verified,
    ) -> Result<&'static str, Refused> {
        if let Some(key) = known {
            if existing != Some(key.node_id) {
                let message = "the key belongs to another instance: this disk may be a copy of that one's";
                return Err(Refused::new(Code::RetiredKey, message));
            }
            if key.retired_ms.is_some() {
                return Err(Refused::new(Code::RetiredKey, "the key was replaced by another one of this instance"));
            }
        }
        let Some(node) = existing.and_then(|id| self.fleet.nodes.get(&id)) else { return Ok("enrolled") };
        // A document of an earlier start of the instance is a copy that somebody kept.
        if let (Some(before), Some(now)) = (node.pending_time_ms, verified.pending_time_ms)
            && now < before
        {
            return Err(Refused::new(
                Code::ProofIdentity,
                "the identity document is of an earlier start of the instance",
            ));
        }
        if known.is_some() {
            return Ok("enrolled-again");
        }
        // EC2 told of it before it spoke.
        if node.key.is_none() {
            return Ok("enrolled");
        }
        if verified.assurance < Assurance::IdentitySts {
            let message =
                "another key speaks for this instance; only a proof by STS that binds the new one takes its place";
            return Err(Refused::new(Code::KeyConflict, message));
        }
        Ok("rekeyed")
    }

    /// Notes a refusal; the same again within a minute is only counted.
    pub(super) fn tell_refused(
        &mut self,
        batch: &Batch<'_>,
        node_id: i64,
        kind: &'static str,
        detail: &serde_json::Value,
        now_ms: i64,
    ) -> rusqlite::Result<()> {
        let (told_ms, repeats) = self.refused.entry((node_id, kind)).or_insert((i64::MIN, 0));
        *repeats += 1;
        if now_ms.saturating_sub(*told_ms) < 60_000 {
            return Ok(());
        }
        let detail = json!({ "detail": detail, "times": *repeats });
        (*told_ms, *repeats) = (now_ms, 0);
        batch.event(Some(node_id), kind, &detail, now_ms)
    }
}
