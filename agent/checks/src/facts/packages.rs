//! Installed packages, of the rpm or the dpkg database.
//!
//! Of each package no more is kept than its name and version: databases are large, and the agent is small.

mod bytes;
mod dpkg;
mod rpm;

use crate::facts::Facts;
use crate::observed::{Cause, Observed, Unobserved};

#[cfg(feature = "fuzzing")]
pub(crate) use rpm::fuzz_header as rpm_header;

/// Most packages; distributions install a few hundred, desktops a few thousand.
const MAX_PACKAGES: usize = 50_000;

/// What is installed.
#[derive(Debug)]
pub(crate) struct Packages {
    /// The databases that were read, for evidence.
    pub(crate) databases: String,
    /// Sorted by name. A name may be there more than once: kernels are.
    list: Vec<Package>,
}

/// An installed package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    /// As the distribution spells it.
    pub(crate) name: Box<str>,
    /// `epoch:version-release`, the epoch only if there is one.
    pub(crate) version: Box<str>,
    /// Whether all of it is there: dpkg may have stopped halfway.
    pub(crate) whole: bool,
}

impl Packages {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        let (mut databases, mut list) = (Vec::new(), Vec::new());
        for found in [rpm::read(host)?, dpkg::read(host)?] {
            let Some((path, mut packages)) = found else { continue };
            if !packages.is_empty() {
                databases.push(format!("{path}, {} packages", packages.len()));
            }
            list.append(&mut packages);
        }
        // A host without any package has its packages elsewhere: nothing can be said of what is not installed.
        if list.is_empty() {
            return Err(Unobserved::new(Cause::Missing, "no package database of rpm or dpkg that lists a package"));
        }
        list.sort_unstable();
        Ok(Self { databases: databases.join("; "), list })
    }

    /// The packages of a name.
    pub(crate) fn named(&self, name: &str) -> &[Package] {
        let from = self.list.partition_point(|package| *package.name < *name);
        let rest = self.list.get(from..).unwrap_or_default();
        rest.get(..rest.partition_point(|package| *package.name == *name)).unwrap_or_default()
    }
}
