//! What a node knows of AWS: who this instance is, and how an AWS SDK is configured here.
//!
//! Comes in: endpoints, a CA bundle, proxies and the names that the operator set. Goes out: [`Identity`], read from the
//! instance metadata service (IMDSv2, never version 1), and an [`SdkConfig`] for any client.
//!
//! Never: asks the metadata service when it was not told to, starts a process to get credentials (the SDK is built
//! without `credential_process`), sends a request for credentials through a proxy, or writes a secret into a log or an
//! error.
//!
//! Depends on no crate of ours.

mod http;
mod identity;
mod sdk;

pub use http::{HttpError, HttpOptions, Proxies, http_client};
pub use identity::{Identity, IdentityError, Wanted, identity};
pub use sdk::{SdkError, SdkOptions, sdk_config};

pub use aws_config::{Region, SdkConfig};
pub use aws_credential_types::Credentials;
