//! Replies in the service's XML.

use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, DATE, HeaderName, HeaderValue},
};

use super::error::ApiError;
use crate::{body::Body, dates};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Stamps replies with the request's id and the service's date.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    pub(super) serial: u64,
    pub(super) now_ms: i64,
}

impl Stamp {
    fn id(self) -> String {
        format!("00000000-0000-4000-8000-{:012x}", self.serial)
    }

    /// A success: the elements of the operation's result.
    pub(super) fn ok(self, op: &str, result: &str) -> Response<Body> {
        let id = self.id();
        self.reply(
            200,
            format!(
                "<{op}Response xmlns=\"{NAMESPACE}\">\n  <{op}Result>\n{result}  </{op}Result>\n  \
                 <ResponseMetadata>\n    <RequestId>{id}</RequestId>\n  </ResponseMetadata>\n</{op}Response>\n"
            ),
        )
    }

    pub(super) fn error(self, error: &ApiError) -> Response<Body> {
        let kind = if error.status < 500 { "Sender" } else { "Receiver" };
        let (id, code, message) = (self.id(), escape(&error.code), escape(&error.message));
        self.reply(
            error.status,
            format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\">\n  <Error>\n    <Type>{kind}</Type>\n    \
                 <Code>{code}</Code>\n    <Message>{message}</Message>\n  </Error>\n  \
                 <RequestId>{id}</RequestId>\n</ErrorResponse>\n"
            ),
        )
    }

    fn reply(self, status: u16, body: String) -> Response<Body> {
        let mut reply = Response::new(Body::from_text(body));
        *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml"));
        if let Ok(id) = HeaderValue::from_str(&self.id()) {
            headers.insert(REQUEST_ID, id);
        }
        // Clients correct their clocks by this header, so it has to be the clock that checks their signatures.
        if let Ok(date) = HeaderValue::from_str(&dates::http(self.now_ms.div_euclid(1_000))) {
            headers.insert(DATE, date);
        }
        reply
    }
}

/// An element of one line, indented by two more for each level below the result.
pub(super) fn element(level: usize, name: &str, text: &str) -> String {
    let indent = 4 + 2 * level;
    format!("{:indent$}<{name}>{}</{name}>\n", "", escape(text))
}

/// Elements within another one.
pub(super) fn group(name: &str, elements: &[String]) -> String {
    format!("    <{name}>\n{}    </{name}>\n", elements.concat())
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML 1.0 has no way to write these.
            c if c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{7f}'..) => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}
