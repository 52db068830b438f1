//! What the operator decides of the heartbeat.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use safeguard_protocol::PublicKey;

/// Where beats go, and how often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `https://HOST[:PORT]`; plain `http` on this machine alone. See [`base_url`].
    pub url: String,
    /// Keys of the safeguard. A reply that none of them signed is as good as none.
    pub server_keys: Vec<PublicKey>,
    /// Whose node it is.
    pub tenant: String,
    /// Between beats. `None`: as the safeguard says, and 60 seconds until it said so.
    pub interval: Option<Duration>,
    /// PEM file with the only authorities to trust, in the place of the system's.
    pub ca_file: Option<PathBuf>,
    /// A directory of this room's own. It holds the node's private key.
    pub state_dir: PathBuf,
    /// Most bytes of beats that wait. The oldest are dropped beyond that, and declared as dropped.
    pub spool_bytes: u64,
    /// How long a beat may wait. The safeguard keeps single beats for 48 hours.
    pub spool_age: Duration,
}

/// What time it is.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The wall clock, in milliseconds since 1970.
    pub now_ms: fn() -> i64,
    /// Time since boot, in milliseconds.
    pub uptime_ms: fn() -> u64,
}

/// Why beats cannot be sent to an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it has to be https://HOST[:PORT] (plain http only to this machine), without a path and without a password")]
pub struct UrlError;

/// The address without what may follow it.
///
/// # Errors
/// When it is not `https://HOST[:PORT]`, or plain `http` to this machine.
pub fn base_url(url: &str) -> Result<String, UrlError> {
    let uri: Uri = url.parse().map_err(|_| UrlError)?;
    let (host, authority) = (uri.host().ok_or(UrlError)?, uri.authority().ok_or(UrlError)?);
    let here = host == "localhost" || host.trim_matches(['[', ']']).parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
    let scheme = uri.scheme_str().filter(|scheme| *scheme == "https" || (*scheme == "http" && here)).ok_or(UrlError)?;
    if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') {
        return Err(UrlError);
    }
    Ok(format!("{scheme}://{authority}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_leaves_this_machine() {
        assert_eq!(base_url("https://safeguard.example.com/").unwrap(), "https://safeguard.example.com");
        assert_eq!(base_url("http://[::1]:8443").unwrap(), "http://[::1]:8443");
        for url in
            ["", "safeguard", "http://example.com", "https://u:p@example.com", "https://example.com/x", "https://e?q"]
        {
            assert_eq!(base_url(url), Err(UrlError), "{url}");
        }
    }
}
