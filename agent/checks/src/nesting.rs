//! Pure: how deep the brackets of a YAML document can be, told without reading it as YAML.
//!
//! The reader that we use does work for each token that grows with the number of open brackets: a hundred thousand of them take it
//! minutes, before it looks whether they are too many. So they are counted first. To read quotes and comments exactly is to read YAML;
//! here a closing bracket only counts where it is certain to be one, so that the count is never too small.

/// What a text in quotes can stand behind, blanks aside. Behind a quote it is the same text going on (`'it''s'`), or a mistake.
const BEGINS: [char; 10] = ['[', '{', ',', ':', '-', '?', ']', '}', '"', '\''];

/// At least as many brackets as are ever open at once.
pub(crate) fn deepest(text: &str) -> usize {
    let (mut open, mut deepest) = (0_usize, 0_usize);
    // Once a quote has not ended on its line, nothing that closes is certain any more.
    let mut certain = true;
    for line in text.lines() {
        let mut within = Within::Plain;
        // What stands before a character, blanks aside.
        let mut before = '-';
        let mut tagged = false;
        let mut escaped = false;
        for c in line.chars() {
            match (within, c) {
                (_, '[' | '{') => open += 1,
                (Within::Plain, ']' | '}') if certain && !tagged => open = open.saturating_sub(1),
                (Within::Plain, '"' | '\'') if BEGINS.contains(&before) => {
                    within = Within::Quotes(c);
                }
                (Within::Quotes('"'), '\\') => escaped = !escaped,
                (Within::Quotes(quote), _) if c == quote && !escaped => within = Within::Plain,
                (Within::Plain, '#') => within = Within::Comment,
                // Behind a tag a quote begins a text too.
                (Within::Plain, '!') => tagged = true,
                _ => {}
            }
            escaped &= c == '\\';
            before = if c.is_ascii_whitespace() { before } else { c };
            deepest = deepest.max(open);
        }
        certain &= !matches!(within, Within::Quotes(_));
    }
    deepest
}

/// What a character stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    Plain,
    Quotes(char),
    Comment,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_people_write_is_counted_as_it_is() {
        for (text, depth) in [
            ("a: b", 0),
            ("a: {b: [c, {d: e}], f: [g]}", 3),
            ("- sshd: {option: A, value: {is: \"no\"}}\n".repeat(1000).as_str(), 2),
            ("- {a: 'it''s', b: \"x\\\"y\"}\n".repeat(1000).as_str(), 1),
            ("why: the kubelet's [Service] and \"so\" on\n".repeat(1000).as_str(), 1),
            ("{\"a\": {\"b\": [\"c\", \"d\"]},\n\"e\": []}", 3),
        ] {
            assert_eq!(deepest(text), depth, "{text}");
        }
    }

    /// Prose with apostrophes, sections of unit files in remedies, comments: none of it adds up.
    #[test]
    fn what_we_ship_is_counted_as_it_is() {
        assert_eq!(deepest(include_str!("../policies/cis-eks-1.8.0.yaml")), 2);
        assert_eq!(deepest(include_str!("../policies/cis-kubernetes-1.12-worker.yaml")), 2);
        assert_eq!(deepest(include_str!("../policies/eks-node-hardening.yaml")), 3);
    }

    /// Closing brackets that are none do not hide those that are open.
    #[test]
    fn closing_brackets_in_texts_and_comments_close_nothing() {
        let tricks = [
            "[\"]\", ",
            "['] ', ",
            "[a, #]\n",
            "[\"\n]\n\", ",
            "[!t \"]\", ",
            "[\"\\\"]\", ",
            "[? \"]\" : x, ",
            "[\"a\\\\\", \"]\", ",
            "['a''], ', ",
            "[{\"a\":\"]\"}, ",
        ];
        for trick in tricks {
            assert!(deepest(&trick.repeat(1000)) >= 1000, "{trick}");
        }
    }

    /// The depth of a list as the reader sees it.
    fn depth(value: &serde_yaml_ng::Value) -> usize {
        match value {
            serde_yaml_ng::Value::Sequence(list) => 1 + list.iter().map(depth).max().unwrap_or_default(),
            serde_yaml_ng::Value::Mapping(map) => {
                1 + map.iter().map(|(key, value)| depth(key).max(depth(value))).max().unwrap_or_default()
            }
            serde_yaml_ng::Value::Tagged(tagged) => depth(&tagged.value),
            _ => 0,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        /// Whatever the reader reads of flow style, it is never deeper than was counted.
        #[test]
        fn the_count_is_never_too_small(
            pieces in prop::collection::vec(
                prop::sample::select(vec![
                    "[", "[", "[", "]", "{a: ", "}", ", ", ",", "\"", "'", "\\", "#", " #", "\n", "x", ": ", "? ", "!t ", "-", " ", "''", "\u{85}",
                ]),
                0..24,
            )
        ) {
            let text = format!("[{}", pieces.concat());
            if let Ok(value) = serde_yaml_ng::from_str::<serde_yaml_ng::Value>(&text) {
                // A pair in a list (`[a: b]`) is a map without a bracket.
                let implicit = text.matches(':').count() + text.matches('?').count();
                prop_assert!(deepest(&text) + implicit >= depth(&value), "{text}");
            }
        }
    }
}
