//! `/etc/fstab` (fstab(5)).

use std::path::{Path, PathBuf};

use super::mountinfo::unescape;
use super::options::Options;

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its line, counted from 1.
    pub(crate) line: usize,
    /// Where it is mounted, if it is anywhere: swap is not.
    pub(crate) point: Option<PathBuf>,
    /// What kind it is.
    pub(crate) file_system: String,
    /// How.
    pub(crate) options: Options,
}

impl Entry {
    /// Whether it is mounted at boot.
    pub(crate) fn at_boot(&self) -> bool {
        !self.options.has("noauto")
    }

    fn parse(line: usize, text: &str) -> Option<Self> {
        let mut fields = text.split_ascii_whitespace();
        let (_device, point, file_system) = (fields.next()?, fields.next()?, fields.next()?);
        let point = String::from_utf8(unescape(point.as_bytes())).ok()?;
        // Without its last slashes, as whoever asks for it writes it.
        let point = point.starts_with('/').then(|| Path::new(&point).components().collect());
        let options = Options::parse(fields.next().unwrap_or_default());
        Some(Self { line, point, file_system: file_system.to_owned(), options })
    }
}

/// Reads the whole file. The error is the line, counted from 1, that has less than three fields.
pub(crate) fn parse(text: &str) -> Result<Vec<Entry>, usize> {
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(at, line)| Entry::parse(at, line).ok_or(at))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_read_between_comments() {
        let entries = parse(
            "# comment\n\nUUID=1 /  xfs defaults,noatime 1 1\n\
             \t/dev/x\t/mnt/a\\040b/ ext4 nodev,noauto\n/dev/y none swap\n",
        )
        .unwrap();
        let points: Vec<_> = entries.iter().map(|e| e.point.as_deref()).collect();
        assert_eq!(points, [Some(Path::new("/")), Some(Path::new("/mnt/a b")), None]);
        assert_eq!(entries.iter().map(|e| e.line).collect::<Vec<_>>(), [3, 4, 5]);
        assert_eq!(entries.iter().map(Entry::at_boot).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn a_line_with_too_few_fields_is_named() {
        assert_eq!(parse("# x\n/dev/x /tmp\n"), Err(2));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[ -~\\t\\n\\\\é]{0,200}") {
            parse(&text).ok();
        }
    }
}
