//! Routing rules that let only the node's own processes route to the metadata service. They hold when somebody flushes
//! nftables.
//!
//! Two a family: what the node itself sends (`iif lo` is how the kernel spells that) looks in the main table as before,
//! whatever else is prohibited. With all layers up, no packet of a pod gets as far as the second.

use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::route::{RouteHeader, RouteProtocol};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};
use rtnetlink::{Handle, IpVersion};
use std::net::IpAddr;

use super::netlink::{Netlink, change, kernels, list};
use super::{Error, Family, Ipv6};

/// Priority of `iif lo to METADATA lookup main`. The kernel's own local table is at 0; the first that others are known to
/// use are 1 (Cilium's WireGuard, for marked packets), 9 and 10 (Cilium, and the VPC CNI for pods with security groups).
const NODE: u32 = 4;

/// Priority of `to METADATA prohibit`.
const PODS: u32 = 5;

/// Marks our rules for whoever reads `ip -d rule`; numbers from 5 on are free to choose (rtnetlink(7)), and none of those
/// in iproute2's `rt_protos` is this one.
const PROTOCOL: u8 = 83;

/// RT_TABLE_LOCAL (rtnetlink(7)): the node's own addresses.
const LOCAL: u32 = 255;

/// One of our rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) family: Family,
    of_node: bool,
}

impl Rule {
    fn priority(self) -> u32 {
        if self.of_node { NODE } else { PODS }
    }

    /// As iproute2 spells it.
    pub(super) fn text(self) -> String {
        let (priority, metadata) = (self.priority(), self.family.metadata());
        match self.of_node {
            true => format!("{priority}: from all to {metadata} iif lo lookup main"),
            false => format!("{priority}: from all to {metadata} prohibit"),
        }
    }

    fn message(self) -> RuleMessage {
        let mut message = RuleMessage::default();
        message.header.family = kernels(self.family);
        message.header.dst_len = self.family.whole();
        message.attributes.push(RuleAttribute::Destination(self.family.metadata()));
        message.attributes.push(RuleAttribute::Priority(self.priority()));
        message.attributes.push(RuleAttribute::Protocol(RouteProtocol::from(PROTOCOL)));
        if self.of_node {
            message.header.action = RuleAction::ToTable;
            message.header.table = RouteHeader::RT_TABLE_MAIN;
            message.attributes.push(RuleAttribute::Iifname("lo".to_owned()));
        } else {
            message.header.action = RuleAction::Prohibit;
        }
        message
    }

    /// Whether a listed rule does what this one does. Who made it does not matter.
    fn is(self, listed: &RuleMessage) -> bool {
        let own = self.message();
        let table = !self.of_node || table(listed) == u32::from(RouteHeader::RT_TABLE_MAIN);
        table
            && listed.header.family == own.header.family
            && listed.header.dst_len == own.header.dst_len
            && listed.header.src_len == 0
            && listed.header.tos == 0
            && !listed.header.flags.contains(RuleFlags::Invert)
            && listed.header.action == own.header.action
            && selectors(&own).eq(selectors(listed))
    }
}

/// The rules that there should be, in the order in which they are brought up: the node is never cut off in between.
pub(super) fn wanted(ipv6: Ipv6) -> impl Iterator<Item = Rule> {
    ipv6.families().flat_map(|family| [true, false].map(|of_node| Rule { family, of_node }))
}

/// Adds those that are not there.
pub(super) async fn bring_up(netlink: &Netlink, ipv6: Ipv6) -> Result<(), Error> {
    for rule in missing(netlink, ipv6).await? {
        let mut request = netlink.handle.rule().add();
        *request.message_mut() = rule.message();
        change(&format!("add the routing rule `{}`", rule.text()), request.execute()).await?;
    }
    Ok(())
}

/// Removes those that are there, refusal last but one so that the node is not cut off either.
pub(super) async fn take_down(netlink: &Netlink) -> Result<(), Error> {
    for family in Family::BOTH {
        let listed = listed(&netlink.handle, family).await?;
        for rule in [false, true].map(|of_node| Rule { family, of_node }) {
            for found in listed.iter().filter(|found| rule.is(found)) {
                let action = format!("remove the routing rule `{}`", rule.text());
                change(&action, netlink.handle.rule().del(found.clone()).execute()).await?;
            }
        }
    }
    Ok(())
}

/// Those that are not there.
pub(super) async fn missing(netlink: &Netlink, ipv6: Ipv6) -> Result<Vec<Rule>, Error> {
    let mut missing = Vec::new();
    for family in ipv6.families() {
        let listed = listed(&netlink.handle, family).await?;
        missing.extend(wanted(ipv6).filter(|rule| rule.family == family && !listed.iter().any(|found| rule.is(found))));
    }
    Ok(missing)
}

/// Rules of others that decide before ours where a pod's packet to the metadata service goes.
pub(super) async fn before_ours(netlink: &Netlink, ipv6: Ipv6) -> Result<Vec<String>, Error> {
    let mut before = Vec::new();
    for family in ipv6.families() {
        let listed = listed(&netlink.handle, family).await?;
        before.extend(listed.iter().filter(|rule| overrides(rule, family)).map(|rule| {
            let priority = priority(rule);
            format!("the {family} routing rule of priority {priority} decides before ours; see `ip rule`")
        }));
    }
    Ok(before)
}

