//! Pure: words of a command line, and variables in them, as `systemd.service(5)` has it under "Command lines".

use std::collections::BTreeMap;

/// Most words of a command line.
const MAX_WORDS: usize = 10_000;

/// Most bytes of a command line with all variables in; the kernel takes 2 MiB, with the environment.
const MAX_BYTES: usize = 1 << 20;

const TOO_LONG: &str = "is longer than a command line can be";

/// Splits at white space; quotes and backslashes are taken off.
///
/// # Errors
/// If a quote is not closed, a backslash stands last, or there is more than one command.
pub(super) fn split(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (_, '\\') => {
                let escaped = chars.next().ok_or("ends with a backslash")?;
                let word = word.get_or_insert_default();
                match escaped {
                    'n' => word.push('\n'),
                    't' => word.push('\t'),
                    's' => word.push(' '),
                    '\\' | '"' | '\'' | ';' | ' ' => word.push(escaped),
                    // Others stand for bytes that no argument of a kubelet has.
                    _ => return Err("has an escape that is not understood"),
                }
            }
            (None, c) if c.is_ascii_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
        if word.as_deref() == Some(";") && chars.as_str().starts_with([' ', '\t']) {
            return Err("has more than one command");
        }
        if words.len() > MAX_WORDS {
            return Err("has too many words");
        }
    }
    if quote.is_some() {
        return Err("has a quote that is not closed");
    }
    words.extend(word);
    Ok(words)
}

/// Puts variables in: a word `$NAME` becomes as many words as its value has, and none if that is empty; `${NAME}` becomes its
/// value, inside a word too; `$$` and `%%` are one sign.
///
/// # Errors
/// If a value cannot be split, or all of it is longer than the kernel would take.
pub(super) fn expand(words: Vec<String>, variables: &BTreeMap<String, String>) -> Result<Vec<String>, &'static str> {
    let (mut expanded, mut left) = (Vec::new(), MAX_BYTES);
    for word in words {
        let more = match word.strip_prefix('$').filter(|name| is_name(name)) {
            Some(name) => split(variables.get(name).map_or("", String::as_str))?,
            None => vec![substitute(&word, variables, left).ok_or(TOO_LONG)?],
        };
        for word in more {
            left = left.checked_sub(word.len() + 1).ok_or(TOO_LONG)?;
            expanded.push(word);
        }
    }
    Ok(expanded)
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// A word with its variables in; `None` if it would have more bytes than that.
fn substitute(word: &str, variables: &BTreeMap<String, String>, most: usize) -> Option<String> {
    let mut result = String::new();
    let mut rest = word;
    while let Some((before, after)) = rest.split_once(['$', '%']) {
        result.push_str(before);
        let sign = if rest.strip_prefix(before).is_some_and(|r| r.starts_with('$')) { '$' } else { '%' };
        let braced = after.strip_prefix('{').filter(|_| sign == '$').and_then(|inside| inside.split_once('}'));
        if let Some(after) = after.strip_prefix(sign) {
            result.push(sign);
            rest = after;
        } else if let Some((name, after)) = braced.filter(|(name, _)| is_name(name)) {
            result.push_str(variables.get(name).map_or("", String::as_str));
            rest = after;
        } else {
            result.push(sign);
            rest = after;
        }
        if result.len() > most {
            return None;
        }
    }
    result.push_str(rest);
    Some(result)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_systemds() {
        let words = |text| split(text).unwrap();
        assert_eq!(words("a  'b c' \"d e\"f g\\ h"), ["a", "b c", "d ef", "g h"]);
        assert_eq!(words("\"A=b c\" 'D=--x=\"y\"' ''"), ["A=b c", "D=--x=\"y\"", ""]);
        assert!(words(" \t ").is_empty());
        assert!(split("'a").is_err() && split("a\\").is_err() && split("a ; b").is_err() && split("\\x41").is_err());
    }

    #[test]
    fn variables_become_words() {
        let variables =
            BTreeMap::from([("A".to_owned(), "--x=1 '--y=2 3'".to_owned()), ("E".to_owned(), String::new())]);
        let expanded = |text| expand(split(text).unwrap(), &variables).unwrap();
        assert_eq!(expanded("k $A z"), ["k", "--x=1", "--y=2 3", "z"]);
        assert_eq!(expanded("k $E $NONE z"), ["k", "z"]);
        assert_eq!(expanded("k ${E} p${A}s"), ["k", "", "p--x=1 '--y=2 3's"]);
        assert_eq!(expanded("p$A $$A 100%% ${ $1 ${x"), ["p$A", "$A", "100%", "${", "$1", "${x"]);
    }

    #[test]
    fn a_command_line_does_not_grow_without_bound() {
        let variables = BTreeMap::from([("A".to_owned(), "x".repeat(60_000))]);
        for text in ["$A ".repeat(9000), "${A}".repeat(9000)] {
            assert_eq!(expand(split(&text).unwrap(), &variables), Err(TOO_LONG));
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[ a\"'\\\\$%{};\t\\PC]{0,40}", value in "\\PC{0,20}") {
            if let Ok(words) = split(&text) {
                expand(words, &BTreeMap::from([("a".to_owned(), value)])).ok();
            }
        }
    }
}
