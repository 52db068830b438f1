//! The API for programs, under `/v1/`. docs/openapi.json describes it, and is made from it.

mod access;
mod exclusions;
mod export;
mod lists;
mod openapi;
mod problem;
mod query;
mod suspicion;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;

pub(crate) use access::{Access, COOKIE, SESSION_S, Scope};
pub use openapi::document;
pub(crate) use problem::Problem;
pub(crate) use query::Asked;

use crate::explorer::Explorer;

/// The API's routes.
pub fn router(explorer: Arc<Explorer>) -> Router {
    let guarded = Router::new()
        .route("/v1/overview", get(lists::overview))
        .route("/v1/trend", get(lists::trend))
        .route("/v1/nodes", get(lists::nodes))
        .route("/v1/nodes/{id}", get(lists::node))
        .route("/v1/nodes/{id}/clear", axum::routing::post(suspicion::clear))
        .route("/v1/controls", get(lists::controls))
        .route("/v1/findings", get(lists::findings))
        .route("/v1/events", get(lists::events))
        .route("/v1/exclusions", get(exclusions::list).post(exclusions::add))
        .route("/v1/exclusions/{id}", axum::routing::delete(exclusions::remove))
        .route("/v1/export/{file}", get(export::file))
        .route("/v1/live", get(live))
        .method_not_allowed_fallback(async || Problem::method())
        .layer(middleware::from_fn_with_state(Arc::clone(&explorer), guard));
    let open = Router::new().route("/v1/openapi.json", get(openapi::serve));
    guarded.merge(open.method_not_allowed_fallback(async || Problem::method())).with_state(explorer)
}

/// Lets through who may, and makes sure that no answer is kept by anybody between.
async fn guard(State(explorer): State<Arc<Explorer>>, request: Request, next: Next) -> Response {
    let needed = if matches!(*request.method(), Method::GET | Method::HEAD) { Scope::Read } else { Scope::Operate };
    let allowed = match explorer.access.of(request.headers(), needed).await {
        Ok(allowed) => allowed,
        Err(error) => return Problem::from(error).into_response(),
    };
    let mut response = match allowed {
        Some(scope) if scope >= needed => next.run(request).await,
        Some(_) => Problem::scope().into_response(),
        None => Problem::unauthorized().into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn live(State(explorer): State<Arc<Explorer>>) -> Response {
    match explorer.live.listen() {
        Some(stream) => stream.into_response(),
        None => Problem::busy().into_response(),
    }
}

#[cfg(test)]
mod tests;
