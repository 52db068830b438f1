//! Where the next part of a list begins.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// The longest cursor that is read, in characters.
const LONGEST: usize = 2_048;

/// The last row of the part before. Written so that nobody builds upon what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// A node's name, where the list is sorted by it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    /// A node's or an event's number, or a place in the list.
    pub(super) id: i64,
    /// A policy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) policy: String,
    /// A control.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) control: String,
}

impl Cursor {
    pub(super) fn at_id(id: i64) -> Self {
        Self { name: String::new(), id, policy: String::new(), control: String::new() }
    }

    pub(super) fn at_place(place: u32) -> Self {
        Self::at_id(i64::from(place))
    }

    pub(super) fn place(&self) -> u32 {
        u32::try_from(self.id).unwrap_or(0)
    }

    /// Reads one; `None` if it is none of ours.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    fn write(&self) -> Option<String> {
        Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).ok()?)).filter(|text| text.len() <= LONGEST)
    }

    /// One row more than `most` was asked for: cuts it off and tells where to go on, if it is there.
    pub(super) fn past<T>(items: &mut Vec<T>, most: u32, last: impl FnOnce(&T) -> Self) -> Option<String> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if items.len() <= most {
            return None;
        }
        items.truncate(most);
        last(items.last()?).write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_what_is_none_is_refused() {
        let cursor = Cursor { name: "n'\"<".to_owned(), id: 7, policy: "p".to_owned(), control: "é".to_owned() };
        let text = cursor.write().unwrap();
        assert_eq!(Cursor::read(&text), Some(cursor));
        let long = "A".repeat(3_000);
        for wrong in ["", "x", "e30", "=", long.as_str()] {
            assert_eq!(Cursor::read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_list_that_ends_with_its_part_has_no_next() {
        let (mut whole, mut more) = (vec![1, 2], vec![1, 2, 3]);
        assert_eq!(Cursor::past(&mut whole, 2, |id| Cursor::at_id(*id)), None);
        let next = Cursor::past(&mut more, 2, |id| Cursor::at_id(*id)).unwrap();
        assert_eq!((more.len(), Cursor::read(&next)), (2, Some(Cursor::at_id(2))));
    }
}
