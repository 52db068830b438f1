//! Pure: the nftables table as `nft` reads it.
//!
//! Every chain is of our own table, in a transaction that replaces it whole. Others' chains are evaluated as well, whatever
//! ours accepts; an `accept` of theirs does not end ours either.

use std::net::IpAddr;

use super::{Family, Ipv6, METADATA_PORT, Redirect};

/// The name of our table. Its family is `inet`: one table for both.
pub(super) const NAME: &str = "safeguard_redirect";

/// Our table as `nft list` and messages name it.
pub(super) const TABLE: &str = "inet safeguard_redirect";

/// Takes the table away. Adding it first makes that no error where there is none; `destroy` is newer than nft 1.0.6.
pub(super) const NO_TABLE: &str = "table inet safeguard_redirect\ndelete table inet safeguard_redirect\n";

/// What each chain is for, in the words of a problem.
pub(super) const CHAINS: [(&str, &str); 6] = [
    ("spoofed", "it drops packets whose sender does not live behind the interface that they came from"),
    ("redirected", "it sends pods' requests to the proxy"),
    ("strayed", "it refuses what no rule redirected"),
    ("forwarded", "it refuses what would be forwarded to the metadata service"),
    ("arrived", "it refuses what comes to the proxy's address without having been redirected"),
    ("refused", "it says how packets are refused"),
];

/// The whole table, to be loaded in one transaction: what was there before is gone with it, or all of it stays.
///
/// - `spoofed`, before any translation: `fib saddr . iif oif missing` asks whether an answer would leave through the
///   interface that the packet came from. Where it would not, the pod could not get the answer either, so no wiring that
///   works is refused: on the VPC CNI each pod has a route of its own, on a bridge all pods of it share one (and may still
///   pretend to be each other there).
/// - `redirected`, ten before the place where kube-proxy and others translate (-100), since the first translation wins.
///   Not for `lo`: what the node sends to itself is the node's.
/// - `strayed`, ten after it: what is still addressed to the metadata service, at any port. That is what came without
///   connection tracking, what tracked connections from before the rule carry, and UDP and ICMP. A reset tells TCP clients
///   at once, so that a pooled connection from before is opened anew, to the proxy.
/// - `forwarded`: the same again where it would leave the node, whatever happened between.
/// - `arrived`: at the proxy's address only what was redirected. Not even the node itself may go there straight; since it
///   does so from that same address, the reset that tells it has to be let in.
pub(super) fn table(redirect: &Redirect, ipv6: Ipv6) -> String {
    let families: Vec<(Family, Option<IpAddr>)> =
        ipv6.families().map(|family| (family, redirect.proxy(family, ipv6))).collect();
    let mut text = format!("{NO_TABLE}table {TABLE} {{\n");
    let mut chain = |name: &str, head: &str, rule: &dyn Fn(Family, Option<IpAddr>) -> Option<String>| {
        text.push_str(&format!("\tchain {name} {{{head}\n"));
        for line in families.iter().filter_map(|(family, proxy)| rule(*family, *proxy)) {
            text.push_str(&format!("\t\t{line}\n"));
        }
        text.push_str("\t}\n");
    };
    let hook =
        |kind: &str, hook: &str, at: &str| format!("\n\t\ttype {kind} hook {hook} priority {at}; policy accept;");
    chain("refused", "\n\t\tmeta l4proto tcp reject with tcp reset\n\t\tdrop", &|_, _| None);
    chain("spoofed", &hook("filter", "prerouting", "mangle"), &|family, _| {
        Some(format!("{} fib saddr . iif oif missing counter drop", to_metadata(family)))
    });
    chain("redirected", &hook("nat", "prerouting", "dstnat - 10"), &|family, proxy| {
        let (ip, to) = (ip(family), to_metadata(family));
        let proxy = std::net::SocketAddr::from((proxy?, redirect.port()));
        Some(format!("iifname != \"lo\" {to} tcp dport {METADATA_PORT} counter dnat {ip} to {proxy}"))
    });
    chain("strayed", &hook("filter", "prerouting", "dstnat + 10"), &|family, _| {
        Some(format!("iifname != \"lo\" {} counter jump refused", to_metadata(family)))
    });
    chain("forwarded", &hook("filter", "forward", "filter - 10"), &|family, _| {
        Some(format!("{} counter jump refused", to_metadata(family)))
    });
    chain("arrived", &hook("filter", "input", "filter - 10"), &|family, proxy| {
        let (ip, proxy, port, metadata) = (ip(family), proxy?, redirect.port(), family.metadata());
        Some(format!(
            "{ip} daddr {proxy} tcp dport {port} ct original {ip} daddr {metadata} ct original proto-dst \
             {METADATA_PORT} counter accept\n\t\tiifname \"lo\" {ip} daddr {proxy} tcp flags & rst == rst accept\n\t\t{ip} \
             daddr {proxy} counter jump refused"
        ))
    });
    text.push_str("}\n");
    text
}

