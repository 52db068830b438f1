//! Pure: `[section]` and `key = value`.

use super::Raw;
use crate::facts::units::syntax::Malformed;

/// The longest word that stands alone as a key, in bytes: those of `faillock.conf` and the like have a dozen.
const MAX_NAME: usize = 64;

/// The last value of a key in a section, and its line.
pub(super) fn find(text: &str, section: Option<&str>, key: &str) -> Result<Option<(usize, Raw)>, Malformed> {
    let (mut current, mut found) = (None, None);
    for (index, line) in text.lines().enumerate() {
        let line_number = index + 1;
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(header) = line.strip_prefix('[') {
            let name = header.strip_suffix(']');
            current = Some(name.ok_or(Malformed { line: line_number, problem: "the section header has no ]" })?.trim());
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.trim_end(), Raw::Text(value.trim_start().to_owned())),
            None if line.len() > MAX_NAME || line.contains(|c: char| !c.is_ascii_graphic()) => {
                return Err(Malformed { line: line_number, problem: "is neither [section] nor key = value" });
            }
            None => (line, Raw::Flag),
        };
        if current == section && name == key {
            found = Some((line_number, value));
        }
    }
    Ok(found)
}
