//! GRUB: which command lines a configuration can hand to the kernel.
//!
//! A configuration is a program. What is read of it is every command that starts a kernel and every variable that is set,
//! whatever the conditions around them: a parameter is right at the next boot if it is right in all of these.

use std::collections::BTreeMap;

/// Most command lines that one command may stand for, and most values of one variable. A person writes two.
const MAX_LINES: usize = 16;

/// Most pieces of one word, and most bytes of what it can be: a command line that the kernel takes has 2048 (`COMMAND_LINE_SIZE`
/// on x86 and arm64).
const MAX_PIECES: usize = 64;
const MAX_LENGTH: usize = 8 << 10;

/// Most commands that start a kernel.
const MAX_KERNELS: usize = 200;

/// How deep variables may be in variables.
const MAX_DEPTH: usize = 2;

/// Commands that start a Linux kernel: their first word is its file, the others are its command line.
const STARTS_LINUX: [&str; 4] = ["linux", "linux16", "linuxefi", "linux_efi"];

/// Words of the language that a command may follow.
const BEFORE: [&str; 8] = ["if", "elif", "then", "else", "while", "until", "do", "!"];

/// What a configuration says.
#[derive(Debug, Default)]
pub(crate) struct Grub {
    kernels: Vec<(usize, Word)>,
    /// Whether it takes in the entries of the Boot Loader Specification.
    pub(crate) takes_entries: bool,
    variables: BTreeMap<String, Vec<Word>>,
}

/// A word as it is written: text, and variables in it.
type Word = Vec<Piece>;

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(String),
}

/// A command line could be too many things.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

impl Grub {
    /// Reads a configuration, `grub.cfg`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut grub = Self::default();
        for (line, words) in commands(text) {
            let mut words =
                words.into_iter().skip_while(|word| plain(word).is_some_and(|w| BEFORE.contains(&w.as_str())));
            let verb = words.next().and_then(|word| plain(&word));
            match verb.as_deref() {
                Some("set") => grub.set(words.next()),
                Some("blscfg") => grub.takes_entries = true,
                Some(verb) if STARTS_LINUX.contains(&verb) => {
                    grub.kernels.push((line, join(words.skip(1))));
                }
                _ => {}
            }
        }
        grub
    }

    /// Takes over the variables of an environment block, `grubenv`: they are there before the configuration is read, which sets
    /// its own only where there is none.
    pub(crate) fn with_environment(mut self, block: &str) -> Self {
        let lines = block.lines().filter(|line| !line.starts_with('#'));
        for (name, value) in lines.filter_map(|line| line.split_once('=')) {
            let value = value.replace("\\\\", "\\");
            self.variables.insert(name.to_owned(), vec![vec![Piece::Text(value)]]);
        }
        self
    }

    /// Every command line that it can hand over, with the line of the file, counted from 1.
    pub(crate) fn command_lines(&self) -> Result<Vec<(usize, String)>, TooMany> {
        let mut lines = Vec::new();
        if self.kernels.len() > MAX_KERNELS {
            return Err(TooMany);
        }
        for (at, word) in &self.kernels {
            lines.extend(self.expand(word, MAX_DEPTH)?.into_iter().map(|text| (*at, text)));
        }
        Ok(lines)
    }

    /// Every text that `options` of an entry of the Boot Loader Specification can be.
    pub(crate) fn options(&self, options: &str) -> Result<Vec<String>, TooMany> {
        let mut word = Word::new();
        let mut rest = options;
        while let Some((before, behind)) = rest.split_once('$') {
            word.push(Piece::Text(before.to_owned()));
            let name = behind.split(|c: char| !is_of_name(c)).next().unwrap_or_default();
            rest = behind.strip_prefix(name).unwrap_or_default();
            word.push(if name.is_empty() { Piece::Text("$".to_owned()) } else { Piece::Variable(name.to_owned()) });
        }
        word.push(Piece::Text(rest.to_owned()));
        self.expand(&word, MAX_DEPTH)
    }

    /// Everything that a word can be: a variable that was never set is nothing, one that is set twice is either.
    fn expand(&self, word: &[Piece], depth: usize) -> Result<Vec<String>, TooMany> {
        if word.len() > MAX_PIECES {
            return Err(TooMany);
        }
        let mut texts = vec![String::new()];
        for piece in word {
            let values = match piece {
                Piece::Text(text) => vec![text.clone()],
                Piece::Variable(name) => self.values(name, depth)?,
            };
            if texts.len() * values.len() > MAX_LINES {
                return Err(TooMany);
            }
            texts = texts.iter().flat_map(|text| values.iter().map(move |value| format!("{text}{value}"))).collect();
            if texts.iter().any(|text| text.len() > MAX_LENGTH) {
                return Err(TooMany);
            }
        }
        Ok(texts)
    }

    fn values(&self, name: &str, depth: usize) -> Result<Vec<String>, TooMany> {
        let Some(words) = self.variables.get(name) else { return Ok(vec![String::new()]) };
        let deeper = depth.checked_sub(1).ok_or(TooMany)?;
        let mut values = Vec::new();
        for word in words {
            values.extend(self.expand(word, deeper)?);
            if values.len() > MAX_LINES {
                return Err(TooMany);
            }
        }
        values.dedup();
        Ok(values)
    }

    fn set(&mut self, assignment: Option<Word>) {
        let Some(mut word) = assignment else { return };
        let Some(Piece::Text(first)) = word.first_mut() else { return };
        let Some((name, value)) = first.split_once('=').map(|(n, v)| (n.to_owned(), v.to_owned())) else { return };
        *first = value;
        let values = self.variables.entry(name).or_default();
        // One more than can be said is enough to know that it is too many.
        if !values.contains(&word) && values.len() <= MAX_LINES {
            values.push(word);
        }
    }
}