fn overrides(rule: &RuleMessage, family: Family) -> bool {
    let local = table(rule) == LOCAL;
    let reaches = rule.attributes.iter().all(|attribute| match attribute {
        RuleAttribute::Destination(to) => rule.header.dst_len == 0 || covers(*to, rule.header.dst_len, family),
        // The node's own packets, and marked ones, are not a pod's.
        RuleAttribute::Iifname(name) => name != "lo",
        RuleAttribute::FwMark(mark) => *mark == 0,
        _ => true,
    });
    priority(rule) <= PODS
        && rule.header.action == RuleAction::ToTable
        && !local
        && reaches
        && !wanted(Ipv6::Redirected).any(|ours| ours.is(rule))
}

/// Whether a prefix has the metadata service in it.
fn covers(prefix: IpAddr, length: u8, family: Family) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()) << 96,
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let same = (bits(prefix) ^ bits(family.metadata())).leading_zeros();
    prefix.is_ipv4() == (family == Family::V4) && same >= u32::from(length)
}

async fn listed(handle: &Handle, family: Family) -> Result<Vec<RuleMessage>, Error> {
    let version = match family {
        Family::V4 => IpVersion::V4,
        Family::V6 => IpVersion::V6,
    };
    let found = list("list routing rules", handle.rule().get(version).execute()).await;
    match found {
        // Families that this kernel does not have are listed as none, or as those of another.
        Err(Error::Netlink { source, .. }) if family == Family::V6 && unknown_family(&source) => Ok(Vec::new()),
        found => Ok(found?.into_iter().filter(|rule| is_of(rule, family)).collect()),
    }
}

fn unknown_family(error: &std::io::Error) -> bool {
    let unknown = [nix::errno::Errno::EAFNOSUPPORT as i32, nix::errno::Errno::EOPNOTSUPP as i32];
    error.raw_os_error().is_some_and(|code| unknown.contains(&code))
}

fn is_of(rule: &RuleMessage, family: Family) -> bool {
    let of: AddressFamily = rule.header.family;
    of == kernels(family)
}

fn table(rule: &RuleMessage) -> u32 {
    let long = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Table(table) => Some(*table),
        _ => None,
    });
    long.unwrap_or(rule.header.table.into())
}

fn priority(rule: &RuleMessage) -> u32 {
    let given = rule.attributes.iter().find_map(|attribute| match attribute {
        RuleAttribute::Priority(priority) => Some(*priority),
        _ => None,
    });
    given.unwrap_or(0)
}

/// What decides whether a packet matches, in an order of its own: everything but the table, what it is called, and the
/// two that the kernel adds to every rule with the value "not set".
fn selectors(rule: &RuleMessage) -> impl Iterator<Item = String> {
    let unset = |attribute: &RuleAttribute| match attribute {
        RuleAttribute::Table(_) | RuleAttribute::Protocol(_) => true,
        RuleAttribute::SuppressPrefixLen(length) => *length == u32::MAX,
        RuleAttribute::SuppressIfGroup(group) => *group == u32::MAX,
        _ => false,
    };
    let mut of: Vec<String> = rule.attributes.iter().filter(|a| !unset(a)).map(|a| format!("{a:?}")).collect();
    of.sort();
    of.into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pods(family: Family) -> Rule {
        Rule { family, of_node: false }
    }

    /// A rule as the kernel lists it, which adds what was not given.
    fn as_listed(rule: Rule) -> RuleMessage {
        let mut message = rule.message();
        message.attributes.push(RuleAttribute::Table(message.header.table.into()));
        message.attributes.push(RuleAttribute::SuppressPrefixLen(u32::MAX));
        message.attributes.reverse();
        message
    }

    #[test]
    fn our_rules_are_known_again_however_the_kernel_lists_them() {
        for rule in wanted(Ipv6::Redirected) {
            assert!(rule.is(&as_listed(rule)), "{}", rule.text());
            assert!(wanted(Ipv6::Redirected).filter(|other| other.is(&as_listed(rule))).count() == 1);
            assert!(!overrides(&as_listed(rule), rule.family));
        }
        assert_eq!(wanted(Ipv6::Absent).count(), 2);
        assert_eq!(pods(Family::V6).text(), "5: from all to fd00:ec2::254 prohibit");
    }

    #[test]
    fn a_rule_that_refuses_less_is_not_ours() {
        let listed = as_listed(pods(Family::V4));
        let mut narrow = listed.clone();
        narrow.attributes.push(RuleAttribute::FwMark(1));
        let mut inverted = listed.clone();
        inverted.header.flags = RuleFlags::Invert;
        let mut from = listed;
        from.header.src_len = 8;
        for other in [narrow, inverted, from] {
            assert!(!pods(Family::V4).is(&other), "{other:?}");
        }
    }

    #[test]
    fn a_rule_before_ours_that_reaches_the_metadata_service_is_seen() {
        let rule = |to: &str, length: u8, at: u32| {
            let mut message = RuleMessage::default();
            message.header.family = AddressFamily::Inet;
            message.header.action = RuleAction::ToTable;
            message.header.table = 100;
            message.header.dst_len = length;
            message.attributes = vec![RuleAttribute::Destination(to.parse().unwrap()), RuleAttribute::Priority(at)];
            message
        };
        assert!(overrides(&rule("169.254.0.0", 16, 1), Family::V4));
        assert!(overrides(&rule("0.0.0.0", 0, 5), Family::V4));
        assert!(!overrides(&rule("10.0.0.0", 8, 1), Family::V4));
        assert!(!overrides(&rule("169.254.169.254", 32, 6), Family::V4));
    }
}
