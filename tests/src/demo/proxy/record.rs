//! Who asked, what was due, and what came: judged at once, and again by the keys in the end.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use safeguard_standins::{Account, Principal};
use tokio::time::Instant;

use super::pods::Pod;

/// News of a pod, or of its annotation, are in force within a second; a busy machine gets two.
const SETTLING: Duration = Duration::from_secs(2);

/// Problems of one client that are kept.
const MOST_PROBLEMS: usize = 5;

/// What a client is to get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Due {
    /// A key of this session.
    Session { role: &'static str, name: String },
    /// Nothing, with this status.
    Refused { status: u16, why: &'static str },
}

/// What a client got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Credentials with this access key id.
    Key(String),
    /// This status, at the first step that was not answered with 200.
    Refused(u16),
    /// No answer that makes sense, and why.
    None(String),
}

/// Which client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Id(usize);

/// What is known of one client.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// None if there is no pod of its address.
    pub(super) pod: Option<Pod>,
    pub(super) address: Ipv4Addr,
    /// What it is to get, and since when; the last is what counts.
    dues: Vec<(Due, Instant)>,
    /// How often it asked.
    pub(super) asked: u64,
    /// How often it got what it is due now.
    served: u64,
    pub(super) last: Option<Answer>,
    /// Every access key id that it was given, and whose the account says it is.
    pub(super) keys: BTreeMap<String, Option<Principal>>,
    /// What it tried and is not its own.
    pub(super) tries: u64,
    pub(super) gone: bool,
    pub(super) problems: Vec<String>,
}

/// Everything that clients have seen.
#[derive(Debug)]
pub(super) struct Record {
    account: Arc<Account>,
    node_role: String,
    visitors: Mutex<Vec<Visitor>>,
    token: Mutex<Option<(Id, String)>>,
    requests: AtomicU64,
    sts_is_away: AtomicBool,
    served_meanwhile: AtomicU64,
}

/// How an answer compares with what was due.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    /// The proxy may not have heard yet.
    Early,
    Wrong(String),
}

impl Record {
    pub(super) fn new(account: Arc<Account>, node_role: String) -> Self {
        Self {
            account,
            node_role,
            visitors: Mutex::default(),
            token: Mutex::default(),
            requests: AtomicU64::new(0),
            sts_is_away: AtomicBool::new(false),
            served_meanwhile: AtomicU64::new(0),
        }
    }

    fn locked(&self) -> MutexGuard<'_, Vec<Visitor>> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T: Default>(&self, id: Id, change: impl FnOnce(&mut Visitor) -> T) -> T {
        self.locked().get_mut(id.0).map(change).unwrap_or_default()
    }

    /// A client that begins to ask.
    pub(super) fn enter(&self, pod: Option<Pod>, address: Ipv4Addr, due: Due) -> Id {
        let mut visitors = self.locked();
        visitors.push(Visitor {
            pod,
            address,
            dues: vec![(due, Instant::now())],
            asked: 0,
            served: 0,
            last: None,
            keys: BTreeMap::new(),
            tries: 0,
            gone: false,
            problems: Vec::new(),
        });
        Id(visitors.len() - 1)
    }

    /// From now on this is what it is to get.
    pub(super) fn now_due(&self, id: Id, due: Due) {
        self.with(id, |visitor| {
            visitor.served = 0;
            visitor.dues.push((due, Instant::now()));
        });
    }

    /// It asks no more.
    pub(super) fn gone(&self, id: Id) {
        self.with(id, |visitor| visitor.gone = true);
    }

    /// Whether it got what it is due now.
    pub(super) fn is_served(&self, id: Id) -> bool {
        self.with(id, |visitor| visitor.served > 0)
    }

    /// An answer to what was asked at `begun`.
    pub(super) fn took(&self, id: Id, begun: Instant, answer: Answer) {
        let served = self.with(id, |visitor| visitor.take(begun, answer, &self.account, &self.node_role));
        if served && self.sts_is_away.load(Ordering::Relaxed) {
            self.served_meanwhile.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// It tried what is not its own. Only a refusal is right.
    pub(super) fn tried(&self, id: Id, what: &str, status: u16, body: &str) {
        self.with(id, |visitor| {
            visitor.tries += 1;
            if status < 400 || body.contains("SecretAccessKey") {
                visitor.problem(format!("{what} was answered with {status}"));
            }
        });
    }

    /// Leaves a token where another can find it.
    pub(super) fn show_token(&self, id: Id, token: String) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, token));
    }

    /// A token that is not this client's.
    pub(super) fn token_of_another(&self, id: Id) -> Option<String> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        token.as_ref().filter(|(owner, _)| *owner != id).map(|(_, token)| token.clone())
    }

    pub(super) fn requested(&self, requests: u64) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether STS is away from now on.
    pub(super) fn sts_is_away(&self, away: bool) {
        self.sts_is_away.store(away, Ordering::Relaxed);
    }

    /// How often credentials were handed out while STS was away.
    pub(super) fn served_meanwhile(&self) -> u64 {
        self.served_meanwhile.load(Ordering::Relaxed)
    }

    pub(super) fn visitors(&self) -> Vec<Visitor> {
        self.locked().clone()
    }
}

