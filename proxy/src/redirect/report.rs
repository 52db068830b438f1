//! What a check found.

use serde::{Deserialize, Serialize};
use std::fmt;

use super::probe::Passage;
use super::{Ipv6, State};

/// One of the layers; see the table in [`redirect`](super).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// The proxy's own addresses on `lo`.
    Address,
    /// The nftables table.
    Table,
    /// The routing rules.
    Routing,
    /// What a connection from a namespace like a pod's came to.
    Probe,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "address",
            Self::Table => "table",
            Self::Routing => "routing",
            Self::Probe => "probe",
        })
    }
}

/// How a layer stands, after repair where that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// As it should be.
    Holds,
    /// Not as it should be.
    Broken,
    /// Could not be observed. Never counts as holding.
    #[default]
    Unknown,
}

/// How each layer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Layers {
    /// The proxy's own addresses on `lo`.
    pub address: Standing,
    /// The nftables table.
    pub table: Standing,
    /// The routing rules.
    pub routing: Standing,
    /// What a connection from a namespace like a pod's came to.
    pub probe: Standing,
}

impl Layers {
    /// Whether all of them hold.
    #[must_use]
    pub fn all_hold(&self) -> bool {
        [self.address, self.table, self.routing, self.probe].iter().all(|standing| *standing == Standing::Holds)
    }

    pub(super) fn set(&mut self, layer: Layer, standing: Standing) {
        *match layer {
            Layer::Address => &mut self.address,
            Layer::Table => &mut self.table,
            Layer::Routing => &mut self.routing,
            Layer::Probe => &mut self.probe,
        } = standing;
    }
}

/// Something that is or was not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// In which layer.
    pub layer: Layer,
    /// What, in a sentence for the operator.
    pub text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.text)
    }
}

/// All that a check found. As JSON it is the state file; others read the part of it that is [`State`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What others go by.
    #[serde(flatten)]
    pub state: State,
    /// What becomes of requests over IPv6.
    pub ipv6: Ipv6,
    /// What was not as it should be and is again.
    pub mended: Vec<Finding>,
    /// What others have set up that acts before our rules.
    pub warnings: Vec<String>,
    /// What the connections from a namespace like a pod's came to.
    pub probes: Vec<Passage>,
}
