//! Puts the requests of pods for the instance metadata service before the proxy, in layers that each hold alone.
//!
//! Comes in: [`Redirect`], the checked settings. Goes out: an address, one nftables table and four routing rules on the
//! node, and [`Report`], which is also the state file that others read with [`State::read`].
//!
//! Never: touches a table, rule or address of somebody else, sends a request to the metadata service, or stays resident.
//!
//! | layer | what it is | alone, it makes of a pod's request |
//! |-------|------------|------------------------------------|
//! | [`Layer::Address`] | the proxy's own address on `lo` | nothing; the next needs it |
//! | [`Layer::Table`]   | DNAT to that address before routing; refusal of what is still addressed to the metadata service after it, whether it would be forwarded or delivered here; refusal of what reached the proxy's address without DNAT | a request to the proxy |
//! | [`Layer::Routing`] | rules that let only the node's own processes route to the metadata service | "no route", also with nftables flushed |
//! | [`Layer::Probe`]   | a connection from a throw-away network namespace that is wired as a pod is | the proof |
//!
//! The target is an address of this node: `redirect` would need an address on the pod's host interface, which the VPC
//! CNI does not give it, and 127.0.0.1 would need `route_localnet`, which lets pods reach what listens on loopback.
//!
//! What passes: the node's own processes and pods on the host's network. They start at the `output` hook, and the rule
//! for `iif lo` lets them route.
//!
//! What no rule here can hold: a datapath that takes packets past netfilter and routing (some eBPF ones), and a pod that
//! shares the host's network. The probe has an interface of its own and does not see what such a datapath does to others'.
//!
//! Needed rights: CAP_NET_ADMIN for [`up`] and [`down`]. [`check`] makes a network namespace, for which the kernel wants
//! CAP_SYS_ADMIN too; without it, what cannot be observed is reported so.
//!
//! All three may be called in any network namespace and act on that of the calling thread; they need a tokio runtime that
//! runs on this thread alone when it differs from the process's (`new_current_thread`).

mod address;
mod check;
mod error;
mod family;
mod foreign;
mod listing;
mod lock;
mod netlink;
mod nft;
mod probe;
mod report;
mod routing;
mod ruleset;
mod sandbox;
mod settings;
mod state;

pub use check::check;
pub use error::Error;
pub use family::{Family, Ipv6};
pub use probe::{Outcome, Passage};
pub use report::{Finding, Layer, Layers, Report, Standing};
pub use settings::{Invalid, Ipv6Setting, Redirect, Values};
pub use state::{Freshness, OLD_AFTER_MS, State, StateError, VERSION};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where the metadata service answers over IPv4 ("Instance metadata and user data", Amazon EC2 User Guide).
pub const METADATA_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

/// Where it answers over IPv6, on Nitro instances where the endpoint is switched on (same page).
pub const METADATA_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// The port it answers on (same page; clients have no setting for another).
pub const METADATA_PORT: u16 = 80;

/// Brings all layers up, or in order where they differ. Doing it again changes nothing.
///
/// The order only ever tightens: refusal by routing first, then the address, then the table in one transaction. A crash in
/// between leaves pods refused.
///
/// # Errors
/// What could not be done, with a remedy. Layers that were brought up before it stay.
pub async fn up(redirect: &Redirect) -> Result<Ipv6, Error> {
    let _lock = lock::take(redirect.state_file()).await?;
    let ipv6 = family::plan(redirect)?;
    let nft = nft::Nft::find(redirect)?;
    let netlink = netlink::Netlink::open()?;
    routing::bring_up(&netlink, ipv6).await?;
    address::bring_up(&netlink, redirect, ipv6).await?;
    nft.apply(&ruleset::table(redirect, ipv6)).await?;
    Ok(ipv6)
}

/// Takes exactly that away, and the state file with it, since what it says is no longer so.
///
/// From then on pods reach the metadata service itself. Refusal by routing goes last, so a crash in between leaves pods
/// refused. What is not there is no error.
///
/// # Errors
/// What could not be done, with a remedy.
pub async fn down(redirect: &Redirect) -> Result<(), Error> {
    let _lock = lock::take(redirect.state_file()).await?;
    let nft = nft::Nft::find(redirect)?;
    let netlink = netlink::Netlink::open()?;
    state::remove(redirect.state_file())?;
    probe::remove_leftovers(&netlink, &nft).await?;
    nft.apply(ruleset::NO_TABLE).await?;
    address::take_down(&netlink, redirect).await?;
    routing::take_down(&netlink).await
}

impl Redirect {
    /// The proxy's address of a family, as long as the plan for IPv6 has one.
    fn proxy(&self, family: Family, ipv6: Ipv6) -> Option<IpAddr> {
        match family {
            Family::V4 => Some(self.v4().into()),
            Family::V6 => self.v6().filter(|_| ipv6 == Ipv6::Redirected).map(IpAddr::from),
        }
    }
}
