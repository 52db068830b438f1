//! The paths and what is there.

use std::collections::BTreeMap;

/// Versions at `/`, oldest first (EC2 User Guide, "Use the instance metadata service": "List the available versions").
pub(super) const VERSIONS: [&str; 25] = [
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
];

/// The first version that knows `iam/`.
const FIRST_WITH_IAM: &str = "2012-01-12";

/// Documents by their path below a version, such as `meta-data/instance-id`.
#[derive(Debug, Default)]
pub(super) struct Tree(BTreeMap<String, String>);

/// Where a request leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The list of versions.
    Root,
    /// Below a version: the path without slashes at its ends.
    Below(String),
    Nowhere,
}

/// Reads a raw path: decoded once, slashes in a row taken as one, a last slash ignored. Case counts.
pub(super) fn place(raw: &str) -> Place {
    let Ok(decoded) = percent_encoding::percent_decode_str(raw).decode_utf8() else { return Place::Nowhere };
    let mut parts = decoded.split('/').filter(|part| !part.is_empty());
    let Some(version) = parts.next() else { return Place::Root };
    let parts: Vec<&str> = parts.collect();
    let known = version == "latest" || VERSIONS.contains(&version);
    // Numbers and dates sort as text.
    let too_old = version != "latest" && version < FIRST_WITH_IAM && parts.starts_with(&["meta-data", "iam"]);
    if known && !too_old { Place::Below(parts.join("/")) } else { Place::Nowhere }
}

impl Tree {
    pub(super) fn set(&mut self, path: &str, text: impl Into<String>) {
        self.0.insert(path.trim_matches('/').to_owned(), text.into());
    }

    pub(super) fn remove(&mut self, path: &str) {
        let path = path.trim_matches('/');
        self.0.remove(path);
        let below = format!("{path}/");
        self.0.retain(|found, _| !found.starts_with(&below));
    }

    /// A document, or the list of what is below a path, one a line.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        if let Some(text) = self.0.get(path) {
            return Some(text.clone());
        }
        let below = if path.is_empty() { String::new() } else { format!("{path}/") };
        let mut names: Vec<String> = Vec::new();
        for found in self.0.keys() {
            let Some(rest) = found.strip_prefix(&below) else { continue };
            let name = match rest.split_once('/') {
                // Below the version the service leaves the slash out.
                Some((directory, _)) if path.is_empty() => directory.to_owned(),
                Some((directory, _)) => format!("{directory}/"),
                None => rest.to_owned(),
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        (!names.is_empty()).then(|| names.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_decoded_once_and_slashes_count_once() {
        let below = |path: &str| Place::Below(path.to_owned());
        assert_eq!(place("/"), Place::Root);
        assert_eq!(place("//latest//meta-data//"), below("meta-data"));
        assert_eq!(place("/2021-03-23/meta-data/%69am"), below("meta-data/iam"));
        assert_eq!(place("/latest/meta-data/%2569am"), below("meta-data/%69am"));
        assert_eq!(place("/2011-05-01/meta-data/iam/info"), Place::Nowhere);
        assert_eq!(place("/1.0/meta-data/iam"), Place::Nowhere);
        assert_eq!(place("/Latest/meta-data"), Place::Nowhere);
        assert_eq!(place("/2222-01-01/meta-data"), Place::Nowhere);
    }

    #[test]
    fn lists_have_slashes_after_directories_but_not_below_the_version() {
        let mut tree = Tree::default();
        tree.set("meta-data/placement/region", "r");
        tree.set("meta-data/instance-id", "i");
        tree.set("user-data", "u");
        assert_eq!(tree.read("").unwrap(), "meta-data\nuser-data");
        assert_eq!(tree.read("meta-data").unwrap(), "instance-id\nplacement/");
        tree.remove("meta-data/placement");
        assert_eq!(tree.read("meta-data/placement"), None);
    }
}
