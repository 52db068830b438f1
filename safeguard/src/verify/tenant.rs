//! What a tenant's nodes may be.

use std::collections::BTreeMap;

use safeguard_protocol::{Code, Enrolment, Proofs};

use super::document::Document;
use super::region::Region;
use super::settings::{Proof, SettingsError, Tenant};
use super::{Denied, arn};

/// What a node is told that gave no document.
pub(super) const IDENTITY_MISSING: &str =
    "the instance identity document is missing; the agent needs to reach the metadata service";
const STS_MISSING: &str = "the signed request to STS is missing; the instance needs a role";
const TOKEN_MISSING: &str =
    "the service-account token is missing; run the agent with a projected token of audience safeguard";
const TENANT: &str = "this safeguard does not take this node for the tenant that it names";
const IMAGE: &str = "the AMI of this instance is not approved";
const ROLE: &str = "the role of this instance is not one that nodes of its tenant have";

/// All tenants by name.
#[derive(Debug)]
pub(super) struct Rules(BTreeMap<String, Tenant>);

impl Rules {
    pub(super) fn new(tenants: &[Tenant]) -> Result<Self, SettingsError> {
        let mut rules = BTreeMap::new();
        for tenant in tenants {
            check(tenant)?;
            if rules.insert(tenant.name.clone(), tenant.clone()).is_some() {
                return Err(SettingsError::value("tenants", format!("{:?} is there twice", tenant.name)));
            }
        }
        Ok(Self(rules))
    }

    /// The rules for a node of this tenant and cluster.
    pub(super) fn of(&self, enrolment: &Enrolment) -> Result<Rule<'_>, Denied> {
        let unknown = || Denied::new(Code::Tenant, TENANT, format!("unknown tenant {:?}", enrolment.tenant));
        let tenant = self.0.get(&enrolment.tenant).ok_or_else(unknown)?;
        if !any_or_has(&tenant.clusters, &enrolment.cluster) {
            let detail = format!("cluster {:?} is not one of tenant {:?}", enrolment.cluster, tenant.name);
            return Err(Denied::new(Code::Tenant, TENANT, detail));
        }
        Ok(Rule(tenant))
    }
}

fn check(tenant: &Tenant) -> Result<(), SettingsError> {
    let Tenant { name, accounts, regions, roles, images, .. } = tenant;
    let bad = |key: &str, reason: String| Err(SettingsError::value(format!("tenants.{name}.{key}"), reason));
    if name.is_empty() || name.len() > safeguard_protocol::limits::NAME_BYTES {
        return bad("name", "it needs 1 to 253 bytes".to_owned());
    }
    if accounts.is_empty() {
        return bad("accounts", "name at least one: every account of AWS can sign proofs of its own".to_owned());
    }
    if let Some(wrong) = accounts.iter().find(|account| !arn::is_account(account)) {
        return bad("accounts", format!("{wrong:?} is no account; they have 12 digits"));
    }
    if let Some(wrong) = regions.iter().find(|region| Region::named(region).is_none()) {
        return bad("regions", format!("{wrong:?} is no region that is known here"));
    }
    if let Some(wrong) = images.iter().find(|image| !arn::is_image(image)) {
        return bad("images", format!("{wrong:?} is no id of an AMI"));
    }
    if roles.is_empty() && Rule(tenant).requires(Proof::Sts) {
        return bad(
            "roles",
            "name the roles that nodes have: a session of any other role can be called by any instance".to_owned(),
        );
    }
    Ok(())
}

/// An empty list means any.
fn any_or_has(list: &[String], value: &str) -> bool {
    list.is_empty() || list.iter().any(|listed| listed == value)
}

/// The rules of one tenant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule<'a>(&'a Tenant);

impl Rule<'_> {
    fn requires(self, proof: Proof) -> bool {
        self.0.require.as_ref().map_or(proof == Proof::Sts, |all| all.contains(&proof))
    }

    /// Whether all proofs are there that have to be.
    pub(super) fn check_proofs(self, proofs: &Proofs) -> Result<(), Denied> {
        let missing = |message, detail| Err(Denied::new(Code::ProofMissing, message, detail));
        if proofs.sts.is_none() && self.requires(Proof::Sts) {
            return missing(STS_MISSING, "no request to STS");
        }
        if proofs.service_account_token.is_none() && self.requires(Proof::Token) {
            return missing(TOKEN_MISSING, "no service-account token");
        }
        Ok(())
    }

    /// Whether this tenant has such an instance.
    pub(super) fn check_instance(self, document: &Document) -> Result<(), Denied> {
        let Tenant { name, accounts, regions, images, .. } = self.0;
        if !accounts.contains(&document.account) {
            let detail = format!("account {} is not one of tenant {name:?}", document.account);
            return Err(Denied::new(Code::Tenant, TENANT, detail));
        }
        if !any_or_has(regions, document.region.name()) {
            let detail = format!("region {} is not one of tenant {name:?}", document.region.name());
            return Err(Denied::new(Code::Tenant, TENANT, detail));
        }
        if !any_or_has(images, &document.image_id) {
            let detail = format!("{} is not approved for tenant {name:?}", document.image_id);
            return Err(Denied::new(Code::Image, IMAGE, detail));
        }
        Ok(())
    }

    /// Whether its nodes have this role. Without any named, any would do; then STS is not required either.
    pub(super) fn check_role(self, role: &str) -> Result<(), Denied> {
        if any_or_has(&self.0.roles, role) {
            return Ok(());
        }
        let detail = format!("role {role} is not one of tenant {:?}", self.0.name);
        Err(Denied::new(Code::ProofSts, ROLE, detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant() -> Tenant {
        Tenant {
            name: "acme".to_owned(),
            accounts: vec!["123456789012".to_owned()],
            roles: vec!["node".to_owned()],
            ..Tenant::default()
        }
    }

    #[test]
    fn settings_that_would_let_anybody_in_are_refused() {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        for (key, tenant) in [
            ("name", Tenant { name: String::new(), ..tenant() }),
            ("accounts", Tenant { accounts: vec![], ..tenant() }),
            ("accounts", Tenant { accounts: texts(&["1234"]), ..tenant() }),
            ("regions", Tenant { regions: texts(&["eu-central"]), ..tenant() }),
            ("images", Tenant { images: texts(&["ami-*"]), ..tenant() }),
            ("roles", Tenant { roles: vec![], ..tenant() }),
            ("roles", Tenant { roles: vec![], require: Some(vec![Proof::Sts, Proof::Token]), ..tenant() }),
        ] {
            let error = Rules::new(&[tenant]).unwrap_err().to_string();
            assert!(error.contains(key), "{error}");
        }
        assert!(Rules::new(&[tenant(), tenant()]).unwrap_err().to_string().contains("twice"));
        assert!(Rules::new(&[tenant(), Tenant { name: "other".to_owned(), ..tenant() }]).is_ok());
        assert!(Rules::new(&[Tenant { roles: vec![], require: Some(vec![Proof::Identity]), ..tenant() }]).is_ok());
    }

    #[test]
    fn sts_is_required_unless_the_operator_says_otherwise() {
        let none = Proofs::default();
        assert_eq!(Rule(&tenant()).check_proofs(&none).unwrap_err().code, Code::ProofMissing);
        let lax = Tenant { require: Some(vec![]), ..tenant() };
        assert_eq!(Rule(&lax).check_proofs(&none), Ok(()));
        let strict = Tenant { require: Some(vec![Proof::Token]), ..tenant() };
        assert!(Rule(&strict).check_proofs(&none).unwrap_err().detail.contains("token"));
    }
}
