//! What listens on the network, in the host's network namespace.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::facts::Facts;
use crate::host::Host;
use crate::observed::{Cause, Observed, Unobserved};

/// Most bytes of one list. A socket has 150; the kernel lists those that listen first, but all of them.
const MAX_LIST: u64 = 8 << 20;

/// The state of a TCP socket that listens (`TCP_LISTEN` in `include/net/tcp_states.h`).
const LISTENS: &[u8] = b"0A";

/// The state of a UDP socket that takes datagrams from anybody (`TCP_CLOSE`, there).
const UNCONNECTED: &[u8] = b"07";

/// What listens on the network, in the host's network namespace.
#[derive(Debug)]
pub(crate) struct Sockets {
    /// Where TCP connections are accepted.
    pub(crate) tcp: Observed<Vec<SocketAddr>>,
    /// Where UDP datagrams from anybody are taken.
    pub(crate) udp: Observed<Vec<SocketAddr>>,
}

impl Sockets {
    pub(crate) fn gather(facts: &Facts<'_>) -> Observed<Self> {
        let host = facts.host();
        host.live("the listening sockets")?;
        Ok(Self { tcp: listeners(host, "tcp", LISTENS), udp: listeners(host, "udp", UNCONNECTED) })
    }
}

/// The list of PID 1's network namespace.
pub(crate) fn list(protocol: &str) -> String {
    format!("/proc/1/net/{protocol}")
}

fn listeners(host: &Host, protocol: &str, state: &[u8]) -> Observed<Vec<SocketAddr>> {
    let read = |list: &str| {
        let Some(bytes) = host.bytes(Path::new(list), MAX_LIST)? else { return Ok(None) };
        let found = parse(&bytes, state);
        found.map(Some).map_err(|line| Unobserved::line(Path::new(list), line, "is no socket as the kernel lists it"))
    };
    let v4 = list(protocol);
    // The kernel hides the lists of a process from those that may not look into it; every kernel has IPv4.
    let hidden = || {
        let why = format!("{v4}: cannot be seen; reading it needs hostPID and CAP_SYS_PTRACE");
        Unobserved::new(Cause::Permission, why)
    };
    let mut found = read(&v4)?.ok_or_else(hidden)?;
    // Without IPv6 there is no such list.
    found.extend(read(&format!("{v4}6"))?.unwrap_or_default());
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// Reads a list (`Documentation/networking/proc_net_tcp.rst`): the local addresses of the sockets in one state. The error is the
/// line, counted from 1.
fn parse(list: &[u8], state: &[u8]) -> Result<Vec<SocketAddr>, usize> {
    let lines = list.split(|b| *b == b'\n').enumerate().skip(1).filter(|(_, line)| !line.is_empty());
    let mut found = Vec::new();
    for (at, line) in lines {
        let mut fields = line.split(|b| *b == b' ').filter(|field| !field.is_empty());
        // The number of the socket, its own address, the other's address, and its state.
        let (Some(local), Some(own_state)) = (fields.nth(1), fields.nth(1)) else { return Err(at + 1) };
        if own_state == state {
            found.push(std::str::from_utf8(local).ok().and_then(address).ok_or(at + 1)?);
        }
    }
    Ok(found)
}

/// Reads `0100007F:0016`: the words of the address as the kernel has them in memory, and the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut bytes = Vec::with_capacity(16);
    let mut rest = address;
    while !rest.is_empty() && bytes.len() < 16 {
        let (word, behind) = rest.split_at_checked(8)?;
        bytes.extend(u32::from_str_radix(word, 16).ok()?.to_ne_bytes());
        rest = behind;
    }
    let address = match (<[u8; 4]>::try_from(bytes.as_slice()), <[u8; 16]>::try_from(bytes.as_slice())) {
        _ if !rest.is_empty() => return None,
        (Ok(v4), _) => IpAddr::from(Ipv4Addr::from(v4)),
        (_, Ok(v6)) => IpAddr::from(Ipv6Addr::from(v6)).to_canonical(),
        _ => return None,
    };
    Some(SocketAddr::new(address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_words_in_the_order_of_memory() {
        for (text, expected) in [
            ("0100007F:0016", Some("127.0.0.1:22")),
            ("00000000:280A", Some("0.0.0.0:10250")),
            ("00000000000000000000000000000000:1F90", Some("[::]:8080")),
            ("00000000000000000000000001000000:0001", Some("[::1]:1")),
            ("0000000000000000FFFF00000100007F:0016", Some("127.0.0.1:22")),
            ("B80D0120000000000000000001000000:0016", Some("[2001:db8::1]:22")),
            ("0100007F", None),
            ("0100007F0:0016", None),
            ("0100007F0100007F:0016", None),
            ("000000000000000000000000010000000:0016", None),
            (":0016", None),
            ("0100007F:10016", None),
            ("0100007é:0016", None),
        ] {
            assert_eq!(address(text).map(|a| a.to_string()).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn only_sockets_in_the_state_are_given() {
        let list = b"  sl  local_address rem_address   st tx_queue rx_queue\n\
            \x20  0: 0100007F:2808 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 0 1 1 0 100 0\n\
            \x20  1: 0100007F:2809 0200007F:0016 01 00000000:00000000 00:00000000 00000000     0 0 1 1 0 100 0\n";
        assert_eq!(parse(list, LISTENS), Ok(vec!["127.0.0.1:10248".parse().unwrap()]));
        assert_eq!(parse(b"header\n  0: x y 0A\n", LISTENS), Err(2));
        assert_eq!(parse(b"header\n  0: x\n", LISTENS), Err(2));
    }

    proptest::proptest! {
        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200), text in "[0-9A-F:é]{0,40}") {
            parse(&bytes, LISTENS).ok();
            address(&text);
        }
    }
}
