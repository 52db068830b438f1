//! The way of one request.

use aws_lc_rs::digest;
use http_body_util::{BodyExt as _, Limited};
use hyper::{HeaderMap, Method, Request, Response, body::Incoming, header};

use super::{
    Core,
    assume::{assume, user_id},
    call::{Call, Outcome, StsOp},
    error::ApiError,
    limits,
    parameters::Parameters,
    reply::{self, Stamp},
};
use crate::{
    Principal,
    body::Body,
    locked,
    serve::{Closed, Line, Serve},
    sigv4::Signed,
    trouble,
};

const VERSION: &str = "2011-06-15";

impl Serve for Core {
    async fn respond(&self, line: &Line, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let (head, incoming) = request.into_parts();
        let now_ms = self.options.clock.now_ms();
        let Ok(body) = Limited::new(incoming, limits::MAX_BODY).collect().await else {
            let error = ApiError::new(413, "RequestEntityTooLarge", "Request Entity Too Large");
            return Ok(Stamp { serial: 0, now_ms }.error(&error));
        };
        let body = body.to_bytes();
        let form = is_form(&head.headers);
        let parameters = match head.method {
            Method::POST if form => Parameters::read(&body),
            _ => Parameters::read(head.uri.query().unwrap_or_default().as_bytes()),
        };
        let signed = Signed {
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
            body: digest::digest(&digest::SHA256, &body),
            service: "sts",
            region: &self.options.region,
            max_skew_seconds: limits::MAX_SKEW_SECONDS,
            now_ms,
            account: &self.options.account,
        };
        let presigned = head.uri.query().is_some_and(|query| query.contains("X-Amz-Signature="));
        let signer = if presigned { signed.verify_presigned() } else { signed.verify() };
        let signer = signer.map_err(ApiError::from);
        let call = self.note(line, &head.headers, &parameters, signer.as_ref().ok(), now_ms);
        let stamp = Stamp { serial: call.serial, now_ms };
        let trouble = trouble::wait(self.troubles.take(&call.op, &call)).await;
        let answer = || {
            let shape = check_shape(&head.method, head.uri.path(), form, &parameters);
            match shape.and(signer).and_then(|caller| self.carry_out(&call, &caller, stamp)) {
                Ok(reply) => reply,
                Err(error) => self.refuse(&call, stamp, &error),
            }
        };
        let refuse = |refusal: &trouble::Refusal| self.refuse(&call, stamp, &ApiError::from(refusal));
        trouble::meet(trouble, &line.control, answer, refuse).await
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().map(str::trim) == Some("application/x-www-form-urlencoded")
}

fn check_shape(method: &Method, path: &str, form: bool, parameters: &Parameters) -> Result<(), ApiError> {
    let right = path == "/" && (*method == Method::GET || (*method == Method::POST && form));
    if !right {
        return Err(ApiError::new(404, "InvalidAction", "No operation has this method, path and content type"));
    }
    let action = parameters.get("Action").ok_or_else(|| {
        ApiError::new(400, "MissingAction", "The request is missing an action or a required parameter")
    })?;
    if parameters.get("Version") != Some(VERSION) || op(Some(action)) == StsOp::Other {
        let version = parameters.get("Version").unwrap_or("NO_VERSION_SPECIFIED");
        let message = format!("Could not find operation {action} for version {version}");
        return Err(ApiError::new(400, "InvalidAction", message));
    }
    Ok(())
}

fn op(action: Option<&str>) -> StsOp {
    match action {
        Some("AssumeRole") => StsOp::AssumeRole,
        Some("GetCallerIdentity") => StsOp::GetCallerIdentity,
        _ => StsOp::Other,
    }
}

impl Core {
    fn note(
        &self,
        line: &Line,
        headers: &HeaderMap,
        parameters: &Parameters,
        caller: Option<&Principal>,
        at_ms: i64,
    ) -> Call {
        let mut calls = locked(&self.calls);
        let agent = headers.get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()).into_owned());
        calls.serial += 1;
        let call = Call {
            serial: calls.serial,
            at_ms,
            peer: line.peer,
            user_agent: agent.unwrap_or_default(),
            op: op(parameters.get("Action")),
            caller: caller.cloned(),
            role_arn: parameters.text("RoleArn"),
            session_name: parameters.text("RoleSessionName"),
            external_id: parameters.text("ExternalId"),
            duration_seconds: parameters.text("DurationSeconds"),
            tags: parameters.pairs("Tags"),
            transitive_tag_keys: parameters.list("TransitiveTagKeys"),
            source_identity: parameters.text("SourceIdentity"),
            policy: parameters.text("Policy"),
            outcome: Outcome::None,
        };
        calls.all.push(call.clone());
        call
    }

    fn noted(&self, call: &Call, outcome: Outcome) {
        let mut calls = locked(&self.calls);
        if let Ok(at) = calls.all.binary_search_by_key(&call.serial, |call| call.serial)
            && let Some(call) = calls.all.get_mut(at)
        {
            call.outcome = outcome;
        }
    }

    fn refuse(&self, call: &Call, stamp: Stamp, error: &ApiError) -> Response<Body> {
        self.noted(call, Outcome::Refused(error.code.to_string()));
        stamp.error(error)
    }

    fn carry_out(&self, call: &Call, caller: &Principal, stamp: Stamp) -> Result<Response<Body>, ApiError> {
        match call.op {
            StsOp::AssumeRole => {
                // The session begins when it is made, after all waits.
                let assumed = assume(self, call, caller, self.options.clock.now_ms())?;
                self.noted(call, Outcome::Done(Some(assumed.access_key_id)));
                Ok(stamp.ok("AssumeRole", &assumed.result))
            }
            StsOp::GetCallerIdentity => {
                self.noted(call, Outcome::Done(None));
                let result = [
                    reply::element(0, "Arn", &caller.arn()),
                    reply::element(0, "UserId", &user_id(caller)),
                    reply::element(0, "Account", caller.account()),
                ];
                Ok(stamp.ok("GetCallerIdentity", &result.concat()))
            }
            StsOp::Other => Err(ApiError::new(400, "InvalidAction", "No such operation")),
        }
    }
}
