//! Which accounts offend against a property, and what stands in the way of saying that none does.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use crate::facts::accounts::password::Password;
use crate::facts::accounts::table::{Group, Row, ShadowEntry, Table, User};
use crate::facts::accounts::{Accounts, GROUP, PASSWD, SHADOW};
use crate::observed::{Observed, Unobserved};
use crate::verdict::{Evidence, Truth, Verdict};

/// Most offenders that evidence lists; the rest are counted.
pub(super) const MAX_LISTED: usize = 20;

/// System accounts that may have a shell: `root` is judged by other properties, and the others' "shells" only stop the host.
const SPARED: &[&str] = &["root", "sync", "shutdown", "halt"];

/// What came of a look at all accounts.
pub(super) struct Findings {
    /// What was looked at: the evidence where nothing offends.
    looked_at: String,
    /// Where something offends, and how.
    offences: Vec<(String, String)>,
    /// Why it cannot be said that there are no more.
    doubts: Vec<Unobserved>,
}

impl Findings {
    fn of<T>(path: &str, table: &Table<T>) -> Self {
        let looked_at = format!("{path}: {} lines", table.rows.len());
        Self { looked_at, offences: Vec::new(), doubts: table.doubt.iter().cloned().collect() }
    }

    fn offend(&mut self, path: &str, line: usize, how: String) {
        self.offences.push((format!("{path}:{line}"), how));
    }

    fn doubt(&mut self, path: &str, line: usize, problem: &str) {
        self.doubts.push(Unobserved::line(Path::new(path), line, problem));
    }

    /// One that offends decides, whatever else was not understood.
    pub(super) fn verdict(self, wanted: &str) -> Verdict {
        if self.offences.is_empty() {
            return match self.doubts.into_iter().next() {
                Some(doubt) => Verdict::unknown(doubt),
                None => Verdict::of(Evidence::new(self.looked_at, "none that offends", wanted, true)),
            };
        }
        let more = self.offences.len().saturating_sub(MAX_LISTED);
        let listed = self.offences.into_iter().take(MAX_LISTED);
        let mut evidence: Vec<_> = listed.map(|(source, how)| Evidence::new(source, how, wanted, false)).collect();
        if more > 0 {
            evidence.push(Evidence::new(self.looked_at, format!("and {more} more"), wanted, false));
        }
        Verdict { truth: Truth::Fails, evidence }
    }
}

pub(super) fn uid_zero(users: &Table<User>) -> Findings {
    let mut findings = Findings::of(PASSWD, users);
    for Row { line, entry } in &users.rows {
        if entry.uid == 0 && entry.name != "root" {
            findings.offend(PASSWD, *line, format!("{} has UID 0", entry.name));
        }
    }
    findings
}

pub(super) fn root_group(users: &Table<User>) -> Findings {
    let mut findings = Findings::of(PASSWD, users);
    // The first line of a name is the one that counts.
    match users.rows.iter().find(|row| row.entry.name == "root") {
        Some(root) if root.entry.gid == 0 => findings.doubts.clear(),
        Some(root) => findings.offend(PASSWD, root.line, format!("root has GID {}", root.entry.gid)),
        None if findings.doubts.is_empty() => findings.offences.push((PASSWD.to_owned(), "no user root".to_owned())),
        None => {}
    }
    findings
}

pub(super) fn empty_passwords(accounts: &Accounts) -> Findings {
    passwords(accounts, |findings, path, line, name, password| {
        if *password == Password::Empty {
            findings.offend(path, line, format!("{name}: {password}"));
        }
    })
}

pub(super) fn password_logins(accounts: &Accounts) -> Findings {
    passwords(accounts, |findings, path, line, name, password| match password {
        // An `x` in `shadow` itself is no hash either: no password fits it.
        Password::Locked | Password::Shadowed => {}
        Password::Odd => findings.doubt(path, line, &format!("the {password} of {name} cannot be judged")),
        Password::Empty | Password::Hash(_) => findings.offend(path, line, format!("{name}: {password}")),
    })
}

/// Looks at every password field of both files.
fn passwords(accounts: &Accounts, look: impl Fn(&mut Findings, &str, usize, &str, &Password)) -> Findings {
    let users = accounts.users.iter().flat_map(|table| &table.rows);
    let shadow = accounts.shadow.iter().flat_map(|table| &table.rows);
    let users = users.map(|row| (PASSWD, row.line, &row.entry.name, &row.entry.password));
    let shadow = shadow.map(|row| (SHADOW, row.line, &row.entry.name, &row.entry.password));
    let fields: Vec<_> = users.chain(shadow).collect();
    let mut findings = Findings {
        looked_at: format!("{PASSWD}, {SHADOW}: {} password fields", fields.len()),
        offences: Vec::new(),
        doubts: doubts_of(&accounts.users).chain(doubts_of(&accounts.shadow)).collect(),
    };
    for (path, line, name, password) in fields {
        look(&mut findings, path, line, name, password);
    }
    findings
}

