//! Which files an `Include` names: glob(7) without braces and tildes, as sshd calls it.

use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use safeguard_host::Kind;

use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// What relative patterns are relative to (sshd_config(5), `Include`).
const BASE: &str = "/etc/ssh";

/// Most files that one pattern may name.
const MAX_MATCHES: usize = 1_000;

/// The files that a pattern names, sorted by their bytes; none is no mistake.
pub(super) fn expand(host: &Host, pattern: &str) -> Observed<Vec<PathBuf>> {
    if pattern.contains(['[', '\\']) {
        let why = format!("{pattern}: sets and escapes in patterns of Include are not understood");
        return Err(Unobserved::new(Cause::Parse, why));
    }
    let pattern = Path::new(BASE).join(pattern);
    let mut found = vec![PathBuf::from("/")];
    for segment in pattern.as_os_str().as_bytes().split(|b| *b == b'/').filter(|s| !s.is_empty()) {
        let mut next = Vec::new();
        for dir in found {
            if segment.iter().any(|b| matches!(b, b'*' | b'?')) {
                next.extend(matching(host, &dir, segment)?);
            } else {
                next.push(dir.join(std::ffi::OsStr::from_bytes(segment)));
            }
            if next.len() > MAX_MATCHES {
                let why = format!("{}: names more than {MAX_MATCHES} files", pattern.display());
                return Err(Unobserved::new(Cause::TooMuch, why));
            }
        }
        found = next;
    }
    let mut there = Vec::new();
    for path in found {
        if host.attributes_of_link(&path)?.is_some() {
            there.push(path);
        }
    }
    there.sort_unstable_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    Ok(there)
}

fn matching(host: &Host, dir: &Path, pattern: &[u8]) -> Observed<Vec<PathBuf>> {
    if !host.attributes(dir)?.is_some_and(|a| a.kind == Kind::Directory) {
        return Ok(Vec::new());
    }
    // A wildcard at the beginning does not stand for the dot of a hidden file.
    let hidden = |name: &[u8]| name.starts_with(b".") && !pattern.starts_with(b".");
    let names = host.entries(dir)?.unwrap_or_default().into_iter().map(|entry| entry.name.into_vec());
    let named = names.filter(|name| !hidden(name) && matches(pattern, name));
    Ok(named.map(|name| dir.join(std::ffi::OsString::from_vec(name))).collect())
}

/// Pure: whether `*` (anything) and `?` (one byte) in a pattern can stand for what is in a name.
pub(super) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(wanted) if wanted == byte || *wanted == b'?' => (p, n) = (p + 1, n + 1),
            _ => match star {
                // The last star stands for one byte more.
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    (p, n) = (at + 1, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).is_some_and(|rest| rest.iter().all(|b| *b == b'*'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, fits) in [
            ("*.conf", "50-redhat.conf", true),
            ("*.conf", "50-redhat.conf.rpmnew", false),
            ("5?-*.conf", "50-x.conf", true),
            ("5?-*.conf", "5-x.conf", false),
            ("*a*b", "xaxbxab", true),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn a_name_fits_itself_and_whatever_a_star_replaces(name in "[a-c.]{0,12}", at in 0usize..12) {
            prop_assert!(matches(name.as_bytes(), name.as_bytes()));
            let cut = name.len().min(at);
            let pattern = format!("{}*", name.get(..cut).unwrap());
            prop_assert!(matches(pattern.as_bytes(), name.as_bytes()));
        }

        #[test]
        fn never_panics(pattern in "[*?a]{0,20}", name in "[ab]{0,20}") {
            matches(pattern.as_bytes(), name.as_bytes());
        }
    }
}
