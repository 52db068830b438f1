//! Patterns for paths: `*` and `?` stand for bytes of one name.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use safeguard_host::Kind;

use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// Most paths that a pattern may stand for, at any depth of it.
const MAX_PATHS: usize = 10_000;

/// The paths that a pattern stands for, sorted by their bytes; a path without `*` and `?` is itself, there or not. Hidden names
/// match too.
///
/// # Errors
/// If a directory cannot be listed, or there are more than 10,000.
pub(super) fn find(host: &Host, pattern: &str) -> Observed<Vec<PathBuf>> {
    let Some(names) = pattern.strip_prefix('/') else {
        return Err(Unobserved::new(Cause::Parse, format!("`{pattern}` of the policy is no absolute path")));
    };
    let mut paths = vec![PathBuf::from("/")];
    let names: Vec<&str> = names.split('/').filter(|name| !name.is_empty()).collect();
    for (at, name) in names.iter().enumerate() {
        let last = at + 1 == names.len();
        if !name.contains(['*', '?']) {
            paths.iter_mut().for_each(|path| path.push(name));
            continue;
        }
        let mut found = Vec::new();
        for directory in &paths {
            for entry in host.entries(directory)?.unwrap_or_default() {
                if !matches(name.as_bytes(), entry.name.as_bytes()) {
                    continue;
                }
                let path = directory.join(entry.name);
                // What is no directory has nothing below it.
                if last || entry.kind == Some(Kind::Directory) || is_directory(host, &path)? {
                    found.push(path);
                }
            }
            if found.len() > MAX_PATHS {
                let message = format!("{pattern}: stands for more than {MAX_PATHS} paths");
                return Err(Unobserved::new(Cause::TooMuch, message));
            }
        }
        paths = found;
    }
    Ok(paths)
}

fn is_directory(host: &Host, path: &Path) -> Observed<bool> {
    Ok(host.attributes(path)?.is_some_and(|seen| seen.kind == Kind::Directory))
}

/// Pure: whether a name matches, in time that grows with the product of both lengths at most.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where to go on after the last star: one byte more for it each time.
    let mut retry: Option<(usize, usize)> = None;
    while let Some(byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, n));
                p += 1;
            }
            Some(wanted) if wanted == byte || *wanted == b'?' => {
                p += 1;
                n += 1;
            }
            _ => match retry {
                Some((after, from)) => {
                    retry = Some((after, from + 1));
                    p = after;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, name, yes) in [
            ("*", "", true),
            ("*.conf", "40-a.conf", true),
            ("*.conf", ".conf", true),
            ("*.conf", "a.conf.bak", false),
            ("ssh_host_*_key", "ssh_host_ed25519_key", true),
            ("ssh_host_*_key", "ssh_host_ed25519_key.pub", false),
            ("a?c*", "abcd", true),
            ("?", "", false),
            ("a*b*c", "a-b-b-c", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), yes, "{pattern} {name}");
        }
        assert!(matches(b"a*", b"a\xff\xfe"));
        let slow = "*a".repeat(100);
        assert!(!matches(slow.as_bytes(), "a".repeat(99).as_bytes()));
    }

    proptest! {
        #[test]
        fn never_panics_and_a_name_matches_itself(pattern in "[a*?]{0,12}", name in "[abc]{0,12}") {
            prop_assert!(!matches(pattern.as_bytes(), name.as_bytes()) || pattern.contains(['*', '?']) || pattern == name);
            prop_assert!(matches(name.as_bytes(), name.as_bytes()));
            let (inside, around) = (format!("*{name}*"), format!("x{name}y"));
            prop_assert!(matches(inside.as_bytes(), around.as_bytes()));
        }
    }
}
