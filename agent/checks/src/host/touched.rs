//! Which files something rests on.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The paths that were asked for on the way to something, directly and by way of facts. Many rules ask for the same fact, and facts ask
/// for others: their paths are shared, never copied. To compare paths is what costs most of a look after a change.
#[derive(Debug, Clone, Default)]
pub(crate) struct Touched {
    own: BTreeSet<PathBuf>,
    shared: Vec<Arc<Touched>>,
}

impl Touched {
    /// One more path.
    pub(super) fn add(&mut self, path: &Path) {
        if !self.own.contains(path) {
            self.own.insert(path.to_owned());
        }
    }

    /// All that something else rests on.
    pub(super) fn share(&mut self, other: Arc<Self>) {
        if !self.shared.iter().any(|one| Arc::ptr_eq(one, &other)) {
            self.shared.push(other);
        }
    }

    /// Whether one of these changes matters to whoever asked.
    pub(crate) fn concerns(&self, changed: &BTreeSet<PathBuf>) -> bool {
        changed.iter().any(|path| concerns(&self.own, path)) || self.shared.iter().any(|other| other.concerns(changed))
    }

    /// Every path. What is shared is looked at once.
    pub(super) fn into_paths(self) -> BTreeSet<PathBuf> {
        let mut paths = self.own;
        let (mut waiting, mut seen) = (self.shared, BTreeSet::new());
        while let Some(next) = waiting.pop() {
            if seen.insert(Arc::as_ptr(&next)) {
                paths.extend(next.own.iter().cloned());
                waiting.extend(next.shared.iter().cloned());
            }
        }
        paths
    }
}

/// Whether a path that changed matters to whoever asked for these: it is one of them, it is in a directory that is one of them,
/// or one of them is below it.
pub(crate) fn concerns(touched: &BTreeSet<PathBuf>, path: &Path) -> bool {
    let below = || {
        touched
            .range::<Path, _>((Bound::Included(path), Bound::Unbounded))
            .next()
            .is_some_and(|one| one.starts_with(path))
    };
    below() || path.parent().is_some_and(|dir| touched.contains(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths<const N: usize>(paths: [&str; N]) -> BTreeSet<PathBuf> {
        paths.map(PathBuf::from).into()
    }

    #[test]
    fn a_change_concerns_the_file_its_directory_and_what_is_below_it_and_nothing_beside() {
        let touched = paths(["/etc/audit/rules.d", "/etc/passwd", "/var/lib/rpm/rpmdb.sqlite"]);
        for path in ["/etc/passwd", "/etc/audit/rules.d/10.rules", "/etc/audit", "/var/lib/rpm", "/etc"] {
            assert!(concerns(&touched, Path::new(path)), "{path}");
        }
        for path in ["/etc/passwd-", "/etc/audit-old", "/etc/audit/audit.rules", "/var/lib/dpkg", "/usr"] {
            assert!(!concerns(&touched, Path::new(path)), "{path}");
        }
    }

    #[test]
    fn what_is_shared_matters_however_deep_it_lies() {
        let (mut units, mut kubelet, mut rule) = (Touched::default(), Touched::default(), Touched::default());
        units.add(Path::new("/etc/systemd/system"));
        let units = Arc::new(units);
        kubelet.add(Path::new("/etc/kubernetes/kubelet.conf"));
        kubelet.share(units.clone());
        rule.share(Arc::new(kubelet));
        rule.share(units.clone());
        rule.share(units);
        assert_eq!(rule.shared.len(), 2);
        assert!(rule.concerns(&paths(["/etc/hosts", "/etc/systemd/system/kubelet.service"])));
        assert!(!rule.concerns(&paths(["/etc/hosts"])));
        assert_eq!(rule.into_paths(), paths(["/etc/kubernetes/kubelet.conf", "/etc/systemd/system"]));
    }
}
