//! Tells the safeguard how this node stands, and that it is alive. The log room and the checks are unknown here.
//!
//! Comes in: a [`Posture`] over a channel, and what vouches for this node from a [`ProofSource`]. Goes out: signed beats
//! (docs/protocol.md), and a [`Status`] with what the safeguard answered.
//!
//! A beat is on disk before it is sent, and stays there until the safeguard acknowledged it. While nobody answers, beats go on
//! being made; afterwards the newest goes first. Nothing is done because of a reply that the safeguard did not sign.
//!
//! Never: looks at the host, asks AWS or Kubernetes, or decides what a posture is worth.
//!
//! Depends on `safeguard-protocol` among ours.

mod chain;
mod compose;
mod disk;
mod exchange;
mod heartbeat;
mod posture;
mod reply;
mod run;
mod schedule;
mod settings;
mod source;
mod spool;
mod state;
mod status;
mod trust;

pub use heartbeat::{Heartbeat, StartError};
pub use posture::{Node, Posture};
pub use settings::{Clock, Settings, UrlError, base_url};
pub use source::{Future, ProofSource, ReportSource};
pub use status::{Acknowledged, Status, Trouble};
pub use trust::TrustError;

pub use safeguard_protocol::{
    Assessment, Assurance, Change, Code, Counts, Digest, Exceptions, IdentityProof, KeyId, Logs, Membership, Policy,
    Posture as Verdict, Program, Proofs, Proxy, PublicKey, Received, Redirect, Remedy, RoleMapping, State, Statement,
    StsProof, Verdict as ControlVerdict, limits,
};
