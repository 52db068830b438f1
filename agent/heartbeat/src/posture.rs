//! How the node stands, as the others say: everything in a beat but its place among beats.

use safeguard_protocol::{
    Assessment, Digest, Exceptions, Logs, Membership, Policy, Program, Proxy, Redirect, Statement,
};

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// AWS account, 12 digits.
    pub account: String,
    /// AWS region.
    pub region: String,
    /// EC2 instance id.
    pub instance_id: String,
    /// AMI.
    pub image_id: String,
    /// The cluster's name.
    pub cluster: String,
    /// The node group's name, where it has one.
    pub node_group: Option<String>,
    /// The node's name in its cluster.
    pub node_name: String,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
}

impl Node {
    /// Whether a statement calls the node what it is called now, where the safeguard looks at that.
    pub(crate) fn is_named_by(&self, said: &Statement) -> bool {
        let now = [&self.account, &self.region, &self.instance_id, &self.cluster, &self.node_name];
        now == [&said.account, &said.region, &said.instance_id, &said.cluster, &said.node_name]
    }
}

/// How the node stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posture {
    /// Who speaks.
    pub node: Node,
    /// The program that speaks.
    pub program: Program,
    /// Digest of the settings in force.
    pub configuration: Digest,
    /// Policies that are evaluated.
    pub policies: Vec<Policy>,
    /// What the checks found; `None` until the first evaluation ended.
    pub assessment: Option<Assessment>,
    /// Exceptions in force.
    pub exceptions: Exceptions,
    /// How the cluster sees the node.
    pub membership: Membership,
    /// How logs are delivered; `None` where they are not.
    pub logs: Option<Logs>,
    /// The metadata proxy; `None` where there is none.
    pub proxy: Option<Proxy>,
}

impl Posture {
    /// Whether the safeguard should hear of this before the next beat is due: something else than a number that always moves.
    #[must_use]
    pub fn calls_for_a_beat(&self, told: &Self) -> bool {
        self.node != told.node || self.told_at_once() != told.told_at_once()
    }

    fn told_at_once(&self) -> impl PartialEq + '_ {
        let found = self.assessment.as_ref().map(|a| (a.counts, &a.critical, a.critical_more));
        // Two controls that change places leave the counts as they were.
        let drift = self.assessment.as_ref().filter(|a| !a.changed.is_empty()).map(|a| a.finished_at_ms);
        let lost: Vec<&String> = self.logs.iter().flat_map(|logs| logs.lost.keys()).collect();
        let redirect: Option<Redirect> = self.proxy.map(|proxy| proxy.redirect);
        (
            (found, drift, lost, redirect),
            (&self.policies, &self.exceptions, self.configuration, &self.program),
            self.membership.ready,
        )
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use safeguard_protocol::{Change, Counts, RoleMapping, Verdict};

    use super::*;

    pub(crate) fn posture() -> Posture {
        let name = |s: &str| s.to_owned();
        Posture {
            node: Node {
                account: name("111122223333"),
                region: name("eu-central-1"),
                instance_id: name("i-0123456789abcdef0"),
                image_id: name("ami-1"),
                cluster: name("prod"),
                node_group: Some(name("workers")),
                node_name: name("ip-10-0-0-1"),
                boot_id: name("boot-1"),
            },
            program: Program { version: name("0.1.0"), binary: None },
            configuration: Digest::of(b"settings"),
            policies: Vec::new(),
            assessment: Some(Assessment {
                started_at_ms: 1,
                finished_at_ms: 2,
                report: Digest::of(b"report"),
                counts: Counts { pass: 3, ..Counts::default() },
                changed: Vec::new(),
                changed_more: 0,
                critical: Vec::new(),
                critical_more: 0,
            }),
            exceptions: Exceptions::default(),
            membership: Membership { ready: Some(true), lease_age_s: Some(1), role_mapping: RoleMapping::Seen },
            logs: Some(Logs::default()),
            proxy: None,
        }
    }

    #[test]
    fn numbers_that_always_move_wait_for_the_next_beat() {
        let told = posture();
        let mut now = told.clone();
        now.logs = Some(Logs { behind_bytes: 7, oldest_unsent_ms: Some(1), excluded: 3, lost: BTreeMap::new() });
        now.membership.lease_age_s = Some(9);
        now.assessment.as_mut().unwrap().finished_at_ms = 99;
        assert!(!now.calls_for_a_beat(&told));
    }

    #[test]
    fn what_somebody_would_act_upon_does_not_wait() {
        let told = posture();
        let changes: [fn(&mut Posture); 6] = [
            |p| p.assessment.as_mut().unwrap().critical.push("eks/3.2.1".to_owned()),
            |p| p.membership.ready = Some(false),
            |p| p.logs.as_mut().unwrap().lost = BTreeMap::from([("too-old".to_owned(), 1)]),
            |p| p.configuration = Digest::of(b"others"),
            |p| p.node.boot_id = "boot-2".to_owned(),
            |p| {
                let a = p.assessment.as_mut().unwrap();
                a.finished_at_ms = 9;
                a.changed.push(Change {
                    control: "x/1".to_owned(),
                    from: Some(Verdict::Pass),
                    to: Some(Verdict::Fail),
                });
            },
        ];
        for (n, change) in changes.into_iter().enumerate() {
            let mut now = told.clone();
            change(&mut now);
            assert!(now.calls_for_a_beat(&told), "{n}");
        }
    }
}
