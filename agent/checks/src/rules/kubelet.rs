//! A setting of the kubelet, in effect.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expect::{Expect, Value};
use crate::facts::{Facts, kubelet};
use crate::observed::{Cause, Unobserved};
use crate::verdict::{Evidence, Truth, Verdict};

/// Most characters of a value that are shown: all of Go's cipher suites have less.
const MOST_SHOWN: usize = 1500;

/// A setting and what it has to be.
///
/// `set` and `or_unset` ask whether somebody set it; all else asks for the value in effect, which may be the kubelet's default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kubelet {
    /// Path in `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1), such as `authentication.anonymous.enabled` or
    /// `featureGates.RotateKubeletServerCertificate`; or a flag without such a setting, such as `--hostname-override`. Durations are
    /// whole seconds (rounded up: `500ms` is not 0).
    pub setting: String,
    /// What its value has to be.
    pub value: Expect,
}

/// Whether a policy can ask for this setting: a path in `KubeletConfiguration`, a feature gate, or a flag (`--node-ip`).
#[must_use]
pub fn known_setting(name: &str) -> bool {
    kubelet::is_known(name)
}

impl Kubelet {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        if !known_setting(&self.setting) {
            let message = format!("`{}` is no setting of a kubelet", self.setting);
            return Verdict::unknown(Unobserved::new(Cause::Parse, message));
        }
        Verdict::about(facts.kubelet(), |kubelet| match kubelet.setting(&self.setting) {
            Ok(setting) => self.weigh(&setting),
            Err(why) => Verdict::unknown(why),
        })
    }

    fn weigh(&self, setting: &kubelet::Setting) -> Verdict {
        let shown = |value: Option<&Value>| value.map_or_else(|| "not set".to_owned(), Value::to_string);
        let mut verdict = if setting.set {
            self.value.judge(&setting.source, setting.value.as_ref())
        } else if self.value.or_unset || self.value.set.is_some() {
            let mut verdict = self.value.judge(&setting.source, None);
            for evidence in &mut verdict.evidence {
                evidence.observed = format!("not set, so {}", shown(setting.value.as_ref()));
            }
            verdict
        } else {
            self.value.judge(&setting.source, setting.value.as_ref())
        };
        if !setting.sure && verdict.truth == Truth::Fails {
            let message = format!("{}: is not set, and its default is not known", self.setting);
            verdict.truth = Truth::Unknown(Unobserved::new(Cause::Missing, message));
            verdict.evidence.iter_mut().for_each(|evidence| evidence.holds = None);
        }
        // Who wrote 0 where the kubelet takes that for its default has asked for what the policy forbids.
        if let Some(written) = &setting.overruled {
            let asked = self.value.judge(&setting.source, Some(written));
            verdict = if asked.truth == Truth::Fails { asked } else { verdict };
        }
        if let Some((configured, source)) = &setting.configured {
            let configured = shown(configured.as_ref());
            let expected = "as it runs".to_owned();
            verdict.evidence.push(Evidence { source: source.clone(), observed: configured, expected, holds: None });
        }
        for evidence in &mut verdict.evidence {
            clip(&mut evidence.observed);
        }
        verdict
    }
}

/// Cuts what is too long for a report: an argument may have 128 KiB.
fn clip(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MOST_SHOWN) {
        text.truncate(end);
        text.push('…');
    }
}
