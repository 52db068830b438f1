//! The pod-facing port on loopback, where each address of 127.0.0.0/8 is a pod, against a strict metadata service.

mod limits;
mod matrix;
mod rig;
mod smuggling;
