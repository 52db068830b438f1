//! Lists and single things, for reading.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};

use super::{Asked, Problem};
use crate::explorer::Explorer;
use crate::store::read::{self, Control, Day, Event, Finding, Node, NodeDetail, Overview, Page};

type Answer<T> = Result<Json<T>, Problem>;
type Desk = State<Arc<Explorer>>;

pub(super) async fn overview(State(explorer): Desk, RawQuery(query): RawQuery) -> Answer<Overview> {
    let filter = Asked::read(query.as_deref(), &[])?.filter()?;
    Ok(Json(explorer.overview(filter).await?.as_ref().clone()))
}

pub(super) async fn trend(State(explorer): Desk, RawQuery(query): RawQuery) -> Answer<Vec<Day>> {
    let filter = Asked::read(query.as_deref(), &[])?.filter()?;
    let now_ms = explorer.now_ms();
    Ok(Json(explorer.reader.ask(move |db| read::trend(db, &filter, now_ms)).await?))
}

pub(super) async fn nodes(State(explorer): Desk, RawQuery(query): RawQuery) -> Answer<Page<Node>> {
    let asked = Asked::read(query.as_deref(), &["limit", "after"])?;
    let (filter, limit, after) = (asked.filter()?, asked.limit()?, asked.after()?);
    Ok(Json(explorer.reader.ask(move |db| read::nodes(db, &filter, limit, after.as_ref())).await?))
}

pub(super) async fn node(
    State(explorer): Desk,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer<NodeDetail> {
    only_path(query.as_deref())?;
    let id = number(&id)?;
    let now_ms = explorer.now_ms();
    let found = explorer.reader.ask(move |db| read::node(db, id, now_ms)).await?;
    found.map(Json).ok_or_else(|| Problem::missing(format!("there is no node {id}")))
}

pub(super) async fn controls(State(explorer): Desk, RawQuery(query): RawQuery) -> Answer<Page<Control>> {
    let asked = Asked::read(query.as_deref(), &["verdict", "limit", "after"])?;
    let (filter, which, limit, after) = (asked.filter()?, asked.which()?, asked.limit()?, asked.after()?);
    let question = move |db: &_| read::controls(db, &filter, which.verdict.as_deref(), limit, after.as_ref());
    Ok(Json(explorer.reader.ask(question).await?))
}

pub(super) async fn findings(State(explorer): Desk, RawQuery(query): RawQuery) -> Answer<Page<Finding>> {
    let asked = Asked::read(query.as_deref(), &["control", "verdict", "limit", "after"])?;
    let (filter, which, limit, after) = (asked.filter()?, asked.which()?, asked.limit()?, asked.after()?);
    Ok(Json(explorer.reader.ask(move |db| read::findings(db, &filter, &which, limit, after.as_ref())).await?))
}

pub(super) async fn events(State(explorer): Desk, RawQuery(query): RawQuery) -> Answer<Page<Event>> {
    let asked = Asked::read(query.as_deref(), &["node", "kind", "limit", "after"])?;
    let node = asked.given("node").map(number).transpose()?;
    let kind = asked.get("kind").map(str::to_owned);
    let (limit, after) = (asked.limit()?, asked.after()?);
    Ok(Json(explorer.reader.ask(move |db| read::events(db, node, kind.as_deref(), limit, after.as_ref())).await?))
}

/// A number of a node or of anything else: 1 or more.
pub(super) fn number(text: &str) -> Result<i64, Problem> {
    let number = text.parse().ok().filter(|id| *id > 0);
    number.ok_or_else(|| Problem::bad("a number from 1 on is wanted here"))
}

/// Refuses a query where the path says everything.
pub(super) fn only_path(query: Option<&str>) -> Result<(), Problem> {
    match query {
        None | Some("") => Ok(()),
        Some(_) => Err(Problem::bad("no query is known here")),
    }
}
