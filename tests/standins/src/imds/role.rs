//! The node's role, and the keys that the service holds for it.

use super::instance::pretty;
use crate::{Account, Credential, Principal, dates};

/// Keys live 6 hours and are renewed every hour (boto/botocore#2670, by a maintainer).
const LIFETIME_MS: i64 = 6 * 3_600_000;
const RENEWED_AFTER_MS: i64 = 3_600_000;

/// The role of the instance, through its instance profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRole {
    /// The ARN of the role, path included.
    pub arn: String,
    /// The ARN of the instance profile.
    pub instance_profile_arn: String,
}

impl NodeRole {
    /// A role and an instance profile of the same name, in the partition `aws`.
    #[must_use]
    pub fn new(account: &str, name: &str) -> NodeRole {
        NodeRole {
            arn: format!("arn:aws:iam::{account}:role/{name}"),
            instance_profile_arn: format!("arn:aws:iam::{account}:instance-profile/{name}"),
        }
    }

    /// The name, without path: what `iam/security-credentials/` lists.
    #[must_use]
    pub fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or_default()
    }
}

/// Keys of one principal, renewed as time goes.
#[derive(Debug)]
pub(super) struct Held {
    principal: Principal,
    lifetime_ms: i64,
    current: Option<(Credential, i64)>,
}

impl Held {
    pub(super) fn new(principal: Principal) -> Held {
        Held { principal, lifetime_ms: LIFETIME_MS, current: None }
    }

    /// The next keys live this long, in milliseconds; the current one is given up.
    pub(super) fn set_lifetime(&mut self, ms: i64) {
        self.lifetime_ms = ms;
        self.current = None;
    }

    pub(super) fn renew(&mut self) {
        self.current = None;
    }

    /// The current key and when it was made.
    pub(super) fn get(&mut self, account: &Account, now_ms: i64) -> (Credential, i64) {
        let renewed_after = RENEWED_AFTER_MS.min(self.lifetime_ms / 2);
        match &self.current {
            Some((key, made)) if now_ms - made < renewed_after => (key.clone(), *made),
            _ => {
                // The text carries whole seconds; the key must not outlive or fall short of what it says.
                let expires = now_ms.saturating_add(self.lifetime_ms).div_euclid(1_000) * 1_000;
                let key = account.issue_temporary(self.principal.clone(), Some(expires));
                self.current = Some((key.clone(), now_ms));
                (key, now_ms)
            }
        }
    }
}

/// The document of a key; with `account_id` in the extended form.
pub(super) fn document(key: &Credential, made_ms: i64, account_id: Option<&str>) -> String {
    let updated = dates::rfc3339(made_ms.div_euclid(1_000));
    let expiration = dates::rfc3339(key.expires_at_ms.unwrap_or_default().div_euclid(1_000));
    let members = [
        ("Code", Some("Success")),
        ("LastUpdated", Some(&updated)),
        ("Type", Some("AWS-HMAC")),
        ("AccessKeyId", Some(&key.access_key_id)),
        ("SecretAccessKey", Some(&key.secret_access_key)),
        ("Token", key.session_token.as_deref()),
        ("Expiration", Some(&expiration)),
    ];
    pretty(members.into_iter().chain(account_id.map(|id| ("AccountId", Some(id)))))
}

/// What comes with a 200 when the service could not assume the role, such as `AssumeRoleUnauthorizedAccess`.
pub(super) fn failure(code: &str, now_ms: i64) -> String {
    let updated = dates::rfc3339(now_ms.div_euclid(1_000));
    let message = "EC2 cannot assume the role. Please see documentation at \
                   https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_iam-ec2.html";
    pretty([("Code", Some(code)), ("Message", Some(message)), ("LastUpdated", Some(&updated))])
}

/// `iam/info`.
pub(super) fn info(role: &NodeRole, made_ms: i64) -> String {
    let updated = dates::rfc3339(made_ms.div_euclid(1_000));
    pretty([
        ("Code", Some("Success")),
        ("LastUpdated", Some(&updated)),
        ("InstanceProfileArn", Some(&role.instance_profile_arn)),
        ("InstanceProfileId", Some("AIPAIOSFODNN7EXAMPLEID")),
    ])
}
