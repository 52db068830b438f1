//! A property of all accounts of the host. Evidence names accounts, never passwords or their hashes.

mod decide;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::facts::accounts::{self, GROUP, PASSWD};
use crate::observed::Observed;
use crate::verdict::Verdict;
use decide::Findings;

/// The property that every account or group has to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Accounts {
    /// `root` is the only user with UID 0.
    OnlyRootHasUidZero,
    /// The primary group of `root` is GID 0.
    RootGroupIsZero,
    /// No password field in `/etc/shadow` is empty.
    NoEmptyPasswords,
    /// Every user in `/etc/passwd` has its password in `/etc/shadow`.
    PasswordsAreShadowed,
    /// No two users share a UID.
    UniqueUids,
    /// No two groups share a GID.
    UniqueGids,
    /// No two users share a name.
    UniqueUserNames,
    /// No two groups share a name.
    UniqueGroupNames,
    /// Every primary group exists in `/etc/group`.
    PrimaryGroupsExist,
    /// No system account (UID below `UID_MIN` of `/etc/login.defs`, except root, sync, shutdown, halt) has both a login shell and a usable password.
    SystemAccountsCannotLogIn,
    /// No account at all can log in with a password (every field in `/etc/shadow` is locked): nodes are entered through SSM or keys.
    NoPasswordLogin,
    /// No line of `passwd`, `group` or `shadow` begins with `+` or `-`, which asks NIS for accounts or keeps some of them out.
    NoNisEntries,
}

impl Accounts {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        Verdict::about(facts.accounts(), |accounts| match self.findings(accounts) {
            Ok(findings) => findings.verdict(self.wanted()),
            Err(why) => Verdict::unknown(why),
        })
    }

    fn findings(self, accounts: &accounts::Accounts) -> Observed<Findings> {
        let users = || accounts.users.as_ref().map_err(Clone::clone);
        let groups = || accounts.groups.as_ref().map_err(Clone::clone);
        Ok(match self {
            Self::OnlyRootHasUidZero => decide::uid_zero(users()?),
            Self::RootGroupIsZero => decide::root_group(users()?),
            Self::NoEmptyPasswords => decide::empty_passwords(accounts),
            Self::NoPasswordLogin => decide::password_logins(accounts),
            Self::PasswordsAreShadowed => decide::unshadowed(users()?, &accounts.shadow),
            Self::UniqueUids => decide::twice(PASSWD, users()?, |user| (user.uid, user.name.clone()), "UID"),
            Self::UniqueGids => decide::twice(GROUP, groups()?, |group| (group.gid, group.name.clone()), "GID"),
            Self::UniqueUserNames => decide::twice(PASSWD, users()?, |user| (user.name.clone(), user.uid), "name"),
            Self::UniqueGroupNames => decide::twice(GROUP, groups()?, |group| (group.name.clone(), group.gid), "name"),
            Self::PrimaryGroupsExist => decide::primary_groups(users()?, groups()?),
            Self::SystemAccountsCannotLogIn => decide::system_accounts(accounts)?,
            Self::NoNisEntries => decide::nis(accounts)?,
        })
    }

    fn wanted(self) -> &'static str {
        match self {
            Self::OnlyRootHasUidZero => "only root has UID 0",
            Self::RootGroupIsZero => "root has GID 0",
            Self::NoEmptyPasswords => "no password is empty",
            Self::PasswordsAreShadowed => "every password is in /etc/shadow",
            Self::UniqueUids => "no UID twice",
            Self::UniqueGids => "no GID twice",
            Self::UniqueUserNames => "no user twice",
            Self::UniqueGroupNames => "no group twice",
            Self::PrimaryGroupsExist => "every primary group exists",
            Self::SystemAccountsCannotLogIn => "no system account has a login shell and a usable password",
            Self::NoPasswordLogin => "every password is locked",
            Self::NoNisEntries => "no line asks NIS",
        }
    }
}

#[cfg(test)]
mod tests;
