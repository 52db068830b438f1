//! The error replies of the service, with its words.

use std::borrow::Cow;

use crate::sigv4::Flaw;

/// An error reply: an HTTP status and the two members of its body.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: Cow<'static, str>,
}

impl ApiError {
    pub(crate) fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError { status: 400, code: Cow::Borrowed(code), message: message.into() }
    }

    pub(crate) fn status(self, status: u16) -> ApiError {
        ApiError { status, ..self }
    }

    /// The body `{"__type":"...","message":"..."}`.
    pub(crate) fn body(&self) -> String {
        serde_json::json!({ "__type": self.code, "message": self.message }).to_string()
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError::new("InvalidParameterException", message)
    }

    pub(crate) fn serialization(message: impl Into<Cow<'static, str>>) -> ApiError {
        ApiError::new("SerializationException", message)
    }

    pub(crate) fn no_group() -> ApiError {
        ApiError::new("ResourceNotFoundException", "The specified log group does not exist.")
    }

    pub(crate) fn no_stream() -> ApiError {
        ApiError::new("ResourceNotFoundException", "The specified log stream does not exist.")
    }

    pub(crate) fn group_exists() -> ApiError {
        ApiError::new("ResourceAlreadyExistsException", "The specified log group already exists")
    }

    pub(crate) fn stream_exists() -> ApiError {
        ApiError::new("ResourceAlreadyExistsException", "The specified log stream already exists")
    }

    pub(crate) fn throttled() -> ApiError {
        ApiError::new("ThrottlingException", "Rate exceeded")
    }

    pub(crate) fn unknown_operation() -> ApiError {
        ApiError::new("UnknownOperationException", "")
    }
}

impl From<Flaw> for ApiError {
    fn from(flaw: Flaw) -> ApiError {
        match flaw {
            Flaw::Unsigned => ApiError::new("MissingAuthenticationTokenException", "Missing Authentication Token"),
            Flaw::Incomplete(message) => ApiError::new("IncompleteSignatureException", message),
            Flaw::UnknownKey => {
                ApiError::new("UnrecognizedClientException", "The security token included in the request is invalid.")
            }
            Flaw::ExpiredKey => {
                ApiError::new("ExpiredTokenException", "The security token included in the request is expired")
            }
            Flaw::Invalid(message) => ApiError::new("InvalidSignatureException", message),
        }
    }
}
