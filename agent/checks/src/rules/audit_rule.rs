//! A rule of the audit system, as `auditctl` would load it from disk.

mod coverage;

use std::path::Path;

use safeguard_host::Kind;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::audit::rule::{Field, field};
use crate::facts::{Audit, Facts};
use crate::observed::{Cause, Observed, Unobserved};
use crate::verdict::{Evidence, Truth, Verdict};
use coverage::{Covered, Wanted, What, covered, grouped};

/// One rule that has to be there. Either `watch`, or `syscalls`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditRule {
    /// A path that is watched: `-w PATH -p PERMISSIONS`, or its spelling as `-F path=`/`-F dir=` with `-F perm=`. A watch on a directory above covers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// Accesses that the watch has to record: letters of `rwxa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// System calls, each of which has to be recorded on exit, for every architecture in `architectures`; they may be spread over several rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<String>,
    /// `b64`, `b32`; both by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    /// Fields that the rule may have and no others that narrow it (`auid>=1000`, `auid!=unset`, `key=...` never narrows).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Whether the last rule has to make the configuration immutable (`-e 2`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub immutable: Option<bool>,
}

/// Architectures where the policy names none.
const ARCHITECTURES: &[&str] = &["b64", "b32"];

impl AuditRule {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        Verdict::about(facts.audit(), |audit| self.decide(facts, audit).unwrap_or_else(Verdict::unknown))
    }

    fn decide(&self, facts: &Facts<'_>, audit: &Audit) -> Observed<Verdict> {
        let mut verdicts = Vec::new();
        if let Some(wanted) = self.immutable {
            verdicts.push(immutable(audit, wanted));
        }
        let fields = self.fields.iter().map(|text| field(text)).collect::<Result<Vec<_>, _>>();
        let fields =
            fields.map_err(|problem| Unobserved::new(Cause::Parse, format!("the policy's fields: {problem}")))?;
        let whats = self.whats(facts)?;
        if !whats.is_empty() {
            verdicts.push(match &audit.enabled {
                Some((0, source)) => {
                    Verdict::of(Evidence::new(source.as_str(), "auditing is off (-e 0)", self.expected(), false))
                }
                _ => self.coverage(audit, &whats, &fields),
            });
        }
        Ok(Verdict::all(verdicts))
    }

    /// Every single thing that has to be recorded.
    fn whats(&self, facts: &Facts<'_>) -> Observed<Vec<What<'_>>> {
        let mut whats: Vec<What<'_>> = self.syscalls.iter().map(|name| What::Syscall(name)).collect();
        if let Some(watch) = &self.watch {
            let path = if watch.len() > 1 { watch.trim_end_matches('/') } else { watch.as_str() };
            let is_dir = facts.host().attributes(Path::new(path))?.is_some_and(|a| a.kind == Kind::Directory);
            match &self.permissions {
                None => whats.push(What::Access { path, is_dir, permission: None }),
                Some(letters) => {
                    whats.extend(letters.chars().map(|p| What::Access { path, is_dir, permission: Some(p) }));
                }
            }
        }
        Ok(whats)
    }

    fn coverage(&self, audit: &Audit, whats: &[What<'_>], fields: &[Field]) -> Verdict {
        let own: Vec<&str> = self.architectures.iter().map(String::as_str).collect();
        let architectures = if own.is_empty() { ARCHITECTURES } else { own.as_slice() };
        let (mut recorded, mut missing) = (Vec::new(), Vec::new());
        for architecture in architectures {
            for what in whats {
                let name = match what {
                    What::Syscall(name) => format!("{name} ({architecture})"),
                    What::Access { permission: Some(permission), .. } => format!("{permission} ({architecture})"),
                    What::Access { permission: None, .. } => format!("access ({architecture})"),
                };
                match covered(&audit.rules, &Wanted { architecture, what: *what, fields }) {
                    Covered::By { rule, except: None } => recorded.push((name, rule.source.clone())),
                    Covered::By { rule, except: Some(by) } => {
                        recorded.push((name, format!("{}, except what {} keeps out", rule.source, by.source)));
                    }
                    Covered::Not { near: None } => missing.push((name, audit.origin.clone())),
                    Covered::Not { near: Some((rule, why)) } => missing.push((name, format!("{}, {why}", rule.source))),
                }
            }
        }
        let holds = missing.is_empty();
        let seen = if holds { recorded } else { missing };
        let said = if holds { "recorded" } else { "not recorded" };
        let evidence = grouped(seen)
            .into_iter()
            .map(|(whats, source)| Evidence::new(source, format!("{said}: {whats}"), self.expected(), holds));
        let evidence = evidence.collect();
        Verdict { truth: if holds { Truth::Holds } else { Truth::Fails }, evidence }
    }

    fn expected(&self) -> String {
        let watch = self.watch.iter().map(|path| match &self.permissions {
            Some(permissions) => format!("{permissions} of {path}"),
            None => format!("access to {path}"),
        });
        let whats: Vec<String> = watch.chain(self.syscalls.iter().cloned()).collect();
        let fields = if self.fields.is_empty() { String::new() } else { format!(" where {}", self.fields.join(", ")) };
        format!("a rule records {}{fields}", whats.join(", "))
    }
}

/// Whether the last thing that the kernel is told is that nothing may change any more.
fn immutable(audit: &Audit, wanted: bool) -> Verdict {
    let expected = if wanted { "the last rule is -e 2" } else { "the rules can be changed" };
    let locked = audit.enabled.as_ref().is_some_and(|(value, _)| *value == 2);
    match (&audit.enabled, &audit.refused) {
        (Some((2, _)), Some(refused)) if wanted => {
            Verdict::of(Evidence::new(refused.as_str(), "stands behind -e 2 and is refused", expected, false))
        }
        (Some((value, source)), _) => {
            Verdict::of(Evidence::new(source.as_str(), format!("-e {value}"), expected, locked == wanted))
        }
        (None, _) => Verdict::of(Evidence::new(audit.origin.as_str(), "no -e", expected, !wanted)),
    }
}

#[cfg(test)]
mod tests;
