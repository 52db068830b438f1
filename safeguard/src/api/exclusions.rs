//! Accounts and node groups that are left alone: who says so, why, and until when.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use schemars::JsonSchema;
use serde::Deserialize;

use super::Problem;
use super::lists::{number, only_path};
use crate::explorer::Explorer;
use crate::store::exclude::{self, Added};
use crate::store::read::{self, Exclusion};

type Desk = State<Arc<Explorer>>;

/// The longest body that is read, in bytes.
pub(super) const LONGEST: usize = 8_192;

/// Everything but NUL, which ends a text in SQLite.
pub(super) const TEXT: &str = r"^[^\u0000]*$";

/// An exclusion that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// The AWS account.
    #[schemars(regex(pattern = r"^[0-9]{12}$"))]
    pub account: String,
    /// The node group; absent for the whole account.
    #[serde(default)]
    #[schemars(length(min = 1, max = 253), extend("pattern" = TEXT))]
    pub group: Option<String>,
    /// Why.
    #[schemars(length(min = 1, max = 500), extend("pattern" = TEXT))]
    pub reason: String,
    /// Who answers for it.
    #[schemars(length(min = 1, max = 200), extend("pattern" = TEXT))]
    pub owner: String,
    /// The last day (UTC) on which it is good.
    #[schemars(extend("format" = "date"))]
    pub expires: String,
}

impl Wanted {
    /// What is wrong with it, if anything.
    fn check(self) -> Result<Exclusion, Problem> {
        let between = |text: &str, most: usize| (1..=most).contains(&text.chars().count()) && !text.contains('\0');
        if self.account.len() != 12 || !self.account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Problem::bad("`account` has 12 digits"));
        }
        if self.group.as_deref().is_some_and(|group| !between(group, 253)) {
            return Err(Problem::bad("`group` has 1 to 253 characters"));
        }
        if !between(&self.reason, 500) || !between(&self.owner, 200) {
            return Err(Problem::bad("`reason` has 1 to 500 characters, and `owner` 1 to 200"));
        }
        if !is_day(&self.expires) {
            return Err(Problem::bad("`expires` is a day, such as 2027-01-31"));
        }
        let Self { account, group, reason, owner, expires } = self;
        Ok(Exclusion { id: 0, account, group, reason, owner, expires })
    }
}

/// Whether a text is a day as it is written here: `2027-01-31`.
fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return false };
    let number = |text: &str, len: usize| -> Option<u32> {
        (text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok())?
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    year > 0 && (1..=days).contains(&day)
}

/// Whether a request says that its body is JSON.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next()).map(str::trim) == Some("application/json")
}

pub(super) async fn list(State(explorer): Desk, RawQuery(query): RawQuery) -> Result<Json<Vec<Exclusion>>, Problem> {
    only_path(query.as_deref())?;
    Ok(Json(explorer.reader.ask(read::exclusions).await?))
}

pub(super) async fn add(
    State(explorer): Desk,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    only_path(query.as_deref())?;
    if !is_json(&headers) {
        return Err(Problem::media_type());
    }
    if body.len() > LONGEST {
        return Err(Problem::bad(format!("the body is longer than {LONGEST} bytes")));
    }
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| Problem::bad(error.to_string()))?;
    let wanted = wanted.check()?;
    let store = explorer.reader.path().to_owned();
    let added = written(tokio::task::spawn_blocking(move || exclude::add(&store, &wanted)).await)?;
    match added {
        Added::Added(exclusion) => Ok((StatusCode::CREATED, Json(exclusion)).into_response()),
        Added::Full => Err(Problem::conflict(format!("there are {} already; remove one that is over", exclude::MOST))),
    }
}

pub(super) async fn remove(
    State(explorer): Desk,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<StatusCode, Problem> {
    only_path(query.as_deref())?;
    let id = number(&id)?;
    let store = explorer.reader.path().to_owned();
    let was_there = written(tokio::task::spawn_blocking(move || exclude::remove(&store, id)).await)?;
    if was_there { Ok(StatusCode::NO_CONTENT) } else { Err(Problem::missing(format!("there is no exclusion {id}"))) }
}

fn written<T>(answer: Result<rusqlite::Result<T>, tokio::task::JoinError>) -> Result<T, Problem> {
    answer.map_err(|_| read::ReadError::Broken)?.map_err(|error| read::ReadError::from(error).into())
}

#[cfg(test)]
mod tests {
    use super::is_day;

    #[test]
    fn a_day_is_one_of_the_calendar() {
        for day in ["2027-01-31", "2028-02-29", "2027-12-01"] {
            assert!(is_day(day), "{day}");
        }
        for wrong in [
            "",
            "2027-02-29",
            "2027-13-01",
            "2027-1-1",
            "27-01-01",
            "2027-01-00",
            "2027-01-01T",
            "+027-01-01",
            "2027-04-31",
        ] {
            assert!(!is_day(wrong), "{wrong}");
        }
    }
}
