//! The Safeguard node agent, put together: the only place where rooms meet.
//!
//! Comes in: [`Settings`] and an [`Environment`]. Goes out: a running [`Agent`] that ships logs, looks at the host with the eyes
//! of policies, tells the safeguard how the node stands, and answers on its admin socket and its metrics port. Kubernetes is asked
//! only where pods may have their logs left out, and for the heartbeat.
//!
//! Never belongs here: how a log line is read or sent (`safeguard-logs`), what a control asks (`safeguard-checks`), signals,
//! seccomp, the subscriber of the process's own log (`main`), or state that is global to the process: several agents can run
//! in one.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use safeguard_agent::{Agent, Environment, Settings};
//! let mut settings = Settings::default();
//! settings.node.cluster = Some("demo".to_owned());
//! settings.agent.metrics = "127.0.0.1:0".to_owned();
//! let agent = Agent::start(settings, Environment::of_process()).await?;
//! println!("{:?}", agent.status().await);
//! let left = agent.shutdown().await;
//! # Ok(()) }
//! ```

mod agent;
mod annotations;
mod checks;
pub mod config;
mod exclusions;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod heartbeat;
mod kubernetes;
mod metrics;
mod overview;
mod routes;
mod sdk;
mod summary;

pub use agent::{Agent, ReloadError, StartError};
pub use config::{Environment, Settings};
pub use health::{Health, MAX_SILENCE};
pub use heartbeat::HeartbeatError;
pub use overview::{Delivery, Found, Overview, Who};
pub use summary::{Left, Summary};

pub use safeguard_checks::continuous::Snapshot as CheckSnapshot;
pub use safeguard_heartbeat::{Proxy, Redirect, Status as HeartbeatStatus};
pub use safeguard_logs::{
    ContainerKey, Count, ExclusionStatus, JournalStatus, Ledger, LogName, LogStatus, Reason, Status, TargetStatus,
};
