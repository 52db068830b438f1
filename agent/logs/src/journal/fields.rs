//! What a field of an entry is. Most fields of an entry were in the one before: journald stores each value once, so where it
//! is stored tells what it says.

use super::JournalError;
use super::objects::Bytes;

/// Syslog's severity, 0 (emergency) to 7 (debug).
pub(crate) type Priority = u8;

/// A field that is of use here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Message,
    Unit(Box<[u8]>),
    Identifier(Box<[u8]>),
    Pid(Box<[u8]>),
    Transport(Box<[u8]>),
    Priority(Priority),
    Other,
}

/// Places that are remembered. A node has some hundred values that repeat.
const PLACES: usize = 4096;

/// Longest value that is kept; systemd's names of units have at most 256 bytes.
const VALUE: usize = 256;

/// Longest name of a field that matters here, with its `=`.
const NAME: usize = 18;

/// Fields by their place in the file.
#[derive(Debug, Default)]
pub(super) struct Fields {
    places: Vec<Option<(u64, Field)>>,
}

impl Fields {
    /// What the data at this place is.
    pub(super) fn of(&mut self, at: u64, bytes: &mut Bytes) -> Result<&Field, JournalError> {
        if self.places.is_empty() {
            self.places.resize(PLACES, None);
        }
        let slot = usize::try_from(at / 8 % PLACES as u64).expect("below 4,096");
        if self.places[slot].as_ref().is_none_or(|(place, _)| *place != at) {
            let field = look(at, bytes)?;
            self.places[slot] = Some((at, field));
        }
        Ok(self.places[slot].as_ref().map_or(&Field::Other, |(_, field)| field))
    }
}

fn look(at: u64, bytes: &mut Bytes) -> Result<Field, JournalError> {
    let mut payload = bytes.payload(at)?;
    if let Some(stored) = payload.stored(NAME + VALUE) {
        let (at, len) = stored;
        return Ok(named(bytes.get(at, len)?));
    }
    let mut text = Vec::with_capacity(NAME + VALUE);
    payload.read(0, NAME + VALUE, bytes, &mut text)?;
    Ok(named(&text))
}

fn named(text: &[u8]) -> Field {
    let Some(end) = memchr::memchr(b'=', text.get(..NAME).unwrap_or(text)) else { return Field::Other };
    let (name, value) = (&text[..end], &text[end + 1..]);
    let kept = || value.get(..VALUE).unwrap_or(value).into();
    match (name, value) {
        (b"MESSAGE", _) => Field::Message,
        (b"_SYSTEMD_UNIT", _) => Field::Unit(kept()),
        (b"SYSLOG_IDENTIFIER", _) => Field::Identifier(kept()),
        (b"_PID", _) => Field::Pid(kept()),
        (b"_TRANSPORT", _) => Field::Transport(kept()),
        (b"PRIORITY", [digit @ b'0'..=b'7']) => Field::Priority(digit - b'0'),
        _ => Field::Other,
    }
}
