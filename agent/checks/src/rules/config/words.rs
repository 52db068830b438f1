//! Pure: `key value`, separated by white space.

use super::Raw;

/// The last value of a key, and its line. Every line makes sense in this format.
pub(super) fn find(text: &str, key: &str) -> Option<(usize, Raw)> {
    let mut found = None;
    for (index, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        if words.next() == Some(key) {
            let value = words.collect::<Vec<_>>().join(" ");
            found = Some((index + 1, if value.is_empty() { Raw::Flag } else { Raw::Text(value) }));
        }
    }
    found
}
