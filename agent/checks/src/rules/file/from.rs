//! The files that a fact names.

use std::fmt;
use std::path::PathBuf;

use super::From;
use crate::facts::{Facts, kubelet};
use crate::observed::Observed;

impl From {
    /// Their paths; empty if there is none. Whether they exist is another question.
    ///
    /// # Errors
    /// If the fact could not be observed.
    pub(crate) fn files(self, facts: &Facts<'_>) -> Observed<Vec<PathBuf>> {
        let kubelet = || facts.kubelet().as_ref().map_err(Clone::clone);
        match self {
            Self::KubeletConfig => kubelet()?.configuration_files(),
            Self::KubeletKubeconfig => Ok(kubelet()?.kubeconfig()?.into_iter().collect()),
            Self::KubeletClientCa => Ok(kubelet()?.client_ca()?.into_iter().collect()),
            Self::KubeletServerCertificate => Ok(vec![kubelet()?.server_certificate()?]),
            Self::KubeletServerKey => Ok(vec![kubelet()?.server_key()?]),
            Self::KubeletUnit => kubelet::unit_files(facts),
            Self::KubeProxyKubeconfig => Ok(kubelet::kube_proxy_kubeconfig(facts)?.into_iter().collect()),
        }
    }
}

impl fmt::Display for From {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KubeletConfig => "the kubelet's configuration file",
            Self::KubeletKubeconfig => "the kubelet's kubeconfig",
            Self::KubeletClientCa => "the kubelet's client CA",
            Self::KubeletServerCertificate => "the kubelet's server certificate",
            Self::KubeletServerKey => "the kubelet's server key",
            Self::KubeletUnit => "the kubelet's unit",
            Self::KubeProxyKubeconfig => "the kubeconfig of a kube-proxy of the host",
        })
    }
}
