//! The way of one request through checks and faults.

use std::{
    future,
    io::Read as _,
    sync::{Arc, atomic::Ordering},
};

use aws_lc_rs::digest;
use flate2::bufread::GzDecoder;
use http_body_util::BodyExt as _;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body as _, Incoming},
    header,
};

use crate::{
    body::Body,
    cloudwatch::{
        Core, describe,
        error::ApiError,
        faults::{Fault, RejectIndexes, RequestView},
        limits, manage,
        operation::Op,
        put, read,
        reply::{Stamp, without_request_id},
        validation,
    },
    locked,
    serve::{Closed, Line, Serve},
    sigv4::Signed,
    wire::{Control, Meter},
};

/// What a gzip body may inflate to, in bytes: far above any batch the service accepts.
const MAX_INFLATED: usize = 16 * 1_048_576;

/// The CloudWatch Logs API.
#[derive(Debug)]
pub(crate) struct Logs(pub(crate) Arc<Core>);

impl Serve for Logs {
    async fn respond(&self, line: &Line, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        respond(&self.0, &line.control, request).await
    }

    fn accepted(&self) {
        locked(&self.0.counts).connections += 1;
    }

    fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.0.meter)
    }
}

/// Container credentials.
#[derive(Debug)]
pub(crate) struct Credentials(pub(crate) Arc<Core>);

impl Serve for Credentials {
    async fn respond(&self, _line: &Line, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        Ok(hand_out(&self.0, &request))
    }
}

fn hand_out(core: &Core, request: &Request<Incoming>) -> Response<Body> {
    let now_ms = core.now();
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let (status, body) = if request.method() == Method::GET && request.uri().path() == "/v1/credentials" {
        core.endpoint.hand_out(&core.keys, authorization, now_ms)
    } else {
        (404, String::new())
    };
    let mut reply = Stamp { serial: 0, now_ms }.ok(body);
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    reply.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    reply
}

async fn respond(core: &Core, control: &Control, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
    let stamp = Stamp { serial: core.serial.fetch_add(1, Ordering::Relaxed) + 1, now_ms: core.now() };
    let target = request.headers().get("x-amz-target").and_then(|value| value.to_str().ok());
    let op = Op::from_target(target.unwrap_or_default());
    locked(&core.counts).of(op).calls += 1;
    if core.faults.take_reset(op) {
        let mut body = request.into_body();
        // Whether some body was read or the peer left first, the connection ends the same way.
        drop(body.frame().await);
        return Err(closed_by_reset(core, op, control));
    }
    let body = match receive(core, op, request).await {
        Ok(body) => body,
        Err(Refusal::Reply(error)) => return Ok(refuse(core, op, stamp, &error)),
        Err(Refusal::PeerLeft) => return Err(Closed),
    };
    let Ok(text) = simdutf8::basic::from_utf8(&body) else {
        let error = ApiError::serialization("The request body is not valid UTF-8");
        return Ok(refuse(core, op, stamp, &error));
    };
    let mut fault = core.faults.take(op);
    if fault.is_none() {
        let rules = core.faults.rules();
        if !rules.is_empty() {
            let names: Names = serde_json::from_str(text).unwrap_or_default();
            fault = rules.decide(&RequestView {
                op,
                group: names.group(),
                stream: names.log_stream_name.as_deref().unwrap_or_default(),
                serial: stamp.serial,
                body: text,
            });
        }
    }
    if fault.is_some() {
        locked(&core.counts).of(op).faults += 1;
    }
    while let Some(Fault::Latency(wait) | Fault::Delayed(wait, _)) = fault {
        tokio::time::sleep(wait).await;
        fault = match fault {
            Some(Fault::Delayed(_, inner)) => Some(*inner),
            _ => None,
        };
    }
    finish(core, op, stamp, control, text, fault).await
}