fn to_metadata(family: Family) -> String {
    format!("{} daddr {}", ip(family), family.metadata())
}

pub(super) fn ip(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redirect::Values;

    /// The text is the promise: a change of it must be seen by whoever makes it.
    #[test]
    fn the_table_is_this() {
        let expected = r#"table inet safeguard_redirect
delete table inet safeguard_redirect
table inet safeguard_redirect {
	chain refused {
		meta l4proto tcp reject with tcp reset
		drop
	}
	chain spoofed {
		type filter hook prerouting priority mangle; policy accept;
		ip daddr 169.254.169.254 fib saddr . iif oif missing counter drop
		ip6 daddr fd00:ec2::254 fib saddr . iif oif missing counter drop
	}
	chain redirected {
		type nat hook prerouting priority dstnat - 10; policy accept;
		iifname != "lo" ip daddr 169.254.169.254 tcp dport 80 counter dnat ip to 169.254.168.252:8181
		iifname != "lo" ip6 daddr fd00:ec2::254 tcp dport 80 counter dnat ip6 to [fd0c:c696:c750::252]:8181
	}
	chain strayed {
		type filter hook prerouting priority dstnat + 10; policy accept;
		iifname != "lo" ip daddr 169.254.169.254 counter jump refused
		iifname != "lo" ip6 daddr fd00:ec2::254 counter jump refused
	}
	chain forwarded {
		type filter hook forward priority filter - 10; policy accept;
		ip daddr 169.254.169.254 counter jump refused
		ip6 daddr fd00:ec2::254 counter jump refused
	}
	chain arrived {
		type filter hook input priority filter - 10; policy accept;
		ip daddr 169.254.168.252 tcp dport 8181 ct original ip daddr 169.254.169.254 ct original proto-dst 80 counter accept
		iifname "lo" ip daddr 169.254.168.252 tcp flags & rst == rst accept
		ip daddr 169.254.168.252 counter jump refused
		ip6 daddr fd0c:c696:c750::252 tcp dport 8181 ct original ip6 daddr fd00:ec2::254 ct original proto-dst 80 counter accept
		iifname "lo" ip6 daddr fd0c:c696:c750::252 tcp flags & rst == rst accept
		ip6 daddr fd0c:c696:c750::252 counter jump refused
	}
}
"#;
        assert_eq!(table(&Redirect::default(), Ipv6::Redirected), expected);
        for (name, _) in CHAINS {
            assert!(expected.contains(&format!("chain {name} {{")), "{name}");
        }
    }

    #[test]
    fn ipv6_that_is_not_redirected_is_still_refused_and_ipv6_that_is_not_there_is_not_named() {
        let refused = table(&Redirect::default(), Ipv6::Refused);
        assert!(!refused.contains("dnat ip6") && !refused.contains("fd0c:"));
        assert_eq!(refused.matches("ip6 daddr fd00:ec2::254 counter jump refused").count(), 2);
        assert!(!table(&Redirect::default(), Ipv6::Absent).contains("ip6"));
    }

    #[test]
    fn addresses_and_port_are_those_of_the_settings() {
        let values = Values { proxy_v4: [10, 9, 8, 7].into(), proxy_port: 99, ..Values::default() };
        let text = table(&Redirect::new(values).unwrap(), Ipv6::Absent);
        assert!(text.contains("dnat ip to 10.9.8.7:99") && text.contains("ip daddr 10.9.8.7 tcp dport 99 ct original"));
    }
}
