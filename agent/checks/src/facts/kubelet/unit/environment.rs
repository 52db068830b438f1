//! Pure: a file of variables, as systemd reads `EnvironmentFile=`.

/// Where the reader is.
#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Before a name, or in one.
    Name,
    /// In a comment.
    Comment,
    /// After `=` or a closing quote: quotes mean something here.
    BeforeValue,
    /// In a value without quotes: quotes are characters like any other.
    Value,
    /// Between `'`.
    Single,
    /// Between `"`.
    Double,
}

/// The variables, in their order.
pub(super) fn parse(text: &str) -> Vec<(String, String)> {
    let (mut variables, mut name, mut value) = (Vec::new(), String::new(), String::new());
    // How much of the value white space at its end may not be cut from: what was in quotes.
    let mut kept = 0;
    let mut state = State::Name;
    // A newline at the end, so that the last line ends like the others.
    let mut chars = text.chars().chain(['\n']);
    while let Some(c) = chars.next() {
        match (state, c) {
            (State::Name, '#' | ';') if name.trim().is_empty() => state = State::Comment,
            (State::Name, '=') => state = State::BeforeValue,
            (State::Name | State::Comment, '\n') => {
                name.clear();
                state = State::Name;
            }
            (State::Name, c) => name.push(c),
            // A comment goes on behind a backslash.
            (State::Comment, '\\') => {
                chars.next();
            }
            (State::Comment, _) => {}
            (State::BeforeValue | State::Value, '\n') => {
                let cut = value.trim_end().len().max(kept);
                value.truncate(cut);
                variables.push((name.trim().to_owned(), std::mem::take(&mut value)));
                name.clear();
                kept = 0;
                state = State::Name;
            }
            (State::BeforeValue, '\'') => state = State::Single,
            (State::BeforeValue, '"') => state = State::Double,
            (State::BeforeValue, c) if c.is_whitespace() => {}
            (State::BeforeValue | State::Value, '\\') => {
                state = State::Value;
                if let Some(c) = chars.next().filter(|c| *c != '\n') {
                    value.push(c);
                    kept = value.len();
                }
            }
            (State::BeforeValue | State::Value, c) => {
                state = State::Value;
                value.push(c);
            }
            (State::Single, '\'') | (State::Double, '"') => {
                kept = value.len();
                state = State::BeforeValue;
            }
            (State::Double, '\\') => match chars.next() {
                Some('\n') | None => {}
                Some(c @ ('"' | '\\' | '`' | '$')) => value.push(c),
                Some(c) => value.extend(['\\', c]),
            },
            (State::Single | State::Double, c) => value.push(c),
        }
    }
    variables
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_systemds() {
        let text = "# c\\\nstill a comment\nA=--x=1 --y='2 3'\n ; d\nB='b # c' \nC=\"q\\\"\\n\" 'r'\nD=a\\\n b \nE=\nno value\nF=last";
        let expected =
            [("A", "--x=1 --y='2 3'"), ("B", "b # c"), ("C", "q\"\\nr"), ("D", "a b"), ("E", ""), ("F", "last")];
        let expected: Vec<_> = expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        assert_eq!(parse(text), expected);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A=\"'\\\\#;\n \\PC]{0,60}") {
            drop(parse(&text));
        }
    }
}
