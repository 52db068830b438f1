//! The two families, and what the kernel has of the second.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::io;
use std::net::IpAddr;

use super::{Error, Ipv6Setting, METADATA_V4, METADATA_V6, Redirect};

/// A version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    pub(super) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub(super) fn metadata(self) -> IpAddr {
        match self {
            Self::V4 => METADATA_V4.into(),
            Self::V6 => METADATA_V6.into(),
        }
    }

    /// The length of a prefix that is one address.
    pub(super) fn whole(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// What becomes of pods' requests over IPv6 on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ipv6 {
    /// They reach the proxy.
    Redirected,
    /// They are refused: it is `off` in the settings, the proxy has no address for it, or `lo` cannot have one.
    Refused,
    /// The kernel has no IPv6, so there are none.
    Absent,
}

impl Ipv6 {
    /// Whether rules for IPv6 can be written.
    pub(super) fn exists(self) -> bool {
        self != Self::Absent
    }

    /// The families that this kernel has.
    pub(super) fn families(self) -> impl Iterator<Item = Family> {
        Family::BOTH.into_iter().filter(move |family| *family == Family::V4 || self.exists())
    }
}

/// What to do about IPv6 here.
///
/// # Errors
/// It is `on` in the settings and the kernel has it off.
pub(super) fn plan(redirect: &Redirect) -> Result<Ipv6, Error> {
    decide(redirect.ipv6(), redirect.v6().is_some(), off_on("lo"))
}

/// What can be done about it where [`plan`] is an error.
pub(super) fn without(redirect: &Redirect) -> Ipv6 {
    decide(Ipv6Setting::Auto, redirect.v6().is_some(), off_on("lo")).unwrap_or(Ipv6::Absent)
}

/// Whether IPv6 is switched off on an interface of the calling thread's network namespace. None where the kernel has no
/// IPv6, or no such interface.
#[expect(
    clippy::disallowed_methods,
    reason = "a setting of this thread's network namespace, which no other root shows"
)]
pub(super) fn off_on(interface: &str) -> Option<bool> {
    match std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6")) {
        Ok(text) => Some(text.trim() != "0"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // Cannot be told, so that nothing is left out that may be needed.
        Err(_) => Some(false),
    }
}

fn decide(setting: Ipv6Setting, has_address: bool, off_on_lo: Option<bool>) -> Result<Ipv6, Error> {
    let must = setting == Ipv6Setting::On;
    match off_on_lo {
        None if must => Err(Error::Ipv6Off { why: "this kernel runs without it (ipv6.disable=1)".to_owned() }),
        None => Ok(Ipv6::Absent),
        Some(true) if must => Err(Error::Ipv6Off { why: "net.ipv6.conf.lo.disable_ipv6 is 1".to_owned() }),
        Some(off) if off || !has_address || setting == Ipv6Setting::Off => Ok(Ipv6::Refused),
        Some(_) => Ok(Ipv6::Redirected),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_is_redirected_where_it_can_be_and_refused_where_it_cannot() {
        let auto = |has, off| decide(Ipv6Setting::Auto, has, off).unwrap();
        assert_eq!(auto(true, Some(false)), Ipv6::Redirected);
        assert_eq!(auto(false, Some(false)), Ipv6::Refused);
        assert_eq!(auto(true, Some(true)), Ipv6::Refused);
        assert_eq!(auto(true, None), Ipv6::Absent);
        assert_eq!(decide(Ipv6Setting::Off, true, Some(false)).unwrap(), Ipv6::Refused);
        assert_eq!(decide(Ipv6Setting::On, true, Some(false)).unwrap(), Ipv6::Redirected);
        for off in [None, Some(true)] {
            let said = decide(Ipv6Setting::On, true, off).unwrap_err().to_string();
            assert!(said.contains("`auto`"), "{said}");
        }
    }
}
