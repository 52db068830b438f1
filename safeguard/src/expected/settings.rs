//! `[expected]`: how EC2 is asked, and for what.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use safeguard_daemon::settings::{Findings, HumanDuration};
use serde::{Deserialize, Serialize};

use crate::verify::arn;

/// `[expected]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whose instances are asked for. Without one nothing is asked.
    pub accounts: Vec<Account>,
    /// How often.
    pub interval: HumanDuration,
    /// Another place to send requests to, such as `http://127.0.0.1:5000`.
    pub endpoint: Option<String>,
    /// Another place to ask for the roles of accounts.
    pub sts_endpoint: Option<String>,
    /// PEM file with the only authorities to trust, in the place of the system's.
    pub ca: Option<PathBuf>,
}

/// `[[expected.accounts]]`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The 12 digits of the account whose instances the credentials list: what is not in its lists is gone.
    pub account: String,
    /// The regions that are asked.
    pub regions: Vec<String>,
    /// ARN of a role of the account, which is assumed to ask. Without it the safeguard's own credentials are the account's.
    #[serde(default)]
    pub role: Option<String>,
    /// What the role's trust policy asks for (`sts:ExternalId`).
    #[serde(default)]
    pub external_id: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        let interval = Duration::from_secs(300).into();
        Self { accounts: Vec::new(), interval, endpoint: None, sts_endpoint: None, ca: None }
    }
}

impl Settings {
    /// Finds what cannot be meant.
    pub(crate) fn check(&self, found: &mut Findings) {
        let mut seen = HashSet::new();
        for (at, account) in self.accounts.iter().enumerate() {
            let key = |name: &str| format!("expected.accounts[{at}].{name}");
            let id = &account.account;
            if !arn::is_account(id) {
                found.add(&key("account"), &format!("{id:?}"), "has to be the 12 digits of an AWS account");
            } else if !seen.insert(id) {
                found.add(
                    &key("account"),
                    &format!("{id:?}"),
                    "is there already: an account stands once, with all its regions",
                );
            }
            if account.regions.is_empty() {
                found.add(&key("regions"), &"[]", "names the regions that are asked, such as [\"eu-central-1\"]");
            }
            if let Some(role) = account.role.as_ref().filter(|role| arn::role_account(role) != Some(id)) {
                let reason = "has to be the ARN of a role of this account, such as \"arn:aws:iam::111122223333:role/safeguard-reads\"";
                found.add(&key("role"), &format!("{role:?}"), reason);
            }
            if account.external_id.is_some() && account.role.is_none() {
                found.add(&key("external_id"), &"(one of two)", "belongs to a role, and there is none");
            }
        }
        found.duration("expected.interval", self.interval, Duration::from_secs(5), Duration::from_secs(3_600));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(accounts: &[Account]) -> String {
        let mut found = Findings::default();
        Settings { accounts: accounts.to_vec(), ..Settings::default() }.check(&mut found);
        found.finish(Some(())).err().map(|problems| problems.to_string()).unwrap_or_default()
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_place() {
        let good = Account {
            account: "111122223333".to_owned(),
            regions: vec!["eu-central-1".to_owned()],
            role: Some("arn:aws:iam::111122223333:role/path/safeguard-reads".to_owned()),
            external_id: Some("e".to_owned()),
        };
        assert_eq!(problems(std::slice::from_ref(&good)), "");
        let of = |change: fn(&mut Account)| {
            let mut bad = good.clone();
            change(&mut bad);
            problems(&[
                Account { account: "444455556666".to_owned(), role: None, external_id: None, ..good.clone() },
                bad,
            ])
        };
        let cases = [
            (of(|a| a.account = "1111".to_owned()), "expected.accounts[1].account"),
            (of(|a| (a.account, a.role, a.external_id) = ("444455556666".to_owned(), None, None)), "is there already"),
            (of(|a| a.regions.clear()), "expected.accounts[1].regions"),
            (of(|a| a.role = Some("arn:aws:iam::999999999999:role/x".to_owned())), "of this account"),
            (of(|a| a.role = Some("safeguard-reads".to_owned())), "expected.accounts[1].role"),
            (of(|a| a.role = None), "expected.accounts[1].external_id"),
        ];
        for (said, wanted) in cases {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
    }
}
