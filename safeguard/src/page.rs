//! The Compliance Explorer: pages made here, whole without a script.
//!
//! Every text of a node is escaped where it is written (`maud`), every value in an address where the address is made
//! (`page/link.rs`), and the policy below forbids whatever would come through in spite of that.

mod actions;
mod chart;
mod controls;
mod layout;
mod link;
mod node;
mod nodes;
mod overview;
mod sign_in;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};

use crate::api::{Asked, Problem, Scope};
use crate::dry_run::Sources;
use crate::explorer::Explorer;
use crate::store::read;
use layout::Place;

/// What a page may load and do: what comes from here, and nothing that is written inside it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Rows of a list on a page.
const ROWS: u32 = 50;

type Desk = State<Arc<Explorer>>;
type Answer = Result<Markup, Problem>;

/// The pages' routes. The API's are in [`crate::api::router`].
pub fn router(explorer: Arc<Explorer>) -> Router {
    let pages = Router::new()
        .route("/", get(overview_page))
        .route("/controls", get(controls_page))
        .route("/control", get(control_page))
        .route("/nodes", get(nodes_page))
        .route("/nodes/{id}", get(node_page))
        .route("/actions", get(actions_page))
        .layer(middleware::from_fn_with_state(Arc::clone(&explorer), guard));
    let open = Router::new()
        .route("/sign-in", get(sign_in::form).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/static/{name}", get(file));
    pages.merge(open).layer(middleware::map_response(protect)).with_state(explorer)
}

/// Lets in who may read; others are asked for a token.
async fn guard(State(explorer): Desk, request: Request, next: Next) -> Response {
    match explorer.access.of(request.headers(), Scope::Read).await {
        Ok(Some(_)) => next.run(request).await,
        Ok(None) => {
            let to = request.uri().path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
            Redirect::to(&link::to("/sign-in", &[("to", to)])).into_response()
        }
        Err(error) => refused(error.into()),
    }
}

async fn protect(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// A page that says why there is none.
fn refused(problem: Problem) -> Response {
    let main = html! {
        h1 { (problem.title) }
        p { (problem.detail) }
        p { a href="/" { "To the overview" } }
    };
    let page = layout::whole(&problem.title, Place::Nowhere, "", false, &main);
    (problem.status(), page).into_response()
}

fn shown(explorer: &Explorer, title: &str, place: Place, topics: &str, main: Answer) -> Response {
    match main {
        Ok(main) => layout::whole(title, place, topics, !explorer.access.is_open(), &main).into_response(),
        Err(problem) => refused(problem),
    }
}

async fn overview_page(State(explorer): Desk, RawQuery(query): RawQuery) -> Response {
    let main = async {
        let filter = Asked::read(query.as_deref(), &[])?.filter()?;
        let overview = explorer.overview(filter.clone()).await?;
        Ok(overview::page(&overview, &filter, explorer.now_ms()))
    };
    shown(&explorer, "Overview", Place::Overview, "fleet", main.await)
}

async fn controls_page(State(explorer): Desk, RawQuery(query): RawQuery) -> Response {
    let main = async {
        let asked = Asked::read(query.as_deref(), &["verdict", "after"])?;
        let (filter, which, after) = (asked.filter()?, asked.which()?, asked.after()?);
        let verdict = which.verdict.clone().unwrap_or_default();
        let of = filter.clone();
        let ask = move |db: &_| read::controls(db, &of, which.verdict.as_deref(), 500, after.as_ref());
        let controls = explorer.reader.ask(ask).await?;
        Ok(controls::all(&controls, &filter, &verdict, explorer.now_ms()))
    };
    shown(&explorer, "Controls", Place::Controls, "fleet", main.await)
}

async fn control_page(State(explorer): Desk, RawQuery(query): RawQuery) -> Response {
    let main = async {
        let asked = Asked::read(query.as_deref(), &["control", "verdict", "after"])?;
        let (filter, which, after) = (asked.filter()?, asked.which()?, asked.after()?);
        if filter.policy.is_none() || which.control.is_none() {
            return Err(Problem::bad("a control is named by `policy` and `control`"));
        }
        let (of, asked) = (filter.clone(), which.clone());
        let (control, findings) = explorer
            .reader
            .ask(move |db| {
                let control = read::control(db, &of, asked.control.as_deref().unwrap_or_default())?;
                Ok((control, read::findings(db, &of, &asked, ROWS, after.as_ref())?))
            })
            .await?;
        Ok(controls::one(control.as_ref(), &findings, &filter, &which, explorer.now_ms()))
    };
    shown(&explorer, "Control", Place::Controls, "fleet", main.await)
}

async fn nodes_page(State(explorer): Desk, RawQuery(query): RawQuery) -> Response {
    let main = async {
        let asked = Asked::read(query.as_deref(), &["after"])?;
        let (filter, after) = (asked.filter()?, asked.after()?);
        let of = filter.clone();
        let nodes = explorer.reader.ask(move |db| read::nodes(db, &of, ROWS, after.as_ref())).await?;
        Ok(nodes::page(&nodes, &filter, explorer.now_ms()))
    };
    shown(&explorer, "Nodes", Place::Nodes, "fleet", main.await)
}

async fn node_page(State(explorer): Desk, Path(id): Path<String>) -> Response {
    let now_ms = explorer.now_ms();
    let main = async {
        let missing = || Problem::missing("There is no node with this number.");
        let id: i64 = id.parse().map_err(|_| missing())?;
        let detail = explorer.reader.ask(move |db| read::node(db, id, now_ms)).await?.ok_or_else(missing)?;
        let title = detail.node.name.clone();
        Ok((title, node::page(&detail, now_ms)))
    };
    match main.await {
        Ok((title, main)) => shown(&explorer, &title, Place::Nodes, &format!("node-{id} node-all"), Ok(main)),
        Err(problem) => refused(problem),
    }
}

async fn actions_page(State(explorer): Desk, RawQuery(query): RawQuery) -> Response {
    let now_ms = explorer.now_ms();
    let main = async {
        Asked::read(query.as_deref(), &[])?;
        let asked = explorer.reader.ask(move |db| {
            let sources = (read::places(db)?, read::cluster_places(db)?);
            Ok((read::doubtful(db, now_ms)?, sources, read::exclusions(db)?))
        });
        let (fleet, (ec2, clusters), exclusions) = asked.await?;
        Ok(actions::page(&fleet, Sources { ec2: &ec2, clusters: &clusters }, &exclusions, now_ms))
    };
    shown(&explorer, "Actions", Place::Actions, "fleet", main.await)
}

async fn file(Path(name): Path<String>) -> Response {
    let (kind, body) = match name.as_str() {
        "page.css" => ("text/css; charset=utf-8", include_str!("page/static/page.css")),
        "live.js" => ("text/javascript; charset=utf-8", include_str!("page/static/live.js")),
        "icon.svg" => ("image/svg+xml", include_str!("page/static/icon.svg")),
        _ => return refused(Problem::missing("There is no such file.")),
    };
    // They change with the program, and are small.
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "private, max-age=300")], body).into_response()
}

#[cfg(test)]
pub(crate) mod tests;
