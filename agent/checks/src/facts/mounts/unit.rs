//! Mount units on disk (systemd.mount(5)), as far as they say how something is mounted at boot.

use std::path::{Path, PathBuf};

use super::options::Options;
use crate::facts::precedence::{self, PREFIXES};
use crate::host::Host;
use crate::observed::Observed;

/// Where units are, below each of [`PREFIXES`].
const DIRECTORY: &str = "systemd/system";

/// The targets that every boot reaches. What they want or require is started.
const TARGETS: [&str; 8] = ["local-fs", "remote-fs", "swap", "sysinit", "basic", "multi-user", "graphical", "default"];

/// How strong a unit file is against the unit that systemd makes of an entry in `fstab`: those of `/etc` and `/run` win.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strength {
    /// It wins.
    OverFstab,
    /// The entry wins.
    UnderFstab,
}

/// What a unit's file says.
#[derive(Debug)]
pub(crate) enum Found {
    /// There is none.
    Nothing,
    /// It leads to `/dev/null` or is empty.
    Masked,
    /// It is there, with the options of its last `Options=`.
    Unit(PathBuf, Strength, Options),
}

/// The file of the unit with this name.
pub(crate) fn find(host: &Host, name: &str) -> Observed<Found> {
    for prefix in PREFIXES {
        let path = Path::new(prefix).join(DIRECTORY).join(name);
        if precedence::leads_to_null(host, &path)? {
            return Ok(Found::Masked);
        }
        let Some(text) = host.text(&path)? else { continue };
        if text.is_empty() {
            return Ok(Found::Masked);
        }
        let strength = if matches!(prefix, "/etc" | "/run") { Strength::OverFstab } else { Strength::UnderFstab };
        return Ok(Found::Unit(path, strength, options(&text).unwrap_or_default()));
    }
    Ok(Found::Nothing)
}

/// The options that the unit's drop-ins put in the place of its own, and the drop-in that decides.
pub(crate) fn drop_in(host: &Host, name: &str) -> Observed<Option<(PathBuf, Options)>> {
    let mut decides = None;
    for (path, text) in precedence::texts(host, &format!("{DIRECTORY}/{name}.d"), &["conf"])? {
        decides = options(&text).map(|options| (path, options)).or(decides);
    }
    Ok(decides)
}

/// The mount and swap units that are started at every boot because a link says so.
pub(crate) fn wanted(host: &Host) -> Observed<Vec<PathBuf>> {
    let mut wanted = Vec::new();
    for target in TARGETS {
        for kind in ["wants", "requires"] {
            let directory = format!("{DIRECTORY}/{target}.target.{kind}");
            wanted.extend(precedence::files(host, &directory, &["mount", "swap"])?);
        }
    }
    Ok(wanted)
}

/// What the unit of a mount point is called (systemd.unit(5), "string escaping").
pub(crate) fn name_of(point: &Path) -> String {
    let path = point.to_string_lossy();
    let path = path.trim_matches('/');
    if path.is_empty() {
        return "-.mount".to_owned();
    }
    let mut name = String::with_capacity(path.len() + 6);
    for (at, byte) in path.bytes().enumerate() {
        match byte {
            b'/' => name.push('-'),
            b'.' if at == 0 => name.push_str("\\x2e"),
            b':' | b'_' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => name.push(char::from(byte)),
            other => name.push_str(&format!("\\x{other:02x}")),
        }
    }
    name.push_str(".mount");
    name
}

/// The last `Options=` of the section `[Mount]`, if there is one.
fn options(text: &str) -> Option<Options> {
    let mut in_mount = false;
    let mut found = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim().to_owned();
        if line.starts_with(['#', ';']) {
            continue;
        }
        while line.ends_with('\\') {
            line.pop();
            let next = lines.by_ref().find(|l| !l.trim_start().starts_with(['#', ';']));
            line.push_str(next.unwrap_or_default().trim());
        }
        if line.starts_with('[') {
            in_mount = line == "[Mount]";
        } else if let Some((key, value)) = line.split_once('=')
            && in_mount
            && key.trim() == "Options"
        {
            found = Some(Options::parse(&value.replace(char::is_whitespace, "")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_units_are_escaped_as_systemd_does() {
        for (point, name) in [
            ("/", "-.mount"),
            ("/tmp", "tmp.mount"),
            ("/var/log/audit", "var-log-audit.mount"),
            ("/mnt/a-b", "mnt-a\\x2db.mount"),
            ("/.x", "\\x2ex.mount"),
            ("/a b", "a\\x20b.mount"),
            ("/mnt/é", "mnt-\\xc3\\xa9.mount"),
        ] {
            assert_eq!(name_of(Path::new(point)), name);
        }
    }

    #[test]
    fn the_last_options_of_the_right_section_count() {
        let read = |text| options(text).map(|o| o.to_string());
        assert_eq!(read("[Mount]\nOptions=nodev\nOptions = nosuid,noexec\n").as_deref(), Some("nosuid,noexec"));
        assert_eq!(read("[Unit]\nOptions=nodev\n"), None);
        assert_eq!(read("[Mount]\n#Options=nodev\n"), None);
        assert_eq!(read("[Mount]\nOptions=nodev,\\\n# comment\n  nosuid\n").as_deref(), Some("nodev,nosuid"));
        assert_eq!(read("[Mount]\nOptions=nodev\nOptions=\n").as_deref(), Some(""));
        assert_eq!(read("[Mount]\nXOptions=nodev\n"), None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[\\[\\]a-zA-Z=,;# \\\\\\n]{0,200}", point in ".{0,30}") {
            options(&text);
            name_of(Path::new(&point));
        }
    }
}
