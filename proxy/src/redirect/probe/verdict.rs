//! Pure: what a connection and its packets' ways prove.

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;

use super::watch::Seen;
use super::wire::End;
use crate::redirect::{Family, METADATA_PORT};

/// What a connection from a namespace like a pod's came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was redirected, and the proxy accepted it.
    Answered,
    /// It was redirected, and nobody listens there: the proxy does not run. Pods see "connection refused".
    Nobody,
    /// It was redirected, and no answer came back.
    Unanswered,
    /// It was not redirected, and got no further than this node.
    Refused,
    /// It got to something that is not the proxy.
    Leaked,
    /// What became of it cannot be told.
    Unknown,
    /// Interfaces of pods do not carry this family on this node.
    Off,
}

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// Over which version of IP.
    pub family: Family,
    /// What it came to.
    pub outcome: Outcome,
    /// Whether that is as it should be on this node.
    pub holds: bool,
    /// The same in a sentence, with the evidence.
    pub text: String,
}

pub(super) fn off(family: Family) -> Passage {
    let text = format!("{family} was not probed: it is switched off on new interfaces of this node");
    Passage { family, outcome: Outcome::Off, holds: true, text }
}

/// `proxy` is where it should be redirected to, and None where it should be refused.
pub(super) fn judge(family: Family, end: &End, seen: &Seen, proxy: Option<SocketAddr>) -> Passage {
    let metadata = SocketAddr::from((family.metadata(), METADATA_PORT));
    let of_family = |to: &&SocketAddr| to.is_ipv4() == (family == Family::V4);
    let came = seen.came.contains(&metadata);
    let delivered: Vec<&SocketAddr> = seen.delivered.iter().filter(of_family).collect();
    let left = seen.left.iter().find(|(_, to)| of_family(&to));
    let elsewhere = delivered.iter().find(|to| Some(***to) != proxy);
    let to_proxy = delivered.iter().any(|to| Some(**to) == proxy);
    let ended = match end {
        End::Accepted => "it was accepted".to_owned(),
        End::Reset => "it was reset".to_owned(),
        End::NoRoute => "a router said that there is no way".to_owned(),
        End::Silence => "nothing came back".to_owned(),
        End::Other(error) => error.clone(),
    };
    let (outcome, text) = if let Some((interface, to)) = left {
        (Outcome::Leaked, format!("a pod's connection to {metadata} leaves this node through {interface} to {to}"))
    } else if let Some(to) = elsewhere {
        (Outcome::Leaked, format!("a pod's connection to {metadata} reaches {to} on this node, which is not the proxy"))
    } else if to_proxy {
        match end {
            End::Accepted => (Outcome::Answered, format!("{metadata} is redirected and the proxy answers")),
            End::Reset => (Outcome::Nobody, format!("{metadata} is redirected and no proxy listens: {ended}")),
            _ => {
                let why = "another rule of the firewall or a route keeps the answer back";
                (Outcome::Unanswered, format!("{metadata} is redirected, but {ended}: {why}"))
            }
        }
    } else if *end == End::Accepted {
        let past = "past the hooks of netfilter: this node's datapath takes packets around the redirect";
        (Outcome::Leaked, format!("a connection to {metadata} was accepted {past}"))
    } else if came {
        (Outcome::Refused, format!("{metadata} is not redirected, and goes no further than this node: {ended}"))
    } else {
        (Outcome::Unknown, format!("the connection to {metadata} did not come by netfilter: {ended}"))
    };
    let holds = match proxy {
        Some(_) => matches!(outcome, Outcome::Answered | Outcome::Nobody),
        None => outcome == Outcome::Refused,
    };
    Passage { family, outcome, holds, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn seen(delivered: &[&str], left: &[&str]) -> Seen {
        Seen {
            came: vec![at("169.254.169.254:80")],
            delivered: delivered.iter().map(|to| at(to)).collect(),
            left: left.iter().map(|to| ("eth0".to_owned(), at(to))).collect(),
        }
    }

    fn outcome(end: End, seen: &Seen) -> Outcome {
        judge(Family::V4, &end, seen, Some(at("169.254.168.252:8181"))).outcome
    }

    #[test]
    fn only_what_was_delivered_to_the_proxy_speaks_for_the_redirect() {
        let proxy = seen(&["169.254.168.252:8181"], &[]);
        assert_eq!(outcome(End::Accepted, &proxy), Outcome::Answered);
        assert_eq!(outcome(End::Reset, &proxy), Outcome::Nobody);
        assert_eq!(outcome(End::Silence, &proxy), Outcome::Unanswered);
        assert_eq!(outcome(End::NoRoute, &proxy), Outcome::Unanswered);
        let nowhere = seen(&[], &[]);
        assert_eq!(outcome(End::Reset, &nowhere), Outcome::Refused);
        assert_eq!(outcome(End::NoRoute, &nowhere), Outcome::Refused);
        assert_eq!(outcome(End::Silence, &nowhere), Outcome::Refused);
    }

    #[test]
    fn whatever_leaves_the_node_or_reaches_another_socket_is_a_leak_however_it_ended() {
        for end in [End::Accepted, End::Reset, End::NoRoute, End::Silence, End::Other("x".to_owned())] {
            assert_eq!(outcome(end.clone(), &seen(&[], &["169.254.169.254:80"])), Outcome::Leaked, "{end:?}");
            assert_eq!(outcome(end.clone(), &seen(&["10.0.0.1:9"], &[])), Outcome::Leaked, "{end:?}");
            // A retry took another way.
            let both = seen(&["169.254.168.252:8181"], &["10.0.0.254:80"]);
            assert_eq!(outcome(end, &both), Outcome::Leaked);
        }
        let text = judge(Family::V4, &End::Silence, &seen(&[], &["10.0.0.254:80"]), None).text;
        assert!(text.contains("eth0") && text.contains("10.0.0.254:80"), "{text}");
    }

    #[test]
    fn what_netfilter_did_not_see_is_a_leak_if_accepted_and_unknown_if_not() {
        assert_eq!(outcome(End::Accepted, &Seen::default()), Outcome::Leaked);
        for end in [End::Reset, End::NoRoute, End::Silence] {
            assert_eq!(outcome(end, &Seen::default()), Outcome::Unknown);
        }
    }

    #[test]
    fn a_family_that_should_be_refused_holds_when_it_is_and_one_that_should_be_redirected_does_not() {
        let nowhere = seen(&[], &[]);
        assert!(judge(Family::V4, &End::NoRoute, &nowhere, None).holds);
        assert!(!judge(Family::V4, &End::NoRoute, &nowhere, Some(at("169.254.168.252:8181"))).holds);
        assert!(!judge(Family::V4, &End::Silence, &Seen::default(), None).holds);
        // Packets of the other family are the other's.
        let other = seen(&["[fd0c::1]:1"], &["[fd0c::2]:1"]);
        assert_eq!(outcome(End::Reset, &other), Outcome::Refused);
    }
}
