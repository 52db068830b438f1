//! What the operator decided, checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::probe::{PROBE_V4, PROBE_V6};
use super::{METADATA_V4, METADATA_V6};

/// The proxy's own IPv4 address. Link-local (RFC 3927): routers never forward to it, so it can collide with nothing outside
/// the node. Of the addresses that AWS and Kubernetes use in that range (169.254.1.1 the VPC CNI's gateway, 20.10
/// node-local DNS, 169.123, 169.253 and 169.254 of EC2, 170.2 and 170.23 credentials of containers, 172.x the VPC CNI's
/// IPv6 egress) it is none.
const PROXY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 168, 252);

/// The proxy's own IPv6 address. Link-local would need a zone, which DNAT cannot give; fd00:ec2::/32 is EC2's, which may
/// use more of it. So a unique local address (RFC 4193, 3.2.2) whose 40 bits were drawn at random once for this program.
pub(super) const PROXY_V6: Ipv6Addr = Ipv6Addr::new(0xfd0c, 0xc696, 0xc750, 0, 0, 0, 0, 0x252);

const PORT: u16 = 8181;

const STATE_FILE: &str = "/run/safeguard/redirect.json";

/// Whether IPv6 is redirected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ipv6Setting {
    /// Where the kernel has it.
    #[default]
    Auto,
    /// It must be: where the kernel does not have it, that is an error.
    On,
    /// Not redirected. Pods are still refused at the metadata service's IPv6 address.
    Off,
}

/// Settings as they are written, before they are checked. `Values::default()` is what a stock node needs.
#[derive(Debug, Clone)]
pub struct Values {
    /// The proxy's own IPv4 address, put on `lo`.
    pub proxy_v4: Ipv4Addr,
    /// The proxy's own IPv6 address, put on `lo`. None redirects IPv4 alone; IPv6 is then refused.
    pub proxy_v6: Option<Ipv6Addr>,
    /// The TCP port that the proxy listens on, at both addresses.
    pub proxy_port: u16,
    /// The `nft` program. None looks in the directories for system programs.
    pub nft: Option<PathBuf>,
    /// Where [`Report`](super::Report) is written. The lock is beside it.
    pub state_file: PathBuf,
    /// Whether IPv6 is redirected.
    pub ipv6: Ipv6Setting,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            proxy_v4: PROXY_V4,
            proxy_v6: Some(PROXY_V6),
            proxy_port: PORT,
            nft: None,
            state_file: STATE_FILE.into(),
            ipv6: Ipv6Setting::Auto,
        }
    }
}

/// Checked settings.
#[derive(Debug, Clone, Default)]
pub struct Redirect(Values);

/// Why settings were refused.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Invalid {
    /// The proxy's address cannot be one.
    #[error("{address} cannot be the proxy's address: {why}. Choose one that nothing else uses, such as {example}")]
    Address {
        /// What was given.
        address: IpAddr,
        /// What is wrong with it.
        why: &'static str,
        /// One that can be.
        example: IpAddr,
    },
    /// Port 0 is not a port.
    #[error("0 is not a port to listen on. Choose another, such as {PORT}")]
    Port,
    /// A path that is not absolute, or that names no file.
    #[error("{what} must be the absolute path of a file, not `{}`", path.display())]
    Path {
        /// Which setting.
        what: &'static str,
        /// What was given.
        path: PathBuf,
    },
    /// IPv6 is asked for without an address for it.
    #[error("IPv6 is `on` and the proxy has no IPv6 address. Give it one, such as {PROXY_V6}")]
    NoV6Address,
}

