//! The proxy's own addresses on `lo`.
//!
//! They must never become the source of the node's own connections. For an interface without an address, such as the host's
//! end of a VPC CNI pod, the kernel takes one of another interface and begins with `lo`: an address of global scope there
//! would be the source of every probe of the kubelet. So the IPv4 address has the scope `host`, as 127.0.0.1 has, and the
//! IPv6 address is deprecated from the start (RFC 6724, rule 3: avoid deprecated addresses).

use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope, CacheInfo};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::netlink::{Netlink, change, list, name_of};
use super::{Error, Family, Ipv6, Redirect};

/// What there is of one address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// On `lo`, as it should be.
    Right,
    /// Nowhere.
    Gone,
    /// On `lo`, with another length or scope.
    Wrong(String),
    /// On the interface of that number.
    Elsewhere(u32),
}

/// Puts the addresses where they belong. One of `lo` that is not as it should be is made again.
pub(super) async fn bring_up(netlink: &Netlink, redirect: &Redirect, ipv6: Ipv6) -> Result<(), Error> {
    for (address, found, messages) in look(netlink, redirect, ipv6).await? {
        match found {
            Found::Right => continue,
            Found::Elsewhere(index) => {
                return Err(Error::AddressTaken { address, interface: interface(netlink, index).await });
            }
            Found::Gone => {}
            Found::Wrong(_) => remove(netlink, messages).await?,
        }
        let index = lo(netlink).await?;
        let mut request = netlink.handle.address().add(index, address, 0);
        *request.message_mut() = wanted(address, index);
        change(&format!("put {address} on lo"), request.execute()).await?;
        if let IpAddr::V6(v6) = address {
            netlink.until_local(v6).await?;
        }
    }
    Ok(())
}

/// Takes them off `lo`.
pub(super) async fn take_down(netlink: &Netlink, redirect: &Redirect) -> Result<(), Error> {
    for (_, found, messages) in look(netlink, redirect, Ipv6::Redirected).await? {
        if matches!(found, Found::Right | Found::Wrong(_)) {
            remove(netlink, messages).await?;
        }
    }
    Ok(())
}

/// What there is of each address that there should be.
pub(super) async fn look(
    netlink: &Netlink,
    redirect: &Redirect,
    ipv6: Ipv6,
) -> Result<Vec<(IpAddr, Found, Vec<AddressMessage>)>, Error> {
    let lo = lo(netlink).await?;
    let listed = list("list addresses", netlink.handle.address().get().execute()).await?;
    let wanted = Family::BOTH.into_iter().filter_map(|family| redirect.proxy(family, ipv6));
    let judged = wanted.map(|address| {
        let of: Vec<_> = listed.iter().filter(|message| address_of(message) == Some(address)).cloned().collect();
        (address, judge(address, lo, &of), of)
    });
    Ok(judged.collect())
}

/// The name of an interface for a message.
pub(super) async fn interface(netlink: &Netlink, index: u32) -> String {
    let asked = netlink.handle.link().get().match_index(index).execute();
    let found = list("look up an interface", asked).await.unwrap_or_default();
    found.first().map_or_else(|| format!("number {index}"), name_of)
}

async fn lo(netlink: &Netlink) -> Result<u32, Error> {
    // The kernel gives `lo` the number 1 in every namespace; asked all the same, since it is cheap and not promised.
    Ok(netlink.link("lo").await?.map_or(1, |link| link.header.index))
}

async fn remove(netlink: &Netlink, messages: Vec<AddressMessage>) -> Result<(), Error> {
    for message in messages {
        let action = address_of(&message).map_or_else(String::new, |address| format!("take {address} off lo"));
        change(&action, netlink.handle.address().del(message).execute()).await?;
    }
    Ok(())
}

