//! What this room asks others for, when it needs it.

use std::pin::Pin;
use std::sync::Arc;

use safeguard_protocol::{Digest, Proofs};

/// Something that takes a while.
pub type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = T> + Send + 'a>>;

/// Who can have others vouch for this node.
pub trait ProofSource: Send + Sync {
    /// What vouches for this node now. `binding` is the value of the signed header of the request to STS
    /// ([`safeguard_protocol::binding`]). A proof that cannot be had is left out; the error says why there is none at all.
    fn proofs(&self, binding: String) -> Future<'_, Result<Proofs, String>>;
}

/// Who has reports.
pub trait ReportSource: Send + Sync {
    /// The report with a digest, while it is known.
    fn report(&self, digest: &Digest) -> Option<Arc<[u8]>>;
}