impl Redirect {
    /// Checks settings.
    ///
    /// # Errors
    /// The first that cannot be.
    pub fn new(values: Values) -> Result<Self, Invalid> {
        let refuse = |address: IpAddr, why| {
            let example = if address.is_ipv4() { PROXY_V4.into() } else { PROXY_V6.into() };
            Err(Invalid::Address { address, why, example })
        };
        let of_all = |address: IpAddr, taken: [IpAddr; 2]| match address {
            _ if address.is_unspecified() || address.is_multicast() => Some("it is not the address of one host"),
            // Packets from outside to loopback are dropped unless route_localnet exposes all of it.
            _ if address.is_loopback() => Some("packets of pods do not reach loopback"),
            _ if address == taken[0] => Some("it is the metadata service's"),
            _ if address == taken[1] => Some("the probe uses it"),
            _ => None,
        };
        let v4 = values.proxy_v4;
        if let Some(why) = of_all(v4.into(), [METADATA_V4.into(), PROBE_V4.into()]) {
            return refuse(v4.into(), why);
        }
        if v4.is_broadcast() {
            return refuse(v4.into(), "it is not the address of one host");
        }
        if let Some(v6) = values.proxy_v6 {
            if let Some(why) = of_all(v6.into(), [METADATA_V6.into(), PROBE_V6.into()]) {
                return refuse(v6.into(), why);
            }
            if v6.is_unicast_link_local() {
                return refuse(v6.into(), "a link-local address needs a zone, which DNAT cannot give");
            }
            if v6.to_ipv4_mapped().is_some() {
                return refuse(v6.into(), "it is an IPv4 address in another spelling");
            }
        } else if values.ipv6 == Ipv6Setting::On {
            return Err(Invalid::NoV6Address);
        }
        if values.proxy_port == 0 {
            return Err(Invalid::Port);
        }
        let file = |what, path: &Path| {
            let fits = path.is_absolute() && path.file_name().is_some();
            if fits { Ok(()) } else { Err(Invalid::Path { what, path: path.to_owned() }) }
        };
        file("the state file", &values.state_file)?;
        values.nft.as_deref().map_or(Ok(()), |path| file("the program nft", path))?;
        Ok(Self(values))
    }

    /// The proxy's own IPv4 address.
    #[must_use]
    pub fn v4(&self) -> Ipv4Addr {
        self.0.proxy_v4
    }

    /// The proxy's own IPv6 address. Whether the node has it is [`Ipv6`](super::Ipv6)'s to say.
    #[must_use]
    pub fn v6(&self) -> Option<Ipv6Addr> {
        self.0.proxy_v6
    }

    /// The TCP port that the proxy listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.proxy_port
    }

    /// Where the `nft` program is, when the operator said so.
    #[must_use]
    pub fn nft(&self) -> Option<&Path> {
        self.0.nft.as_deref()
    }

    /// Where the outcome of a check is written.
    #[must_use]
    pub fn state_file(&self) -> &Path {
        &self.0.state_file
    }

    /// Whether IPv6 is to be redirected.
    #[must_use]
    pub fn ipv6(&self) -> Ipv6Setting {
        self.0.ipv6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Values)) -> String {
        let mut values = Values::default();
        change(&mut values);
        Redirect::new(values).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_are_settings_that_pass() {
        Redirect::new(Values::default()).unwrap();
    }

    #[test]
    fn an_address_that_cannot_be_the_proxys_is_refused_with_one_that_can() {
        for address in ["169.254.169.254", "127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "169.254.168.253"] {
            let said = refused(|values| values.proxy_v4 = address.parse().unwrap());
            assert!(said.contains(address) && said.contains("such as 169.254.168.252"), "{said}");
        }
        for address in ["fd00:ec2::254", "::1", "::", "ff02::1", "fe80::1", "::ffff:10.0.0.1", "fd0c:c696:c750::253"] {
            let said = refused(|values| values.proxy_v6 = Some(address.parse().unwrap()));
            assert!(said.contains(address) && said.contains("such as fd0c:c696:c750::252"), "{said}");
        }
    }

    #[test]
    fn a_port_a_path_and_a_missing_address_are_refused() {
        assert!(refused(|values| values.proxy_port = 0).contains("8181"));
        assert!(refused(|values| values.state_file = "redirect.json".into()).contains("redirect.json"));
        assert!(refused(|values| values.nft = Some("/".into())).contains("nft"));
        let said = refused(|values| (values.proxy_v6, values.ipv6) = (None, Ipv6Setting::On));
        assert!(said.contains("fd0c:c696:c750::252"), "{said}");
    }
}
