//! An option of sshd, whoever logs in.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expect::Expect;
use crate::facts::Facts;
use crate::facts::sshd::options;
use crate::observed::{Cause, Unobserved};
use crate::verdict::Verdict;

/// An option and what it has to be: in the global section and in every `Match` block that sets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sshd {
    /// Its name, in any case: `PermitRootLogin`. Times are seconds; yes/no options are `yes` or `no`; lists (`Ciphers`) are lists.
    pub option: String,
    /// What its value has to be. OpenSSH's own default counts as the value where nothing is written.
    pub value: Expect,
}

impl Sshd {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let Some(option) = options::find(&self.option) else {
            return Verdict::unknown(Unobserved::new(
                Cause::Parse,
                format!("{}: sshd has no such option", self.option),
            ));
        };
        Verdict::about(facts.sshd(), |sshd| match sshd.effective(option) {
            None => Verdict::not_applicable("there is no sshd: neither the program nor /etc/ssh/sshd_config"),
            Some(values) => Verdict::all(values.into_iter().map(|effective| match effective.value {
                Ok(value) => self.value.judge(effective.source, value.as_ref()),
                Err(why) => Verdict::unknown(why),
            })),
        })
    }
}

#[cfg(test)]
mod tests;
