//! Names of kernel parameters.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::facts::glob;

/// A name or a pattern of names, as its path below `/proc/sys`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(String);

impl Key {
    /// Reads a name by the rule of sysctl.d(5): if a dot comes first, dots separate and slashes are dots in names, such as that
    /// of an interface (`net.ipv4.conf.eth0/1.rp_filter`); if a slash comes first, everything is as in the path.
    pub(crate) fn parse(text: &str) -> Self {
        let dots_separate = text.find(['.', '/']).is_some_and(|at| text.as_bytes().get(at) == Some(&b'.'));
        let path = if dots_separate { swap(text) } else { text.to_owned() };
        Self(path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
    }

    /// Where its value is; `None` if it would lead somewhere else.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let leads_away = |part: &str| part.is_empty() || part == "." || part == "..";
        (!self.parts().any(leads_away)).then(|| Path::new("/proc/sys").join(&self.0))
    }

    /// Whether it stands for more than itself.
    pub(crate) fn is_pattern(&self) -> bool {
        glob::is_pattern(&self.0)
    }

    /// Whether a name is one of those that this stands for.
    pub(crate) fn matches(&self, name: &Self) -> bool {
        self.same_length(name) && self.parts().zip(name.parts()).all(|(own, part)| glob::matches(own, part))
    }

    /// Whether this stands for all that another pattern stands for.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        let part = |own: &str, part: &str| if part == "*" { own == "*" } else { glob::matches(own, part) };
        self.same_length(other) && self.parts().zip(other.parts()).all(|(own, other)| part(own, other))
    }

    /// The kind of namespace (as in `/proc/PID/ns`) that has a value of its own for it.
    pub(crate) fn namespace(&self) -> Option<&'static str> {
        let mut parts = self.parts();
        match (parts.next()?, parts.next()?) {
            ("net", _) => Some("net"),
            ("user", _) => Some("user"),
            ("kernel", "hostname" | "domainname") => Some("uts"),
            ("kernel", "sem" | "shmall" | "shmmax" | "shmmni" | "shm_rmid_forced") => Some("ipc"),
            ("kernel", "msgmax" | "msgmnb" | "msgmni") | ("fs", "mqueue") => Some("ipc"),
            _ => None,
        }
    }

    /// The name that new interfaces take their value from: for a pattern that stands for every interface of IPv4. Those that
    /// are there already take it too, as long as nothing set their own (`devinet_copy_dflt_conf` in the kernel); with IPv6
    /// they do not.
    pub(crate) fn inherited(&self) -> Option<Self> {
        let parts: Vec<&str> = self.parts().collect();
        match parts.as_slice() {
            ["net", "ipv4", "conf", "*", name] => Some(Self(format!("net/ipv4/conf/default/{name}"))),
            _ => None,
        }
    }

    /// Its parts: the names of directories, and of a file.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// With one more part.
    pub(crate) fn join(&self, part: &str) -> Self {
        Self(if self.0.is_empty() { part.to_owned() } else { format!("{}/{part}", self.0) })
    }

    /// The name without parts, which every other begins with.
    pub(crate) fn root() -> Self {
        Self(String::new())
    }

    fn same_length(&self, other: &Self) -> bool {
        self.parts().count() == other.parts().count()
    }
}

/// Makes dots of slashes and slashes of dots.
fn swap(text: &str) -> String {
    let other = |c| match c {
        '.' => '/',
        '/' => '.',
        c => c,
    };
    text.chars().map(other).collect()
}

/// With dots between its parts.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&swap(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_separator_says_what_the_others_are() {
        for (text, path, shown) in [
            ("kernel.domainname", "kernel/domainname", "kernel.domainname"),
            ("kernel/domainname", "kernel/domainname", "kernel.domainname"),
            (
                "net.ipv4.conf.enp3s0/200.forwarding",
                "net/ipv4/conf/enp3s0.200/forwarding",
                "net.ipv4.conf.enp3s0/200.forwarding",
            ),
            (
                "net/ipv4/conf/enp3s0.200/forwarding",
                "net/ipv4/conf/enp3s0.200/forwarding",
                "net.ipv4.conf.enp3s0/200.forwarding",
            ),
            ("/net//ipv4", "net/ipv4", "net.ipv4"),
            ("plain", "plain", "plain"),
            ("", "", ""),
        ] {
            let key = Key::parse(text);
            assert_eq!((key.0.as_str(), key.to_string().as_str()), (path, shown), "{text}");
        }
    }

    #[test]
    fn a_name_that_leads_out_of_proc_sys_has_no_path() {
        assert!(Key::parse("kernel/../../etc/shadow").path().is_none());
        assert!(Key::parse("").path().is_none());
        assert_eq!(Key::parse("kernel.x").path(), Some(PathBuf::from("/proc/sys/kernel/x")));
    }

    #[test]
    fn a_star_stands_for_one_part() {
        let matches = |pattern: &str, name: &str| Key::parse(pattern).matches(&Key::parse(name));
        assert!(matches("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0.rp_filter"));
        assert!(matches("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0/1.rp_filter"));
        assert!(!matches("net.ipv4.*.rp_filter", "net.ipv4.conf.eth0.rp_filter"));
        assert!(!matches("net.ipv4.conf.*.rp_filter", "net.ipv4.conf.eth0.rp_filter2"));
    }

    #[test]
    fn a_pattern_covers_one_that_is_not_wider() {
        let covers = |pattern: &str, other: &str| Key::parse(pattern).covers(&Key::parse(other));
        assert!(covers("net.ipv4.conf.*.x", "net.ipv4.conf.*.x"));
        assert!(covers("net.*.conf.*.x", "net.ipv4.conf.*.x"));
        assert!(!covers("net.ipv4.conf.e*.x", "net.ipv4.conf.*.x"));
        assert!(!covers("net.ipv4.conf.?.x", "net.ipv4.conf.*.x"));
    }

    proptest::proptest! {
        #[test]
        fn never_panics_and_is_read_again_as_itself(text in "[a-z./*\\[\\]]{0,30}") {
            let key = Key::parse(&text);
            key.path();
            key.namespace();
            proptest::prop_assert!(key.covers(&key) || key.is_pattern());
            // What is shown means the same, unless the first part has a dot: then a name has no other form than its path.
            if key.parts().next().is_some_and(|first| !first.contains('.')) {
                proptest::prop_assert_eq!(Key::parse(&key.to_string()), key);
            }
        }
    }
}
