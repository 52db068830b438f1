//! YAML that a person wrote: its types, or where it is wrong.

use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::{Segment, Track};
use serde_yaml_ng::with::singleton_map_recursive;

use crate::mistake::{Field, Flaw, Mistake, Step};
use crate::nesting;

/// Most bytes of one file. The largest that we ship has a fifth of it.
pub(crate) const MAX_BYTES: u64 = 512 << 10;

/// Most brackets that may be open at once. What we ship has three.
const MAX_DEPTH: usize = 64;

/// Most flaws of one file that are given with their place: to find one costs as much as to read the file.
const MAX_PLACED: usize = 100;

/// Reads what a file says.
///
/// # Errors
/// The first [`Mistake`].
pub(crate) fn read<T: DeserializeOwned>(text: &str, file: &str) -> Result<T, Mistake> {
    refuse_traps(text)
        .map_err(|(line, problem)| Mistake { at: line.map(|line| (line, 1)), ..Mistake::whole(file, problem) })?;
    let mut track = Track::new();
    let yaml = serde_yaml_ng::Deserializer::from_str(text);
    singleton_map_recursive::deserialize(serde_path_to_error::Deserializer::new(yaml, &mut track)).map_err(|error| {
        let field = field(&track.path());
        let problem = with_nearest(&words(&error, &field.to_string()));
        Mistake { file: file.to_owned(), at: place(text, &field), field: field.to_string(), problem }
    })
}

/// Refuses what makes a small file a large amount of work or memory. The reader itself stops at 128 levels, but only after it
/// has scanned all of them.
fn refuse_traps(text: &str) -> Result<(), (Option<usize>, String)> {
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes > MAX_BYTES) {
        return Err((None, format!("has more than {MAX_BYTES} bytes")));
    }
    if nesting::deepest(text) > MAX_DEPTH {
        let problem =
            format!("can have more than {MAX_DEPTH} brackets open at once; a text in quotes has to end on its line");
        return Err((None, problem));
    }
    for (n, line) in text.lines().enumerate() {
        if line.starts_with('%') {
            return Err((Some(n + 1), "begins with `%`: directives of YAML are not read".to_owned()));
        }
        if has_anchor(line) {
            return Err((
                Some(n + 1),
                "has an anchor (`&name`): write what it stands for; `&` in text needs quotes".to_owned(),
            ));
        }
    }
    Ok(())
}

/// Whether `&` stands where a value can begin, and before what can be a name. Without anchors there are no aliases either, and
/// what is read is as large as what is written.
fn has_anchor(line: &str) -> bool {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let begins =
        |before: Option<char>| before.is_none_or(|c| !c.is_ascii_graphic() || matches!(c, '[' | '{' | ',' | ':'));
    line.match_indices('&').any(|(at, _)| {
        let (before, from) = line.split_at(at);
        begins(before.chars().next_back()) && from.chars().nth(1).is_some_and(is_name)
    })
}

/// The way to where the types did not fit.
fn field(path: &serde_path_to_error::Path) -> Field {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key: name } | Segment::Enum { variant: name } => Some(Step::Key(name.clone().into())),
        Segment::Unknown => None,
    };
    Field(path.iter().map_while(step).collect())
}

/// Flaws with their places in the text that they were found in.
pub(crate) fn placed(flaws: Vec<Flaw>, text: &str, file: &str) -> Vec<Mistake> {
    let placed = flaws.into_iter().enumerate().map(|(n, flaw)| Mistake {
        file: file.to_owned(),
        at: (n < MAX_PLACED).then(|| place(text, &flaw.field)).flatten(),
        field: flaw.field.to_string(),
        problem: flaw.problem,
    });
    placed.collect()
}

/// Line and column of a field, where its name is; of what it would be in if it is not there.
fn place(text: &str, field: &Field) -> Option<(usize, usize)> {
    // The way ends with an error on purpose: the reader says where it was then.
    let error = Follow(&field.0).deserialize(serde_yaml_ng::Deserializer::from_str(text)).err()?;
    error.location().map(|at| (at.line(), at.column()))
}

/// The reader's words without the place, which is told apart.
fn words(error: &serde_yaml_ng::Error, field: &str) -> String {
    let text = error.to_string();
    let text = match error.location() {
        Some(at) => text.strip_suffix(&format!(" at line {} column {}", at.line(), at.column())).unwrap_or(&text),
        None => &text,
    };
    // The reader begins with a field of its own, which is this one or one that it is in.
    match text.split_once(": ") {
        Some((prefix, bare)) if field.starts_with(prefix) => bare.to_owned(),
        _ => text.to_owned(),
    }
}

/// Adds the known name that is nearest to an unknown one.
fn with_nearest(words: &str) -> String {
    let mut names = words.split('`').skip(1).step_by(2);
    match names.next() {
        Some(unknown) if words.starts_with("unknown ") => match nearest(unknown, names) {
            Some(known) => format!("{words}; did you mean `{known}`?"),
            None => words.to_owned(),
        },
        _ => words.to_owned(),
    }
}

/// The name that is most like another, if one is like it at all.
pub(crate) fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Below this two names have nothing to do with each other (Jaro-Winkler: 1 is equal).
    const ALIKE: f64 = 0.7;
    let alike = known.into_iter().map(|name| (strsim::jaro_winkler(unknown, name), name));
    alike.filter(|(alike, _)| *alike >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

/// Goes a way through a document and fails at its end.
struct Follow<'w>(&'w [Step]);

impl<'de> DeserializeSeed<'de> for Follow<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, here: D) -> Result<(), D::Error> {
        here.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Follow<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the end of the way")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        if let Some((Step::Key(wanted), rest)) = self.0.split_first() {
            while let Some(found) = map.next_key_seed(Name { wanted, is_end: rest.is_empty() })? {
                if found {
                    return map.next_value_seed(Follow(rest));
                }
                map.next_value::<IgnoredAny>()?;
            }
        }
        Err(A::Error::custom("here"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        if let Some((Step::Index(wanted), rest)) = self.0.split_first() {
            for _ in 0..*wanted {
                list.next_element::<IgnoredAny>()?;
            }
            list.next_element_seed(Follow(rest))?;
        }
        Err(A::Error::custom("here"))
    }
}

/// A key of a map, and whether it is the wanted one. Fails at the key if the way ends there.
struct Name<'w> {
    wanted: &'w str,
    is_end: bool,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: serde::Deserializer<'de>>(self, key: D) -> Result<bool, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<bool, E> {
        let found = key == self.wanted;
        if found && self.is_end { Err(E::custom("here")) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests;
