//! Rules of others that act on pods' requests before ours. They are told as warnings: whether they do harm is what the
//! probe shows.
//!
//! Looked at are base chains only, since nodes have tens of thousands of rules in chains that are jumped to. Not looked at
//! is `route_localnet`: kube-proxy sets it on every node, and nothing of ours is on loopback.

use serde_json::Value;

use super::nft::Nft;
use super::routing;
use super::{Error, Family, Ipv6};

/// The priority of our translation; a chain of translation before it wins (see `ruleset`).
const OUR_TRANSLATION: i64 = -110;

/// Connections are tracked from here on (NF_IP_PRI_CONNTRACK); a chain before it can say that one is not.
const TRACKING: i64 = -200;

/// Statements that take a packet out of our hands, in libnftables-json(5); `xt` is what iptables-nft has for them.
const STATEMENTS: [&str; 5] = ["dnat", "redirect", "notrack", "tproxy", "xt"];

/// Most chains that are read: a node has fewer than ten of them.
const MOST_CHAINS: usize = 32;

/// What there is, as warnings.
pub(super) async fn warnings(netlink: &super::netlink::Netlink, nft: &Nft, ipv6: Ipv6) -> Result<Vec<String>, Error> {
    let mut warnings = routing::before_ours(netlink, ipv6).await?;
    let listed = nft.list(&["chains"]).await?.unwrap_or_default();
    for chain in before_ours(&listed).take(MOST_CHAINS) {
        let [family, table, name] = chain;
        // Gone in the meantime is as good as not there.
        let Some(rules) = nft.list(&["chain", family, table, name]).await? else { continue };
        let named =
            rules["nftables"].as_array().into_iter().flatten().filter(|object| acts_on_metadata(object)).count();
        if named > 0 {
            warnings.push(format!(
                "{named} rules of others that name the metadata service act before ours, in the chain {family} {table} \
                 {name}; see `nft -a list chain {family} {table} {name}`"
            ));
        }
    }
    Ok(warnings)
}

/// Family, table and name of the base chains of others that decide before ours.
fn before_ours(listed: &Value) -> impl Iterator<Item = [&str; 3]> {
    let chains = listed["nftables"].as_array().into_iter().flatten().map(|object| &object["chain"]);
    chains.filter_map(|chain| {
        let field = |name: &str| chain[name].as_str();
        let prio = chain["prio"].as_i64()?;
        let first = if field("type")? == "nat" { prio <= OUR_TRANSLATION } else { prio < TRACKING };
        let of_others = !field("table")?.starts_with("safeguard_");
        (field("hook")? == "prerouting" && first && of_others)
            .then(|| Some([field("family")?, field("table")?, field("name")?]))?
    })
}

fn acts_on_metadata(object: &Value) -> bool {
    let acts = |expr: &Value| {
        let statements = expr.as_array().into_iter().flatten().filter_map(Value::as_object);
        statements.flat_map(serde_json::Map::keys).any(|key| STATEMENTS.contains(&key.as_str()))
    };
    let Some(rule) = object.get("rule") else { return false };
    acts(&rule["expr"]) && names_metadata(&rule["expr"])
}

fn names_metadata(value: &Value) -> bool {
    match value {
        Value::String(text) => text
            .parse()
            .is_ok_and(|address: std::net::IpAddr| Family::BOTH.iter().any(|family| family.metadata() == address)),
        Value::Array(items) => items.iter().any(names_metadata),
        Value::Object(fields) => fields.values().any(names_metadata),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn chain(table: &str, kind: &str, hook: &str, prio: i64) -> Value {
        json!({"chain": {"family": "ip", "table": table, "name": "c", "type": kind, "hook": hook, "prio": prio}})
    }

    #[test]
    fn chains_that_decide_before_ours_are_those_of_others_with_a_smaller_priority() {
        let listed = json!({"nftables": [
            {"metainfo": {}},
            chain("early", "nat", "prerouting", -150),
            chain("kube", "nat", "prerouting", -100),
            chain("raw", "filter", "prerouting", -300),
            chain("mangle", "filter", "prerouting", -150),
            chain("out", "nat", "output", -150),
            chain("safeguard_redirect", "nat", "prerouting", -110),
            {"chain": {"family": "ip", "table": "raw", "name": "jumped-to"}},
        ]});
        let tables: Vec<&str> = before_ours(&listed).map(|[_, table, _]| table).collect();
        assert_eq!(tables, ["early", "raw"]);
    }

    #[test]
    fn only_rules_that_name_the_metadata_service_and_take_its_packets_count() {
        let rule = |to: Value, statement: &str| json!({"rule": {"expr": [{"match": {"right": to}}, {statement: {"addr": "10.0.0.1"}}]}});
        assert!(acts_on_metadata(&rule(json!("169.254.169.254"), "dnat")));
        assert!(acts_on_metadata(&rule(json!({"set": ["10.0.0.9", "fd00:ec2:0::254"]}), "notrack")));
        assert!(!acts_on_metadata(&rule(json!("169.254.20.10"), "notrack")));
        assert!(!acts_on_metadata(&rule(json!("169.254.169.254"), "counter")));
    }
}
