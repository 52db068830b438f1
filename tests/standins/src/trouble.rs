//! What goes wrong when a test says so, in the stand-ins of the proxy's services.

use std::{borrow::Cow, fmt, future, sync::Arc, time::Duration};

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
};

use crate::{body::Body, script::Script, serve::Closed, wire::Control};

/// What happens to a request instead of, or on top of, the usual.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Trouble {
    /// Wait, then go on as usual.
    Latency(Duration),
    /// Wait, then meet another one.
    Delayed(Duration, Box<Trouble>),
    /// An error in the words and the format of the service. Nothing is carried out.
    Refused(Refusal),
    /// An HTML page with this status, as something between client and service would send. Nothing is carried out.
    Page(u16),
    /// The connection is reset (RST). Nothing is carried out.
    Reset,
    /// The connection is closed without a reply. Nothing is carried out.
    Close,
    /// Nothing is sent until the peer leaves. Nothing is carried out.
    Hang,
    /// The headers of a 200, then nothing until the peer leaves. Nothing is carried out.
    HangAfterHeaders,
    /// A 200 with an empty body. Nothing is carried out.
    Empty,
    /// Carried out; the reply has the first half of its body, in HTTP that is whole.
    HalfBody,
    /// Carried out; the connection ends in the middle of the reply's body.
    CutBody,
    /// Carried out; the connection is closed without a reply.
    Lost,
}

/// An error reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The service's name for the error, for services that have names.
    pub code: Cow<'static, str>,
    /// Its text.
    pub message: Cow<'static, str>,
    /// Seconds, for the header `Retry-After`.
    pub retry_after: Option<u32>,
}

impl Trouble {
    /// An error with this status, name and text.
    pub fn refused(status: u16, code: impl Into<Cow<'static, str>>, message: impl Into<Cow<'static, str>>) -> Trouble {
        Trouble::Refused(Refusal { status, code: code.into(), message: message.into(), retry_after: None })
    }

    /// An error with this status, and the name and text that the status has in the HTTP standard.
    #[must_use]
    pub fn status(status: u16) -> Trouble {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let reason = reason.unwrap_or("Unknown");
        Trouble::refused(status, reason.replace(' ', ""), reason)
    }

    /// 429 with `Retry-After`, in seconds.
    #[must_use]
    pub fn too_many_requests(retry_after: u32) -> Trouble {
        Trouble::Refused(Refusal {
            status: 429,
            code: Cow::Borrowed("TooManyRequests"),
            message: Cow::Borrowed("Too many requests, please try again later."),
            retry_after: Some(retry_after),
        })
    }

    /// This one, after a wait.
    #[must_use]
    pub fn after(self, wait: Duration) -> Trouble {
        Trouble::Delayed(wait, Box::new(self))
    }
}

type Rule<V> = dyn Fn(&V) -> Option<Trouble> + Send + Sync;

/// The script: one-shot troubles of an operation `K`, then standing rules over requests `V`, in the order they were
/// given.
pub struct Troubles<K, V> {
    script: Script<K, Trouble, Rule<V>>,
}

impl<K: PartialEq, V> Troubles<K, V> {
    /// The next `n` requests of `op` meet `trouble`, after those queued before.
    pub fn next(&self, op: K, n: u32, trouble: Trouble) {
        self.script.next(op, n, trouble);
    }

    /// Every request for which `rule` gives a trouble meets it, until [`Troubles::clear`]. Queued ones come first.
    pub fn when(&self, rule: impl Fn(&V) -> Option<Trouble> + Send + Sync + 'static) {
        self.script.when(Arc::new(rule));
    }

    /// Forgets what is queued and the rules; requests that already met one are not freed.
    pub fn clear(&self) {
        self.script.clear();
    }

    /// Requests that queued troubles still wait for.
    #[must_use]
    pub fn pending(&self) -> u32 {
        self.script.pending()
    }

    pub(crate) fn take(&self, op: &K, request: &V) -> Option<Trouble> {
        self.script.take(op).or_else(|| self.script.rules().iter().find_map(|rule| rule(request)))
    }
}

impl<K, V> Default for Troubles<K, V> {
    fn default() -> Troubles<K, V> {
        Troubles { script: Script::default() }
    }
}

impl<K: fmt::Debug, V> fmt::Debug for Troubles<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.script.fmt(f)
    }
}

/// Sits out the waits of a trouble; gives what remains of it.
pub(crate) async fn wait(mut trouble: Option<Trouble>) -> Option<Trouble> {
    loop {
        match trouble {
            Some(Trouble::Latency(wait)) => {
                tokio::time::sleep(wait).await;
                return None;
            }
            Some(Trouble::Delayed(wait, inner)) => {
                tokio::time::sleep(wait).await;
                trouble = Some(*inner);
            }
            other => return other,
        }
    }
}

/// Answers, or not, as the trouble has it.
pub(crate) async fn meet(
    trouble: Option<Trouble>,
    control: &Control,
    answer: impl FnOnce() -> Response<Body>,
    refuse: impl FnOnce(&Refusal) -> Response<Body>,
) -> Result<Response<Body>, Closed> {
    let Some(trouble) = trouble else { return Ok(answer()) };
    Ok(match trouble {
        Trouble::Latency(_) | Trouble::Delayed(..) => answer(),
        Trouble::Refused(refusal) => refuse(&refusal),
        Trouble::Page(status) => page(status),
        Trouble::Reset => {
            control.reset_on_close();
            return Err(Closed);
        }
        Trouble::Close => return Err(Closed),
        Trouble::Hang => future::pending().await,
        Trouble::HangAfterHeaders => {
            let mut reply = Response::new(Body::Hang);
            reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1024"));
            reply
        }
        Trouble::Empty => Response::new(Body::Whole(None)),
        Trouble::HalfBody => halved(answer()).0,
        Trouble::CutBody => {
            let (mut reply, length) = halved(answer());
            // A stream is cut before its first piece.
            let half = if let Body::Whole(half) = reply.body_mut() { Some(half.take()) } else { None };
            match half {
                Some(half) => {
                    reply.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
                    reply.map(|_| Body::Short(half))
                }
                None => reply.map(|_| Body::Cut),
            }
        }
        Trouble::Lost => {
            drop(answer());
            return Err(Closed);
        }
    })
}

/// The reply with half of its body, and the length of the whole. Streams have no half.
fn halved(mut reply: Response<Body>) -> (Response<Body>, usize) {
    let mut length = 0;
    if let Body::Whole(Some(bytes)) = reply.body_mut() {
        length = bytes.len();
        bytes.truncate(length / 2);
    }
    (reply, length)
}

fn page(status: u16) -> Response<Body> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    let page = format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>");
    let mut reply = Response::new(Body::Whole(Some(Bytes::from(page))));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    reply
}
