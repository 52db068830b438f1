//! Pure: one line of `sshd_config`, split as sshd splits it (OpenSSH, misc.c: `strdelim`, `argv_split`).

/// White space to sshd.
const WHITE: &[char] = &[' ', '\t', '\r', '\n'];

/// What `Match` can ask for. All but the first and the last take an argument (sshd_config(5), OpenSSH 10).
const CRITERIA: &[&str] =
    &["all", "user", "group", "host", "localaddress", "localport", "rdomain", "address", "version", "invalid-user"];

/// The keyword in lower case and what follows it; `None` for an empty line or a comment.
pub(super) fn keyword(line: &str) -> Result<Option<(String, &str)>, &'static str> {
    // A form feed counts as white space at the end of a line alone.
    let line = line.trim_end_matches([' ', '\t', '\r', '\n', '\u{c}']).trim_start_matches(WHITE);
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (keyword, rest) = delimited(line).ok_or("its quotes do not close")?;
    if rest.is_empty() {
        return Err("there is no value after the keyword");
    }
    Ok(Some((keyword.to_ascii_lowercase(), rest)))
}

/// The first word, up to white space and at most one `=`, and the rest; `None` if a quote does not close.
fn delimited(text: &str) -> Option<(String, &str)> {
    let Some(at) = text.find(|c| WHITE.contains(&c) || matches!(c, '"' | '=')) else {
        return Some((text.to_owned(), ""));
    };
    let (word, rest) = text.split_at_checked(at)?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (inside, rest) = quoted.split_once('"')?;
        return Some((format!("{word}{inside}"), rest.trim_start_matches(WHITE)));
    }
    let rest = rest.trim_start_matches(WHITE);
    let rest = rest.strip_prefix('=').unwrap_or(rest);
    Some((word.to_owned(), rest.trim_start_matches(WHITE)))
}

/// The words after a keyword; a comment may follow them. `None` if a quote does not close.
pub(super) fn arguments(rest: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut characters = rest.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None, ' ' | '\t') => words.extend(word.take()),
            (None, '#') if word.is_none() => break,
            (_, '\\') => {
                let escapes = |next: &char| matches!(next, '\'' | '"' | '\\') || (quote.is_none() && *next == ' ');
                word.get_or_insert_default().push(characters.next_if(escapes).unwrap_or(c));
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (Some(open), c) if open == c => quote = None,
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// The condition of a `Match` line, its words separated by one space; `None` for `all`.
pub(super) fn condition(rest: &str) -> Result<Option<String>, &'static str> {
    let (mut words, mut rest) = (Vec::new(), rest);
    while !rest.is_empty() {
        let (word, after) = delimited(rest).ok_or("its quotes do not close")?;
        if word.starts_with('#') {
            break;
        }
        words.push(word);
        rest = after;
    }
    let mut pairs = Vec::new();
    let mut criteria = words.into_iter();
    while let Some(word) = criteria.next() {
        let name = word.to_ascii_lowercase();
        if !CRITERIA.contains(&name.as_str()) {
            return Err("sshd knows no such criterion of Match");
        }
        let argument = match name.as_str() {
            "all" | "invalid-user" => String::new(),
            _ => format!(" {}", criteria.next().ok_or("a criterion of Match has no argument")?),
        };
        pairs.push((name, format!("{word}{argument}")));
    }
    match pairs.as_slice() {
        [] => Err("Match has no criterion"),
        [(name, _)] if name == "all" => Ok(None),
        pairs if pairs.iter().any(|(name, _)| name == "all") => Err("all cannot be combined with other criteria"),
        pairs => Ok(Some(pairs.iter().map(|(_, text)| text.as_str()).collect::<Vec<_>>().join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(line: &str) -> (String, Vec<String>) {
        let (keyword, rest) = keyword(line).unwrap().unwrap();
        (keyword, arguments(rest).unwrap())
    }

    #[test]
    fn keyword_and_value_in_all_spellings() {
        for line in [
            "PermitRootLogin no",
            "  permitrootlogin\tno  ",
            "PERMITROOTLOGIN=no",
            "PermitRootLogin = no",
            "PermitRootLogin=\"no\"",
            "PermitRootLogin 'no' # comment",
            "\"PermitRootLogin\" no\r",
        ] {
            assert_eq!(split(line), ("permitrootlogin".to_owned(), vec!["no".to_owned()]), "{line}");
        }
    }

    #[test]
    fn one_equals_sign_is_skipped_and_a_second_is_not() {
        assert_eq!(split("SetEnv = A=b").1, ["A=b"]);
        assert_eq!(split("PermitRootLogin==no").1, ["=no"]);
    }

    #[test]
    fn words_quotes_and_escapes() {
        assert_eq!(split("AllowUsers a \"b c\" d\\ e 'f\"g' # h").1, ["a", "b c", "d e", "f\"g"]);
        assert_eq!(split("AllowUsers a#b").1, ["a#b"]);
        assert_eq!(arguments("\"a"), None);
    }

    #[test]
    fn what_is_no_setting() {
        assert_eq!(keyword(" # x"), Ok(None));
        assert_eq!(keyword(" \t"), Ok(None));
        assert!(keyword("PermitRootLogin").is_err());
    }

    #[test]
    fn conditions() {
        assert_eq!(condition("all"), Ok(None));
        assert_eq!(condition("ALL # everybody"), Ok(None));
        assert_eq!(condition("User bob,\"eve x\"").unwrap().unwrap(), "User bob,eve x");
        assert_eq!(condition("User bob Address=10.0.0.0/8"), Ok(Some("User bob Address 10.0.0.0/8".to_owned())));
        for bad in ["", "User", "all User bob", "Colour red"] {
            assert!(condition(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(line in "(?s)([\\\\\"'=# \tall]|.){0,100}") {
            if let Ok(Some((_, rest))) = keyword(&line) {
                arguments(rest);
                condition(rest).ok();
            }
        }
    }
}
