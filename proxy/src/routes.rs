//! What the admin socket and the metrics port answer. Nothing of this is ever served to a pod (research row 45).

use std::sync::Arc;

use safeguard_daemon::admin::{BoxFuture, Handler, Method, Response};
use safeguard_daemon::shutdown::Shutdown;
use safeguard_pods::Reader;
use serde::Serialize;

use crate::answer::Stages;
use crate::connections::Connections;
use crate::explain::{Asked, explain};
use crate::metrics::{Outcome, Shown, encode};
use crate::standing::{Readiness, Standing};

/// Prometheus text format (Prometheus documentation, "Exposition formats").
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What there is to look at.
#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) stages: Arc<Stages>,
    pub(crate) pods: Reader,
    pub(crate) connections: Connections,
    pub(crate) standing: Arc<Standing>,
    /// Asks this process to make room for another.
    pub(crate) retire: Shutdown,
}

/// What the compliance heartbeat says of the proxy.
#[derive(Debug, Serialize)]
struct Posture {
    #[serde(flatten)]
    readiness: Readiness,
    /// Requests for roles that were refused, since the start.
    refusals: u64,
    /// Pods on the host's network, which cannot be told from the node.
    host_network_pods: usize,
}

impl Inside {
    fn host_network_pods(&self) -> usize {
        self.pods.pods().iter().filter(|pod| pod.host_network && !pod.is_finished()).count()
    }

    fn posture(&self) -> Posture {
        Posture {
            readiness: self.standing.readiness(),
            refusals: self.stages.tally.of(Outcome::Refused),
            host_network_pods: self.host_network_pods(),
        }
    }

    fn metrics(&self) -> Response {
        let readiness = self.standing.readiness();
        let text = encode(&Shown {
            tally: &self.stages.tally,
            connections: self.connections.counts(),
            sessions: self.stages.sessions.counts(),
            pods: self.pods.pods().len(),
            host_network_pods: self.host_network_pods(),
            watch_silent_seconds: Some(readiness.watch_silent_seconds),
            ready: readiness.ready,
            redirect_ok: readiness.redirect_ok,
        });
        Response { status: 200, content_type: PROMETHEUS, body: text.into() }
    }
}

fn json(status: u16, document: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(document) {
        Ok(body) => Response::json(status, body),
        Err(error) => Response::text(500, format!("the answer cannot be written: {error}\n")),
    }
}

/// Routes of the admin socket.
pub(crate) struct Admin(pub(crate) Arc<Inside>);

impl Handler for Admin {
    fn handle<'a>(&'a self, method: &'a Method, path: &'a str, query: Option<&'a str>) -> BoxFuture<'a, Response> {
        let inside = &self.0;
        let reads = matches!(*method, Method::GET | Method::HEAD);
        let response = match path {
            "/v1/retire" if *method == Method::POST => {
                tracing::info!("Another proxy takes over: no more connections are let in here.");
                inside.retire.trigger();
                Response::text(200, "retiring\n")
            }
            _ if !reads => Response::text(405, "allowed are GET and HEAD\n"),
            "/v1/explain" => match Asked::read(query) {
                Some(asked) => json(200, &explain(&asked, &inside.stages, &inside.pods)),
                None => Response::text(400, "ask with ?pod=NAMESPACE/NAME or ?ip=ADDRESS\n"),
            },
            "/v1/health" => {
                let health = inside.standing.health();
                json(if health.healthy { 200 } else { 503 }, &health)
            }
            "/v1/ready" => {
                let readiness = inside.standing.readiness();
                json(if readiness.ready { 200 } else { 503 }, &readiness)
            }
            "/v1/posture" => json(200, &inside.posture()),
            "/metrics" => inside.metrics(),
            _ => Response::not_found(path),
        };
        Box::pin(std::future::ready(response))
    }
}

/// Routes of the metrics port.
pub(crate) struct Metrics(pub(crate) Arc<Inside>);

impl Handler for Metrics {
    fn handle<'a>(&'a self, method: &'a Method, path: &'a str, _: Option<&'a str>) -> BoxFuture<'a, Response> {
        let inside = &self.0;
        let response = match path {
            _ if !matches!(*method, Method::GET | Method::HEAD) => Response::text(405, "allowed are GET and HEAD\n"),
            "/metrics" => inside.metrics(),
            "/healthz" => {
                let health = inside.standing.health();
                json(if health.healthy { 200 } else { 503 }, &health)
            }
            "/readyz" => {
                let readiness = inside.standing.readiness();
                json(if readiness.ready { 200 } else { 503 }, &readiness)
            }
            _ => Response::not_found(path),
        };
        Box::pin(std::future::ready(response))
    }
}