pub(super) fn unshadowed(users: &Table<User>, shadow: &Observed<Table<ShadowEntry>>) -> Findings {
    let mut findings = Findings::of(PASSWD, users);
    findings.doubts.extend(doubts_of(shadow));
    // A line of `shadow` that was not understood may be the one that is missed.
    let whole = shadow.as_ref().ok().filter(|table| table.doubt.is_none());
    let known: Option<BTreeSet<_>> = whole.map(|table| table.rows.iter().map(|row| &row.entry.name).collect());
    for Row { line, entry } in &users.rows {
        if entry.password != Password::Shadowed {
            findings.offend(PASSWD, *line, format!("{}: {}", entry.name, entry.password));
        } else if known.as_ref().is_some_and(|known| !known.contains(&entry.name)) {
            findings.offend(PASSWD, *line, format!("{} has no line in {SHADOW}", entry.name));
        }
    }
    findings
}

/// `key` gives what no two lines may share, and what else names the line.
pub(super) fn twice<T, K: Ord + fmt::Display, V: fmt::Display>(
    path: &str,
    table: &Table<T>,
    key: impl Fn(&T) -> (K, V),
    what: &str,
) -> Findings {
    let mut findings = Findings::of(path, table);
    let mut first: BTreeMap<K, (usize, V)> = BTreeMap::new();
    for Row { line, entry } in &table.rows {
        let (key, value) = key(entry);
        match first.get(&key) {
            Some((other, theirs)) => {
                findings.offend(path, *line, format!("{what} {key} of {value} is that of {theirs} on line {other}"));
            }
            None => {
                first.insert(key, (*line, value));
            }
        }
    }
    findings
}

pub(super) fn primary_groups(users: &Table<User>, groups: &Table<Group>) -> Findings {
    let mut findings = Findings::of(PASSWD, users);
    findings.doubts.extend(groups.doubt.clone());
    let known: BTreeSet<u32> = groups.rows.iter().map(|row| row.entry.gid).collect();
    // A line of `group` that was not understood may be the one that is missed.
    for Row { line, entry } in users.rows.iter().filter(|_| groups.doubt.is_none()) {
        if !known.contains(&entry.gid) {
            findings.offend(PASSWD, *line, format!("{} has GID {}, which {GROUP} has not", entry.name, entry.gid));
        }
    }
    findings
}

pub(super) fn system_accounts(accounts: &Accounts) -> Observed<Findings> {
    let users = accounts.users.as_ref().map_err(Clone::clone)?;
    let uid_min = accounts.uid_min.clone()?;
    let mut findings = Findings::of(PASSWD, users);
    let shadow = accounts.shadow.as_ref().map(|table| (by_name(table), &table.doubt));
    let is_one = |user: &User| user.uid < uid_min && user.can_log_in && !SPARED.contains(&user.name.as_str());
    for Row { line, entry } in users.rows.iter().filter(|row| is_one(&row.entry)) {
        let password = match (&entry.password, &shadow) {
            (Password::Shadowed, Err(why)) => Err((*why).clone()),
            // Who has no line in `shadow` has no password that fits.
            (Password::Shadowed, Ok((shadow, doubt))) => match (shadow.get(entry.name.as_str()), doubt) {
                (None, Some(doubt)) => Err(doubt.clone()),
                (found, _) => Ok(found.map_or(&Password::Locked, |password| password)),
            },
            (own, _) => Ok(own),
        };
        match password {
            Err(why) => findings.doubts.push(why),
            Ok(Password::Locked | Password::Shadowed) => {}
            Ok(odd @ Password::Odd) => {
                findings.doubt(PASSWD, *line, &format!("the {odd} of {} cannot be judged", entry.name));
            }
            Ok(usable @ (Password::Empty | Password::Hash(_))) => {
                let how =
                    format!("{} (UID {}) has a login shell and a usable password: {usable}", entry.name, entry.uid);
                findings.offend(PASSWD, *line, how);
            }
        }
    }
    Ok(findings)
}

/// Passwords by the name of their user; of two with the same name the first counts.
fn by_name(shadow: &Table<ShadowEntry>) -> BTreeMap<&str, &Password> {
    shadow.rows.iter().rev().map(|row| (row.entry.name.as_str(), &row.entry.password)).collect()
}

pub(super) fn nis(accounts: &Accounts) -> Observed<Findings> {
    let users = accounts.users.as_ref().map_err(Clone::clone)?;
    let groups = accounts.groups.as_ref().map_err(Clone::clone)?;
    let shadow = accounts.shadow.as_ref().map_err(Clone::clone)?;
    let looked_at = format!("{PASSWD}, {GROUP}, {SHADOW}");
    let doubts = [&users.doubt, &groups.doubt, &shadow.doubt].into_iter().flatten().cloned().collect();
    let mut findings = Findings { looked_at, offences: Vec::new(), doubts };
    for (path, lines) in [(PASSWD, &users.nis), (GROUP, &groups.nis), (SHADOW, &shadow.nis)] {
        for line in lines {
            findings.offend(path, *line, "asks NIS for accounts".to_owned());
        }
    }
    Ok(findings)
}

fn doubts_of<T>(table: &Observed<Table<T>>) -> impl Iterator<Item = Unobserved> {
    match table {
        Ok(table) => table.doubt.clone(),
        Err(why) => Some(why.clone()),
    }
    .into_iter()
}
