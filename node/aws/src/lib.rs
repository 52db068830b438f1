//! What a node knows of AWS: who this instance is, and how an AWS SDK is configured here.
//!
//! Comes in: endpoints, a CA bundle, proxies and the names that the operator set, in settings or in the [`Environment`]. Goes
//! out: [`Identity`], read from the instance metadata service (IMDSv2; of version 1 only whether it is refused), an [`SdkConfig`] for any client,
//! the token that an EKS cluster knows this instance by, and what proves to others which instance this is.
//!
//! Never: asks the metadata service when it was not told to, starts a process to get credentials (the SDK is built
//! without `credential_process`), sends a request for credentials through a proxy, or writes a secret into a log or an
//! error.
//!
//! Depends on no crate of ours.

mod caller;
mod eks;
mod environment;
mod http;
mod identity;
mod identity_proof;
pub mod kubelet;
mod sdk;
mod sts_host;
mod tokenless;

pub use caller::{CallerProof, CallerProofError, caller_proof};
pub use eks::{EksToken, EksTokenError, eks_token};
pub use environment::Environment;
pub use http::{HttpError, HttpOptions, Proxies, http_client};
pub use identity::{Identity, IdentityError, Wanted, identity};
pub use identity_proof::{IdentityTexts, identity_proof};
pub use sdk::{AssumedRole, SdkError, SdkOptions, assume_role, sdk_config};
pub use tokenless::{TokenlessError, status_without_token};

pub use aws_config::{Region, SdkConfig};
pub use aws_credential_types::Credentials;
