//! The pods that ask the proxy: what they are called, where they are, what they ask for, and what they are to get.

use std::net::Ipv4Addr;

use super::record::Due;

/// What a namespace says of roles.
pub(super) struct Namespace {
    pub(super) name: &'static str,
    /// `iam.amazonaws.com/allowed-roles`
    pub(super) allowed: &'static str,
}

pub(super) const NAMESPACES: [Namespace; 3] = [
    Namespace { name: "shop", allowed: r#"["shop-*"]"# },
    Namespace { name: "clinic", allowed: r#"["lab"]"# },
    Namespace { name: "kube-system", allowed: r#"["*"]"# },
];

/// Roles that trust the node.
pub(super) const ROLES: [&str; 4] = ["shop-pay", "shop-cat", "shop-db", "lab"];

/// The node's own role.
pub(super) const NODE_ROLE: &str = "node";

/// A pod. Its address is one of 127.0.1.0/24: Linux lets anybody connect from any of 127.0.0.0/8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) namespace: &'static str,
    pub(super) name: &'static str,
    pub(super) address: Ipv4Addr,
    /// `iam.amazonaws.com/role`
    pub(super) asks: Option<&'static str>,
    pub(super) host_network: bool,
    /// It also tries everything that is not its own.
    pub(super) curious: bool,
    /// Status and reason of its refusal; none if it is entitled to what it asks for.
    refused: Option<(u16, &'static str)>,
}

const fn pod(namespace: &'static str, name: &'static str, last: u8, asks: &'static str) -> Pod {
    let address = Ipv4Addr::new(127, 0, 1, last);
    Pod { namespace, name, address, asks: Some(asks), host_network: false, curious: false, refused: None }
}

pub(super) const CATALOG: Pod = pod("shop", "catalog", 2, "shop-cat");
/// After its annotation has changed.
pub(super) const CATALOG_AGAIN: Pod = Pod { asks: Some("shop-pay"), ..CATALOG };
pub(super) const MIGRATE: Pod = pod("shop", "migrate", 3, "shop-db");
/// It gets the address that `MIGRATE` had.
pub(super) const IMPORT: Pod = pod("clinic", "import", 3, "lab");

/// Those that are there from the beginning.
pub(super) const FIRST: [Pod; 7] = [
    pod("shop", "checkout", 1, "shop-pay"),
    CATALOG,
    MIGRATE,
    pod("clinic", "labs", 4, "lab"),
    Pod { curious: true, refused: Some((403, "not allowed")), ..pod("clinic", "nosy", 5, "shop-pay") },
    Pod { asks: None, refused: Some((404, "no role")), ..pod("clinic", "cron", 6, "") },
    Pod { host_network: true, refused: Some((403, "host network")), ..pod("kube-system", "dns", 7, NODE_ROLE) },
];

/// Somebody asks from here, and no pod has this address.
pub(super) const NOBODY: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 8);

impl Pod {
    /// What it is to get. Sessions are called after their pods: `{namespace}.{pod}`, the default of `roles.session_name`.
    pub(super) fn due(&self) -> Due {
        match (self.refused, self.asks) {
            (None, Some(role)) => Due::Session { role, name: format!("{}.{}", self.namespace, self.name) },
            (None, None) => Due::Refused { status: 404, why: "no role" },
            (Some((status, why)), _) => Due::Refused { status, why },
        }
    }

    pub(super) fn called(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
