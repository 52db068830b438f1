//! Roles that can be assumed, and who may.

use crate::Principal;

/// A role with its trust policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The ARN, path included.
    pub arn: String,
    /// Who may assume it: ARNs of roles, of sessions (`arn:aws:sts::...`), of users, of accounts
    /// (`arn:aws:iam::123456789012:root`), or `*`.
    pub trusted: Vec<String>,
    /// `sts:ExternalId` that the trust policy demands.
    pub external_id: Option<String>,
    /// The trust policy allows `sts:TagSession`. Default false, as in a policy that does not name it.
    pub may_tag: bool,
    /// The trust policy allows `sts:SetSourceIdentity`. Default false.
    pub may_set_source_identity: bool,
    /// The longest session, in seconds: 3600 to 43200. Default 3600.
    pub max_session_seconds: u32,
}

impl Role {
    /// A role that nobody may assume yet.
    pub fn new(arn: impl Into<String>) -> Role {
        Role {
            arn: arn.into(),
            trusted: Vec::new(),
            external_id: None,
            may_tag: false,
            may_set_source_identity: false,
            max_session_seconds: 3_600,
        }
    }

    /// Trusts one more principal.
    #[must_use]
    pub fn trusting(mut self, principal: impl Into<String>) -> Role {
        self.trusted.push(principal.into());
        self
    }

    /// Demands an external id.
    #[must_use]
    pub fn with_external_id(mut self, external_id: impl Into<String>) -> Role {
        self.external_id = Some(external_id.into());
        self
    }

    pub(super) fn trusts(&self, caller: &Principal, external_id: Option<&str>) -> bool {
        let root = format!("arn:{}:iam::{}:root", caller.partition(), caller.account());
        let names = [Some(caller.arn()), caller.role_arn().map(str::to_owned), Some(root), Some("*".to_owned())];
        let trusted = names.iter().flatten().any(|name| self.trusted.contains(name));
        trusted && (self.external_id.is_none() || self.external_id.as_deref() == external_id)
    }
}
