//! `[redirect]`, as the redirect judges it.

use safeguard_daemon::settings::Findings;

use crate::config::raw::{Ipv6, Redirect};
use crate::redirect::{self, Invalid, Ipv6Setting, Values};

/// The settings of the redirect, if they can be used.
pub(super) fn redirect(found: &mut Findings, raw: &Redirect) -> Option<redirect::Redirect> {
    let values = Values {
        proxy_v4: raw.address_v4,
        proxy_v6: Some(raw.address_v6),
        proxy_port: raw.port,
        nft: raw.nft.clone(),
        state_file: raw.state_file.clone(),
        ipv6: match raw.ipv6 {
            Ipv6::Auto => Ipv6Setting::Auto,
            Ipv6::On => Ipv6Setting::On,
            Ipv6::Off => Ipv6Setting::Off,
        },
    };
    let invalid = match redirect::Redirect::new(values) {
        Ok(redirect) => return Some(redirect),
        Err(invalid) => invalid,
    };
    let (key, value) = match &invalid {
        Invalid::Address { address, .. } if address.is_ipv4() => ("redirect.address_v4", format!("\"{address}\"")),
        Invalid::Address { address, .. } => ("redirect.address_v6", format!("\"{address}\"")),
        Invalid::Port => ("redirect.port", raw.port.to_string()),
        Invalid::Path { path, .. } if Some(path) == raw.nft.as_ref() => ("redirect.nft", format!("{path:?}")),
        Invalid::Path { path, .. } => ("redirect.state_file", format!("{path:?}")),
        Invalid::NoV6Address => ("redirect.ipv6", "\"on\"".to_owned()),
    };
    found.add(key, &value, &invalid.to_string());
    None
}
