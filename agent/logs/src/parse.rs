//! Pure: one line as a container runtime writes it (`TIMESTAMP SP stdout|stderr SP TAGS SP CONTENT`), as defined by the
//! Kubernetes CRI logging design and written by containerd's `internal/cri/io/logger.go`.

mod plain;

pub(crate) use plain::plain_time;

use memchr::memchr;

/// Which output of the container wrote a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// The name that the runtime and Container Insights use.
    #[must_use]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    /// 0 for standard output, 1 for standard error: an index into a pair.
    #[must_use]
    pub(crate) const fn index(self) -> usize {
        match self {
            Self::Stdout => 0,
            Self::Stderr => 1,
        }
    }
}

/// A parsed line. The content borrows from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CriLine<'a> {
    /// Milliseconds since the Unix epoch, rounded down.
    pub(crate) timestamp_ms: i64,
    /// The timestamp as written.
    pub(crate) time: &'a [u8],
    /// Which output wrote it.
    pub(crate) stream: Stream,
    /// Whether more of the same line follows in a later piece (tag `P`).
    pub(crate) partial: bool,
    /// What the container wrote, without the line's end.
    pub(crate) content: &'a [u8],
}

/// Parses a line without its newline. `None` if it is not in the CRI format; nothing of it is guessed.
#[must_use]
pub(crate) fn cri_line<'a>(line: &'a [u8], clock: &mut TimestampCache) -> Option<CriLine<'a>> {
    let end = memchr(b' ', line)?;
    let (time, rest) = line.split_at(end);
    let timestamp_ms = clock.milliseconds(time)?;
    let (stream, rest) = match rest.split_at_checked(8)? {
        (b" stdout ", rest) => (Stream::Stdout, rest),
        (b" stderr ", rest) => (Stream::Stderr, rest),
        _ => return None,
    };
    // The common case first: a one-letter tag. Tags after a colon are for later versions of the format.
    let (tag, content) = match rest {
        [tag, b' ', content @ ..] => (std::slice::from_ref(tag), content),
        [_] => (rest, &[][..]),
        _ => {
            let end = memchr(b' ', rest).unwrap_or(rest.len());
            let (tags, content) = rest.split_at(end);
            (tags.split(|b| *b == b':').next()?, content.get(1..).unwrap_or_default())
        }
    };
    let partial = match tag {
        b"F" => false,
        b"P" => true,
        _ => return None,
    };
    Some(CriLine { timestamp_ms, time, stream, partial, content })
}

/// Remembers the minute of the last timestamp: neighbours share it, and the calendar is the expensive part.
#[derive(Debug, Default)]
pub(crate) struct TimestampCache {
    minute: [u8; 16],
    minute_ms: i64,
}

impl TimestampCache {
    /// Milliseconds since the Unix epoch of an RFC 3339 timestamp with 0 to 9 digits of a second and any offset.
    #[must_use]
    pub(crate) fn milliseconds(&mut self, time: &[u8]) -> Option<i64> {
        let (minute, rest) = time.split_first_chunk::<16>()?;
        let minute_ms = if *minute == self.minute {
            self.minute_ms
        } else {
            let ms = minute_milliseconds(minute)?;
            (self.minute, self.minute_ms) = (*minute, ms);
            ms
        };
        let (seconds, mut rest) = match rest {
            [b':', a, b, rest @ ..] => (two(*a, *b)?, rest),
            _ => return None,
        };
        // 60 is a leap second.
        if seconds > 60 {
            return None;
        }
        let mut millis = 0;
        if let [b'.', fraction @ ..] = rest {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if digits == 0 || digits > 9 {
                return None;
            }
            for place in 0..3 {
                let digit = if place < digits { i64::from(*fraction.get(place)? - b'0') } else { 0 };
                millis = millis * 10 + digit;
            }
            rest = fraction.get(digits..)?;
        }
        let offset_minutes = match rest {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let (hours, minutes) = (two(*h1, *h2)?, two(*m1, *m2)?);
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let offset = hours * 60 + minutes;
                if *sign == b'+' { offset } else { -offset }
            }
            _ => return None,
        };
        Some(minute_ms + (seconds - offset_minutes * 60) * 1_000 + millis)
    }
}

fn two(a: u8, b: u8) -> Option<i64> {
    (a.is_ascii_digit() && b.is_ascii_digit()).then(|| i64::from(a - b'0') * 10 + i64::from(b - b'0'))
}

/// `YYYY-MM-DDTHH:MM` in UTC to milliseconds since the epoch.
fn minute_milliseconds(text: &[u8; 16]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', mo1, mo2, b'-', d1, d2, b'T' | b't', h1, h2, b':', mi1, mi2] = text else {
        return None;
    };
    let (year, month, day) = (two(*y1, *y2)? * 100 + two(*y3, *y4)?, two(*mo1, *mo2)?, two(*d1, *d2)?);
    let (hour, minute) = (two(*h1, *h2)?, two(*mi1, *mi2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 => 28 + i64::from(leap),
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    // Days since 1970-01-01 in the proleptic Gregorian calendar, counting years from March so that the leap day is last.
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60_000)
}

#[cfg(test)]
mod tests;
