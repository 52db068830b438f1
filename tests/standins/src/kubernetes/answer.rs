//! The way of one request.

use std::sync::Arc;

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{self, CONTENT_TYPE, DATE, HeaderName, HeaderValue, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{
    Core,
    call::{Call, is_true},
    form::Form,
    list::list,
    resource::{Resource, Selector, Target, Verb, target},
    status::Failure,
    watch::Watch,
};
use crate::{
    body::Body,
    dates, locked,
    serve::{Closed, Line, Serve},
    trouble::{self, Refusal},
};

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The API.
#[derive(Debug)]
pub(super) struct Api(pub(super) Arc<Core>);

impl Serve for Api {
    async fn respond(&self, line: &Line, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let core = &self.0;
        let target = target(request.uri().path());
        let call = core.note(line, &request, &target);
        let trouble = trouble::wait(core.troubles.take(&call.verb, &call)).await;
        let answer = || match core.answer(&call, &target) {
            Ok(body) => core.reply(200, JSON, body),
            Err(failure) => core.fail(&failure),
        };
        let reply = trouble::meet(trouble, &line.control, answer, |refusal| core.refuse(refusal)).await?;
        core.noted(call.serial, reply.status().as_u16());
        Ok(reply)
    }
}

impl Core {
    fn note(&self, line: &Line, request: &Request<Incoming>, target: &Target) -> Call {
        let text = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
        let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
        let query: Vec<(String, String)> = query.into_owned().collect();
        let watched = query.iter().any(|(name, value)| name == "watch" && is_true(value));
        let verb = match (target.resource, &target.name) {
            (Some(_), Some(_)) => Verb::Get,
            (Some(_), None) if watched => Verb::Watch,
            (Some(_), None) => Verb::List,
            (None, _) => Verb::Other,
        };
        let at_ms = self.options.clock.now_ms();
        let access = locked(&self.access);
        let user = access.user(text(header::AUTHORIZATION), self.options.eks.as_ref(), at_ms);
        drop(access);
        let mut calls = locked(&self.calls);
        calls.serial += 1;
        let call = Call {
            serial: calls.serial,
            at_ms,
            peer: line.peer,
            method: request.method().to_string(),
            verb,
            resource: target.resource,
            namespace: target.namespace.clone(),
            name: target.name.clone(),
            path: request.uri().path().to_owned(),
            query,
            user_agent: text(header::USER_AGENT).unwrap_or_default().to_owned(),
            accept: text(header::ACCEPT).unwrap_or_default().to_owned(),
            user,
            status: None,
        };
        calls.all.push(call.clone());
        call
    }

    fn noted(&self, serial: u64, status: u16) {
        let mut calls = locked(&self.calls);
        if let Ok(at) = calls.all.binary_search_by_key(&serial, |call| call.serial)
            && let Some(call) = calls.all.get_mut(at)
        {
            call.status = Some(status);
        }
    }

    fn answer(self: &Arc<Core>, call: &Call, target: &Target) -> Result<Body, Failure> {
        if call.method == Method::GET.as_str() && matches!(call.path.as_str(), "/livez" | "/readyz" | "/healthz") {
            return Ok(Body::from_text("ok".to_owned()));
        }
        if call.method == Method::GET.as_str() && call.path == "/version" {
            let version =
                json!({ "major": "1", "minor": "33", "gitVersion": "v1.33.1-eks", "platform": "linux/amd64" });
            return Ok(Body::from_text(version.to_string()));
        }
        let user = call.user.as_deref().ok_or_else(Failure::unauthorized)?;
        let resource = target.resource.ok_or_else(Failure::no_such_path)?;
        if call.method != Method::GET.as_str() {
            return Err(Failure::method());
        }
        let form = Form::accepted(&call.accept).ok_or_else(|| {
            let message = "only the following media types are accepted: application/json";
            Failure::new(406, "NotAcceptable", message)
        })?;
        if call.parameter("labelSelector").is_some_and(|selector| !selector.is_empty()) {
            return Err(Failure::bad_request("this stand-in does not select by labels"));
        }
        let fields = call.parameter("fieldSelector").unwrap_or_default();
        let selector = Selector::parse(resource, target.namespace.as_deref(), fields).map_err(Failure::bad_request)?;
        locked(&self.access).check(user, call.verb, target, &selector)?;
        match &target.name {
            Some(name) => self.get(user, resource, target, name, form).map(whole),
            None if call.verb == Verb::Watch => {
                let store = locked(&self.store);
                Watch::begin(self, &store, call, resource, selector, form).map(|watch| Body::Stream(watch.run()))
            }
            None => list(&locked(&self.store), call, resource, &selector, form).map(whole),
        }
    }

    fn get(&self, user: &str, resource: Resource, target: &Target, name: &str, form: Form) -> Result<Value, Failure> {
        let key = (resource, target.namespace.clone().unwrap_or_default(), name.to_owned());
        let object = locked(&self.store).get(&key).cloned();
        // A node's user may read its own node and the pods on it, and is not told what else there is.
        if let Some(node) = locked(&self.access).nodes.get(user) {
            let own = match resource {
                Resource::Pods => object.as_ref().is_some_and(|object| object["spec"]["nodeName"] == **node),
                Resource::Nodes => name == node,
                // Its own lease, which has its name.
                Resource::Leases => name == node && target.namespace.as_deref() == Some("kube-node-lease"),
                Resource::Namespaces => true,
            };
            if !own {
                let why = ": no relationship found between node and this object";
                let namespace = target.namespace.as_deref();
                return Err(Failure::forbidden(user, Verb::Get, resource, namespace, Some(name), why));
            }
        }
        object.map(|object| form.object(&object)).ok_or_else(|| Failure::not_found(resource, name))
    }

    fn fail(&self, failure: &Failure) -> Response<Body> {
        self.reply(failure.code, JSON, whole(failure.status()))
    }

    fn refuse(&self, refusal: &Refusal) -> Response<Body> {
        let mut reply = if refusal.status == 429 {
            // Priority and fairness does not speak JSON (Kubernetes, `pkg/server/filters/priority-and-fairness.go`).
            self.reply(429, TEXT, Body::from_text(format!("{}\n", refusal.message)))
        } else {
            self.fail(&Failure::new(refusal.status, &refusal.code, refusal.message.as_ref()))
        };
        if let Some(seconds) = refusal.retry_after {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        reply
    }

    fn reply(&self, status: u16, kind: HeaderValue, body: Body) -> Response<Body> {
        let mut reply = Response::new(body);
        *reply.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, kind);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
        if let Ok(date) = HeaderValue::from_str(&dates::http(self.options.clock.now_ms().div_euclid(1_000))) {
            headers.insert(DATE, date);
        }
        reply
    }
}

fn whole(value: Value) -> Body {
    Body::from_text(value.to_string())
}
