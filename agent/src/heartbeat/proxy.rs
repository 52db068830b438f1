//! How the metadata proxy of this node stands, by its own word.

use std::path::Path;
use std::time::Duration;

use safeguard_daemon::admin::{ClientError, get_unix};
use safeguard_heartbeat::{Proxy, Redirect};
use safeguard_host::HostRoot;
use serde::Deserialize;

/// For the answer, which comes from memory.
const DEADLINE: Duration = Duration::from_secs(2);

/// What of the proxy's answer is told.
#[derive(Debug, Deserialize)]
struct Answer {
    redirect_ok: Option<bool>,
    refusals: u64,
    host_network_pods: u32,
}

/// What the proxy says; `None` where there is none. One that is there and does not answer is told as a redirect that was not seen.
pub(crate) async fn ask(socket: &Path) -> Option<Proxy> {
    match get_unix(socket, "/v1/posture", DEADLINE).await {
        Ok((200, body)) => Some(read(&body)),
        Ok(_) => Some(unseen()),
        // Where a proxy is, or was and has ended, its socket is.
        Err(ClientError::NotRunning { .. }) if !exists(socket) => None,
        Err(_) => Some(unseen()),
    }
}

fn exists(socket: &Path) -> bool {
    HostRoot::open("/").and_then(|root| root.attributes_of_link(socket)).is_ok()
}

fn read(body: &[u8]) -> Proxy {
    let Ok(answer) = serde_json::from_slice::<Answer>(body) else { return unseen() };
    let redirect = match answer.redirect_ok {
        Some(true) => Redirect::InPlace,
        Some(false) => Redirect::Broken,
        None => Redirect::Unknown,
    };
    Proxy { redirect, refusals: answer.refusals, host_network_pods: answer.host_network_pods }
}

fn unseen() -> Proxy {
    Proxy { redirect: Redirect::Unknown, refusals: 0, host_network_pods: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_proxy_says_is_told_and_what_it_does_not_say_is_unknown() {
        let of = |text: &str| read(text.as_bytes());
        let told = of(r#"{"ready":true,"reasons":[],"redirect_ok":false,"refusals":7,"host_network_pods":2}"#);
        assert_eq!(told, Proxy { redirect: Redirect::Broken, refusals: 7, host_network_pods: 2 });
        assert_eq!(of(r#"{"redirect_ok":null,"refusals":0,"host_network_pods":0}"#).redirect, Redirect::Unknown);
        assert_eq!(of("<html>"), unseen());
    }

    #[tokio::test]
    async fn a_node_without_a_proxy_says_nothing_of_one() {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("proxy.sock");
        assert_eq!(ask(&socket).await, None);
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        assert_eq!(ask(&socket).await, Some(unseen()), "it was there and has ended");
    }
}
