//! Times as AWS writes them, in milliseconds since 1970.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `2026-03-14T15:09:26Z`, as identity documents have it.
pub(crate) fn rfc3339_ms(text: &str) -> Option<i64> {
    // Longer ones have fractions that nothing here has a use for.
    if text.len() > 35 {
        return None;
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok()
}

/// `20260314T150926Z`, as signed requests have it.
pub(crate) fn amz_ms(text: &str) -> Option<i64> {
    let digits = |range: std::ops::Range<usize>| text.get(range).filter(|s| s.bytes().all(|b| b.is_ascii_digit()));
    if text.len() != 16 || text.get(8..9) != Some("T") || text.get(15..) != Some("Z") {
        return None;
    }
    let (year, month, day) = (digits(0..4)?, digits(4..6)?, digits(6..8)?);
    let (hour, minute, second) = (digits(9..11)?, digits(11..13)?, digits(13..15)?);
    rfc3339_ms(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_the_same_second() {
        assert_eq!(rfc3339_ms("2026-03-14T15:09:26Z"), Some(1_773_500_966_000));
        assert_eq!(amz_ms("20260314T150926Z"), Some(1_773_500_966_000));
        assert_eq!(rfc3339_ms("2195-01-17T08:59:12Z"), Some(7_101_766_752_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "20260314T150926", "20261314T150926Z", "2026-3-14T150926Z", "20260314 150926Z", "２０２６0314"]
        {
            assert_eq!((amz_ms(text), rfc3339_ms(text)), (None, None), "{text}");
        }
        assert_eq!(rfc3339_ms(&format!("2026-03-14T15:09:26.{}Z", "0".repeat(1_000_000))), None);
    }
}
