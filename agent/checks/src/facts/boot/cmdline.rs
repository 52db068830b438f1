//! A command line of the kernel (`Documentation/admin-guide/kernel-parameters.rst`).

/// Its parameters, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CommandLine(Vec<(String, String)>);

impl CommandLine {
    /// Reads one line. Double quotes hold words together; what comes behind `--` is for init.
    pub(crate) fn parse(text: &str) -> Self {
        let mut quoted = false;
        let words = text.split(|c: char| {
            quoted ^= c == '"';
            c.is_ascii_whitespace() && !quoted
        });
        let words = words.map(|word| word.replace('"', "")).filter(|word| !word.is_empty());
        Self(words.take_while(|word| word != "--").map(|word| parameter(&word)).collect())
    }

    /// The value of a parameter; the last one counts. One without `=` has the empty text. `-` and `_` are the same.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let name = name.replace('-', "_");
        self.0.iter().rfind(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }
}

fn parameter(word: &str) -> (String, String) {
    let (name, value) = word.split_once('=').unwrap_or((word, ""));
    (name.replace('-', "_"), value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_equal_names_counts() {
        let line = CommandLine::parse("BOOT_IMAGE=/vmlinuz ro audit=0 quiet audit=1\n");
        assert_eq!(line.value("audit"), Some("1"));
        assert_eq!(line.value("quiet"), Some(""));
        assert_eq!(line.value("audi"), None);
    }

    #[test]
    fn dash_and_underscore_are_the_same_in_names_alone() {
        let line = CommandLine::parse("audit-backlog-limit=8-192");
        assert_eq!(line.value("audit_backlog_limit"), Some("8-192"));
        assert_eq!(line.value("audit-backlog_limit"), Some("8-192"));
    }

    #[test]
    fn quotes_hold_words_together_and_what_is_for_init_is_none_of_the_kernels() {
        let line = CommandLine::parse("a=\"x audit=1 y\" \"b=1 2\" c= -- audit=1");
        assert_eq!(line.value("audit"), None);
        assert_eq!(line.value("a"), Some("x audit=1 y"));
        assert_eq!(line.value("b"), Some("1 2"));
        assert_eq!(line.value("c"), Some(""));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-z=\" -]{0,80}") {
            CommandLine::parse(&text).value("a");
        }
    }
}
