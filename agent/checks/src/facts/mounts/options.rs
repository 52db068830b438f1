//! Mount options as they end up: of words that contradict each other, the last.

use std::collections::HashSet;
use std::fmt;

/// A set of options, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options(Vec<String>);

/// What `user` and `users` mean beside themselves (mount(8)).
const OF_USERS: [&str; 3] = ["noexec", "nosuid", "nodev"];

/// What `owner` and `group` mean beside themselves (mount(8)).
const OF_OWNERS: [&str; 2] = ["nosuid", "nodev"];

impl Options {
    /// Reads `nosuid,size="1,5M",…`. `defaults` says nothing.
    pub(crate) fn parse(text: &str) -> Self {
        Self::settle(words(text).collect())
    }

    /// What a file system is mounted with: the mount's own options, and those of the file system as a whole. It can be written
    /// to only if both say so.
    pub(crate) fn of_mount(own: &str, whole: &str) -> Self {
        let both: Vec<&str> = words(own).chain(words(whole)).collect();
        let access = if both.contains(&"ro") { "ro" } else { "rw" };
        Self::settle(both.into_iter().chain([access]).collect())
    }

    /// Whether this very word is among them.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.0.iter().any(|own| own == word)
    }

    /// Leaves the last of the words that decide the same.
    fn settle(words: Vec<&str>) -> Self {
        let words: Vec<&str> = words.into_iter().flat_map(|word| implied(word).iter().copied().chain([word])).collect();
        let mut decided = HashSet::with_capacity(words.len());
        let mut last: Vec<String> =
            words.iter().rev().filter(|word| decided.insert(decides(word))).map(|word| (*word).to_owned()).collect();
        last.reverse();
        Self(last)
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let words = text.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    words.filter(|word| !matches!(*word, "" | "defaults"))
}

/// What a word means beside itself.
fn implied(word: &str) -> &'static [&'static str] {
    match word {
        "user" | "users" => &OF_USERS,
        "owner" | "group" => &OF_OWNERS,
        _ => &[],
    }
}

/// What a word decides, so that a later one takes its place: `nodev` and `dev` decide the same, and so do `size=1G` and `size=2G`.
fn decides(word: &str) -> (&str, bool) {
    match word {
        "ro" => ("rw", false),
        _ => match word.split_once('=') {
            Some((key, _)) => (key, true),
            None => (word.strip_prefix("no").unwrap_or(word), false),
        },
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_contradicting_words_the_last_counts() {
        for (text, expected) in [
            ("defaults", ""),
            ("", ""),
            ("defaults,nosuid,,nodev", "nosuid,nodev"),
            ("noexec,exec", "exec"),
            ("exec,noexec", "noexec"),
            ("ro,rw", "rw"),
            ("nodev,nodev", "nodev"),
            ("size=1G,size=2G", "size=2G"),
            ("user", "noexec,nosuid,nodev,user"),
            ("user,exec", "nosuid,nodev,user,exec"),
            ("owner", "nosuid,nodev,owner"),
            ("context=\"u:o:t:s0,c1\",nodev", "context=\"u:o:t:s0,c1\",nodev"),
        ] {
            assert_eq!(Options::parse(text).to_string(), expected, "{text}");
        }
    }

    /// A word that has another in it is not that word (the kind of match that aquasecurity/kube-bench makes).
    #[test]
    fn words_are_compared_as_a_whole() {
        let options = Options::parse("xnodev,nodevx,x-systemd.nosuid");
        assert!(!options.has("nodev") && !options.has("nosuid") && !options.has(""));
    }

    #[test]
    fn a_mount_is_writable_if_it_and_its_file_system_are() {
        let of = |own, whole| Options::of_mount(own, whole).has("rw");
        assert!(of("rw,nodev", "rw,size=1G"));
        assert!(!of("rw", "ro") && !of("ro", "rw") && !of("ro", "ro"));
        assert!(Options::of_mount("ro", "rw").has("ro"));
    }

    #[test]
    fn very_many_words_take_no_longer_than_their_number() {
        let text: String = (0..200_000).map(|n| format!("{n},")).collect();
        assert!(Options::parse(&text).has("199999"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_is_its_own_meaning(text in ".{0,60}") {
            let once = Options::parse(&text);
            proptest::prop_assert_eq!(&Options::parse(&once.to_string()), &once);
        }
    }
}
