//! Names of accounts become the numbers that files have.

use std::path::Path;

use crate::host::Host;
use crate::observed::Observed;

/// Users of the host.
pub(super) const USERS: &str = "/etc/passwd";

/// Groups of the host.
pub(super) const GROUPS: &str = "/etc/group";

/// The number of a user or group of the host; `None` if it has none of that name. What is a number already stays one, and `root`
/// is 0 whatever the host calls it: the kernel goes by the number (kube-bench took an owner `xroot:root` for `root:root`).
///
/// # Errors
/// If the host's accounts cannot be read.
pub(super) fn number(host: &Host, accounts: &str, name: &str) -> Observed<Option<u32>> {
    if name == "root" {
        return Ok(Some(0));
    }
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let text = host.text(Path::new(accounts))?.unwrap_or_default();
    Ok(find(&text, name))
}

/// Pure: the third field of the line whose first is the name.
fn find(text: &str, name: &str) -> Option<u32> {
    let mut lines = text.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| if fields.next() == Some(name) { fields.nth(1)?.parse().ok() } else { None })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_is_a_whole_field() {
        let text = "xroot:x:0:0\nbroken\nadm:x:4:syslog\nadm:x:5:\n";
        assert_eq!(find(text, "adm"), Some(4));
        assert_eq!(find(text, "xroot"), Some(0));
        for name in ["root", "ad", "broken", "", "x"] {
            assert_eq!(find(text, name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a:0-9\n\\PC]{0,60}", name in "\\PC{0,5}") {
            prop_assert!(find(&text, &name).is_none() || text.contains(&name));
        }
    }
}
