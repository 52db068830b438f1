//! Who a key belongs to.

/// The owner of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Principal {
    /// An IAM user.
    User {
        /// Its ARN, such as `arn:aws:iam::123456789012:user/alice`.
        arn: String,
    },
    /// A session of a role.
    Session {
        /// The role's ARN, path included, such as `arn:aws:iam::123456789012:role/teams/blue`.
        role_arn: String,
        /// What the session is called.
        name: String,
    },
}

impl Principal {
    /// A user of an account, in the partition `aws`.
    #[must_use]
    pub fn user(account: &str, name: &str) -> Principal {
        Principal::User { arn: format!("arn:aws:iam::{account}:user/{name}") }
    }

    /// A session of a role.
    pub fn session(role_arn: impl Into<String>, name: impl Into<String>) -> Principal {
        Principal::Session { role_arn: role_arn.into(), name: name.into() }
    }

    /// What GetCallerIdentity says: for a session `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`, the role's path
    /// left out.
    #[must_use]
    pub fn arn(&self) -> String {
        match self {
            Principal::User { arn } => arn.clone(),
            Principal::Session { role_arn, name } => {
                let role = role_arn.rsplit('/').next().unwrap_or_default();
                format!("arn:{}:sts::{}:assumed-role/{role}/{name}", self.partition(), self.account())
            }
        }
    }

    /// The 12 digits of the account it is in.
    #[must_use]
    pub fn account(&self) -> &str {
        self.own_arn().split(':').nth(4).unwrap_or_default()
    }

    /// `aws`, `aws-cn` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.own_arn().split(':').nth(1).unwrap_or_default()
    }

    /// The role whose session this is.
    #[must_use]
    pub fn role_arn(&self) -> Option<&str> {
        match self {
            Principal::User { .. } => None,
            Principal::Session { role_arn, .. } => Some(role_arn),
        }
    }

    fn own_arn(&self) -> &str {
        match self {
            Principal::User { arn } => arn,
            Principal::Session { role_arn, .. } => role_arn,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sessions_arn_has_no_path_and_keeps_the_partition() {
        let session = Principal::session("arn:aws-cn:iam::210987654321:role/a/b/c", "s@x");
        assert_eq!(session.arn(), "arn:aws-cn:sts::210987654321:assumed-role/c/s@x");
        assert_eq!((session.account(), session.partition()), ("210987654321", "aws-cn"));
    }
}
