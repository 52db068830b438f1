//! Pure: the syntax that systemd's unit files and configuration files share (systemd.syntax(7)).

/// `Key=value` with where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Assignment {
    /// The section, without brackets.
    pub(crate) section: String,
    /// What is assigned to. Case matters.
    pub(crate) key: String,
    /// What is assigned, continued lines joined by a space; nothing is unquoted.
    pub(crate) value: String,
    /// The line where it begins, counted from 1.
    pub(crate) line: usize,
}

/// A line that makes no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Counted from 1.
    pub(crate) line: usize,
    /// What is wrong with it.
    pub(crate) problem: &'static str,
}

/// What systemd takes for white space.
const WHITE: &[char] = &[' ', '\t', '\r', '\n'];

/// The assignments of a file, in its order. systemd ignores a line that makes no sense and goes on; here it is an error, since
/// the line may have been meant to decide.
pub(crate) fn parse(text: &str) -> Result<Vec<Assignment>, Malformed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut assignments, mut section) = (Vec::new(), None);
    let mut joined: Option<(usize, String)> = None;
    for (index, raw) in text.lines().enumerate() {
        let trimmed = raw.trim_start_matches(WHITE);
        // A comment between continued lines is left out of them.
        if trimmed.starts_with(['#', ';']) || (joined.is_none() && trimmed.is_empty()) {
            continue;
        }
        let (line, mut whole) = joined.take().unwrap_or((index + 1, String::new()));
        let (part, continues) = continued(raw);
        whole.push_str(part);
        if continues {
            whole.push(' ');
            joined = Some((line, whole));
        } else {
            logical(&whole, line, &mut section, &mut assignments)?;
        }
    }
    if let Some((line, whole)) = joined {
        logical(&whole, line, &mut section, &mut assignments)?;
    }
    Ok(assignments)
}

/// A line without the backslash at its end that continues it, if there is one that no other backslash escapes.
fn continued(raw: &str) -> (&str, bool) {
    let backslashes = raw.bytes().rev().take_while(|b| *b == b'\\').count();
    match raw.strip_suffix('\\') {
        Some(part) if backslashes % 2 == 1 => (part, true),
        _ => (raw, false),
    }
}

fn logical(
    whole: &str,
    line: usize,
    section: &mut Option<String>,
    assignments: &mut Vec<Assignment>,
) -> Result<(), Malformed> {
    let whole = whole.trim_matches(WHITE);
    if whole.is_empty() {
        return Ok(());
    }
    if let Some(header) = whole.strip_prefix('[') {
        let name = header.strip_suffix(']').ok_or(Malformed { line, problem: "the section header has no ]" })?;
        *section = Some(name.to_owned());
        return Ok(());
    }
    let (key, value) =
        whole.split_once('=').ok_or(Malformed { line, problem: "is neither [Section] nor Key=value" })?;
    let section = section.clone().ok_or(Malformed { line, problem: "stands before the first section" })?;
    assignments.push(Assignment {
        section,
        key: key.trim_end_matches(WHITE).to_owned(),
        value: value.trim_start_matches(WHITE).to_owned(),
        line,
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String, String, usize)> {
        parse(text).unwrap().into_iter().map(|a| (a.section, a.key, a.value, a.line)).collect()
    }

    #[test]
    fn sections_keys_and_values_are_trimmed_and_keep_their_line() {
        let found = pairs("# a comment\n[Unit]\n  Description =  A thing\n\n[Service]\nExecStart=/bin/a -x=1\n");
        let wanted = [("Unit", "Description", "A thing", 3), ("Service", "ExecStart", "/bin/a -x=1", 6)];
        assert_eq!(found, wanted.map(|(s, k, v, n)| (s.to_owned(), k.to_owned(), v.to_owned(), n)));
    }

    #[test]
    fn lines_are_continued_over_comments() {
        let found =
            pairs("[Service]\nExecStart=/bin/a \\\n  # not this\n  --one \\\n; nor this\n  --two\nType=simple\n");
        assert_eq!(found[0].2.split_whitespace().collect::<Vec<_>>(), ["/bin/a", "--one", "--two"]);
        assert_eq!((found[0].3, found[1].3), (2, 7));
    }

    #[test]
    fn an_escaped_backslash_continues_nothing() {
        let found = pairs("[S]\nA=x\\\\\nB=y\n");
        assert_eq!((found[0].2.as_str(), found[1].1.as_str()), ("x\\\\", "B"));
    }

    #[test]
    fn what_makes_no_sense_is_named_with_its_line() {
        assert_eq!(parse("[S]\nA=1\nwhat\n").unwrap_err().line, 3);
        assert_eq!(parse("A=1\n").unwrap_err().problem, "stands before the first section");
        assert_eq!(parse("\n[S\n").unwrap_err().line, 2);
    }

    proptest! {
        #[test]
        fn never_panics(text in "(?s)([\\[\\]=#;\\\\ \n\tA-c]|.){0,200}") {
            parse(&text).ok();
        }
    }
}
