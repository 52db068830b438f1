//! Pure: a YAML or JSON document becomes a tree, within bounds.

use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::value;
use crate::nesting;
use crate::observed::Unobserved;

/// Most bytes of a document. A kubelet's configuration has about 3 KiB; the YAML parser needs up to a hundred times as much memory.
pub(crate) const MAX_DOCUMENT: u64 = 64 << 10;

/// Most of a tree, in bytes: YAML aliases can make a small document a large tree.
const MAX_TREE: usize = 4 << 20;

/// What a node costs besides its text.
const NODE: usize = 64;

/// Deepest nesting of brackets. The YAML parser's time grows with the square of it.
const MAX_DEPTH: usize = 100;

/// A tree.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    /// A bare word of YAML that is a boolean in YAML 1.1, which the kubelet's parser knows: `yes`. In quotes, and in JSON, it is a
    /// text like any other.
    Word(bool, String),
    List(Vec<Node>),
    /// In the order of the document; no key twice.
    Map(Vec<(String, Node)>),
}

/// Why a document is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    /// Where, counted from 1, if that is known.
    line: Option<usize>,
    problem: String,
}

impl Malformed {
    /// The same, of a file.
    pub(crate) fn at(&self, path: &Path) -> Unobserved {
        match self.line {
            Some(line) => Unobserved::line(path, line, &self.problem),
            None => Unobserved::file(path, &self.problem),
        }
    }
}

impl Node {
    /// The member of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(members) => members.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a member.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.get(key) {
            Some(Self::Text(text) | Self::Word(_, text)) => Some(text),
            _ => None,
        }
    }
}

/// Reads a document: JSON if it begins with a brace, as the kubelet decides, else YAML.
///
/// # Errors
/// If it is malformed, too deep, too large as a tree, or has a key twice: then which one counts depends on the reader.
pub(crate) fn parse(text: &str) -> Result<Node, Malformed> {
    if nesting::deepest(text) > MAX_DEPTH {
        return Err(Malformed { line: None, problem: format!("is nested deeper than {MAX_DEPTH} brackets") });
    }
    let left = Cell::new(MAX_TREE);
    let tree = |yaml| Tree { left: &left, yaml };
    if text.trim_start().starts_with('{') {
        let mut json = serde_json::Deserializer::from_str(text);
        let tree = tree(None).deserialize(&mut json).and_then(|tree| json.end().map(|()| tree));
        return tree.map_err(|error| Malformed { line: Some(error.line()), problem: plain(&error.to_string()) });
    }
    let tree = tree(Some(text)).deserialize(serde_yaml_ng::Deserializer::from_str(text));
    tree.map_err(|error| Malformed {
        line: error.location().map(|place| place.line()),
        problem: plain(&error.to_string()),
    })
}

/// A tree of what was parsed by somebody else.
///
/// # Errors
/// If it is too large.
pub(crate) fn of_json(json: &serde_json::Value) -> Result<Node, Malformed> {
    let left = Cell::new(MAX_TREE);
    Tree { left: &left, yaml: None }
        .deserialize(json)
        .map_err(|error| Malformed { line: None, problem: error.to_string() })
}

/// A parser's message without the place, which is told apart, and no longer than a line.
fn plain(message: &str) -> String {
    let message = message.split(" at line ").next().unwrap_or(message);
    message.chars().take(200).collect()
}

/// Builds a tree while there is something left to spend.
#[derive(Clone, Copy)]
struct Tree<'a> {
    left: &'a Cell<usize>,
    /// The document, if there are booleans of YAML 1.1 in it.
    yaml: Option<&'a str>,
}

impl Tree<'_> {
    fn spend<E: Error>(self, text: usize) -> Result<(), E> {
        let left = self.left.get().checked_sub(NODE + text).ok_or_else(|| E::custom("is too large as a tree"))?;
        self.left.set(left);
        Ok(())
    }

    /// Whether a part of the document is a bare word: without quotes and without a tag. The parser tells neither, but where the
    /// word stands. A tag with a comment behind it is not seen.
    fn is_bare(self, word: &str) -> bool {
        let before = self.yaml.and_then(|document| {
            let at = word.as_ptr().addr().checked_sub(document.as_ptr().addr())?;
            document.get(..at)
        });
        before.is_some_and(|before| {
            let mut properties = before.split_whitespace().rev().take_while(|part| part.contains(['&', '!']));
            !before.ends_with(['"', '\'']) && !properties.any(|part| part.contains('!'))
        })
    }
}

