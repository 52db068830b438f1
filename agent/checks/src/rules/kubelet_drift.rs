//! Whether the kubelet runs with what it is configured with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::expect::Value;
use crate::facts::Facts;
use crate::verdict::{Evidence, Verdict};

/// Most differences that are shown.
const MOST_SHOWN: usize = 10;

/// What files and flags say now is what the kubelet said it runs with (`/configz`): nobody changed a file since it was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KubeletDrift {}

impl KubeletDrift {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        let drift = match facts.host().live("what the kubelet runs with").map(|()| facts.kubelet()) {
            Ok(Ok(kubelet)) => kubelet.drift(),
            Ok(Err(why)) => Err(why.clone()),
            Err(why) => Err(why),
        };
        let drift = match drift {
            Ok(drift) => drift,
            // Whoever asked the kubelet knows better why there was no answer.
            Err(mut why) => {
                if let Some(Err(refused)) = &facts.inputs().configz {
                    why.message = format!("/configz: {refused}");
                }
                return Verdict::unknown(why);
            }
        };
        if drift.is_empty() {
            return Verdict::of(Evidence::new("/configz", "as configured", "as configured", true));
        }
        let shown = |value: &Option<Value>| value.as_ref().map_or_else(|| "not set".to_owned(), Value::to_string);
        let mut evidence: Vec<Evidence> = drift
            .iter()
            .take(MOST_SHOWN)
            .map(|it| {
                let expected = format!("{}, as in {}", shown(&it.configured), it.source);
                Evidence::new(format!("/configz {}", it.path), shown(&it.running), expected, false)
            })
            .collect();
        if let Some(more) = drift.len().checked_sub(MOST_SHOWN).filter(|more| *more > 0) {
            evidence.push(Evidence::new("/configz", format!("{more} settings more differ"), "as configured", false));
        }
        Verdict { truth: crate::verdict::Truth::Fails, evidence }
    }
}
