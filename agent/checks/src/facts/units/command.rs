//! Pure: the command lines of a unit, as systemd would start them (systemd.service(5), "COMMAND LINES").

use std::collections::BTreeMap;

/// Characters before the program that say how it is started.
const PREFIXES: &[char] = &['@', '-', ':', '+', '!', '|'];

/// Most words of a command line, and most bytes: what variables expand to is somebody else's.
const MAX_WORDS: usize = 4096;
const MAX_BYTES: usize = 1 << 20;

/// A word of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word {
    text: String,
    /// Whether any of it stood in quotes: then nothing splits it.
    quoted: bool,
}

/// The program and its arguments, variables replaced as systemd does it: `$NAME` as a word of its own becomes as many words as it
/// has, `${NAME}` stays part of its word, one that is not set is nothing. `None` if the quotes do not close or it is too long.
pub(crate) fn command(line: &str, environment: &BTreeMap<String, String>) -> Option<Vec<String>> {
    let mut expanded = Vec::new();
    let (mut literal, mut counted, mut bytes) = (false, 0, 0);
    for (index, word) in words(line)?.into_iter().enumerate() {
        if index == 0 {
            let program = word.text.trim_start_matches(PREFIXES);
            let prefixes = word.text.strip_suffix(program).unwrap_or_default();
            literal = prefixes.contains(':');
            expanded.push(program.to_owned());
            continue;
        }
        match word.text.strip_prefix('$') {
            _ if literal => expanded.push(word.text),
            Some(name) if !word.quoted && is_name(name) => {
                let value = environment.get(name).map(String::as_str).unwrap_or_default();
                expanded.extend(words(value)?.into_iter().map(|w| w.text));
            }
            _ => expanded.push(replaced(&word.text, environment)?),
        }
        bytes = expanded.iter().skip(counted).fold(bytes, |sum, word| sum + word.len());
        counted = expanded.len();
        if counted > MAX_WORDS || bytes > MAX_BYTES {
            return None;
        }
    }
    Some(expanded)
}

/// The assignments of an `Environment=` line.
pub(crate) fn assignments(line: &str) -> Option<Vec<(String, String)>> {
    let pair = |word: Word| word.text.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
    words(line)?.into_iter().map(pair).collect()
}

/// The assignments of a file that `EnvironmentFile=` names; `Err` is the line, counted from 1, that makes no sense.
pub(crate) fn file(text: &str) -> Result<Vec<(String, String)>, usize> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (name, value) = line.split_once('=').ok_or(index + 1)?;
        if value.ends_with('\\') {
            return Err(index + 1);
        }
        let value = value.trim_start();
        let quoted = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q));
        found.push((name.trim_end().to_owned(), quoted.unwrap_or(value).to_owned()));
    }
    Ok(found)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn words(line: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (None, ' ' | '\t' | '\n' | '\r') => words.extend(word.take()),
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert(Word { text: String::new(), quoted: true }).quoted = true;
            }
            (Some(open), close) if open == close => quote = None,
            (_, c) => {
                let c = if c == '\\' { escape(characters.next()?) } else { Some(c) };
                word.get_or_insert(Word { text: String::new(), quoted: false }).text.push(c?);
            }
        }
        if words.len() > MAX_WORDS {
            return None;
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

/// What a backslash makes of the next character; `None` for those that would take more of them.
fn escape(next: char) -> Option<char> {
    match next {
        'n' => Some('\n'),
        't' => Some('\t'),
        's' | ' ' => Some(' '),
        '\\' | '"' | '\'' | ';' => Some(next),
        _ => None,
    }
}

fn replaced(text: &str, environment: &BTreeMap<String, String>) -> Option<String> {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        whole.push_str(before);
        let braced = after.strip_prefix('{').and_then(|a| a.split_once('}'));
        match braced {
            Some((name, after)) if is_name(name) => {
                whole.push_str(environment.get(name).map(String::as_str).unwrap_or_default());
                rest = after;
            }
            _ => {
                whole.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
            }
        }
        if whole.len() > MAX_BYTES {
            return None;
        }
    }
    whole.push_str(rest);
    Some(whole)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn expand(line: &str, environment: &[(&str, &str)]) -> Vec<String> {
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        command(line, &environment).unwrap()
    }

    #[test]
    fn a_variable_of_its_own_is_split_and_one_in_braces_is_not() {
        let set = [("OPTIONS", "-o A=b  -4"), ("FILE", "a b")];
        assert_eq!(expand("/usr/sbin/sshd -D $OPTIONS", &set), ["/usr/sbin/sshd", "-D", "-o", "A=b", "-4"]);
        assert_eq!(expand("-/bin/x -f${FILE} $MISSING $$HOME", &set), ["/bin/x", "-fa b", "$HOME"]);
        assert_eq!(expand(":/bin/x $OPTIONS", &set), ["/bin/x", "$OPTIONS"]);
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(expand("/bin/x \"a b\" 'c\\'d' e\\ f", &[]), ["/bin/x", "a b", "c'd", "e f"]);
        assert_eq!(command("/bin/x \"a", &BTreeMap::new()), None);
    }

    #[test]
    fn environment_lines_and_files() {
        assert_eq!(assignments("A=1 \"B=x y\"").unwrap()[1], ("B".to_owned(), "x y".to_owned()));
        assert_eq!(assignments("A"), None);
        let of_file = file("# no\nA=\"-x -y\"\n; no\nB = z\n").unwrap();
        assert_eq!(of_file, [("A".to_owned(), "-x -y".to_owned()), ("B".to_owned(), "z".to_owned())]);
        assert_eq!(file("\nwhat\n"), Err(2));
    }

    proptest! {
        #[test]
        fn never_panics(line in "(?s)([\\\\\"'${} A]|.){0,100}") {
            command(&line, &BTreeMap::from([("A".to_owned(), line.clone())])).ok_or(()).ok();
            assignments(&line).ok_or(()).ok();
            file(&line).ok();
        }
    }
}
