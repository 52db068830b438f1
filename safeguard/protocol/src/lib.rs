//! The wire format between a node's agent and the safeguard, as docs/protocol.md tells it.
//!
//! Comes in: what a node says of itself ([`Enrolment`], [`Statement`]) or what the safeguard answers ([`Challenge`],
//! [`Enrolled`], [`Acknowledgement`], [`Refusal`]). Goes out: an [`Envelope`], and from an envelope only what its
//! signature holds for.
//!
//! Never: does I/O, asks the clock, or decides what a statement is worth.
//!
//! Depends on no crate of ours.

mod digest;
mod enrolment;
mod envelope;
mod key;
pub mod limits;
mod refusal;
mod reply;
mod statement;
mod text;

pub use digest::{Digest, DigestError};
pub use enrolment::{Assurance, Enrolment, IdentityProof, Proofs, StsProof, binding};
pub use envelope::{Envelope, EnvelopeError, Kind, Opened, Signature};
pub use key::{KeyError, KeyId, PublicKey, SigningKey};
pub use refusal::{Code, Refusal, Remedy};
pub use reply::{Acknowledgement, Challenge, Enrolled, Posture, Received, State};
pub use statement::{
    Assessment, Beat, Change, Counts, Exceptions, Logs, Membership, Policy, Program, Proxy, Redirect, RoleMapping,
    SealError, Sealed, SequenceRange, Spool, Statement, Verdict,
};

/// The version of every message of this crate.
pub const VERSION: u32 = 1;
