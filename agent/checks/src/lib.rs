//! Says how this node stands against policies, honestly and without running a program.
//!
//! ```text
//! Host -> Facts -> rules -> Report
//! ```
//!
//! **In:** a [`Host`] (the root of its files, and the phase it is in), [`Policy`]s, [`Exceptions`], and the [`Inputs`] that are no
//! files. **Out:** a [`Report`]: for each control one [`Status`] with its evidence. **Never:** starts a program, writes to the
//! host, opens a connection, or takes what it could not observe for a pass.
//!
//! A *fact* is something about the host, gathered once a run and only when a rule asks (`facts/`, one kind a file): what holds
//! now and what will hold after a reboot are different facts. A *rule* is a predicate of a policy over facts (`rules/`, one kind
//! a file): data, typed, closed. Between them stand two types: [`Observed`], a fact or the reason why there is none, and
//! [`Verdict`], which carries that reason on until it is a status.

pub mod continuous;
mod evaluate;
pub mod exceptions;
mod expect;
mod facts;
#[cfg(test)]
mod fixture;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod mistake;
mod nesting;
mod observed;
pub mod policy;
mod report;
mod rulebook;
mod rules;
mod verdict;
mod yaml;

pub use evaluate::{ClockState, Inputs, evaluate};
pub use exceptions::{Exceptions, NodeScope};
pub use expect::{Expect, Scalar};
pub use facts::Facts;
pub use host::{Host, Phase};
pub use mistake::{Field, Flaw, Mistake};
pub use observed::{Cause, Observed, Unobserved};
pub use policy::{Assessment, Control, Policy};
pub use report::{Change, Counts, CoverageDrop, ExceptionNote, ExceptionState, Finding, PolicyReport, Report, Status};
pub use rulebook::{Rulebook, Sources};
pub use rules::Predicate;
pub use rules::kubelet::known_setting;
pub use verdict::{Evidence, Truth, Verdict};
