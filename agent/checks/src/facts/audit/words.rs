//! Pure: one line of a rules file as the options of `auditctl` (audit-userspace, auditctl.c: `fileopt`, `setopt`).

/// An option, and its argument if it takes one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Word {
    /// The letter, or the name without dashes.
    pub(super) name: String,
    pub(super) argument: Option<String>,
}

/// Letters that take an argument, and those that do not.
const WITH_ARGUMENT: &str = "CefrbaAdSFmRwWkpq";
const WITHOUT: &str = "hicslDvt";
/// Long options that take an argument, and those that do not.
const LONG_WITH_ARGUMENT: &[&str] = &["backlog_wait_time", "signal"];
const LONG_WITHOUT: &[&str] = &["loginuid-immutable", "reset-lost", "reset_backlog_wait_time_actual"];

/// The options of a line; none for an empty line or a comment.
pub(super) fn options(line: &str) -> Result<Vec<Word>, &'static str> {
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.trim_start().starts_with('#') || line.trim().is_empty() {
        return Ok(Vec::new());
    }
    // Only spaces separate; a tab becomes part of a path or a name that nothing ever matches.
    if line.contains('\t') {
        return Err("has a tab, which auditctl does not take for a space");
    }
    let mut words = split(line).into_iter();
    let mut options = Vec::new();
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, attached) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let argument = match attached {
                Some(value) => Some(value.to_owned()),
                None if LONG_WITH_ARGUMENT.contains(&name) => words.next(),
                None => None,
            };
            if LONG_WITH_ARGUMENT.contains(&name) != argument.is_some() {
                return Err("an option and its argument do not go together");
            }
            if argument.is_none() && !LONG_WITHOUT.contains(&name) {
                return Err("has an option that auditctl does not know");
            }
            options.push(Word { name: name.to_owned(), argument });
            continue;
        }
        let mut letters = word.strip_prefix('-').ok_or("has a word that belongs to no option")?.chars();
        if letters.as_str().is_empty() {
            return Err("has a word that belongs to no option");
        }
        while let Some(letter) = letters.next() {
            if WITHOUT.contains(letter) {
                options.push(Word { name: letter.into(), argument: None });
                continue;
            }
            if !WITH_ARGUMENT.contains(letter) {
                return Err("has an option that auditctl does not know");
            }
            let attached = letters.as_str();
            letters = "".chars();
            let argument = if attached.is_empty() { words.next() } else { Some(attached.to_owned()) };
            options.push(Word { name: letter.into(), argument: Some(argument.ok_or("an option has no argument")?) });
        }
    }
    Ok(options)
}

/// Words between spaces; a backslash keeps a space or another backslash in its word.
fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            ' ' if word.is_empty() => {}
            ' ' => words.push(std::mem::take(&mut word)),
            '\\' => word.push(characters.next_if(|next| matches!(next, ' ' | '\\')).unwrap_or('\\')),
            c => word.push(c),
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}
