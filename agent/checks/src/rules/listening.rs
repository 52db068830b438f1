//! What listens on the network, in the host's network namespace.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::{Facts, sockets};
use crate::verdict::{Evidence, Verdict};

/// Most listeners that a person is shown.
const MAX_SHOWN: usize = 5;

/// Who may listen on a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Listening {
    /// The port.
    pub port: u16,
    /// The protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// What may be there.
    pub allowed: Allowed,
}

/// A protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP over IPv4 and IPv6.
    #[default]
    Tcp,
    /// UDP over IPv4 and IPv6.
    Udp,
}

/// Which listeners are right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Allowed {
    /// None at all.
    Nobody,
    /// On loopback addresses only.
    Loopback,
}

impl Listening {
    pub(crate) fn judge(&self, facts: &Facts<'_>) -> Verdict {
        Verdict::about(facts.sockets(), |sockets| match self.protocol {
            Protocol::Tcp => Verdict::about(&sockets.tcp, |listeners| self.among(listeners, "tcp")),
            Protocol::Udp => Verdict::about(&sockets.udp, |listeners| self.among(listeners, "udp")),
        })
    }

    fn among(&self, listeners: &[SocketAddr], protocol: &str) -> Verdict {
        let source = format!("{}: port {}", sockets::list(protocol), self.port);
        let here: Vec<&SocketAddr> = listeners.iter().filter(|listener| listener.port() == self.port).collect();
        let (expected, holds) = match self.allowed {
            Allowed::Nobody => ("nobody listens", here.is_empty()),
            Allowed::Loopback => ("loopback addresses alone", here.iter().all(|listener| listener.ip().is_loopback())),
        };
        let mut seen: Vec<String> = here.iter().take(MAX_SHOWN).map(ToString::to_string).collect();
        if here.len() > MAX_SHOWN {
            seen.push(format!("{} more", here.len() - MAX_SHOWN));
        }
        let observed = if seen.is_empty() { "nobody listens".to_owned() } else { seen.join(", ") };
        Verdict::of(Evidence::new(source, observed, expected, holds))
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::Fixture;

    const READ_ONLY: &str = "{listening: {port: 10255, allowed: nobody}}";
    const HEALTH: &str = "{listening: {port: 10248, allowed: loopback}}";

    const HEADER: &str = "  sl  local_address rem_address   st\n";

    /// A host with these sockets: the list, the local address, the state.
    fn with(sockets: &[(&str, &str, &str)]) -> Fixture {
        let fixture = Fixture::new();
        for list in ["tcp", "udp", "tcp6", "udp6"] {
            let of_list = sockets.iter().filter(|(own, ..)| *own == list).enumerate();
            let lines: String =
                of_list.map(|(at, (_, local, state))| format!("   {at}: {local} 0:0 {state} x\n")).collect();
            fixture.file(&format!("/proc/1/net/{list}"), format!("{HEADER}{lines}"));
        }
        fixture
    }

    #[test]
    fn nobody_is_nobody() {
        with(&[]).holds(READ_ONLY);
        with(&[("tcp", "00000000:280B", "0A")]).holds(READ_ONLY);
        with(&[("tcp", "00000000:280F", "01"), ("udp", "00000000:280F", "07")]).holds(READ_ONLY);
        let verdict = with(&[("tcp", "0100007F:280F", "0A")]).fails(READ_ONLY);
        assert_eq!(verdict.evidence[0].observed, "127.0.0.1:10255");
        with(&[("tcp6", "00000000000000000000000000000000:280F", "0A")]).fails(READ_ONLY);
    }

    #[test]
    fn loopback_is_every_address_of_it() {
        let mapped = ("tcp6", "0000000000000000FFFF00000200007F:2808", "0A");
        let v6 = ("tcp6", "00000000000000000000000001000000:2808", "0A");
        with(&[("tcp", "0100007F:2808", "0A"), mapped, v6]).holds(HEALTH);
        with(&[]).holds(HEALTH);
        with(&[("tcp", "0100007F:2808", "0A"), ("tcp", "0100000A:2808", "0A")]).fails(HEALTH);
        with(&[("tcp6", "0000000000000000FFFF00000100000A:2808", "0A")]).fails(HEALTH);
    }

    #[test]
    fn udp_sockets_that_are_connected_do_not_listen() {
        let udp = "{listening: {port: 53, protocol: udp, allowed: nobody}}";
        with(&[("udp", "0100007F:0035", "01"), ("tcp", "0100007F:0035", "0A")]).holds(udp);
        with(&[("udp", "0100007F:0035", "07")]).fails(udp);
    }

    #[test]
    fn many_listeners_are_cut() {
        let all: Vec<String> = (0..20).map(|n| format!("0{n:02}0000A:280F")).collect();
        let sockets: Vec<_> = all.iter().map(|local| ("tcp", local.as_str(), "0A")).collect();
        assert!(with(&sockets).fails(READ_ONLY).evidence[0].observed.ends_with("15 more"));
    }

    /// Without rights the kernel says that there is no such file; nobody listening would be another thing.
    #[test]
    fn lists_that_cannot_be_seen_are_unknown() {
        let why = Fixture::new().unknown(READ_ONLY);
        assert!(why.contains("/proc/1/net/tcp") && why.contains("CAP_SYS_PTRACE"), "{why}");
        let fixture = with(&[]);
        fixture.without("/proc/1/net/tcp6").holds(READ_ONLY);
        let why = fixture.file("/proc/1/net/tcp", format!("{HEADER}garbage\n")).unknown(READ_ONLY);
        assert!(why.contains("/proc/1/net/tcp: line 2"), "{why}");
        Fixture::dead().not_applicable(READ_ONLY);
    }
}
