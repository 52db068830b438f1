//! Who asks, and whether they may.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    resource::{Resource, Selector, Target, Verb},
    status::Failure,
};
use crate::{Account, sts::TokenCheck};

/// How tokens of EKS (`k8s-aws-v1.`) are checked, and who their principals are.
#[derive(Clone, Debug)]
pub struct Eks {
    /// Knows the keys.
    pub account: Arc<Account>,
    /// The region of the STS endpoint.
    pub region: String,
    /// The name of the cluster.
    pub cluster: String,
    /// STS endpoints that tokens may name besides Amazon's own.
    pub endpoints: Vec<String>,
    /// User names by the ARN of a role, such as `system:node:ip-10-0-1-23.ec2.internal`.
    pub users: BTreeMap<String, String>,
}

/// User, verb, resource, and the namespace if it is not for all.
type Grant = (String, Verb, Resource, Option<String>);

#[derive(Debug, Default)]
pub(super) struct Access {
    /// Users by token.
    pub(super) tokens: BTreeMap<String, String>,
    pub(super) issued: u64,
    /// What users may; without, everybody may everything.
    pub(super) grants: Option<BTreeSet<Grant>>,
    /// Users that may see only what is on a node.
    pub(super) nodes: BTreeMap<String, String>,
}

impl Access {
    /// The user of an `Authorization` header.
    pub(super) fn user(&self, authorization: Option<&str>, eks: Option<&Eks>, now_ms: i64) -> Option<String> {
        let token = authorization?.strip_prefix("Bearer ")?;
        if let Some(user) = self.tokens.get(token) {
            return Some(user.clone());
        }
        let eks = eks?;
        let check = TokenCheck {
            account: &eks.account,
            region: &eks.region,
            cluster: &eks.cluster,
            endpoints: &eks.endpoints,
            now_ms,
        };
        let principal = check.verify(token).ok()?;
        eks.users.get(principal.role_arn()?).cloned()
    }

    pub(super) fn check(&self, user: &str, verb: Verb, target: &Target, selector: &Selector) -> Result<(), Failure> {
        let Some(resource) = target.resource else { return Ok(()) };
        let (namespace, name) = (target.namespace.as_deref(), target.name.as_deref());
        let forbidden = |why| Err(Failure::forbidden(user, verb, resource, namespace, name, why));
        if let Some(grants) = &self.grants {
            let granted = |scope: Option<String>| grants.contains(&(user.to_owned(), verb, resource, scope));
            let here = namespace.is_some() && granted(target.namespace.clone());
            if !here && !granted(None) {
                return forbidden("");
            }
        }
        // As the node authorizer with selectors does (Kubernetes, `plugin/pkg/auth/authorizer/node`).
        if let Some(node) = self.nodes.get(user)
            && resource == Resource::Pods
            && name.is_none()
            && selector.demands("spec.nodeName") != Some(node)
        {
            return forbidden(": can only list/watch pods with spec.nodeName field selector");
        }
        Ok(())
    }
}
