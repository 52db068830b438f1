//! Packages, installed or not.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::observed::{Cause, Unobserved};
use crate::verdict::{Evidence, Verdict};

/// Packages and whether they have to be there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Names, as the distributions spell them; the first that is installed counts as the package.
    pub names: Vec<String>,
    /// Whether one of them has to be installed, or none may be.
    pub installed: bool,
}

/// Most packages that evidence names.
const MAX_LISTED: usize = 20;

impl Package {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        Verdict::about(facts.packages(), |packages| {
            let found: Vec<_> = self.names.iter().flat_map(|name| packages.named(name)).collect();
            if let Some(part) = found.iter().find(|package| !package.whole)
                && !found.iter().any(|package| package.whole)
            {
                let why = format!("{}: {} is there in part: dpkg was cut short", packages.databases, part.name);
                return Verdict::unknown(Unobserved::new(Cause::Changing, why));
            }
            let holds = found.is_empty() != self.installed;
            let names = self.names.join(", ");
            let expected = if self.installed { format!("one of: {names}") } else { format!("none of: {names}") };
            let seen = found.iter().take(MAX_LISTED).map(|package| format!("{} {}", package.name, package.version));
            let seen = if found.is_empty() { "none of them".to_owned() } else { seen.collect::<Vec<_>>().join(", ") };
            Verdict::of(Evidence::new(packages.databases.as_str(), seen, expected, holds))
        })
    }
}

#[cfg(test)]
mod tests;
