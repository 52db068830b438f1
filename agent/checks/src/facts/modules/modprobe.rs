//! What `modprobe.d` says of modules (modprobe.d(5)).

use super::same_name;
use crate::facts::glob;

/// Programs that do nothing: a module that is "installed" by one of them is not loaded. The words are those that benchmarks
/// give, with the names that these programs have where `/bin` is `/usr/bin`.
const NOTHING: [&str; 6] = ["/bin/true", "/bin/false", "/usr/bin/true", "/usr/bin/false", "true", "false"];

/// The lines that decide whether a module can be loaded.
#[derive(Debug, Default)]
pub(crate) struct Modprobe {
    installs: Vec<Line>,
    blacklists: Vec<Line>,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// The module, or for `install` a pattern of modules.
    name: String,
    /// What is done in place of loading it; empty for `blacklist`.
    pub(crate) command: String,
    /// The file and the line.
    pub(crate) source: String,
}

impl Line {
    /// Whether its command does nothing and nothing comes behind it.
    pub(crate) fn does_nothing(&self) -> bool {
        let mut words = self.command.split_ascii_whitespace();
        let program = words.next().is_some_and(|program| NOTHING.contains(&program));
        program && words.next().is_none_or(|word| word.starts_with('#'))
    }
}

impl Modprobe {
    /// Takes in the next file. Lines that modprobe does not know it leaves out.
    pub(crate) fn add(&mut self, path: &str, text: &str) {
        let mut lines = text.lines().enumerate();
        while let Some((at, line)) = lines.next() {
            let mut line = line.to_owned();
            while line.ends_with('\\') {
                line.pop();
                line.push_str(lines.next().map_or("", |(_, next)| next));
            }
            let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
            let (Some(verb), Some(name)) = (words.next(), words.next()) else { continue };
            let command = words.collect::<Vec<_>>().join(" ");
            let line = Line { name: name.to_owned(), command, source: format!("{path} line {}", at + 1) };
            match verb {
                "install" if !line.command.is_empty() => self.installs.push(line),
                "blacklist" => self.blacklists.push(line),
                _ => {}
            }
        }
    }

    /// The line that says what is done in place of loading a module: the first that fits counts.
    pub(crate) fn install(&self, name: &str) -> Option<&Line> {
        let name = name.replace('-', "_");
        self.installs.iter().find(|line| glob::matches(&outside_sets(&line.name), &name))
    }

    /// A line that keeps a module from being loaded by an alias, that is for a device or a protocol. By its own name it still is.
    pub(crate) fn blacklist(&self, name: &str) -> Option<&Line> {
        self.blacklists.iter().find(|line| same_name(&line.name, name))
    }
}

/// A pattern with `_` for `-`, but for those between brackets, which make a range.
fn outside_sets(pattern: &str) -> String {
    let mut within = false;
    let one = |c| {
        within = (within || c == '[') && c != ']';
        if c == '-' && !within { '_' } else { c }
    };
    pattern.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modprobe(text: &str) -> Modprobe {
        let mut modprobe = Modprobe::default();
        modprobe.add("x", text);
        modprobe
    }

    #[test]
    fn the_first_install_line_that_fits_counts() {
        let modprobe = modprobe("install usb-storage /bin/false\ninstall usb_storage /sbin/modprobe -i usb-storage\n");
        let line = modprobe.install("usb_storage").unwrap();
        assert_eq!((line.command.as_str(), line.source.as_str()), ("/bin/false", "x line 1"));
        assert!(modprobe.install("usb").is_none());
    }

    #[test]
    fn only_a_command_that_does_nothing_keeps_a_module_out() {
        for (command, nothing) in [
            ("/bin/false", true),
            ("/bin/true", true),
            ("/usr/bin/false", true),
            ("/bin/false # CIS 1.1.1.1", true),
            ("/bin/false || modprobe -i x", false),
            ("/bin/true; insmod x.ko", false),
            ("/bin/falsehood", false),
            ("/sbin/modprobe --ignore-install x", false),
            ("echo /bin/false", false),
        ] {
            let modprobe = modprobe(&format!("install x {command}\n"));
            assert_eq!(modprobe.install("x").unwrap().does_nothing(), nothing, "{command}");
        }
    }

    #[test]
    fn lines_go_on_behind_a_backslash_and_comments_say_nothing() {
        let modprobe = modprobe(
            "# install a /bin/false\n#install a /bin/false\n  \ninstall b \\\n /bin/false\n\
             blacklist\tc-d\noptions e x=1\nalias f g\ninstall h\nblacklist\n",
        );
        assert!(modprobe.install("a").is_none() && modprobe.install("h").is_none());
        assert_eq!(modprobe.install("b").unwrap().source, "x line 4");
        assert_eq!(modprobe.blacklist("c_d").unwrap().source, "x line 6");
        assert!(modprobe.blacklist("c").is_none());
    }

    #[test]
    fn an_install_line_may_have_a_pattern() {
        let modprobe = modprobe("install ip6-* /bin/true\ninstall x[a-c] /bin/true\n");
        assert!(modprobe.install("ip6_tables").is_some());
        assert!(modprobe.install("xb").is_some() && modprobe.install("xd").is_none());
    }

    #[test]
    fn a_very_long_line_takes_no_longer_than_its_length() {
        let modprobe = modprobe(&format!("install x /bin/false {}\n", "#\\\n".repeat(200_000)));
        assert!(modprobe.install("x").unwrap().does_nothing());
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "(install|blacklist|[a-z\\[\\]*/\\\\ \\n\\t-]){0,40}") {
            let modprobe = modprobe(&text);
            modprobe.install("a-b");
            modprobe.blacklist("a-b");
        }
    }
}