/// Words as one, with a blank behind each.
fn join(words: impl Iterator<Item = Word>) -> Word {
    let blank = || Piece::Text(" ".to_owned());
    let mut joined = Word::new();
    for piece in words.flat_map(|word| word.into_iter().chain([blank()])) {
        match (joined.last_mut(), piece) {
            (Some(Piece::Text(text)), Piece::Text(more)) => text.push_str(&more),
            (_, piece) => joined.push(piece),
        }
    }
    joined
}

/// A word without variables.
fn plain(word: &[Piece]) -> Option<String> {
    word.iter()
        .map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Variable(_) => None,
        })
        .collect()
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The commands of a script, each with the line that it begins in, and its words without their quotes.
fn commands(text: &str) -> Vec<(usize, Vec<Word>)> {
    let mut script = Script::default();
    let mut chars = text.chars().peekable();
    let mut quote = None;
    let mut line = 1;
    while let Some(c) = chars.next() {
        let begun = line;
        line += usize::from(c == '\n');
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (Some('\''), c) => script.push(begun, c),
            (None, '\'' | '"') => {
                quote = Some(c);
                script.begin(begun);
            }
            (_, '\\') => match chars.next() {
                Some('\n') => line += 1,
                Some(escaped) => script.push(begun, escaped),
                None => {}
            },
            (_, '$') => {
                let braces = chars.next_if_eq(&'{').is_some();
                let mut name = String::new();
                while let Some(c) = chars.next_if(|c| is_of_name(*c)) {
                    name.push(c);
                }
                if braces {
                    chars.next_if_eq(&'}');
                }
                script.variable(begun, name);
            }
            (Some(_), c) => script.push(begun, c),
            (None, '\n' | ';' | '{' | '}') => script.end_command(),
            (None, '#') if script.between_words() => while chars.next_if(|c| *c != '\n').is_some() {},
            (None, c) if c.is_whitespace() => script.end_word(),
            (None, c) => script.push(begun, c),
        }
    }
    script.end_command();
    script.commands
}

/// What was read of a script so far.
#[derive(Debug, Default)]
struct Script {
    commands: Vec<(usize, Vec<Word>)>,
    words: Vec<Word>,
    word: Option<Word>,
    begun: Option<usize>,
}

impl Script {
    fn begin(&mut self, line: usize) -> &mut Word {
        self.begun.get_or_insert(line);
        self.word.get_or_insert_default()
    }

    fn push(&mut self, line: usize, c: char) {
        let word = self.begin(line);
        match word.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => word.push(Piece::Text(c.to_string())),
        }
    }

    fn variable(&mut self, line: usize, name: String) {
        self.begin(line).push(Piece::Variable(name));
    }

    fn between_words(&self) -> bool {
        self.word.is_none()
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end_command(&mut self) {
        self.end_word();
        if let Some(line) = self.begun.take() {
            self.commands.push((line, std::mem::take(&mut self.words)));
        }
    }
}

#[cfg(test)]
mod tests;
