//! A kernel parameter (`sysctl`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Absent, When};
use crate::expect::{Expect, Value};
use crate::facts::Facts;
use crate::facts::sysctls::{self, Key, Plan, Setting};
use crate::observed::{Cause, Observed};
use crate::verdict::Verdict;

/// A parameter and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// Its name with dots: `net.ipv4.ip_forward`. `*` stands for one part: `net.ipv4.conf.*.rp_filter` is every interface's.
    pub key: String,
    /// What its value has to be; a value with several words is one text, its words separated by one space. Numbers are compared as numbers.
    pub value: Expect,
    /// Whether of the running system, of what will be set at the next boot, or both. At boot a parameter that nothing sets has `kernel_default`.
    #[serde(default)]
    pub when: When,
    /// The kernel's own value, where it decides after a boot and nothing sets another; without it, what is set nowhere fails at boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel_default: Option<i64>,
    /// What it means that the running kernel has no such parameter.
    #[serde(default)]
    pub absent: Absent,
}

/// Most pieces of evidence about a pattern; those that speak against it come first.
const MAX_EVIDENCE: usize = 8;

impl Sysctl {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let key = Key::parse(&self.key);
        let mut verdicts = Vec::new();
        if self.when.now() {
            match sysctls::running(facts.host(), &key) {
                // A parameter that the kernel does not have, it does not have after a boot either.
                Ok(values) if values.is_empty() => {
                    return self.absent.verdict(&format!("/proc/sys: {key}"), &self.value.to_string());
                }
                // Whether there is such a parameter decides first; without that, what the disk says of it decides nothing.
                Err(why) if why.cause != Cause::Phase && self.absent != Absent::Fails => return Verdict::unknown(why),
                Ok(values) => verdicts.push(brief(Verdict::all(values.iter().map(|(name, v)| self.now(name, v))))),
                Err(why) => verdicts.push(Verdict::unknown(why)),
            }
        }
        if self.when.boot() {
            verdicts.push(Verdict::about(facts.sysctls(), |sysctls| brief(self.boot(&sysctls.boot, &key))));
        }
        Verdict::all(verdicts)
    }

    fn now(&self, name: &Key, value: &Observed<String>) -> Verdict {
        Verdict::about(value, |value| self.value.judge(format!("/proc/sys: {name}"), Some(&self.value.untyped(value))))
    }

    fn boot(&self, plan: &Plan, key: &Key) -> Verdict {
        if !key.is_pattern() {
            return self.set(key, plan.of(key));
        }
        let others = plan.of_others(key).or_else(|| plan.of(&key.inherited()?));
        let given = plan.given(key).map(|name| self.set(name, plan.of(name)));
        Verdict::all(given.chain([self.set(key, others)]))
    }

    fn set(&self, key: &Key, setting: Option<&Setting>) -> Verdict {
        match (setting, self.kernel_default) {
            (Some(setting), _) => {
                let value = self.value.untyped(&sysctls::words(setting.value()));
                self.value.judge(format!("{}: {key}", setting.source), Some(&value))
            }
            (None, Some(default)) => {
                self.value.judge(format!("the kernel's default, nothing sets {key}"), Some(&Value::int(default)))
            }
            (None, None) => self.value.judge(format!("sysctl.d: {key}"), None),
        }
    }
}

/// With as much evidence as a person reads.
fn brief(mut verdict: Verdict) -> Verdict {
    let more = verdict.evidence.len().saturating_sub(MAX_EVIDENCE);
    if more > 0 {
        verdict.evidence.sort_by_key(|evidence| evidence.holds == Some(true));
        verdict.evidence.truncate(MAX_EVIDENCE);
        if let Some(last) = verdict.evidence.last_mut() {
            last.source = format!("{}, and {more} more", last.source);
        }
    }
    verdict
}

#[cfg(test)]
mod tests;