impl<'de> DeserializeSeed<'de> for Tree<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Tree<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("plain YAML or JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        self.spend(0).map(|()| Node::Null)
    }

    fn visit_none<E: Error>(self) -> Result<Node, E> {
        self.visit_unit()
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<Node, E> {
        self.spend(0).map(|()| Node::Bool(yes))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Node, E> {
        self.spend(0).map(|()| Node::Int(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Node, E> {
        // What has more than 63 bits is a number that no setting can have; it stays one, and fails as such.
        self.spend(0).map(|()| i64::try_from(number).map_or(Node::Float(f64::INFINITY), Node::Int))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Node, E> {
        self.spend(0).map(|()| Node::Float(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node, E> {
        self.spend(text.len()).map(|()| Node::Text(text.to_owned()))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Node, E> {
        match value::old_yaml_boolean(text).filter(|_| self.is_bare(text)) {
            Some(yes) => self.spend(text.len()).map(|()| Node::Word(yes, text.to_owned())),
            None => self.visit_str(text),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        self.spend(0)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        self.spend(0)?;
        let (mut members, mut keys) = (Vec::new(), HashSet::new());
        while let Some(key) = entries.next_key_seed(self)? {
            let key = match key {
                Node::Text(text) | Node::Word(_, text) => text,
                Node::Int(number) => number.to_string(),
                Node::Bool(yes) => yes.to_string(),
                _ => return Err(A::Error::custom("has a key that is no text")),
            };
            if !keys.insert(key.clone()) {
                let shown: String = key.chars().take(60).collect();
                return Err(A::Error::custom(format!("has the key `{shown}` twice")));
            }
            members.push((key, entries.next_value_seed(self)?));
        }
        Ok(Node::Map(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(text: &str) -> String {
        parse(text).unwrap_err().at(Path::new("/f")).message
    }

    #[test]
    fn yaml_and_json_are_the_same_tree() {
        let json = r#"{"a": {"b": [1, "x", true, null]}, "c": "0s"}"#;
        let yaml = "a:\n  b: [1, x, true, null]\nc: 0s\n";
        assert_eq!(parse(json), parse(yaml));
        assert_eq!(parse(json).unwrap().text("c"), Some("0s"));
    }

    #[test]
    fn booleans_of_yaml_1_1_are_texts_of_json() {
        let of = |text| parse(text).unwrap().get("a").cloned();
        assert_eq!(of("a: yes\n"), Some(Node::Word(true, "yes".to_owned())));
        assert_eq!(of(r#"{"a": "yes"}"#), Some(Node::Text("yes".to_owned())));
        assert_eq!(of_json(&serde_json::json!({"a": "no"})).unwrap().text("a"), Some("no"));
        assert_eq!(of("'b': 1\na: \"yes\"\n"), Some(Node::Text("yes".to_owned())));
        assert_eq!(parse("on: 1\n").unwrap().get("on"), Some(&Node::Int(1)));
    }

    #[test]
    fn json_may_be_indented_with_tabs() {
        assert!(parse("{\n\t\"a\": \"\\/\"\n}").is_ok());
    }

    #[test]
    fn what_is_wrong_has_its_line() {
        assert_eq!(said("a: 1\nb: [1\n"), "/f: line 3: did not find expected ',' or ']'");
        assert!(said("{\n\"a\": 1,\n}").starts_with("/f: line 3: "), "{}", said("{\n\"a\": 1,\n}"));
        assert!(said("{\"a\": 1} x").contains("line 1"), "{}", said("{\"a\": 1} x"));
    }

    #[test]
    fn a_key_that_is_there_twice_is_refused_in_both() {
        assert_eq!(said("{\"a\": 1,\n\"a\": 2}"), "/f: line 2: has the key `a` twice");
        assert!(said("x: 1\na: 1\na: 2\n").contains("has the key `a` twice"), "{}", said("x: 1\na: 1\na: 2\n"));
    }

    #[test]
    fn small_documents_stay_small() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for level in 1..9 {
            let before = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", ")));
        }
        let problem = parse(&bomb).unwrap_err().problem;
        assert!(problem.contains("too large") || problem.contains("repetition"), "{problem}");
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), ["*a"; 100].join(", "));
        assert!(parse(&text).unwrap_err().problem.ends_with("is too large as a tree"));
    }

    #[test]
    fn deep_documents_are_refused_at_once() {
        for text in ["[".repeat(200_000), "{\"a\":".repeat(40_000), "- ".repeat(100_000), "? ".repeat(100_000)] {
            assert!(parse(&text).is_err());
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC{0,60}", marks in "[-{}\\[\\]:,&*!?|>#\"' \n\tab]{0,60}") {
            drop((parse(&text), parse(&marks)));
        }
    }
}
