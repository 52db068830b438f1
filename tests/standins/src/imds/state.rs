//! What changes while it runs, and the answer to a path.

use std::collections::BTreeSet;

use super::{
    HttpTokens, ImdsOptions,
    instance::Instance,
    request::Request,
    role::{self, Held, NodeRole},
    tokens::Tokens,
    tree::{Place, Tree, VERSIONS, place},
};
use crate::{Account, Principal};

#[derive(Debug)]
pub(super) struct State {
    pub(super) enabled: bool,
    pub(super) http_tokens: HttpTokens,
    pub(super) extended: bool,
    pub(super) tokens: Tokens,
    pub(super) tree: Tree,
    pub(super) role: Option<(NodeRole, Held)>,
    /// The keys of the instance itself, for services of EC2.
    own: Held,
    /// The `Code` to answer with instead of a key.
    pub(super) failure: Option<String>,
    /// Ids of every key that was handed out.
    pub(super) keys: BTreeSet<String>,
    pub(super) requests: Vec<Request>,
    pub(super) dropped: u64,
    pub(super) mark: String,
    pub(super) serial: u64,
}

impl State {
    pub(super) fn new(options: &ImdsOptions, started_ms: i64) -> State {
        let account = options.account.id();
        let Instance { instance_id, partition, .. } = &options.instance;
        let own = Principal::session(format!("arn:{partition}:iam::{account}:role/aws:ec2-instance"), instance_id);
        let mut state = State {
            enabled: true,
            http_tokens: options.http_tokens,
            extended: options.extended,
            tokens: Tokens::default(),
            tree: options.instance.tree(account, started_ms, options.identity_ca.as_deref()),
            role: None,
            own: Held::new(own),
            failure: None,
            keys: BTreeSet::new(),
            requests: Vec::new(),
            dropped: 0,
            mark: String::new(),
            serial: 0,
        };
        state.set_role(options.role.clone(), instance_id);
        state
    }

    pub(super) fn set_role(&mut self, role: Option<NodeRole>, instance_id: &str) {
        self.role = role.map(|role| {
            let held = Held::new(Principal::session(&role.arn, instance_id));
            (role, held)
        });
    }

    /// What is at a raw path.
    pub(super) fn read(&mut self, raw: &str, account: &Account, now_ms: i64) -> Option<String> {
        let path = match place(raw) {
            Place::Nowhere => return None,
            Place::Root => return Some(format!("{}\nlatest", VERSIONS.join("\n"))),
            Place::Below(path) => path,
        };
        if let Some(rest) = below(&path, "meta-data/iam") {
            return self.iam(rest, account, now_ms);
        }
        if let Some(rest) = below(&path, "meta-data/identity-credentials") {
            return self.identity_credentials(rest, account, now_ms);
        }
        let text = self.tree.read(&path)?;
        if path != "meta-data" {
            return Some(text);
        }
        let mut names: Vec<&str> = text.lines().collect();
        names.push("identity-credentials/");
        if self.role.is_some() {
            names.push("iam/");
        }
        names.sort_unstable();
        Some(names.join("\n"))
    }

    fn iam(&mut self, path: &str, account: &Account, now_ms: i64) -> Option<String> {
        let (role, held) = self.role.as_mut()?;
        let extended_path = "security-credentials-extended";
        if path.is_empty() {
            let more = if self.extended { "security-credentials-extended/" } else { "" };
            return Some(format!("info\nsecurity-credentials/\n{more}").trim_end().to_owned());
        }
        let (list, account_id) = match below(path, extended_path) {
            Some(rest) if self.extended => (rest, Some(account.id())),
            Some(_) => return None,
            None if path == "info" => {
                let (_, made) = held.get(account, now_ms);
                return Some(role::info(role, made));
            }
            None => (below(path, "security-credentials")?, None),
        };
        if list.is_empty() {
            return Some(role.name().to_owned());
        }
        if list != role.name() {
            return None;
        }
        if let Some(code) = &self.failure {
            return Some(role::failure(code, now_ms));
        }
        let (key, made) = held.get(account, now_ms);
        self.keys.insert(key.access_key_id.clone());
        Some(role::document(&key, made, account_id))
    }

    fn identity_credentials(&mut self, path: &str, account: &Account, now_ms: i64) -> Option<String> {
        match path {
            "" => Some("ec2/".to_owned()),
            "ec2" => Some("info\nsecurity-credentials/".to_owned()),
            "ec2/info" => Some(super::instance::pretty([("Code", Some("Success")), ("AccountId", Some(account.id()))])),
            "ec2/security-credentials" => Some("ec2-instance".to_owned()),
            "ec2/security-credentials/ec2-instance" => {
                let (key, made) = self.own.get(account, now_ms);
                self.keys.insert(key.access_key_id.clone());
                Some(role::document(&key, made, None))
            }
            _ => None,
        }
    }
}

/// What follows a directory in a path; nothing for the directory itself.
fn below<'a>(path: &'a str, directory: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(directory)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}
