//! The way of one request.

use hyper::{Method, Request as HttpRequest, Response, StatusCode, body::Incoming};

use super::{
    Core, HttpTokens, Part,
    reply::{self, Times},
    request::{self, Request, Shown},
    tokens::Tokens,
    tree::{Place, place},
};
use crate::{
    body::Body,
    locked,
    serve::{Closed, Line, Serve},
    trouble,
};

/// What a packet may pass when nothing limits it.
const USUAL_HOPS: u8 = 64;

impl Serve for Core {
    async fn respond(&self, line: &Line, incoming: HttpRequest<Incoming>) -> Result<Response<Body>, Closed> {
        let now_ms = self.options.clock.now_ms();
        let request = self.note(line, &incoming, now_ms);
        let put = incoming.method() == Method::PUT;
        // The hop limit is on the replies of the token's PUT alone.
        let hops = if put && self.options.hop_limit > 0 { self.options.hop_limit } else { USUAL_HOPS };
        line.control.limit_hops(hops);
        let part = if put { Part::Token } else { Part::Data };
        let trouble = trouble::wait(self.troubles.take(&part, &request)).await;
        let times = Times { now_ms, started_ms: self.started_ms };
        let refuse = |refusal: &trouble::Refusal| {
            reply::error(times, StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        };
        let answer = || self.answer(&request, incoming.method(), incoming.uri().path(), times);
        let reply = trouble::meet(trouble, &line.control, answer, refuse).await?;
        self.noted(request.serial, reply.status().as_u16());
        Ok(reply)
    }

    fn keep_alive(&self) -> bool {
        self.options.keep_alive
    }

    fn unreadable(&self, line: &Line, seen: Vec<u8>) {
        let mut state = locked(&self.state);
        state.serial += 1;
        let request = Request {
            serial: state.serial,
            at_ms: self.options.clock.now_ms(),
            peer: line.peer,
            method: String::new(),
            path: String::from_utf8_lossy(&seen).into_owned(),
            headers: Vec::new(),
            token: Shown::None,
            mark: state.mark.clone(),
            status: Some(400),
        };
        state.requests.push(request);
    }
}

impl Core {
    fn note(&self, line: &Line, incoming: &HttpRequest<Incoming>, now_ms: i64) -> Request {
        let headers = request::headers(incoming.headers());
        let token = headers.iter().find(|(name, _)| name == "x-aws-ec2-metadata-token").map(|(_, value)| &**value);
        let mut state = locked(&self.state);
        state.serial += 1;
        let request = Request {
            serial: state.serial,
            at_ms: now_ms,
            peer: line.peer,
            method: incoming.method().to_string(),
            path: incoming.uri().to_string(),
            token: state.tokens.judge(token, now_ms).0,
            headers,
            mark: state.mark.clone(),
            status: None,
        };
        // What matters is kept whatever the number.
        if state.requests.len() < self.options.max_requests || request.is_sensitive() {
            state.requests.push(request.clone());
        } else {
            state.dropped += 1;
        }
        request
    }

    fn noted(&self, serial: u64, status: u16) {
        let mut state = locked(&self.state);
        if let Ok(at) = state.requests.binary_search_by_key(&serial, |request| request.serial)
            && let Some(request) = state.requests.get_mut(at)
        {
            request.status = Some(status);
        }
    }

    fn answer(&self, request: &Request, method: &Method, path: &str, times: Times) -> Response<Body> {
        let mut state = locked(&self.state);
        let error = |status| reply::error(times, status);
        if !state.enabled {
            return error(StatusCode::FORBIDDEN);
        }
        let place = place(path);
        let token_path = matches!(&place, Place::Below(path) if path == "api/token");
        if *method == Method::PUT && token_path {
            return match issue(request, path, &mut state.tokens, times) {
                Ok((token, ttl)) => reply::with_ttl(reply::text(times, token), ttl.into()),
                Err(status) => error(status),
            };
        }
        if !matches!(*method, Method::GET | Method::HEAD) || token_path {
            return error(StatusCode::METHOD_NOT_ALLOWED);
        }
        let (shown, left) = state.tokens.judge(request.header("x-aws-ec2-metadata-token"), times.now_ms);
        match (shown, state.http_tokens) {
            (Shown::Valid, _) | (Shown::None, HttpTokens::Optional) => {}
            // A token that is not valid is refused where none would be fine.
            _ => return error(StatusCode::UNAUTHORIZED),
        }
        match state.read(path, &self.options.account, times.now_ms) {
            Some(text) if shown == Shown::Valid => reply::with_ttl(reply::text(times, text), left),
            Some(text) => reply::text(times, text),
            None => error(StatusCode::NOT_FOUND),
        }
    }
}

fn issue(request: &Request, path: &str, tokens: &mut Tokens, times: Times) -> Result<(String, u32), StatusCode> {
    // EC2 User Guide, "How Instance Metadata Service Version 2 works": versioned paths and forwarded requests get 403.
    let latest = path.split('/').find(|part| !part.is_empty()) == Some("latest");
    if !latest || request.header("x-forwarded-for").is_some() {
        return Err(StatusCode::FORBIDDEN);
    }
    let ttl = Tokens::ttl(request.header(reply::TTL.as_str())).ok_or(StatusCode::BAD_REQUEST)?;
    let token = tokens.issue(ttl, times.now_ms).ok_or(StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok((token, ttl))
}
