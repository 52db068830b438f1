//! Which kubelet it is, as far as that can be told without running it.

use std::fmt;
use std::path::Path;

use crate::facts::Facts;

/// The oldest and the newest minor version of Kubernetes 1 whose defaults are known here.
const KNOWN: std::ops::RangeInclusive<u32> = 29..=36;

/// Where the AMIs of EKS write what `kubelet --version` says.
const EKS: &str = "/etc/eks/kubelet-version.txt";

/// A minor version of Kubernetes 1, and how sure that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Version {
    /// The one whose defaults are taken.
    pub(crate) minor: u32,
    /// The one that it said it has.
    said: Option<u32>,
}

impl Version {
    /// From the inputs, else from the file of EKS. If that cannot be read, the version is unknown, and so it is said to be.
    pub(crate) fn find(facts: &Facts<'_>) -> Self {
        match &facts.inputs().kubelet_version {
            Some(text) => Self::of(text),
            None => Self::of(&facts.host().text(Path::new(EKS)).ok().flatten().unwrap_or_default()),
        }
    }

    /// From a text such as `Kubernetes v1.34.2-eks-113cf36`.
    pub(crate) fn of(text: &str) -> Self {
        let said = text.split_whitespace().find_map(|word| {
            let (minor, _) = word.strip_prefix('v').unwrap_or(word).strip_prefix("1.")?.split_once('.')?;
            minor.parse::<u32>().ok()
        });
        let nearest = said.unwrap_or(*KNOWN.end()).clamp(*KNOWN.start(), *KNOWN.end());
        Self { minor: nearest, said }
    }
}

/// `kubelet 1.34`, or what it is modelled on.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.said {
            Some(said) if said == self.minor => write!(f, "kubelet 1.{said}"),
            Some(said) => write!(f, "kubelet 1.{said}, modelled on 1.{}", self.minor),
            None => write!(f, "a kubelet of unknown version, modelled on 1.{}", self.minor),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_and_its_nearest_known() {
        for (text, shown) in [
            ("Kubernetes v1.34.2-eks-113cf36\n", "kubelet 1.34"),
            ("v1.29.0", "kubelet 1.29"),
            ("1.40.1", "kubelet 1.40, modelled on 1.36"),
            ("v1.21.5", "kubelet 1.21, modelled on 1.29"),
            ("v1.x.5", "a kubelet of unknown version, modelled on 1.36"),
            ("", "a kubelet of unknown version, modelled on 1.36"),
        ] {
            assert_eq!(Version::of(text).to_string(), shown, "{text}");
        }
    }
}
