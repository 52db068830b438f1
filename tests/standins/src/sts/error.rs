//! The error replies of the service, with its words.

use std::borrow::Cow;

use crate::{sigv4::Flaw, trouble::Refusal};

#[derive(Clone, Debug)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) code: Cow<'static, str>,
    pub(super) message: Cow<'static, str>,
}

impl ApiError {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError { status, code: Cow::Borrowed(code), message: message.into() }
    }

    pub(super) fn validation(message: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError::new(400, "ValidationError", message)
    }

    /// The caller may not do this, or the resource does not exist: the service does not say which.
    pub(super) fn denied(caller: &str, action: &str, resource: &str) -> ApiError {
        let message = format!("User: {caller} is not authorized to perform: {action} on resource: {resource}");
        ApiError::new(403, "AccessDenied", message)
    }
}

impl From<Flaw> for ApiError {
    fn from(flaw: Flaw) -> ApiError {
        match flaw {
            Flaw::Unsigned => {
                ApiError::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
            }
            Flaw::Incomplete(message) => ApiError::new(400, "IncompleteSignature", message),
            Flaw::UnknownKey => {
                ApiError::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
            }
            Flaw::ExpiredKey => {
                ApiError::new(403, "ExpiredToken", "The security token included in the request is expired")
            }
            Flaw::Invalid(message) => ApiError::new(403, "SignatureDoesNotMatch", message),
        }
    }
}

impl From<&Refusal> for ApiError {
    fn from(refusal: &Refusal) -> ApiError {
        ApiError { status: refusal.status, code: refusal.code.clone(), message: refusal.message.clone() }
    }
}
