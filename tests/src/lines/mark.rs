//! The part of a line that says which line it is, and how it is found again in what was delivered.

use std::borrow::Cow;

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_64;

/// Hexadecimal digits of the sum.
pub(super) const SUM_DIGITS: usize = 8;

/// Which line it is: `w=<writer> n=<number>`, and in generated lines also ` c=<sum>` of everything around the sum.
///
/// None of its characters is escaped in JSON, so it reads the same however deep the line is nested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark<'a> {
    /// Who wrote the line.
    pub writer: &'a str,
    /// The writer's number for it, from 1.
    pub n: u64,
    /// The sum that the line should have, and where its digits start.
    sum: Option<(u32, usize)>,
}

/// Finds the mark of a delivered message, whether that is the bare line or a JSON event with the line in it.
#[must_use]
pub fn mark(message: &str) -> Option<Mark<'_>> {
    message.match_indices("w=").find_map(|(at, _)| parse(message, at + 2))
}

fn parse(message: &str, at: usize) -> Option<Mark<'_>> {
    let (writer, rest) = leading(message.get(at..)?, is_writer_byte)?;
    let (digits, rest) = leading(rest.strip_prefix(" n=")?, |b| b.is_ascii_digit())?;
    let n = digits.parse().ok()?;
    let sum = rest.strip_prefix(" c=").and_then(|rest| {
        let digits = rest.get(..SUM_DIGITS)?;
        Some((u32::from_str_radix(digits, 16).ok()?, message.len() - rest.len()))
    });
    Some(Mark { writer, n, sum })
}

/// Splits off what `is` holds for; `None` when that is nothing.
fn leading(text: &str, is: fn(u8) -> bool) -> Option<(&str, &str)> {
    let length = text.bytes().take_while(|b| is(*b)).count();
    text.split_at_checked(length).filter(|(start, _)| !start.is_empty())
}

pub(super) fn is_writer_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// What was written, from a delivered message: the `log` of a JSON event (`message`, if it is of the journal), or else the
/// message itself.
#[must_use]
pub fn content(message: &str) -> Cow<'_, str> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow, alias = "message")]
        log: Cow<'a, str>,
    }
    if message.starts_with('{')
        && let Ok(event) = serde_json::from_str::<Event<'_>>(message)
    {
        return event.log;
    }
    Cow::Borrowed(message)
}

/// Whether a delivered message holds its line exactly as it was written. `None` when it carries no mark with a sum.
#[must_use]
pub fn is_intact(message: &str) -> Option<bool> {
    mark(message)?.sum?;
    let content = content(message);
    // The sum's place differs from that in the message, where escapes may stand before it.
    let Some((sum, at)) = mark(&content).and_then(|mark| mark.sum) else { return Some(false) };
    let (before, rest) = content.as_bytes().split_at(at);
    Some(sum_of(before, rest.get(SUM_DIGITS..).unwrap_or_default()) == sum)
}

/// The sum of a line, from what stands before and behind its digits.
pub(super) fn sum_of(before: &[u8], behind: &[u8]) -> u32 {
    let hash = xxh3_64(before).rotate_left(17) ^ xxh3_64(behind);
    u32::try_from(hash >> 32).expect("32 bits are left")
}
