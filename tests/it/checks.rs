//! The host checks on real hosts: a Debian that becomes harder step by step, the same one booted, a pod that looks at the host
//! that it runs on, and hosts that somebody prepared.

mod debian;
mod hostile;
mod image;
mod machine;
mod no_exec;
mod pod;
