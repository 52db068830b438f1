//! The probe's own table, in which the kernel notes where its packets went.

use serde_json::Value;
use std::net::{IpAddr, SocketAddr};

use crate::redirect::Family;
use crate::redirect::ruleset::ip;

/// The name of the table, in the family `inet`.
pub(super) const NAME: &str = "safeguard_probe";

/// Takes it away; that it is not there is no error.
pub(super) const NO_TABLE: &str = "table inet safeguard_probe\ndelete table inet safeguard_probe\n";

/// Most different places that are noted per direction; the rest would not be, so a probe with more than a few is broken
/// anyway.
const MOST: u32 = 64;

/// Before everything else that looks at a packet (NF_IP_PRI_CONNTRACK_DEFRAG, the first of the kernel's own, is -400).
const FIRST: i32 = -450;

/// After all filters, and before the sender is translated (NF_IP_PRI_NAT_SRC is 100), by which the probe is known.
const LAST: i32 = 90;

/// Where packets of the probe went, the same in all families.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Addressed to, when they came from the probe.
    pub(super) came: Vec<SocketAddr>,
    /// Addressed to, when they were handed to this node's own sockets.
    pub(super) delivered: Vec<SocketAddr>,
    /// Interface and address, when they were about to leave it.
    pub(super) left: Vec<(String, SocketAddr)>,
}

/// The table, to be loaded in one transaction.
pub(super) fn table() -> String {
    let mut text = format!("{NO_TABLE}table inet {NAME} {{\n");
    let hooks = [("came", "prerouting", FIRST), ("delivered", "input", FIRST), ("left", "postrouting", LAST)];
    for (name, hook, priority) in hooks {
        let mut rules = String::new();
        for family in Family::BOTH {
            let (ip, set, probe) = (ip(family), format!("{name}_{}", ip(family)), family.probe());
            let interface = if name == "left" { "meta oifname" } else { "meta iifname" };
            let key = format!("{interface} . {ip} daddr . tcp dport");
            text.push_str(&format!("\tset {set} {{ typeof {key}; size {MOST}; flags dynamic; }}\n"));
            rules.push_str(&format!("\t\t{ip} saddr {probe} meta l4proto tcp add @{set} {{ {key} }}\n"));
        }
        let head = format!("type filter hook {hook} priority {priority}; policy accept;");
        text.push_str(&format!("\tchain {name} {{\n\t\t{head}\n{rules}\t}}\n"));
    }
    text.push_str("}\n");
    text
}

impl Seen {
    /// From the listing of the table. What cannot be read was not seen, which never speaks for the redirect.
    pub(super) fn of(listing: &Value) -> Self {
        let mut seen = Self::default();
        for set in listing["nftables"].as_array().into_iter().flatten().map(|object| &object["set"]) {
            let Some(name) = set["name"].as_str() else { continue };
            let elements = set["elem"].as_array().into_iter().flatten().filter_map(element);
            match name.split('_').next() {
                Some("came") => seen.came.extend(elements.map(|(_, to)| to)),
                Some("delivered") => seen.delivered.extend(elements.map(|(_, to)| to)),
                Some("left") => seen.left.extend(elements),
                _ => {}
            }
        }
        seen
    }
}

/// `{"concat": ["eth0", "10.0.0.1", 80]}`, as it is or inside an `elem` (nft prints that where an element has more to it).
fn element(value: &Value) -> Option<(String, SocketAddr)> {
    let value = value.get("elem").map_or(value, |elem| &elem["val"]);
    let [interface, address, port] = value["concat"].as_array()?.as_slice() else { return None };
    let address: IpAddr = address.as_str()?.parse().ok()?;
    Some((interface.as_str()?.to_owned(), (address, port_of(port)?).into()))
}

/// A number, or the name of a service where nft has one for it.
fn port_of(value: &Value) -> Option<u16> {
    match value {
        Value::String(name) if name == "http" => Some(80),
        Value::String(digits) => digits.parse().ok(),
        number => u16::try_from(number.as_u64()?).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn elements_are_read_in_both_spellings_and_others_are_not() {
        let listing = json!({"nftables": [
            {"metainfo": {}},
            {"set": {"name": "came_ip", "elem": [{"concat": ["sgprobe0", "169.254.169.254", 80]}]}},
            {"set": {"name": "delivered_ip6", "elem": [
                {"elem": {"val": {"concat": ["sgprobe0", "fd0c::1", 8181]}, "timeout": 5}}, {"concat": ["x"]}, 7]}},
            {"set": {"name": "left_ip", "elem": [{"concat": ["eth0", "169.254.169.254", "http"]}]}},
            {"set": {"name": "left_ip6"}},
        ]});
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        let expected = Seen {
            came: vec![at("169.254.169.254:80")],
            delivered: vec![at("[fd0c::1]:8181")],
            left: vec![("eth0".to_owned(), at("169.254.169.254:80"))],
        };
        assert_eq!(Seen::of(&listing), expected);
        assert_eq!(Seen::of(&Value::Null), Seen::default());
    }
}