impl Visitor {
    pub(super) fn called(&self) -> String {
        self.pod.map_or_else(|| "(no pod)".to_owned(), |pod| pod.called())
    }

    /// What it is to get now, and what it was to get before.
    pub(super) fn dues(&self) -> impl DoubleEndedIterator<Item = &Due> {
        self.dues.iter().map(|(due, _)| due)
    }

    /// Whether it got what it is due now.
    pub(super) fn is_served(&self) -> bool {
        self.served > 0
    }

    /// Whose the key is that it was given last.
    pub(super) fn last_owner(&self) -> Option<&Principal> {
        match &self.last {
            Some(Answer::Key(key)) => self.keys.get(key)?.as_ref(),
            _ => None,
        }
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < MOST_PROBLEMS && !self.problems.contains(&text) {
            self.problems.push(text);
        }
    }

    /// Whether the answer was credentials, and rightly so.
    fn take(&mut self, begun: Instant, answer: Answer, account: &Account, node_role: &str) -> bool {
        self.asked += 1;
        if let Answer::Key(key) = &answer {
            self.keys.insert(key.clone(), account.principal(key));
        }
        let verdict = self.judge(begun, &answer, node_role);
        let is_key = matches!(answer, Answer::Key(_));
        self.last = Some(answer);
        match verdict {
            Verdict::Right => {
                self.served += 1;
                is_key
            }
            Verdict::Early => false,
            Verdict::Wrong(why) => {
                self.problem(why);
                false
            }
        }
    }

    fn judge(&self, begun: Instant, answer: &Answer, node_role: &str) -> Verdict {
        let Some(((due, since), before)) = self.dues.split_last() else {
            return Verdict::Wrong("nothing was due".to_owned());
        };
        let is_early = begun < *since + SETTLING;
        if self.fits(answer, due) {
            return Verdict::Right;
        }
        // SDKs try again on 503, and what was right before may still be in force.
        let may_come = *answer == Answer::Refused(503) && matches!(due, Due::Session { .. });
        if is_early && (may_come || before.iter().any(|(due, _)| self.fits(answer, due))) {
            return Verdict::Early;
        }
        Verdict::Wrong(match answer {
            Answer::None(why) => why.clone(),
            Answer::Refused(status) => format!("status {status}, and not {}", shown(due)),
            Answer::Key(key) => match self.keys.get(key).and_then(Option::as_ref) {
                None => format!("the key {key}, which nobody issued"),
                Some(owner) if owner.role_arn() == Some(node_role) => format!("A KEY OF THE NODE, {key}"),
                Some(owner) => format!("a key of {}, and not {}", short(owner), shown(due)),
            },
        })
    }

