//! What is installed: each package, image, chart and step of the AMI is built and tried.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests write files and stop at what surprises them"
)]

mod ami;
mod chart;
mod cloud;
mod images;
mod machine;
mod manual;
mod packaged;
mod packages;
