//! "Did you mean ...?"

use strsim::osa_distance;

/// No key of ours is longer; comparing costs the product of both lengths.
const MAX_LEN: usize = 128;

/// The candidate that `name` most likely meant, if one is close enough to be worth naming.
///
/// Both may be dotted. A third of the characters may differ; a right last segment in the wrong table counts as one
/// mistake more than the segment's own, so `flush_interval` finds `logs.flush_interval`.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if name.len() > MAX_LEN {
        return None;
    }
    let (name, leaf) = (name.to_ascii_lowercase(), last_segment(name).to_ascii_lowercase());
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let whole = osa_distance(&name, candidate);
            let moved = within(&leaf, last_segment(candidate)).map(|distance| distance + 1);
            let distance = within(&name, candidate).into_iter().chain(moved).min()?;
            // Between equals, the one in the more similar table.
            Some(((distance, whole), candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn within(name: &str, candidate: &str) -> Option<usize> {
    let length = name.chars().count();
    // Of two characters every pair of letters is one step from the next.
    let allowed = if length < 3 { 0 } else { (length / 3).max(1) };
    Some(osa_distance(name, candidate)).filter(|distance| *distance <= allowed)
}

fn last_segment(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KEYS: [&str; 4] = ["logs.flush_interval", "logs.format", "proxy.format", "region"];

    #[test]
    fn finds_a_slip_of_the_finger() {
        assert_eq!(nearest("logs.flush_intervall", KEYS), Some("logs.flush_interval"));
        assert_eq!(nearest("logs.fromat", KEYS), Some("logs.format"));
        assert_eq!(nearest("Region", KEYS), Some("region"));
    }

    #[test]
    fn finds_a_key_in_another_table_but_prefers_its_own() {
        assert_eq!(nearest("flush_interval", KEYS), Some("logs.flush_interval"));
        assert_eq!(nearest("proxi.format", KEYS), Some("proxy.format"));
    }

    #[test]
    fn says_nothing_rather_than_nonsense() {
        assert_eq!(nearest("colour", KEYS), None);
        assert_eq!(nearest("x", KEYS), None);
        assert_eq!(nearest("", KEYS), None);
        assert_eq!(nearest(&"region".repeat(100), KEYS), None);
    }
}
