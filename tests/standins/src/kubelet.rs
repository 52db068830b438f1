//! A strict stand-in for what a kubelet says of itself: `/configz`, over TLS, to who has the token.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use hyper::{Method, Request, Response, StatusCode, body::Incoming, header::AUTHORIZATION};
use serde_json::{Value, json};

use crate::{
    Listen, Tls,
    body::Body,
    locked,
    serve::{Closed, Door, Line, Serve},
};

/// A running stand-in. Dropping it ends it.
#[derive(Debug)]
pub struct Kubelet {
    core: Arc<Core>,
    door: Door<Core>,
}

#[derive(Debug)]
struct Core {
    token: String,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    configuration: Value,
    allowed: bool,
    asked: usize,
}

impl Kubelet {
    /// Starts listening on loopback. Its certificate is for `node` and nothing else; who asks has to have `token`.
    ///
    /// # Errors
    /// When nothing can be bound, or the certificate cannot be made.
    pub async fn start(node: &str, token: &str, configuration: Value) -> io::Result<Kubelet> {
        let state = State { configuration, allowed: true, asked: 0 };
        let core = Arc::new(Core { token: token.to_owned(), state: Mutex::new(state) });
        let (listen, tls) = (Listen::default(), Tls::generate_for(&[node])?);
        let listener = listen.bind(None).await?;
        Ok(Kubelet { door: Door::open(listen, listener, Some(tls), core.clone())?, core })
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.door.addr()
    }

    /// The authority that made its certificate: the cluster's.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.door.ca_pem().unwrap_or_default()
    }

    /// Was started again, with another configuration.
    pub fn runs_with(&self, configuration: Value) {
        locked(&self.core.state).configuration = configuration;
    }

    /// Whether the token's owner may ask; if not, 403.
    pub fn allow(&self, allowed: bool) {
        locked(&self.core.state).allowed = allowed;
    }

    /// How many requests there were.
    #[must_use]
    pub fn asked(&self) -> usize {
        locked(&self.core.state).asked
    }
}

impl Serve for Core {
    async fn respond(&self, _line: &Line, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let mut state = locked(&self.state);
        state.asked += 1;
        let bearer = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (status, body) = match (request.method(), request.uri().path()) {
            // As the kubelet words it (pkg/kubelet/server/server.go, `InstallAuthFilter`).
            _ if bearer != Some(format!("Bearer {}", self.token).as_str()) => {
                (StatusCode::UNAUTHORIZED, "Unauthorized".to_owned())
            }
            _ if !state.allowed => {
                let why = "Forbidden (user=u, verb=get, resource=nodes, subresource(s)=[configz proxy])";
                (StatusCode::FORBIDDEN, why.to_owned())
            }
            (&Method::GET, "/configz") => {
                (StatusCode::OK, json!({ "kubeletconfig": state.configuration.clone() }).to_string())
            }
            _ => (StatusCode::NOT_FOUND, "404 page not found".to_owned()),
        };
        let mut response = Response::new(Body::from_text(body));
        *response.status_mut() = status;
        Ok(response)
    }
}
