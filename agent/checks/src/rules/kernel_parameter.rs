//! A parameter of the kernel's command line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::When;
use crate::expect::Expect;
use crate::facts::Facts;
use crate::facts::boot::{self, CommandLine};
use crate::verdict::Verdict;

/// A parameter and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelParameter {
    /// Its name, such as `audit` or `selinux`. The last one on the line wins.
    pub name: String,
    /// What its value has to be. A parameter without `=` has the empty text as its value.
    pub value: Expect,
    /// Whether of this boot, the next one, or both.
    #[serde(default)]
    pub when: When,
}

impl KernelParameter {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        Verdict::about(facts.boot(), |boot| {
            let now = || Verdict::about(&boot.now, |line| self.of(boot::NOW, line));
            // Which entry will be started is not known before it is: it may be chosen at the console.
            let next =
                || Verdict::about(&boot.next, |all| Verdict::all(all.iter().map(|e| self.of(&e.source, &e.line))));
            Verdict::all(self.when.now().then(now).into_iter().chain(self.when.boot().then(next)))
        })
    }

    fn of(&self, source: &str, line: &CommandLine) -> Verdict {
        let value = line.value(&self.name).map(|value| self.value.untyped(value));
        self.value.judge(format!("{source}: {}", self.name), value.as_ref())
    }
}

#[cfg(test)]
mod tests;
