//! Replies in the form of `EC2ws`.

use hyper::{
    HeaderMap, Response, StatusCode,
    header::{ACCEPT_RANGES, CONTENT_TYPE, DATE, HeaderName, HeaderValue, LAST_MODIFIED, SERVER},
};

use crate::{body::Body, dates};

pub(super) const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");

/// The two times that replies carry, in milliseconds since the epoch.
#[derive(Clone, Copy)]
pub(super) struct Times {
    pub(super) now_ms: i64,
    pub(super) started_ms: i64,
}

/// A 200 with plain text.
pub(super) fn text(times: Times, text: String) -> Response<Body> {
    let mut reply = reply(times, StatusCode::OK, "text/plain", text);
    let headers = reply.headers_mut();
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
    date(headers, LAST_MODIFIED, times.started_ms);
    reply
}

/// An error: a small XHTML document.
pub(super) fn error(times: Times, status: StatusCode) -> Response<Body> {
    let title = format!("{} - {}", status.as_u16(), status.canonical_reason().unwrap_or("Error"));
    let page = format!(
        "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0 \
         Transitional//EN\"\n\t\"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd\">\n<html \
         xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"en\" lang=\"en\">\n <head>\n  <title>{title}</title>\n \
         </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    );
    reply(times, status, "text/html", page)
}

pub(super) fn with_ttl(mut reply: Response<Body>, seconds: i64) -> Response<Body> {
    reply.headers_mut().insert(TTL, HeaderValue::from(seconds));
    reply
}

fn reply(times: Times, status: StatusCode, kind: &'static str, body: String) -> Response<Body> {
    let mut reply = Response::new(Body::from_text(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(SERVER, HeaderValue::from_static("EC2ws"));
    date(headers, DATE, times.now_ms);
    reply
}

fn date(headers: &mut HeaderMap, name: HeaderName, ms: i64) {
    if let Ok(date) = HeaderValue::from_str(&dates::http(ms.div_euclid(1_000))) {
        headers.insert(name, date);
    }
}
