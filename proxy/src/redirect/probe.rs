//! The proof: a connection from a throw-away network namespace that is wired as the VPC CNI wires a pod, to the metadata
//! service's address.
//!
//! What the connection comes to is not enough to go by. A refusal may be the metadata service's own, an answer may be
//! anybody's, and silence may be a packet that is out in the network. So a table of the probe's own, which does not depend
//! on the one that is checked, records where its packets went: which arrived on this node, which were delivered here and
//! to what address, and which were about to leave and through what interface.
//!
//! Only a connection is made. Nothing is sent on it, so the proxy sees one that closes without a request.

mod verdict;
mod watch;
mod wire;

pub use verdict::{Outcome, Passage};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netlink::Netlink;
use super::nft::Nft;
use super::{Error, Family, Ipv6, Redirect, family, sandbox};

/// The probe's IPv4 address, beside the proxy's. Link-local, so that it is no pod's: the benchmark range (RFC 2544) that
/// offers itself is used for pods by the VPC CNI's custom networking.
pub(super) const PROBE_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 168, 253);

/// Its IPv6 address, in the network of the proxy's.
pub(super) const PROBE_V6: Ipv6Addr = Ipv6Addr::new(0xfd0c, 0xc696, 0xc750, 0, 0, 0, 0, 0x253);

impl Family {
    fn probe(self) -> IpAddr {
        match self {
            Self::V4 => PROBE_V4.into(),
            Self::V6 => PROBE_V6.into(),
        }
    }
}

/// Probes each family that there is, and leaves nothing behind.
pub(super) async fn run(netlink: &Netlink, nft: &Nft, redirect: &Redirect, ipv6: Ipv6) -> Result<Vec<Passage>, Error> {
    remove_leftovers(netlink, nft).await?;
    nft.apply(&watch::table()).await?;
    // What new interfaces of this node are like; the probe's is one of them.
    let can_v6 = ipv6.exists() && family::off_on("default") == Some(false) && family::off_on("all") == Some(false);
    let families: Vec<Family> = ipv6.families().filter(|family| *family == Family::V4 || can_v6).collect();
    let connected = sandbox::within(async move |outside| wire::connect(outside, &families).await).await;
    // Looked at and removed whatever came of it.
    let seen = nft.list(&["table", "inet", watch::NAME]).await;
    nft.apply(watch::NO_TABLE).await?;
    let (connected, seen) = (connected?, watch::Seen::of(&seen?.unwrap_or_default()));
    let mut passages: Vec<Passage> = connected
        .into_iter()
        .map(|(family, end)| {
            let proxy = redirect.proxy(family, ipv6).map(|address| (address, redirect.port()).into());
            verdict::judge(family, &end, &seen, proxy)
        })
        .collect();
    if ipv6.exists() && !can_v6 {
        passages.push(verdict::off(Family::V6));
    }
    Ok(passages)
}

/// Removes what a run that was killed left behind. The interface goes with its namespace, which the kernel does in its own
/// time.
pub(super) async fn remove_leftovers(netlink: &Netlink, nft: &Nft) -> Result<(), Error> {
    wire::remove(netlink).await?;
    nft.apply(watch::NO_TABLE).await
}
