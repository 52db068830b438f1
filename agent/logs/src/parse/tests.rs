use super::*;
use proptest::prelude::*;

fn parse(line: &[u8]) -> Option<CriLine<'_>> {
    cri_line(line, &mut TimestampCache::default())
}

fn ms(time: &str) -> Option<i64> {
    TimestampCache::default().milliseconds(time.as_bytes())
}

#[test]
fn a_line_as_containerd_writes_it() {
    let line = parse(b"2026-11-23T07:44:02.123456789Z stdout F hello world").unwrap();
    assert_eq!(line.timestamp_ms, 1_795_419_842_123);
    assert_eq!((line.stream, line.partial, line.content), (Stream::Stdout, false, &b"hello world"[..]));
}

#[test]
fn timestamps_have_nought_to_nine_digits_and_any_offset() {
    let whole = ms("2026-11-23T07:44:02Z").unwrap();
    assert_eq!(whole, 1_795_419_842_000);
    assert_eq!(ms("2026-11-23T07:44:02.5Z"), Some(whole + 500));
    assert_eq!(ms("2026-11-23T07:44:02.05Z"), Some(whole + 50));
    assert_eq!(ms("2026-11-23T07:44:02.123456789Z"), Some(whole + 123));
    assert_eq!(ms("2026-11-23T09:44:02.1+02:00"), Some(whole + 100));
    assert_eq!(ms("2026-11-23T02:14:02.1-05:30"), Some(whole + 100));
    assert_eq!(ms("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(ms("2000-02-29T00:00:00Z"), Some(951_782_400_000));
    assert_eq!(ms("2016-12-31T23:59:60Z"), ms("2017-01-01T00:00:00Z"));
    for wrong in [
        "",
        "2026",
        "2026-11-23",
        "2026-11-23T07:44:02",
        "2026-11-23T07:44:02.Z",
        "2026-11-23T07:44:02.1234567890Z",
        "2026-13-01T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T07:60:00Z",
        "2026-11-23T07:44:61Z",
        "2026-11-23T07:44:02+2:00",
        "2026-11-23T07:44:02+24:00",
        "2O26-11-23T07:44:02Z",
        "2026-11-23 07:44:02Z",
    ] {
        assert_eq!(ms(wrong), None, "{wrong}");
    }
}

#[test]
fn the_cache_does_not_mix_minutes_up() {
    let mut cache = TimestampCache::default();
    for time in ["2026-11-23T07:44:59.999Z", "2026-11-23T07:45:00Z", "2026-11-23T07:44:59.999Z", "2027-11-23T07:44:00Z"]
    {
        assert_eq!(cache.milliseconds(time.as_bytes()), ms(time), "{time}");
    }
}

/// kubernetes/kubernetes#55922: tags may grow behind a colon.
#[test]
fn tags_after_a_colon_are_ignored() {
    assert!(parse(b"2026-11-23T07:44:02Z stderr P:foo:bar piece").unwrap().partial);
    let line = parse(b"2026-11-23T07:44:02Z stderr F:foo whole").unwrap();
    assert_eq!((line.partial, line.content), (false, &b"whole"[..]));
}

#[test]
fn empty_and_odd_contents() {
    assert_eq!(parse(b"2026-11-23T07:44:02Z stdout F ").unwrap().content, b"");
    assert_eq!(parse(b"2026-11-23T07:44:02Z stdout F").unwrap().content, b"");
    assert_eq!(parse(b"2026-11-23T07:44:02Z stdout F  two").unwrap().content, b" two");
    assert_eq!(parse(b"2026-11-23T07:44:02Z stdout F \xff\r").unwrap().content, b"\xff\r");
}

#[test]
fn what_is_not_cri_is_not_guessed() {
    for wrong in [
        &b""[..],
        b" ",
        b"hello world",
        b"{\"log\":\"docker\"}",
        b"2026-11-23T07:44:02Z",
        b"2026-11-23T07:44:02Z stdout ",
        b"2026-11-23T07:44:02Z stdin F x",
        b"2026-11-23T07:44:02Z stdout X x",
        b"2026-11-23T07:44:02Z stdout FX x",
    ] {
        assert_eq!(parse(wrong), None, "{}", String::from_utf8_lossy(wrong));
    }
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(line in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = parse(&line);
    }

    /// Days counted by hand, one after the other, give the same as the formula.
    #[test]
    fn every_day_is_the_day_after_the_one_before(days in 0i64..40_000) {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for _ in 0..days {
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1];
            day += 1;
            if day > length { day = 1; month += 1; }
            if month > 12 { month = 1; year += 1; }
        }
        prop_assert_eq!(ms(&format!("{year:04}-{month:02}-{day:02}T00:00:00Z")), Some(days * 86_400_000));
    }
}