    fn fits(&self, answer: &Answer, due: &Due) -> bool {
        match (answer, due) {
            (Answer::Key(key), Due::Session { .. }) => {
                self.keys.get(key).and_then(Option::as_ref).is_some_and(|owner| short(owner) == shown(due))
            }
            (Answer::Refused(status), Due::Refused { status: due, .. }) => status == due,
            _ => false,
        }
    }
}

/// What is due, for people.
pub(super) fn shown(due: &Due) -> String {
    match due {
        Due::Session { role, name } => format!("{role}/{name}"),
        Due::Refused { status, why } => format!("{status} {why}"),
    }
}

/// The owner of a key, as `ROLE/SESSION`.
pub(super) fn short(owner: &Principal) -> String {
    let arn = owner.arn();
    arn.rsplit_once(":assumed-role/").map_or(arn.clone(), |(_, session)| session.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::proxy::pods::{CATALOG, CATALOG_AGAIN};

    const NODE: &str = "arn:aws:iam::123456789012:role/node";

    fn record() -> (Record, Id, impl Fn(&str, &str) -> Answer) {
        let account = Account::new("123456789012").unwrap();
        let record = Record::new(account.clone(), NODE.to_owned());
        let id = record.enter(Some(CATALOG), CATALOG.address, CATALOG.due());
        let key = move |role: &str, name: &str| {
            let owner = Principal::session(format!("arn:aws:iam::123456789012:role/{role}"), name);
            Answer::Key(account.issue_temporary(owner, None).access_key_id)
        };
        (record, id, key)
    }

    #[test]
    fn only_the_own_key_is_right() {
        let (record, id, key) = record();
        record.took(id, Instant::now(), key("shop-cat", "shop.catalog"));
        assert!(record.is_served(id) && record.visitors()[0].problems.is_empty());
        for (wrong, word) in [
            (key("node", "i-0123456789abcdef0"), "A KEY OF THE NODE"),
            (key("shop-pay", "shop.checkout"), "a key of shop-pay/shop.checkout"),
            (key("shop-cat", "shop.checkout"), "a key of shop-cat/shop.checkout"),
            (Answer::Key("ASIAX".to_owned()), "nobody issued"),
            (Answer::Refused(403), "status 403"),
            (Answer::None("no connection".to_owned()), "no connection"),
        ] {
            let (fresh, id) = (Record::new(record.account.clone(), NODE.to_owned()), id);
            fresh.enter(Some(CATALOG), CATALOG.address, CATALOG.due());
            fresh.took(id, Instant::now(), wrong.clone());
            assert!(fresh.visitors()[0].problems[0].contains(word), "{wrong:?}: {:?}", fresh.visitors()[0].problems);
        }
    }

    #[test]
    fn what_was_right_before_a_change_is_right_for_a_moment_only() {
        let (record, id, key) = record();
        record.now_due(id, CATALOG_AGAIN.due());
        record.took(id, Instant::now(), key("shop-cat", "shop.catalog"));
        assert!(!record.is_served(id) && record.visitors()[0].problems.is_empty());
        let later = Instant::now() + SETTLING;
        record.took(id, later, key("shop-cat", "shop.catalog"));
        assert_eq!(record.visitors()[0].problems.len(), 1);
        record.took(id, later, Answer::Refused(503));
        assert_eq!(record.visitors()[0].problems.len(), 2, "503 is no answer any more");
        record.took(id, Instant::now(), key("shop-pay", "shop.catalog"));
        assert!(record.is_served(id));
    }

    #[test]
    fn what_is_not_ones_own_has_to_be_refused() {
        let (record, id, _) = record();
        record.tried(id, "/latest/user-data", 404, "");
        assert!(record.visitors()[0].problems.is_empty());
        record.tried(id, "/latest/user-data", 200, "#!/bin/sh");
        assert_eq!(record.visitors()[0].problems, ["/latest/user-data was answered with 200"]);
    }
}
