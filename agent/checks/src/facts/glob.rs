//! Patterns of the shell, as glob(7) has them for one name: `*`, `?`, `[a-z]`, `[!a]` and `\`.

/// Whether a text has anything that makes it a pattern.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a whole name matches. The time it takes is bounded by the product of both lengths.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last `*` does not match: that star takes one more.
    let mut retry = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p + 1, n));
            p += 1;
            continue;
        }
        if let Some(next) = name.get(n).and_then(|c| one(&pattern, p, *c)) {
            (p, n) = (next, n + 1);
            continue;
        }
        let Some((after_star, taken)) = retry else { return false };
        retry = Some((after_star, taken + 1));
        (p, n) = (after_star, taken + 1);
    }
    pattern.iter().skip(p).all(|c| *c == '*')
}

/// Where the pattern goes on after its element at `p`, if that matches a character.
fn one(pattern: &[char], p: usize, c: char) -> Option<usize> {
    match pattern.get(p)? {
        '?' => Some(p + 1),
        '[' => match set(pattern, p + 1, c) {
            Some((true, end)) => Some(end),
            Some((false, _)) => None,
            // A `[` that is never closed is one.
            None => (c == '[').then_some(p + 1),
        },
        '\\' => (*pattern.get(p + 1)? == c).then_some(p + 2),
        literal => (*literal == c).then_some(p + 1),
    }
}

/// Whether a character is in the set that begins at `start`, and where the pattern goes on behind it.
fn set(pattern: &[char], start: usize, c: char) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(start), Some('!' | '^'));
    let first = start + usize::from(negated);
    let mut at = first;
    let mut within = false;
    loop {
        let low = *pattern.get(at)?;
        if low == ']' && at > first {
            return Some((within != negated, at + 1));
        }
        match (pattern.get(at + 1), pattern.get(at + 2)) {
            (Some('-'), Some(high)) if *high != ']' => {
                within |= (low..=*high).contains(&c);
                at += 3;
            }
            _ => {
                within |= low == c;
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, expected) in [
            ("", "", true),
            ("", "a", false),
            ("a", "ab", false),
            ("*", "", true),
            ("*", "eth0", true),
            ("eth*", "eth0", true),
            ("eth*", "veth0", false),
            ("*eth*", "veth0", true),
            ("a*b*c", "axxbxxbxxc", true),
            ("a*b*c", "axxbxx", false),
            ("?", "a", true),
            ("?", "", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a-c]x", "dx", true),
            ("[]]", "]", true),
            ("[a-]", "-", true),
            ("[", "[", true),
            ("[a", "a", false),
            ("\\*", "*", true),
            ("\\*", "a", false),
            ("\\", "a", false),
            ("é?", "éa", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_take_no_longer_than_the_product_of_both() {
        let stars = "*a".repeat(500);
        assert!(!matches(&format!("{stars}b"), &"a".repeat(2_000)));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(pattern in "[*?a\\[\\]!^\\\\-]{0,12}", name in "[a\\[\\]-]{0,12}") {
            matches(&pattern, &name);
        }

        #[test]
        fn a_name_matches_itself_and_any_star_in_it(name in "[a-z0-9]{0,8}", at in 0usize..9) {
            proptest::prop_assert!(matches(&name, &name));
            let (before, after) = name.split_at(at.min(name.len()));
            let patterns = [format!("{before}*"), format!("*{after}"), format!("{before}*{after}")];
            proptest::prop_assert!(patterns.iter().all(|pattern| matches(pattern, &name)));
        }
    }
}
