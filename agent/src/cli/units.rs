//! Pure: amounts as people read them.

/// Binary units, one decimal below ten.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes, 0);
    while value >= 1024 * 1024 && unit + 1 < UNITS.len() {
        value /= 1024;
        unit += 1;
    }
    let (whole, tenth) = (value / 1024, value % 1024 * 10 / 1024);
    if whole < 10 { format!("{whole}.{tenth} {}", UNITS[unit]) } else { format!("{whole} {}", UNITS[unit]) }
}

/// A time in milliseconds, in its two largest units.
pub(super) fn age(ms: i64) -> String {
    // A line from the future is as young as can be.
    seconds(u64::try_from(ms.max(0)).unwrap_or(0) / 1000)
}

/// Seconds in their two largest units.
pub(super) fn seconds(s: u64) -> String {
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86400 => format!("{}h{:02}m", s / 3600, s % 3600 / 60),
        _ => format!("{}d{:02}h", s / 86400, s % 86400 / 3600),
    }
}