/// Carries the request out, or not, and replies, or not, as the fault has it.
async fn finish(
    core: &Core,
    op: Op,
    stamp: Stamp,
    control: &Control,
    text: &str,
    fault: Option<Fault>,
) -> Result<Response<Body>, Closed> {
    let carry_out = |direction| {
        let result = execute(core, op, text, stamp.serial, direction);
        let mut counts = locked(&core.counts);
        match &result {
            Ok(_) => counts.of(op).ok += 1,
            Err(error) => counts.error(op, error),
        }
        result
    };
    let answer = |direction| match carry_out(direction) {
        Ok(body) => stamp.ok(body),
        Err(error) => stamp.error(&error),
    };
    let Some(fault) = fault else { return Ok(answer(Direction::default())) };
    Ok(match fault {
        Fault::Status { code, error, message } => {
            refuse(core, op, stamp, &ApiError { status: code, code: error, message })
        }
        Fault::ResetMidBody => {
            control.reset_on_close();
            return Err(Closed);
        }
        Fault::HangAfterHeaders => stamp.hang(),
        Fault::HangBeforeReply => future::pending().await,
        Fault::EmptyBody200 => stamp.ok(String::new()),
        Fault::TruncatedJson => stamp.ok(r#"{"rejectedLogEventsInfo":{"tooOldLogEventEndIn"#.to_owned()),
        Fault::ShortBody => stamp.short(),
        Fault::NonJson200 => stamp.page(StatusCode::OK),
        Fault::NonJson502 => stamp.page(StatusCode::BAD_GATEWAY),
        // The faults below act on a request that was carried out; one that is refused is simply refused.
        Fault::StoreThenHang => match carry_out(Direction::default()) {
            Ok(_) => future::pending().await,
            Err(error) => stamp.error(&error),
        },
        Fault::StoreThen500 => match carry_out(Direction::default()) {
            Ok(_) => refuse(core, op, stamp, &ApiError::new("InternalFailure", "").status(500)),
            Err(error) => stamp.error(&error),
        },
        Fault::StoreThenDrop => match carry_out(Direction::default()) {
            Ok(_) => return Err(Closed),
            Err(error) => stamp.error(&error),
        },
        Fault::EmptyBody200Stored => match carry_out(Direction::default()) {
            Ok(_) => stamp.ok(String::new()),
            Err(error) => stamp.error(&error),
        },
        Fault::MissingRequestId => without_request_id(answer(Direction::default())),
        Fault::RejectIndexes(indexes) => answer(Direction { rejected: Some(indexes), hidden: 0 }),
        Fault::NotFoundAfterCreate(hidden) => answer(Direction { rejected: None, hidden }),
        Fault::Latency(_) | Fault::Delayed(..) => answer(Direction::default()),
    })
}

fn closed_by_reset(core: &Core, op: Op, control: &Control) -> Closed {
    locked(&core.counts).of(op).faults += 1;
    control.reset_on_close();
    Closed
}

fn refuse(core: &Core, op: Op, stamp: Stamp, error: &ApiError) -> Response<Body> {
    locked(&core.counts).error(op, error);
    stamp.error(error)
}

/// What a fault changes in the way a request is carried out.
#[derive(Clone, Copy, Default)]
struct Direction {
    rejected: Option<RejectIndexes>,
    hidden: u32,
}

fn execute(core: &Core, op: Op, text: &str, serial: u64, direction: Direction) -> Result<String, ApiError> {
    match op {
        Op::PutLogEvents if core.options.discard => put::put::<put::Length>(core, text, serial, direction.rejected),
        Op::PutLogEvents => put::put::<Box<str>>(core, text, serial, direction.rejected),
        Op::CreateLogGroup => manage::create_group(core, text, direction.hidden),
        Op::CreateLogStream => manage::create_stream(core, text, direction.hidden),
        Op::PutRetentionPolicy => manage::put_retention(core, text),
        Op::TagResource => manage::tag_resource(core, text),
        Op::ListTagsForResource => manage::list_tags(core, text),
        Op::AssociateKmsKey => manage::associate_key(core, text),
        Op::DescribeLogGroups => describe::groups(core, text),
        Op::DescribeLogStreams => describe::streams(core, text),
        Op::GetLogEvents => read::get(core, text),
        Op::FilterLogEvents => read::filter(core, text),
        Op::DeleteLogGroup => manage::delete_group(core, text),
        Op::DeleteLogStream => manage::delete_stream(core, text),
        Op::Unknown => Err(ApiError::unknown_operation()),
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Names {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
    log_stream_name: Option<String>,
    resource_arn: Option<String>,
    resource_identifier: Option<String>,
}

impl Names {
    fn group(&self) -> &str {
        let identifiers = [&self.log_group_identifier, &self.resource_arn, &self.resource_identifier];
        let identified = || {
            let identifier = identifiers.into_iter().flatten().next()?;
            Some(validation::group_of_arn(identifier).unwrap_or(identifier))
        };
        self.log_group_name.as_deref().or_else(identified).unwrap_or_default()
    }
}

enum Refusal {
    Reply(ApiError),
    PeerLeft,
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal::Reply(error)
    }
}

/// The inflated body of a request that passed the checks that are the same for all operations.
async fn receive(core: &Core, op: Op, request: Request<Incoming>) -> Result<Vec<u8>, Refusal> {
    let (head, mut incoming) = request.into_parts();
    if head.method != Method::POST || head.uri.path() != "/" {
        return Err(ApiError::unknown_operation().status(404).into());
    }
    // The front end of the service takes no chunked bodies, so that a wrong length can be noticed.
    let Some(declared) = incoming.size_hint().exact() else {
        return Err(ApiError::new("MissingContentLength", "A Content-Length header is required.").status(411).into());
    };
    let most = core.options.max_request_bytes;
    let declared = usize::try_from(declared).unwrap_or(usize::MAX);
    if declared > most {
        let message = format!("Request size {declared} exceeded {most} bytes");
        return Err(ApiError::new("RequestEntityTooLargeException", message).status(413).into());
    }
    let mut body = Vec::with_capacity(declared);
    let mut hash = digest::Context::new(&digest::SHA256);
    while let Some(frame) = incoming.frame().await {
        let frame = frame.map_err(|_| Refusal::PeerLeft)?;
        if let Some(data) = frame.data_ref() {
            if core.options.verify_signatures {
                hash.update(data);
            }
            body.extend_from_slice(data);
        }
    }
    if op == Op::Unknown {
        return Err(ApiError::unknown_operation().into());
    }
    let header = |name| head.headers.get(name).map(|value: &header::HeaderValue| value.as_bytes());
    let kind = header(header::CONTENT_TYPE).unwrap_or_default();
    if kind.split(|b| *b == b';').next() != Some(b"application/x-amz-json-1.1") {
        return Err(ApiError::unknown_operation().into());
    }
    if core.options.verify_signatures {
        let signed = Signed {
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
            body: hash.finish(),
            service: "logs",
            region: &core.options.region,
            max_skew_seconds: limits::MAX_SKEW_SECONDS,
            now_ms: core.now(),
            account: &core.keys,
        };
        signed.verify().map_err(ApiError::from)?;
    }
    if core.options.quotas && !locked(&core.quotas).admit(op, core.now()) {
        return Err(ApiError::throttled().into());
    }
    match header(header::CONTENT_ENCODING) {
        None | Some(b"identity") => {}
        Some(b"gzip") if op == Op::PutLogEvents => {
            locked(&core.counts).gzip_requests += 1;
            body = inflate(&body)?;
        }
        Some(_) => return Err(ApiError::serialization("Unsupported Content-Encoding").into()),
    }
    Ok(body)
}

/// Inflates a body that is one gzip member and nothing else.
fn inflate(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let bad = || ApiError::serialization("The request body is not valid gzip");
    // The member's own account of its size saves growing the buffer; it is only a hint.
    let hint = body.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size));
    let hint = usize::try_from(hint).unwrap_or(0).min(MAX_INFLATED);
    let mut inflated = Vec::with_capacity(hint + 64);
    let limit = u64::try_from(MAX_INFLATED + 1).unwrap_or(u64::MAX);
    let mut decoder = GzDecoder::new(body).take(limit);
    decoder.read_to_end(&mut inflated).map_err(|_| bad())?;
    if inflated.len() > MAX_INFLATED || !decoder.into_inner().into_inner().is_empty() {
        return Err(bad());
    }
    Ok(inflated)
}
