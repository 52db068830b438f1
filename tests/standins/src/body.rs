//! The body of a reply, whole or broken.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tokio::sync::mpsc;

#[derive(Debug)]
pub(crate) enum Body {
    Whole(Option<Bytes>),
    /// Nothing, for ever.
    Hang,
    /// Some bytes, then the end of the connection, once they are out.
    Short(Option<Bytes>),
    /// The end of the connection.
    Cut,
    /// What comes, until the sender is dropped; an error ends the connection.
    Stream(mpsc::Receiver<io::Result<Bytes>>),
}

impl Body {
    pub(crate) fn from_text(text: String) -> Body {
        Body::Whole((!text.is_empty()).then(|| Bytes::from(text)))
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut *self {
            Body::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            // The connection's read side wakes the task when the peer leaves.
            Body::Hang => Poll::Pending,
            Body::Short(bytes) => match bytes.take() {
                Some(bytes) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
                None => {
                    // An error ends the connection at once; pending first lets what was written go out.
                    *self = Body::Cut;
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            },
            Body::Stream(pieces) => pieces.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data))),
            Body::Cut => Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Body::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.as_ref().map_or(0, Bytes::len)).unwrap_or(0))
            }
            Body::Hang | Body::Short(_) | Body::Cut | Body::Stream(_) => SizeHint::default(),
        }
    }
}
