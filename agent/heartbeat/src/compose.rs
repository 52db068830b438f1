//! Pure: a statement from how the node stands and its place among beats.

use safeguard_protocol::{Beat, KeyId, Spool, Statement, VERSION};

use crate::Posture;

/// What is left out of a posture: who signs, where the beat belongs, and what still waits.
#[derive(Debug)]
pub(crate) struct Moment<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) key_id: KeyId,
    pub(crate) beat: Beat,
    pub(crate) spool: Spool,
}

/// The statement. What is beyond a bound of the protocol is cut, so that it can always be sent.
pub(crate) fn statement(posture: &Posture, moment: Moment<'_>) -> Statement {
    let node = posture.node.clone();
    let mut policies = posture.policies.clone();
    policies.truncate(safeguard_protocol::limits::POLICIES);
    Statement {
        version: VERSION,
        tenant: moment.tenant.to_owned(),
        account: node.account,
        region: node.region,
        instance_id: node.instance_id,
        image_id: node.image_id,
        cluster: node.cluster,
        node_group: node.node_group,
        node_name: node.node_name,
        key_id: moment.key_id,
        beat: moment.beat,
        program: posture.program.clone(),
        configuration: posture.configuration,
        policies,
        assessment: posture.assessment.clone(),
        exceptions: posture.exceptions.clone(),
        membership: posture.membership,
        logs: posture.logs.clone(),
        proxy: posture.proxy,
        spool: moment.spool,
    }
}
