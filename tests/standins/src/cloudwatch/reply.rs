//! Replies, whole and broken.

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderName, HeaderValue},
};

use crate::{body::Body, cloudwatch::error::ApiError, dates};

const JSON: HeaderValue = HeaderValue::from_static("application/x-amz-json-1.1");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-amzn-requestid");

/// Stamps replies with the request's id and the service's date.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) serial: u64,
    pub(crate) now_ms: i64,
}

impl Stamp {
    fn reply(self, status: StatusCode, kind: HeaderValue, body: Body) -> Response<Body> {
        let mut reply = Response::new(body);
        *reply.status_mut() = status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        let id = format!("00000000-0000-4000-8000-{:012x}", self.serial);
        if let Ok(id) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, id);
        }
        // Clients correct their clocks by this header, so it has to be the clock that checks their signatures.
        if let Ok(date) = HeaderValue::from_str(&dates::http(self.now_ms.div_euclid(1_000))) {
            headers.insert(DATE, date);
        }
        reply
    }

    pub(crate) fn ok(self, body: String) -> Response<Body> {
        self.reply(StatusCode::OK, JSON, Body::from_text(body))
    }

    pub(crate) fn error(self, error: &ApiError) -> Response<Body> {
        let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.reply(status, JSON, Body::Whole(Some(Bytes::from(error.body()))))
    }

    /// The headers of a 200, and then nothing.
    pub(crate) fn hang(self) -> Response<Body> {
        self.promised(Body::Hang)
    }

    /// A 200 that ends before its `Content-Length`.
    pub(crate) fn short(self) -> Response<Body> {
        self.promised(Body::Short(Some(Bytes::from_static(b"{\"rejected"))))
    }

    fn promised(self, body: Body) -> Response<Body> {
        let mut reply = self.reply(StatusCode::OK, JSON, body);
        reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1024"));
        reply
    }

    /// An HTML page, from something between the client and the service.
    pub(crate) fn page(self, status: StatusCode) -> Response<Body> {
        let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
        let mut reply = self.reply(status, HTML, Body::Whole(Some(Bytes::from(page))));
        reply.headers_mut().remove(REQUEST_ID);
        reply
    }
}

/// Takes the request id away.
pub(crate) fn without_request_id(mut reply: Response<Body>) -> Response<Body> {
    reply.headers_mut().remove(REQUEST_ID);
    reply
}
