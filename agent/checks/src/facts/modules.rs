//! Kernel modules: loaded, built in, on disk, and what `modprobe.d` makes of them.

mod modprobe;
mod tree;

use std::path::Path;

pub(crate) use self::modprobe::{Line, Modprobe};
pub(crate) use self::tree::Tree;
use crate::facts::{Facts, precedence};
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// The modules that are loaded.
pub(crate) const LOADED: &str = "/proc/modules";

/// The version of the running kernel.
const VERSION: &str = "/proc/sys/kernel/osrelease";

/// Most kernels on disk that are looked at. Distributions keep three.
const MAX_KERNELS: usize = 16;

/// Kernel modules: loaded, built in, on disk, and what `modprobe.d` makes of them.
#[derive(Debug)]
pub(crate) struct Modules {
    /// Those in the running kernel.
    pub(crate) loaded: Observed<Vec<Loaded>>,
    /// Those of the running kernel, or of each on disk where none runs; never empty.
    pub(crate) trees: Observed<Vec<Tree>>,
    /// What `modprobe.d` says.
    pub(crate) modprobe: Observed<Modprobe>,
}

/// A module in the running kernel.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Loaded {
    name: String,
    /// `Live`, `Loading` or `Unloading`.
    pub(crate) state: String,
}

impl Modules {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        Ok(Self { loaded: loaded(host), trees: trees(host), modprobe: modprobe(host) })
    }
}

/// The module of a list of those that are loaded.
pub(crate) fn find<'a>(loaded: &'a [Loaded], name: &str) -> Option<&'a Loaded> {
    loaded.iter().find(|module| same_name(&module.name, name))
}

/// `-` and `_` are the same in names of modules.
fn same_name(one: &str, other: &str) -> bool {
    let same = |(a, b): (u8, u8)| a == b || (matches!(a, b'-' | b'_') && matches!(b, b'-' | b'_'));
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(same)
}

fn loaded(host: &Host) -> Observed<Vec<Loaded>> {
    host.live("the loaded modules")?;
    // A kernel that cannot load modules has no such file, but it has a version.
    version(host)?;
    let path = Path::new(LOADED);
    let text = host.text(path)?.unwrap_or_default();
    parse(&text).map_err(|line| Unobserved::line(path, line, "is no module as the kernel lists it"))
}

/// Reads `/proc/modules` (proc_modules(5)): name, size, count, users, state, address. The error is the line, counted from 1.
fn parse(text: &str) -> Result<Vec<Loaded>, usize> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty());
    lines
        .map(|(at, line)| {
            let mut fields = line.split(' ');
            let (name, state) = (fields.next().unwrap_or_default(), fields.nth(3).ok_or(at + 1)?);
            Ok(Loaded { name: name.to_owned(), state: state.to_owned() })
        })
        .collect()
}

fn version(host: &Host) -> Observed<String> {
    let text = host.text(Path::new(VERSION))?.unwrap_or_default();
    let version = text.trim();
    if version.is_empty() || version.contains('/') || version.starts_with('.') {
        let why = format!("{VERSION}: does not say which kernel runs");
        return Err(Unobserved::new(Cause::Missing, why));
    }
    Ok(version.to_owned())
}

fn trees(host: &Host) -> Observed<Vec<Tree>> {
    let directories = if host.phase().is_live() {
        let version = version(host)?;
        tree::of_version(host, &version)?.into_iter().collect()
    } else {
        tree::of_all(host)?
    };
    if directories.is_empty() {
        let why = "/lib/modules: has no kernel's modules, so what is built in and what can be loaded cannot be told";
        return Err(Unobserved::new(Cause::Missing, why));
    }
    if directories.len() > MAX_KERNELS {
        return Err(Unobserved::new(Cause::TooMuch, format!("/lib/modules: has more than {MAX_KERNELS} kernels")));
    }
    directories.into_iter().map(|directory| Tree::read(host, directory)).collect()
}

fn modprobe(host: &Host) -> Observed<Modprobe> {
    let mut modprobe = Modprobe::default();
    for (path, text) in precedence::texts(host, "modprobe.d", &["conf"])? {
        modprobe.add(&path.display().to_string(), &text);
    }
    Ok(modprobe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_dash_and_underscore_are_the_same() {
        assert!(same_name("usb-storage", "usb_storage") && same_name("a", "a"));
        assert!(!same_name("usb-storage", "usbxstorage") && !same_name("usb", "usb_"));
    }

    #[test]
    fn a_line_has_its_state_in_the_fifth_field() {
        let text = "overlay 212992 2 - Live 0x0000000000000000\nx 1 0 y,z, Loading 0x0 (OE)\n";
        let modules = parse(text).unwrap();
        assert_eq!(find(&modules, "overlay").unwrap().state, "Live");
        assert_eq!(find(&modules, "x").unwrap().state, "Loading");
        assert!(find(&modules, "over").is_none());
        assert_eq!(parse("overlay 1 2 - Live\nx 1\n"), Err(2));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in "[a-z0-9 \\n-]{0,100}") {
            parse(&text).ok();
        }
    }
}
