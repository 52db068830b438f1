//! What was asked, and whether it was for something that no pod may cause.

use std::net::SocketAddr;

use hyper::{HeaderMap, header};

/// What the request showed as `X-aws-ec2-metadata-token`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    None,
    /// A token that was issued and lives.
    Valid,
    /// A token that was issued and is past its time.
    Expired,
    /// Something that was never issued.
    Wrong,
}

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Its number, from 1.
    pub serial: u64,
    /// Milliseconds since the epoch, by the stand-in's clock.
    pub at_ms: i64,
    /// Who connected.
    pub peer: SocketAddr,
    /// Such as `GET`; empty when the request could not be read.
    pub method: String,
    /// The target as on the wire, without fragment. When the request could not be read: all that arrived.
    pub path: String,
    /// Every header, in the order of arrival, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The token it showed.
    pub token: Shown,
    /// What [`Imds::mark`] was last called with.
    ///
    /// [`Imds::mark`]: crate::Imds::mark
    pub mark: String,
    /// The status of the reply; none while there is none.
    pub status: Option<u16>,
}

impl Request {
    /// The first header of this name, given in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// `User-Agent`, or nothing.
    #[must_use]
    pub fn user_agent(&self) -> &str {
        self.header(header::USER_AGENT.as_str()).unwrap_or_default()
    }

    /// Headers by which a proxy tells of those who asked it: `X-Forwarded-*`, `X-Real-IP`, `Forwarded`, `Via`.
    #[must_use]
    pub fn forwarded(&self) -> Vec<&(String, String)> {
        let tells = |name: &str| {
            name.starts_with("x-forwarded") || ["x-real-ip", "forwarded", "via", "x-client-ip"].contains(&name)
        };
        self.headers.iter().filter(|(name, _)| tells(name)).collect()
    }

    /// True when it may be for credentials, `iam`, user data or the instance's identity, however it is spelled: what
    /// could be read so after decoding any number of times, in any case, with whatever stands for a slash.
    #[must_use]
    pub fn is_sensitive(&self) -> bool {
        is_sensitive(&self.path)
    }
}

/// The parts of paths that are nobody's business but the node's.
const SENSITIVE: [&str; 6] = [
    "iam",
    "security-credentials",
    "security-credentials-extended",
    "identity-credentials",
    "user-data",
    "instance-identity",
];

/// Enough for what is encoded several times; each round makes the text shorter or is the last.
const MAX_ROUNDS: usize = 16;

fn is_sensitive(path: &str) -> bool {
    let mut bytes = path.to_ascii_lowercase().into_bytes();
    for _ in 0..MAX_ROUNDS {
        if names_something_sensitive(&bytes) {
            return true;
        }
        let decoded = decode(&bytes);
        if decoded == bytes {
            return false;
        }
        bytes = decoded;
    }
    // Nobody encodes that often for a good reason.
    true
}

/// Percent-decodes once, in lower case.
fn decode(bytes: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let byte = match after {
            [high, low, ..] if *first == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        decoded.push(byte.unwrap_or(*first).to_ascii_lowercase());
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

/// Anything but letters, digits, `-` and `_` may part names: slashes of both kinds, dots, parameters, control
/// characters, and the bytes of overlong encodings. Controls may also be dropped on the way.
fn names_something_sensitive(bytes: &[u8]) -> bool {
    let parts = |bytes: &[u8]| {
        bytes
            .split(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')))
            .any(|part| SENSITIVE.iter().any(|name| name.as_bytes() == part))
    };
    let printable: Vec<u8> = bytes.iter().copied().filter(u8::is_ascii_graphic).collect();
    parts(bytes) || parts(&printable)
}

pub(super) fn headers(map: &HeaderMap) -> Vec<(String, String)> {
    map.iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_what_is_sensitive_goes_unnoticed() {
        for path in [
            "/latest/meta-data/iam",
            "/latest/meta-data/iam/",
            "//latest//meta-data//iam//info",
            "/latest/meta-data/IAM/Security-Credentials/",
            "/latest/meta-data/%69am/info",
            "/latest/meta-data/iam%2fsecurity-credentials",
            "/latest/meta-data/iam%252fsecurity-credentials%252f",
            "/latest/meta-data/%25256%39am/",
            "/latest/meta-data/placement/../iam/info",
            "/latest/meta-data/placement/%2e%2e/iam/info",
            "/latest/meta-data/iam;a=b/info",
            "/latest/meta-data/i%00am/info",
            "/latest/meta-data\\iam\\info",
            "/latest/meta-data%c0%afiam%c0%afinfo",
            "http://evil/latest/user-data",
            "/latest/user-data?x=1",
            "/2021-03-23/dynamic/instance-identity/document",
            "/latest/meta-data/identity-credentials/ec2/security-credentials/ec2-instance",
            "/latest/meta-data/security%2dcredentials",
            "GET /latest/meta-data/iam HTTP/9.9\r\n",
        ] {
            assert!(is_sensitive(path), "{path}");
        }
        let deep = (0..40).fold("%69am".to_owned(), |path, _| path.replace('%', "%25"));
        assert!(is_sensitive(&deep));
    }

    #[test]
    fn harmless_paths_are_not_sensitive() {
        for path in [
            "/",
            "/latest/api/token",
            "/latest/meta-data/instance-id",
            "/latest/meta-data/tags/instance/miami",
            "/latest/meta-data/placement/availability-zone",
            "/latest/meta-data/tags/instance/100%25",
        ] {
            assert!(!is_sensitive(path), "{path}");
        }
    }
}
