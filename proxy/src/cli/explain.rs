//! `explain`: asks the running proxy.

use std::net::IpAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use safeguard_daemon::admin::get_unix;
use safeguard_daemon::terminal::{Style, complain, exit, print, printable};
use safeguard_proxy::explain::Explanation;

use super::arguments::TextOrJson;
use super::explanation::text;

/// For the answer. The proxy answers from memory.
const DEADLINE: Duration = Duration::from_secs(8);

/// Whom it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whom {
    Pod { namespace: String, name: String },
    Address(IpAddr),
}

impl FromStr for Whom {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        if let Ok(address) = written.parse() {
            return Ok(Self::Address(address));
        }
        // Names of Kubernetes (RFC 1123; that of a namespace has no dots): nothing that would have to be escaped in a request.
        let is_name = |name: &str| {
            !name.is_empty()
                && name.len() <= 253
                && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        };
        // As `kubectl get` prints it, too.
        let pod = written.strip_prefix("pod/").unwrap_or(written);
        match pod.split_once('/') {
            Some((namespace, name)) if is_name(namespace) && !namespace.contains('.') && is_name(name) => {
                Ok(Self::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            None if is_name(pod) => {
                Err(format!("write NAMESPACE/{pod}: pods of other namespaces may have that name, too"))
            }
            _ => Err("write NAMESPACE/NAME of a pod, or an IP address".to_owned()),
        }
    }
}

impl Whom {
    fn path(&self) -> String {
        match self {
            Self::Pod { namespace, name } => format!("/v1/explain?pod={namespace}/{name}"),
            Self::Address(address) => format!("/v1/explain?ip={address}"),
        }
    }
}

pub(super) fn explain(whom: &Whom, format: TextOrJson, socket: &Path) -> u8 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return complain(exit::FAILED, &format!("cannot start: {error}")),
    };
    let (written, served) = match runtime.block_on(ask(whom, format, socket)) {
        Ok(answer) => answer,
        Err(message) => return complain(exit::FAILED, &message),
    };
    match print(&written) {
        exit::OK if !served => exit::FAILED,
        code => code,
    }
}

/// What is to be printed, and whether the pod gets credentials.
async fn ask(whom: &Whom, format: TextOrJson, socket: &Path) -> Result<(String, bool), String> {
    let (code, body) = get_unix(socket, &whom.path(), DEADLINE).await.map_err(|error| error.to_string())?;
    if code != 200 {
        return Err(format!("the proxy answered {code}: {}", printable(String::from_utf8_lossy(&body).trim_end())));
    }
    let other = |error| format!("the proxy's answer is not understood ({error}); is it of another version?");
    let explanation: Explanation = serde_json::from_slice(&body).map_err(other)?;
    let written = match format {
        TextOrJson::Text => text(&explanation, Style::of_stdout()),
        // The document as it came, so that a field of a later version is not lost on the way.
        TextOrJson::Json => format!("{:#}\n", serde_json::from_slice::<serde_json::Value>(&body).map_err(other)?),
    };
    Ok((written, explanation.decision.served))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_or_an_address_is_asked_for() {
        for (written, path) in [
            ("shop/cart-1", "/v1/explain?pod=shop/cart-1"),
            ("pod/shop/cart-1", "/v1/explain?pod=shop/cart-1"),
            ("10.0.0.9", "/v1/explain?ip=10.0.0.9"),
            ("2001:db8::9", "/v1/explain?ip=2001:db8::9"),
        ] {
            assert_eq!(written.parse::<Whom>().map(|whom| whom.path()), Ok(path.to_owned()));
        }
        assert!("cart-1".parse::<Whom>().unwrap_err().contains("NAMESPACE/cart-1"));
        for written in
            ["", "/", "a/", "/b", "a/b/c", "a/b?x=1", "a/b c", "a/%62", "Shop/cart", "a/b\r\nX: y", "10.0.0.9/32"]
        {
            assert!(written.parse::<Whom>().is_err(), "{written:?}");
        }
    }
}
