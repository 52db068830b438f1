//! The end: each access key that a pod was given, looked up in the account that issued it.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use safeguard_standins::Principal;

use super::record::{Record, Visitor, short, shown};
use super::services::Services;
use crate::demo::screen::Paint;

/// Who got what, and whether that was right.
#[derive(Debug)]
pub(in crate::demo) struct Summary {
    visitors: Vec<Visitor>,
    requests: u64,
    served_without_sts: u64,
    assumed: usize,
    /// What pods have caused at the metadata service.
    caused: usize,
    /// Keys of the node that it has given out.
    node_keys: usize,
    problems: Vec<String>,
}

impl Summary {
    pub(super) fn new(record: &Record, services: &Services, ended: bool) -> Self {
        let visitors = record.visitors();
        let node_keys = services.imds.keys();
        let mut problems = problems_of(&visitors);
        problems.extend(wrong_keys(&visitors, &services.node_role(), &|key| services.imds.is_node_key(key)));
        problems.extend(services.leaks().iter().map(|leak| format!("the metadata service was asked: {leak}")));
        if !node_keys.is_empty() {
            problems.push(format!("the metadata service gave out keys of the node: {}", node_keys.join(", ")));
        }
        if !ended {
            problems.push("the proxy did not end in time".to_owned());
        }
        Self {
            requests: record.requests(),
            served_without_sts: record.served_meanwhile(),
            assumed: services.sts.assumed().len(),
            caused: services.caused(),
            node_keys: node_keys.len(),
            visitors,
            problems,
        }
    }

    /// Whether each pod got exactly what it should.
    pub(in crate::demo) fn is_good(&self) -> bool {
        self.problems().is_empty()
    }

    /// What was not as it should be.
    pub(super) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// For the reader.
    pub(in crate::demo) fn lines(&self, paint: Paint) -> Vec<String> {
        let heading = row("pod", Ipv4Addr::UNSPECIFIED, "asked", "keys", "got");
        let mut lines = vec![
            "Each access key that a pod was given was looked up in the account that issued it:".to_owned(),
            paint.bold(&heading.replace("0.0.0.0", "address")),
        ];
        for visitor in &self.visitors {
            let dues: Vec<String> = visitor.dues().map(shown).collect();
            let got = if visitor.is_served() { dues.join(", then ") } else { "NOT WHAT IT SHOULD".to_owned() };
            let (asked, keys) = (visitor.asked.to_string(), visitor.keys.len().to_string());
            let text = row(&visitor.called(), visitor.address, &asked, &keys, &got);
            lines.push(if visitor.problems.is_empty() { text } else { paint.red(&text) });
        }
        lines.push(String::new());
        lines.extend(self.account());
        lines.push(self.verdict(paint));
        lines
    }

    fn account(&self) -> Vec<String> {
        let sum = |of: fn(&Visitor) -> u64| self.visitors.iter().map(of).sum::<u64>();
        let mut lines = vec![
            format!(
                "The proxy: asked {} times in {} requests; {} calls of AssumeRole.",
                sum(|visitor| visitor.asked),
                self.requests,
                self.assumed,
            ),
            format!(
                "The metadata service: {} harmless requests for pods, {} keys of the node given out; {} attempts at what is not a pod's own.",
                self.caused,
                self.node_keys,
                sum(|visitor| visitor.tries),
            ),
        ];
        if self.served_without_sts > 0 {
            lines.push(format!("While STS was away, credentials were handed out {} times.", self.served_without_sts));
        }
        lines
    }

    fn verdict(&self, paint: Paint) -> String {
        if !self.is_good() {
            return paint.red(&format!("NOT GOOD: {}", self.problems().join("\n  ")));
        }
        let keys: usize = self.visitors.iter().map(|visitor| visitor.keys.len()).sum();
        paint.green(&format!(
            "EACH POD GOT WHAT IT SHOULD: {keys} keys, each of the pod's own session; none of the node's, none of another \
             pod's.\nNo pod caused a request for what is the node's own; every attempt was refused."
        ))
    }
}

fn row(pod: &str, address: Ipv4Addr, asked: &str, keys: &str, got: &str) -> String {
    format!("{pod:<15} {:<9} {asked:>5} {keys:>4}  {got}", address.to_string())
}

/// What each client saw, and who never got what he is due.
fn problems_of(visitors: &[Visitor]) -> Vec<String> {
    let mut problems = Vec::new();
    for visitor in visitors {
        let called = format!("{} at {}", visitor.called(), visitor.address);
        problems.extend(visitor.problems.iter().map(|problem| format!("{called}: {problem}")));
        if !visitor.is_served() {
            let due = visitor.dues().next_back().map(shown).unwrap_or_default();
            problems.push(format!("{called}: it never got {due}"));
        }
    }
    problems
}

/// Every key again, whatever was judged when it came: it has to be one of the pod's own sessions, and nobody else's.
fn wrong_keys(visitors: &[Visitor], node_role: &str, is_node_key: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut problems = Vec::new();
    let mut holders: BTreeMap<&str, String> = BTreeMap::new();
    for visitor in visitors {
        let own: Vec<String> = visitor.dues().map(shown).collect();
        for (key, owner) in &visitor.keys {
            let is_node = is_node_key(key) || owner.as_ref().and_then(Principal::role_arn) == Some(node_role);
            let owner = owner.as_ref().map_or_else(|| "nobody".to_owned(), short);
            if is_node || !own.contains(&owner) {
                problems.push(format!("{} holds {key}, a key of {owner}", visitor.called()));
            }
            if let Some(other) = holders.insert(key, visitor.called()) {
                problems.push(format!("{} and {other} hold the same key {key}", visitor.called()));
            }
        }
    }
    problems
}
