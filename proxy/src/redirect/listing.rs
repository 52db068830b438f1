//! Pure: what `nft -j list` says of our table, and how two listings differ.

use serde_json::Value;
use std::collections::BTreeMap;

use super::ruleset::{CHAINS, TABLE};

/// A table without what differs from one loading of it to the next: handles and the values of counters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listing {
    chains: BTreeMap<String, Chain>,
    /// The table itself with its flags, sets, maps and whatever else it may have, in their order.
    rest: Vec<Value>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Chain {
    declared: Option<Value>,
    rules: Vec<Value>,
}

impl Listing {
    /// Reads libnftables-json(5). What is not as documented there is kept as it is, so that it differs.
    pub(super) fn of(json: &Value) -> Self {
        let mut listing = Self { chains: BTreeMap::new(), rest: Vec::new() };
        for object in json["nftables"].as_array().into_iter().flatten() {
            let mut object = object.clone();
            steady(&mut object);
            if object.get("metainfo").is_some() {
                continue;
            }
            if let (Some(chain), Some(name)) = (object.get("chain"), object["chain"]["name"].as_str()) {
                listing.chains.entry(name.to_owned()).or_default().declared = Some(chain.clone());
            } else if let (Some(rule), Some(chain)) = (object.get("rule"), object["rule"]["chain"].as_str()) {
                listing.chains.entry(chain.to_owned()).or_default().rules.push(rule.clone());
            } else {
                listing.rest.push(object);
            }
        }
        listing
    }

    /// What is wrong with `found`, in sentences. Empty where the two are the same.
    pub(super) fn differences(&self, found: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, wanted) in &self.chains {
            let purpose = CHAINS.iter().find(|(of, _)| of == name).map_or("", |(_, purpose)| purpose);
            let Some(chain) = found.chains.get(name) else {
                differences.push(format!("the chain {name} of the table {TABLE} is gone; {purpose}"));
                continue;
            };
            if chain.declared != wanted.declared {
                differences.push(format!("the chain {name} of the table {TABLE} is not where it belongs; {purpose}"));
            }
            if chain.rules != wanted.rules {
                let (all, left) = (wanted.rules.len(), wanted.rules.iter().filter(|r| chain.rules.contains(r)).count());
                let others = chain.rules.iter().filter(|rule| !wanted.rules.contains(rule)).count();
                differences.push(format!(
                    "the chain {name} of the table {TABLE} has {left} of its {all} rules and {others} others; {purpose}"
                ));
            }
        }
        for name in found.chains.keys().filter(|name| !self.chains.contains_key(*name)) {
            differences.push(format!("the table {TABLE} has a chain that is not ours, {name}"));
        }
        if self.rest != found.rest {
            differences.push(format!("the table {TABLE} has flags or sets that are not ours"));
        }
        differences
    }
}

/// Removes what differs between two loadings of the same text.
fn steady(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("handle");
            if fields.get("counter").is_some_and(Value::is_object) {
                fields.insert("counter".to_owned(), Value::Null);
            }
            fields.values_mut().for_each(steady);
        }
        Value::Array(items) => items.iter_mut().for_each(steady),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(chain: &str, handle: u32, packets: u32, verdict: &str) -> Value {
        json!({"rule": {"chain": chain, "handle": handle, "expr": [
            {"counter": {"packets": packets, "bytes": packets * 60}}, {verdict: null}]}})
    }

    fn chain(name: &str, hook: &str) -> Value {
        json!({"chain": {"name": name, "handle": 3, "hook": hook}})
    }

    fn table(objects: &[Value]) -> Listing {
        let mut all = vec![json!({"metainfo": {"version": "1.0.6"}}), json!({"table": {"name": "t", "handle": 1}})];
        all.extend_from_slice(objects);
        Listing::of(&json!({ "nftables": all }))
    }

    #[test]
    fn handles_and_counters_do_not_count() {
        let one = table(&[chain("forwarded", "forward"), rule("forwarded", 7, 0, "drop")]);
        let other = table(&[chain("forwarded", "forward"), rule("forwarded", 9, 12, "drop")]);
        assert_eq!(one.differences(&other), Vec::<String>::new());
    }

    #[test]
    fn each_difference_is_told_with_what_it_means() {
        let wanted = table(&[
            chain("forwarded", "forward"),
            rule("forwarded", 1, 0, "drop"),
            rule("forwarded", 2, 0, "accept"),
            chain("arrived", "input"),
        ]);
        let told = |found: &Listing| wanted.differences(found).join(" | ");
        let gone = told(&table(&[chain("forwarded", "forward"), rule("forwarded", 1, 0, "drop")]));
        assert!(gone.contains("arrived of the table") && gone.contains("is gone; it refuses"), "{gone}");
        assert!(gone.contains("has 1 of its 2 rules and 0 others"), "{gone}");
        let mut changed = wanted.clone();
        changed.chains.get_mut("forwarded").unwrap().rules.insert(0, json!({"expr": [{"accept": null}]}));
        assert!(told(&changed).contains("2 of its 2 rules and 1 others"), "{}", told(&changed));
        let mut order = wanted.clone();
        order.chains.get_mut("forwarded").unwrap().rules.reverse();
        assert!(told(&order).contains("forwarded"), "{}", told(&order));
        let mut moved = wanted.clone();
        moved.chains.get_mut("arrived").unwrap().declared = Some(json!({"name": "arrived", "hook": "output"}));
        assert!(told(&moved).contains("is not where it belongs"), "{}", told(&moved));
        let mut more = wanted.clone();
        more.chains.insert("mine".to_owned(), Chain::default());
        more.rest = vec![json!({"table": {"name": "t", "flags": "dormant"}})];
        assert!(told(&more).contains("not ours, mine") && told(&more).contains("flags"), "{}", told(&more));
    }
}
