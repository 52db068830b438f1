//! Pure: when a line of a plain file was written, where it says so in one of the usual ways.
//!
//! Known are the audit daemon's `msg=audit(SECONDS.MILLIS:SERIAL)`, RFC 3339 and its cousin with a blank at the start of the
//! line, the same as `"ts"` or `"time"` near the start of a JSON line (zap, logrus), and syslog's `Nov 24 07:44:02` without
//! a year. A time without an offset is taken as UTC, which is what nodes of EKS run in.

use memchr::memmem::find;

use super::TimestampCache;

/// Where in a line a time is looked for.
const LOOKED_AT: usize = 160;

/// Unix ms of a line, if it says; `now_ms` tells the year of a time that has none.
pub(crate) fn plain_time(line: &[u8], now_ms: i64, clock: &mut TimestampCache) -> Option<i64> {
    let line = line.get(..LOOKED_AT).unwrap_or(line);
    match line {
        [b'0'..=b'9', ..] => at_start(line, clock),
        [b'{', ..] => in_json(line, clock),
        [b't', b'y', b'p', b'e', b'=', ..] | [b'n', b'o', b'd', b'e', b'=', ..] => audit(line),
        [b'A'..=b'Z', ..] => syslog(line, now_ms, clock),
        _ => None,
    }
}

/// `2026-11-24T07:44:02.123Z`, or with a blank or without an offset.
fn at_start(text: &[u8], clock: &mut TimestampCache) -> Option<i64> {
    // Date and time of day have 19 characters; then a fraction and an offset, as far as there are.
    let head = text.get(..19)?;
    let mut time = [0u8; 40];
    time[..19].copy_from_slice(head);
    if !matches!(head[10], b'T' | b't' | b' ') {
        return None;
    }
    time[10] = b'T';
    let mut len = 19;
    let mut rest = &text[19..];
    // Python and log4j write a comma before the fraction.
    if let [b'.' | b',', digits @ ..] = rest {
        let count = digits.iter().take_while(|b| b.is_ascii_digit()).count().min(9);
        if count > 0 {
            time[len] = b'.';
            time[len + 1..len + 1 + count].copy_from_slice(&digits[..count]);
            len += 1 + count;
        }
        rest = &digits[count..];
    }
    match rest {
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2, ..] | [sign @ (b'+' | b'-'), h1, h2, m1, m2, ..] => {
            time[len..len + 6].copy_from_slice(&[*sign, *h1, *h2, b':', *m1, *m2]);
            len += 6;
        }
        _ => {
            time[len] = b'Z';
            len += 1;
        }
    }
    clock.milliseconds(&time[..len])
}

fn in_json(line: &[u8], clock: &mut TimestampCache) -> Option<i64> {
    [&b"\"ts\":\""[..], b"\"time\":\"", b"\"timestamp\":\""].iter().find_map(|name| {
        let at = find(line, name)? + name.len();
        at_start(line.get(at..)?, clock)
    })
}

fn audit(line: &[u8]) -> Option<i64> {
    let at = find(line, b"msg=audit(")? + 10;
    let (seconds, rest) = number(line.get(at..)?)?;
    let (millis, rest) = number(rest.strip_prefix(b".")?)?;
    let in_range = seconds < 1 << 40 && millis < 1_000;
    (in_range && rest.starts_with(b":")).then(|| seconds * 1_000 + millis)
}

fn number(text: &[u8]) -> Option<(i64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let number = std::str::from_utf8(text.get(..digits)?).ok()?.parse().ok()?;
    Some((number, &text[digits..]))
}

/// `Nov 24 07:44:02`: of this year, or of the last one where it would lie more than a day ahead.
fn syslog(line: &[u8], now_ms: i64, clock: &mut TimestampCache) -> Option<i64> {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let [a, b, c, b' ', d1, d2, b' ', time @ ..] = line else { return None };
    let month = MONTHS.chunks(3).position(|m| m == [*a, *b, *c])? + 1;
    let time = time.get(..8)?;
    let day = [if *d1 == b' ' { b'0' } else { *d1 }, *d2];
    let mut of = |year: i64| {
        let head = format!("{year:04}-{month:02}-{}T", std::str::from_utf8(&day).ok()?);
        clock.milliseconds(&[head.as_bytes(), time, b"Z"].concat())
    };
    let year = 1970 + now_ms.div_euclid(31_556_952_000);
    let latest = now_ms.saturating_add(86_400_000);
    // The years around: the division above is off by one near New Year, and 29 February is not in each.
    [year + 1, year, year - 1].into_iter().filter_map(&mut of).find(|ms| *ms <= latest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// 2026-11-24T07:44:02Z
    const NOW: i64 = 1_795_506_242_000;

    fn ms(line: &str) -> Option<i64> {
        plain_time(line.as_bytes(), NOW, &mut TimestampCache::default())
    }

    #[test]
    fn usual_lines_say_when_they_were_written() {
        assert_eq!(ms("type=SYSCALL msg=audit(1795506242.123:4711): arch=c000003e"), Some(NOW + 123));
        assert_eq!(ms("node=ip-10-0-0-1 type=USER_CMD msg=audit(1795506242.000:1): x"), Some(NOW));
        for line in [
            "2026-11-24T07:44:02Z hello",
            "2026-11-24 07:44:02 hello",
            "2026-11-24T09:44:02.000000+02:00 host sshd[1]: x",
            "2026-11-24T09:44:02+0200 x",
            "2026-11-24 07:44:02,000 INFO x",
            "Nov 24 07:44:02 host sshd[1]: Accepted publickey",
            "{\"level\":\"info\",\"ts\":\"2026-11-24T07:44:02.000Z\",\"caller\":\"ipamd\"}",
        ] {
            assert_eq!(ms(line), Some(NOW), "{line}");
        }
        assert_eq!(ms("Nov  4 07:44:02 host x"), Some(NOW - 20 * 86_400_000));
        assert_eq!(ms("Dec 24 07:44:02 host x"), Some(NOW - 335 * 86_400_000), "of last year");
        for line in ["", "hello", "2026", "2026-13-24 07:44:02 x", "Foo 24 07:44:02", "type=x", "type=x msg=audit(1"] {
            assert_eq!(ms(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn hostile_lines_have_no_time_or_some(line in "[0-9A-Z{\" tTy:.,+()=-]{0,60}|type=x msg=audit\\([0-9]{0,25}\\.[0-9]{0,25}:|[JFMASOND][a-z]{2} [ 0-9][0-9] [0-9:]{0,9}", now: i64) {
            let _ = plain_time(line.as_bytes(), now, &mut TimestampCache::default());
        }
    }
}
