//! What whole-system tests, benchmarks and the demo are made of.
//!
//! * [`lines`]: the input, in which every line can be told from every other;
//! * [`node`]: a node without Kubernetes, whose containers write, rotate, restart and end, and an oracle that knows what
//!   was written;
//! * [`containerd`]: the real runtime: it writes real container logs, and starts pods on a network of their own;
//! * [`machine`]: a Debian that boots, with a real journald;
//! * [`moto`]: a CloudWatch Logs and an STS that others wrote, with boto3 as the reader;
//! * [`fabric`]: a node's network and its pods in network namespaces, with a metadata service outside;
//! * [`demo`]: the agent and the proxy at work, to look at;
//! * [`api_server`]: a real API server of Kubernetes; [`helm`]: our charts, and what Helm renders of them;
//! * [`built`]: our programs; [`parts`]: what others wrote, and whether it is here.
//!
//! The strict stand-in for CloudWatch Logs is the package `safeguard-standins`. Nothing here leaves the loopback
//! interface, and network namespaces of its own.

pub mod api_server;
pub mod built;
pub mod containerd;
pub mod demo;
pub mod fabric;
pub mod helm;
pub mod lines;
pub mod machine;
pub mod moto;
pub mod node;
pub mod parts;
pub mod proxied;
