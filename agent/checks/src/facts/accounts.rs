//! Users and groups, without their secrets.

pub(crate) mod password;
pub(crate) mod table;

use std::path::Path;

use crate::facts::Facts;
use crate::host::{Host, MAX_CONFIG};
use crate::observed::{Cause, Observed, Unobserved};
use password::Password;
use table::{Group, ShadowEntry, Table, User};

/// Users.
pub(crate) const PASSWD: &str = "/etc/passwd";
/// Groups.
pub(crate) const GROUP: &str = "/etc/group";
/// Passwords of users.
pub(crate) const SHADOW: &str = "/etc/shadow";
const LOGIN_DEFS: &str = "/etc/login.defs";

/// The first UID of an ordinary user where `login.defs` names none (login.defs(5)).
const UID_MIN: u32 = 1000;

/// Users and groups. Each file by itself: who may not read `shadow` still learns who the users are.
#[derive(Debug)]
pub(crate) struct Accounts {
    /// `/etc/passwd`.
    pub(crate) users: Observed<Table<User>>,
    /// `/etc/group`.
    pub(crate) groups: Observed<Table<Group>>,
    /// `/etc/shadow`, of each password no more than its class.
    pub(crate) shadow: Observed<Table<ShadowEntry>>,
    /// The first UID of an ordinary user.
    pub(crate) uid_min: Observed<u32>,
}

impl Accounts {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        Ok(Self {
            users: read(host, PASSWD, User::parse),
            groups: read(host, GROUP, Group::parse),
            shadow: read(host, SHADOW, ShadowEntry::parse),
            uid_min: uid_min(host),
        })
    }
}

/// Reads one of the files. A host without it has no accounts to speak of, and that is not the same as having none.
fn read<T>(host: &Host, path: &str, parse: fn(&[&[u8]]) -> Result<T, &'static str>) -> Observed<Table<T>> {
    let path = Path::new(path);
    let bytes = host.bytes(path, MAX_CONFIG)?;
    let missing = || Unobserved::new(Cause::Missing, format!("{}: is not there", path.display()));
    Ok(table::parse(path, &bytes.ok_or_else(missing)?, parse))
}

fn uid_min(host: &Host) -> Observed<u32> {
    let path = Path::new(LOGIN_DEFS);
    let Some(text) = host.text(path)? else { return Ok(UID_MIN) };
    let words = |(index, line): (usize, &str)| {
        let mut words = line.split_whitespace();
        (words.next() == Some("UID_MIN")).then(|| (index + 1, words.next().map(str::to_owned)))
    };
    // The last one wins (shadow-utils, lib/getdef.c).
    match text.lines().enumerate().filter_map(words).last() {
        None => Ok(UID_MIN),
        Some((line, value)) => value
            .and_then(|value| value.parse().ok())
            .ok_or_else(|| Unobserved::line(path, line, "UID_MIN is no decimal number")),
    }
}