/// IFA_LOCAL is the address itself where both are given (rtnetlink(7)).
fn address_of(message: &AddressMessage) -> Option<IpAddr> {
    let local = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Local(address) => Some(*address),
        _ => None,
    });
    local.or_else(|| {
        message.attributes.iter().find_map(|attribute| match attribute {
            AddressAttribute::Address(address) => Some(*address),
            _ => None,
        })
    })
}

fn judge(address: IpAddr, lo: u32, messages: &[AddressMessage]) -> Found {
    let Some(message) = messages.first() else { return Found::Gone };
    if let Some(other) = messages.iter().find(|message| message.header.index != lo) {
        return Found::Elsewhere(other.header.index);
    }
    let length = message.header.prefix_len;
    let whole = if address.is_ipv4() { Family::V4 } else { Family::V6 }.whole();
    if length != whole {
        return Found::Wrong(format!("it has the length {length} instead of {whole}"));
    }
    let chosen_as_source = match address {
        IpAddr::V4(_) => message.header.scope != AddressScope::Host,
        IpAddr::V6(_) => !flags(message).contains(AddressFlags::Deprecated),
    };
    if chosen_as_source {
        return Found::Wrong("the node would take it as the source of its own connections".to_owned());
    }
    Found::Right
}

fn flags(message: &AddressMessage) -> AddressFlags {
    let long = message.attributes.iter().find_map(|attribute| match attribute {
        AddressAttribute::Flags(flags) => Some(*flags),
        _ => None,
    });
    long.unwrap_or_else(|| AddressFlags::from_bits_retain(message.header.flags.bits().into()))
}

fn wanted(address: IpAddr, lo: u32) -> AddressMessage {
    match address {
        IpAddr::V4(v4) => {
            let builder = AddressMessageBuilder::<Ipv4Addr>::new();
            let mut message = builder.index(lo).address(v4, Family::V4.whole()).build();
            message.header.scope = AddressScope::Host;
            message
        }
        IpAddr::V6(v6) => {
            let builder = AddressMessageBuilder::<Ipv6Addr>::new();
            let mut message = builder.index(lo).address(v6, Family::V6.whole()).build();
            // Usable at once: nobody else can have it.
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            let mut life = CacheInfo::default();
            life.ifa_preferred = 0;
            life.ifa_valid = u32::MAX;
            message.attributes.push(AddressAttribute::CacheInfo(life));
            message
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LO: u32 = 1;

    fn v4() -> IpAddr {
        Redirect::default().v4().into()
    }

    #[test]
    fn an_address_as_we_make_it_is_right_and_one_that_the_node_would_speak_from_is_not() {
        let ours = wanted(v4(), LO);
        assert_eq!(address_of(&ours), Some(v4()));
        assert_eq!(judge(v4(), LO, std::slice::from_ref(&ours)), Found::Right);
        let mut global = ours.clone();
        global.header.scope = AddressScope::Universe;
        assert!(matches!(judge(v4(), LO, &[global]), Found::Wrong(why) if why.contains("source")));
        let mut wide = ours.clone();
        wide.header.prefix_len = 24;
        assert!(matches!(judge(v4(), LO, &[wide]), Found::Wrong(why) if why.contains("24")));
        let mut moved = ours;
        moved.header.index = 7;
        assert_eq!(judge(v4(), LO, &[moved]), Found::Elsewhere(7));
        assert_eq!(judge(v4(), LO, &[]), Found::Gone);
    }

    #[test]
    fn an_ipv6_address_must_be_deprecated_or_it_is_a_source() {
        let v6 = IpAddr::from(Redirect::default().v6().unwrap());
        let mut listed = wanted(v6, LO);
        listed.attributes.retain(|attribute| !matches!(attribute, AddressAttribute::Flags(_)));
        assert!(matches!(judge(v6, LO, std::slice::from_ref(&listed)), Found::Wrong(_)));
        listed.attributes.push(AddressAttribute::Flags(AddressFlags::Deprecated | AddressFlags::Permanent));
        assert_eq!(judge(v6, LO, &[listed]), Found::Right);
    }
}
