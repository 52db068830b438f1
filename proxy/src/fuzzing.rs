//! Doors for the fuzz targets in `fuzz/`: what reads bytes that others wrote. Only with the feature `fuzzing`; no part of the API.

use crate::cni::CniResult;
use crate::path::{Forwarded, Route, route};
use crate::role::{RoleArn, RoleBase};

/// The path of a request: nothing of the node's own is forwarded, though the settings would forward everything.
///
/// # Panics
/// If the router is wrong.
pub fn path(text: &str) {
    let everything = Forwarded::new(&["*".to_owned()]);
    if let Route::Forward(to) = route(text, &everything) {
        let lower = to.to_ascii_lowercase();
        let mut steps = lower.split('/').skip(2);
        assert_eq!(steps.next(), Some("meta-data"), "{to}");
        let first = steps.next().unwrap_or_default();
        assert!(!["iam", "identity-credentials", "managed-ssh-keys", "public-keys"].contains(&first), "{to}");
        let harmless = to.bytes().all(|b| b.is_ascii_graphic() && b != b'%' && b != b'\\');
        assert!(harmless && !to.contains("//") && !to.split('/').any(|step| step == ".."), "{to}");
        // Read again, it means the same: the node's service and this one agree.
        assert_eq!(route(&to, &everything), Route::Forward(to.clone()));
    }
}

/// The text of an annotation that names a role: what is accepted is an ARN, and comes back as it was.
///
/// # Panics
/// If the grammar is wrong.
pub fn role(text: &str) {
    let Ok(base) = RoleBase::of_account("aws", "123456789012") else { return };
    if let Ok(role) = base.role(text) {
        assert!(role.as_str().bytes().all(|b| b.is_ascii_graphic()));
        assert_eq!(base.role(base.shown(&role)).as_ref(), Ok(&role));
        assert_eq!(RoleArn::new(role.as_str()).as_ref(), Ok(&role));
    }
}

/// A file of the CNI's result cache.
pub fn cni_result(bytes: &[u8]) {
    drop(CniResult::parse("file", bytes));
}
