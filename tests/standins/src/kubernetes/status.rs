//! Failures, as objects of kind `Status`.

use serde_json::{Value, json};

use super::resource::{Resource, Verb};

#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: u16, reason: &str, message: impl Into<String>) -> Failure {
        Failure { code, reason: reason.to_owned(), message: message.into() }
    }

    pub(super) fn status(&self) -> Value {
        json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        })
    }

    pub(super) fn unauthorized() -> Failure {
        Failure::new(401, "Unauthorized", "Unauthorized")
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Failure {
        Failure::new(400, "BadRequest", message)
    }

    pub(super) fn no_such_path() -> Failure {
        Failure::new(404, "NotFound", "the server could not find the requested resource")
    }

    pub(super) fn not_found(resource: Resource, name: &str) -> Failure {
        Failure::new(404, "NotFound", format!("{} \"{name}\" not found", resource.name()))
    }

    pub(super) fn method() -> Failure {
        Failure::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    pub(super) fn forbidden(
        user: &str,
        verb: Verb,
        resource: Resource,
        namespace: Option<&str>,
        name: Option<&str>,
        why: &str,
    ) -> Failure {
        let (verb, resource) = (verb.name(), resource.name());
        let what = name.map_or(resource.to_owned(), |name| format!("{resource} \"{name}\""));
        let scope = namespace.map_or("at the cluster scope".to_owned(), |name| format!("in the namespace \"{name}\""));
        let message = format!(
            "{what} is forbidden: User \"{user}\" cannot {verb} resource \"{resource}\" in API group \"\" {scope}{why}"
        );
        Failure::new(403, "Forbidden", message)
    }

    /// A resource version before what is kept.
    pub(super) fn too_old(asked: u64, oldest: u64) -> Failure {
        Failure::new(410, "Expired", format!("too old resource version: {asked} ({oldest})"))
    }

    pub(super) fn continue_expired() -> Failure {
        Failure::new(
            410,
            "Expired",
            "The provided continue parameter is too old to display a consistent list result. You can start a new list \
             without the continue parameter.",
        )
    }

    /// A resource version that does not exist yet, as after a restore of etcd.
    pub(super) fn too_large(asked: u64, current: u64) -> Failure {
        Failure::new(504, "Timeout", format!("Too large resource version: {asked}, current: {current}"))
    }
}
