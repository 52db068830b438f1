//! The verifier as the safeguard uses it, against real servers on loopback: a node's side that signs, STS that verifies what it
//! signed, and servers that answer what no service should.

#![expect(clippy::disallowed_methods, reason = "the tests own their directories")]
#![expect(clippy::unwrap_used, reason = "a test that cannot set its stage has failed")]

mod attacks;
mod identity;
mod node;
mod outage;
mod rig;
mod server;
mod token;
