//! A token is typed once; after that a cookie tells who reads. It is good for reading alone.

use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Redirect, Response};
use maud::{Markup, html};

use super::layout::{Place, whole};
use super::{Desk, refused};
use crate::api::{COOKIE, Problem, SESSION_S};

/// The longest form that is read, in bytes.
const LONGEST: usize = 8_192;

/// The form.
pub(super) async fn form(RawQuery(query): RawQuery) -> Response {
    let to = value(query.unwrap_or_default().as_bytes(), "to");
    page(inside(&to), None).into_response()
}

/// Takes the token. Whether a token is wrong or was revoked is not told apart.
pub(super) async fn enter(State(explorer): Desk, headers: HeaderMap, body: Bytes) -> Response {
    if body.len() > LONGEST {
        return refused(Problem::bad("The form is too long."));
    }
    // Another site must not sign a browser in: it would read what somebody else wants it to read.
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return refused(Problem::bad("The form came from another site."));
    }
    let to = value(&body, "to");
    match explorer.access.sign_in(&value(&body, "token")).await {
        Ok(Some(session)) => with_cookie(Redirect::to(inside(&to)).into_response(), &session, SESSION_S),
        Ok(None) => {
            let wrong = page(inside(&to), Some("This token is not known here, or was revoked."));
            (StatusCode::UNAUTHORIZED, wrong).into_response()
        }
        Err(error) => refused(error.into()),
    }
}

/// Ends the session.
pub(super) async fn leave(State(explorer): Desk, headers: HeaderMap) -> Response {
    explorer.access.sign_out(&headers);
    with_cookie(Redirect::to("/sign-in").into_response(), "", 0)
}

fn with_cookie(mut response: Response, value: &str, seconds: u64) -> Response {
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn value(form: &[u8], name: &str) -> String {
    form_urlencoded::parse(form).find(|(each, _)| each == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// An address inside the page: anything else would send the reader wherever somebody likes.
fn inside(to: &str) -> &str {
    let local = to.starts_with('/') && !to.starts_with("//") && !to.contains(['\\', '\r', '\n', '\t', '\0']);
    if local && to.is_ascii() { to } else { "/" }
}

fn page(to: &str, wrong: Option<&str>) -> Markup {
    let main = html! {
        section.signin {
            h1 { "Compliance Explorer" }
            p { "It is opened with a token of the scope " code { "read" } ". " code { "safeguard token add" } " makes one." }
            form method="post" action="/sign-in" {
                input type="hidden" name="to" value=(to);
                label for="token" { "Token" }
                input #token type="password" name="token" autocomplete="current-password" required maxlength="512" autofocus
                    aria-describedby=[wrong.map(|_| "wrong")] aria-invalid=[wrong.map(|_| "true")];
                @if let Some(wrong) = wrong { p #wrong .bad role="alert" { (wrong) } }
                button { "Open" }
            }
        }
    };
    whole("Sign in", Place::Nowhere, "", false, &main)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        for to in
            ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "", "/\tx", "/é"]
        {
            assert_eq!(inside(to), "/", "{to}");
        }
        assert_eq!(inside("/nodes?state=missing"), "/nodes?state=missing");
    }
}
