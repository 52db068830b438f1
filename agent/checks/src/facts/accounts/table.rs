//! Pure: `/etc/passwd`, `/etc/group` and `/etc/shadow`, line by line (passwd(5), group(5), shadow(5)).

use std::path::Path;

use super::Password;
use crate::observed::{Cause, Unobserved};

/// Fields of a line of `/etc/passwd`, `/etc/group` and `/etc/shadow`.
const PASSWD_FIELDS: usize = 7;
const GROUP_FIELDS: usize = 4;
const SHADOW_FIELDS: usize = 9;

/// The lines of one file.
///
/// What was understood stands in `rows`. A line that was not does not make the others unknown, but with it nothing can be said
/// of *all* accounts: that is what `doubt` is for.
#[derive(Debug)]
pub(crate) struct Table<T> {
    /// The lines that were understood.
    pub(crate) rows: Vec<Row<T>>,
    /// The first line that was not.
    pub(crate) doubt: Option<Unobserved>,
    /// Lines that ask NIS for accounts (`+`) or keep some out (`-`), counted from 1.
    pub(crate) nis: Vec<usize>,
}

/// A line.
#[derive(Debug)]
pub(crate) struct Row<T> {
    /// Counted from 1.
    pub(crate) line: usize,
    /// What it says.
    pub(crate) entry: T,
}

/// A user.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: Password,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Whether the shell lets somebody in.
    pub(crate) can_log_in: bool,
}

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) gid: u32,
}

/// A user's password.
#[derive(Debug)]
pub(crate) struct ShadowEntry {
    pub(crate) name: String,
    pub(crate) password: Password,
}

/// Base names of programs that let nobody in.
const NO_SHELLS: &[&[u8]] = &[b"nologin", b"false", b"sync", b"halt", b"shutdown"];

/// Parses a file; `entry` says what the fields of a line are.
pub(crate) fn parse<T>(path: &Path, bytes: &[u8], entry: fn(&[&[u8]]) -> Result<T, &'static str>) -> Table<T> {
    let mut table = Table { rows: Vec::new(), doubt: None, nis: Vec::new() };
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        let line_number = index + 1;
        // As the C library does it: white space before a line, empty lines and comments do not count.
        let line = line.trim_ascii_start();
        match line {
            [] | [b'#', ..] => continue,
            [b'+' | b'-', ..] => {
                table.nis.push(line_number);
                continue;
            }
            _ => {}
        }
        let fields: Vec<&[u8]> = line.split(|b| *b == b':').take(SHADOW_FIELDS + 1).collect();
        match entry(&fields) {
            Ok(entry) => table.rows.push(Row { line: line_number, entry }),
            Err(problem) => {
                table.doubt.get_or_insert_with(|| Unobserved::line(path, line_number, problem));
            }
        }
    }
    if let Some(line) = table.nis.first() {
        let why = format!("{}: line {line}: adds accounts of NIS, which are not looked at", path.display());
        table.doubt.get_or_insert_with(|| Unobserved::new(Cause::Missing, why));
    }
    table
}

impl User {
    /// `name:password:UID:GID:comment:home:shell`. Comments may be in any encoding.
    pub(crate) fn parse(fields: &[&[u8]]) -> Result<Self, &'static str> {
        let [name, password, uid, gid, _, _, shell] = fields else {
            return Err(wrong_count(PASSWD_FIELDS));
        };
        let shell = shell.trim_ascii_end();
        let base = shell.rsplit(|b| *b == b'/').next().unwrap_or_default();
        Ok(Self {
            name: text(name)?,
            password: Password::of(password),
            uid: number(uid).ok_or("the UID is no number")?,
            gid: number(gid).ok_or("the GID is no number")?,
            // No shell at all means /bin/sh.
            can_log_in: !NO_SHELLS.contains(&base),
        })
    }
}

impl Group {
    /// `name:password:GID:members`.
    pub(crate) fn parse(fields: &[&[u8]]) -> Result<Self, &'static str> {
        let [name, _, gid, _] = fields else {
            return Err(wrong_count(GROUP_FIELDS));
        };
        Ok(Self { name: text(name)?, gid: number(gid).ok_or("the GID is no number")? })
    }
}

impl ShadowEntry {
    /// `name:password:` and seven fields about age.
    pub(crate) fn parse(fields: &[&[u8]]) -> Result<Self, &'static str> {
        let [name, password, _, _, _, _, _, _, _] = fields else {
            return Err(wrong_count(SHADOW_FIELDS));
        };
        Ok(Self { name: text(name)?, password: Password::of(password) })
    }
}

fn wrong_count(wanted: usize) -> &'static str {
    match wanted {
        PASSWD_FIELDS => "has not 7 fields",
        GROUP_FIELDS => "has not 4 fields",
        _ => "has not 9 fields",
    }
}

fn text(field: &[u8]) -> Result<String, &'static str> {
    match std::str::from_utf8(field) {
        Ok("") => Err("has no name"),
        Ok(name) => Ok(name.to_owned()),
        Err(_) => Err("the name is not UTF-8 text"),
    }
}

/// Digits alone: the C library takes neither a sign nor white space.
fn number(field: &[u8]) -> Option<u32> {
    let digits = field.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(field).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(prop_oneof![Just(b':'), Just(b'\n'), Just(b'+'), any::<u8>()], 0..300)) {
            let path = Path::new("/etc/passwd");
            parse(path, &bytes, User::parse);
            parse(path, &bytes, Group::parse);
            parse(path, &bytes, ShadowEntry::parse);
        }
    }
}
