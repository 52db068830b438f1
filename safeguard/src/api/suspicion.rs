//! The way back from suspicion: a person looked into it, and says so.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Problem;
use super::exclusions::{LONGEST, TEXT, is_json};
use super::lists::{number, only_path};
use crate::explorer::Explorer;
use crate::registrar::{Job, Word};

/// What a person says who looked into it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Cleared {
    /// What was found.
    #[schemars(length(min = 1, max = 500), extend("pattern" = TEXT))]
    pub reason: String,
    /// Who answers for it.
    #[schemars(length(min = 1, max = 200), extend("pattern" = TEXT))]
    pub owner: String,
}

pub(super) async fn clear(
    State(explorer): State<Arc<Explorer>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    only_path(query.as_deref())?;
    let node_id = number(&id)?;
    if !is_json(&headers) {
        return Err(Problem::media_type());
    }
    if body.len() > LONGEST {
        return Err(Problem::bad(format!("the body is longer than {LONGEST} bytes")));
    }
    let Cleared { reason, owner } = serde_json::from_slice(&body).map_err(|error| Problem::bad(error.to_string()))?;
    let fits = |text: &str, most: usize| (1..=most).contains(&text.chars().count()) && !text.contains('\0');
    if !fits(&reason, 500) || !fits(&owner, 200) {
        return Err(Problem::bad("`reason` has 1 to 500 characters, and `owner` 1 to 200"));
    }
    let Some(desk) = explorer.desk.get() else {
        return Err(Problem::conflict("this page only reads: the safeguard itself does not run behind it"));
    };
    let word = desk.ask(|answer| Job::Clear { node_id, reason, owner, answer }).await;
    match word.map_err(|refused| Problem::unavailable(refused.message))? {
        Word::Done => Ok(StatusCode::NO_CONTENT),
        Word::NoNode => Err(Problem::missing(format!("there is no node {node_id}"))),
        Word::NoSuspicion => Err(Problem::conflict("nothing is suspected of this node")),
    }
}
