//! What the admin socket and the metrics port answer.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use safeguard_checks::continuous::Checks;
use safeguard_daemon::admin::{BoxFuture, Handler, Method, Response};
use safeguard_heartbeat::Heartbeat;
use safeguard_logs::{Logs, Status};

use crate::health::Health;
use crate::metrics;
use crate::overview::{Overview, Who};

/// For a snapshot of the log room, which answers between two reads.
const STATUS_DEADLINE: Duration = Duration::from_secs(5);

/// What there is to look at.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) logs: Option<Logs>,
    pub(crate) checks: Option<Checks>,
    pub(crate) heartbeat: Option<Heartbeat>,
    /// Who this node is, and where its proxy answers.
    pub(crate) who: Who,
    pub(crate) proxy_socket: PathBuf,
}

impl Inside {
    pub(crate) async fn status(&self) -> Option<Status> {
        self.logs.as_ref()?.status(STATUS_DEADLINE).await
    }

    pub(crate) fn health(&self) -> Health {
        Health::of(self.logs.as_ref(), self.checks.as_ref(), self.heartbeat.as_ref())
    }

    async fn metrics(&self) -> Response {
        // Without a snapshot the rest is still worth a scrape: `safeguard_healthy` says that something is wrong.
        let status = self.status().await;
        let checks = self.checks.as_ref().and_then(Checks::latest);
        let heartbeat = self.heartbeat.as_ref().map(Heartbeat::status);
        match metrics::encode(status.as_ref(), checks, heartbeat, self.health().healthy) {
            Ok(text) => Response { status: 200, content_type: metrics::CONTENT_TYPE, body: text.into() },
            Err(error) => Response::text(500, format!("the metrics cannot be written: {error}\n")),
        }
    }
}

/// Routes of the admin socket.
pub(crate) struct Admin(pub(crate) Arc<Inside>);

impl Handler for Admin {
    fn handle<'a>(&'a self, method: &'a Method, path: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            match path {
                _ if !is_read(method) => not_allowed(),
                "/v1/logs" => match (&self.0.logs, self.0.status().await) {
                    (None, _) => Response::text(404, "logs are off (`logs.enabled`)\n"),
                    (Some(_), None) => Response::text(503, "the log room does not answer: it may wait for a disk\n"),
                    (Some(_), Some(status)) => json(200, &status),
                },
                "/v1/checks" => match self.0.checks.as_ref().map(Checks::latest) {
                    None => Response::text(404, "checks are off (`checks.enabled`)\n"),
                    Some(None) => Response::text(503, "the first look at the host has not ended yet\n"),
                    Some(Some(snapshot)) => json(200, snapshot.as_ref()),
                },
                "/v1/heartbeat/next" => match &self.0.heartbeat {
                    None => Response::text(404, "there is no heartbeat (`heartbeat.url`)\n"),
                    Some(heartbeat) => match heartbeat.preview().await {
                        Some(statement) => json(200, &statement),
                        None => Response::text(
                            503,
                            "there is nothing to say yet: the first look at the host has not ended\n",
                        ),
                    },
                },
                "/v1/status" => json(200, &Overview::of(&self.0).await),
                "/v1/health" => {
                    let health = self.0.health();
                    json(if health.healthy { 200 } else { 503 }, &health)
                }
                "/metrics" => self.0.metrics().await,
                _ => Response::not_found(path),
            }
        })
    }
}

/// Routes of the metrics port.
pub(crate) struct Metrics(pub(crate) Arc<Inside>);

impl Handler for Metrics {
    fn handle<'a>(&'a self, method: &'a Method, path: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Response> {
        Box::pin(async move {
            match path {
                _ if !is_read(method) => not_allowed(),
                "/metrics" => self.0.metrics().await,
                "/healthz" => match self.0.health() {
                    Health { healthy: true, .. } => Response::text(200, "ok\n"),
                    Health { reasons, .. } => Response::text(503, format!("{}\n", reasons.join("\n"))),
                },
                _ => Response::not_found(path),
            }
        })
    }
}

fn is_read(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

fn not_allowed() -> Response {
    Response::text(405, "only GET is answered here\n")
}

fn json(status: u16, document: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => Response::json(status, body),
        Err(error) => Response::text(500, format!("the answer cannot be written: {error}\n")),
    }
}
