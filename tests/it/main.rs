//! Whole-system tests: the real rooms against strict stand-ins and real parts.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests write files and stop at what surprises them"
)]

mod logs_delivery;
mod logs_rotation;
mod rig;
