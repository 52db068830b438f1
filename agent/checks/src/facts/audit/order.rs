//! Pure: the order of `ls -v`, in which `augenrules` reads files (coreutils, "Version sort").

use std::cmp::Ordering;

/// Compares names so that `9-x` comes before `10-x`, and `a.rules` before `a1.rules`: endings count last.
pub(super) fn natural(a: &[u8], b: &[u8]) -> Ordering {
    compare(stem(a), stem(b)).then_with(|| compare(a, b)).then_with(|| a.cmp(b))
}

/// A name without its endings: dots that letters follow.
fn stem(name: &[u8]) -> &[u8] {
    let is_ending = |ending: &[u8]| {
        ending.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'~')
            && ending.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'~')
    };
    let mut stem = name;
    while let Some(at) = stem.iter().rposition(|b| *b == b'.').filter(|at| *at > 0) {
        match stem.split_at_checked(at) {
            Some((before, [_, ending @ ..])) if is_ending(ending) => stem = before,
            _ => break,
        }
    }
    stem
}

fn compare(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !(left.is_empty() && right.is_empty()) {
        let (left_text, left_rest) = split(left, |b| !b.is_ascii_digit());
        let (right_text, right_rest) = split(right, |b| !b.is_ascii_digit());
        let (left_number, left_rest) = split(left_rest, |b| b.is_ascii_digit());
        let (right_number, right_rest) = split(right_rest, |b| b.is_ascii_digit());
        let by = text(left_text, right_text).then_with(|| number(left_number, right_number));
        if by != Ordering::Equal {
            return by;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

fn split(bytes: &[u8], of_first: impl Fn(&u8) -> bool) -> (&[u8], &[u8]) {
    let at = bytes.iter().position(|b| !of_first(b)).unwrap_or(bytes.len());
    bytes.split_at_checked(at).unwrap_or((bytes, &[]))
}

/// `~` before the end, the end before letters, letters before all else.
fn text(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    };
    let weights = (0..=a.len().max(b.len())).map(|at| weight(a.get(at)).cmp(&weight(b.get(at))));
    weights.into_iter().find(|by| *by != Ordering::Equal).unwrap_or(Ordering::Equal)
}

fn number(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| digits.iter().skip_while(|b| **b == b'0').copied().collect::<Vec<_>>();
    let (a, b) = (significant(a), significant(b));
    a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        // The order that `LC_ALL=C ls -1v` of coreutils 9.1 gives.
        let sorted =
            ["9-a.rules", "09-z.rules", "10-b.rules", "100-c.rules", "a~.rules", "a.rules", "a1.rules", "audit.rules"];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|a, b| natural(a.as_bytes(), b.as_bytes()));
        assert_eq!(names, sorted);
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[a~.0-3-]{0,8}", b in "[a~.0-3-]{0,8}", c in "[a~.0-3-]{0,8}") {
            let by = |a: &str, b: &str| natural(a.as_bytes(), b.as_bytes());
            prop_assert_eq!(by(&a, &b), by(&b, &a).reverse());
            if by(&a, &b).is_le() && by(&b, &c).is_le() {
                prop_assert!(by(&a, &c).is_le());
            }
            prop_assert_eq!(by(&a, &b) == Ordering::Equal, a == b);
        }
    }
}
