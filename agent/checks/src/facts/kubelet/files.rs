//! The files that the kubelet reads and writes, as its configuration names them.

use std::path::{Path, PathBuf};

use super::flags::Flags;
use super::unit::Unit;
use super::{Kubelet, document};
use crate::expect::{Scalar, Value};
use crate::facts::{Facts, processes};
use crate::observed::{Observed, Unobserved};

/// Where certificates are if nobody says so: `NewKubeletFlags` in cmd/kubelet/app/options/options.go.
const CERTIFICATES: &str = "/var/lib/kubelet/pki";

impl Kubelet {
    /// The configuration file and every drop-in; none of them may exist.
    ///
    /// # Errors
    /// If the drop-ins cannot be listed.
    pub(crate) fn configuration_files(&self) -> Observed<Vec<PathBuf>> {
        self.files.clone()
    }

    /// The kubeconfig.
    ///
    /// # Errors
    /// If it is named by a path that is relative to what cannot be told.
    pub(crate) fn kubeconfig(&self) -> Observed<Option<PathBuf>> {
        let given = self.flags.text("kubeconfig").filter(|(path, _)| !path.is_empty());
        given.map(|(path, _)| self.started.resolve(path)).transpose()
    }

    /// The CA with which clients are verified.
    ///
    /// # Errors
    /// If the setting cannot be told.
    pub(crate) fn client_ca(&self) -> Observed<Option<PathBuf>> {
        self.path_of("authentication.x509.clientCAFile")
    }

    /// The certificate that is served.
    ///
    /// # Errors
    /// If the settings cannot be told.
    pub(crate) fn server_certificate(&self) -> Observed<PathBuf> {
        self.served("tlsCertFile", "kubelet.crt")
    }

    /// Its key.
    ///
    /// # Errors
    /// If the settings cannot be told.
    pub(crate) fn server_key(&self) -> Observed<PathBuf> {
        self.served("tlsPrivateKeyFile", "kubelet.key")
    }

    /// With `serverTLSBootstrap` the certificate comes from the cluster, key and all in one file. Otherwise it is the one that is
    /// configured, or one that the kubelet signs itself if neither certificate nor key is.
    fn served(&self, setting: &str, own: &str) -> Observed<PathBuf> {
        let given = self.flags.text("cert-dir").map_or(CERTIFICATES, |(path, _)| path);
        let directory = || self.started.resolve(given);
        if self.is_on("serverTLSBootstrap")? && self.is_on("featureGates.RotateKubeletServerCertificate")? {
            return Ok(directory()?.join("kubelet-server-current.pem"));
        }
        match self.path_of(setting)? {
            Some(path) => Ok(path),
            None => Ok(directory()?.join(own)),
        }
    }

    fn is_on(&self, setting: &str) -> Observed<bool> {
        Ok(self.setting(setting)?.value == Some(Value::bool(true)))
    }

    fn path_of(&self, setting: &str) -> Observed<Option<PathBuf>> {
        match self.setting(setting)?.value {
            Some(Value::Scalar(Scalar::Text(path))) if !path.is_empty() => self.started.resolve(&path).map(Some),
            _ => Ok(None),
        }
    }
}

/// The unit's file and its drop-ins, whatever they start; empty if a kubelet runs without.
///
/// # Errors
/// If they cannot be read, or there is no kubelet either.
pub(crate) fn unit_files(facts: &Facts<'_>) -> Observed<Vec<PathBuf>> {
    match Unit::read(facts.host())? {
        Some(unit) => Ok(unit.files),
        None => facts.kubelet().as_ref().map(|_| Vec::new()).map_err(Clone::clone),
    }
}

/// The kubeconfig of a kube-proxy that runs as a process of the host; `None` if none does, or it has none.
///
/// # Errors
/// If processes cannot be seen, or its arguments or its configuration make no sense.
pub(crate) fn kube_proxy_kubeconfig(facts: &Facts<'_>) -> Observed<Option<PathBuf>> {
    let host = facts.host();
    let processes = facts.processes().as_ref().map_err(Clone::clone)?;
    let Some(pid) = processes.named(host, "kube-proxy").first().copied() else {
        return processes.complete().map(|()| None);
    };
    let command = processes::command(host, pid)?;
    let arguments = command.get(1..).unwrap_or_default();
    let resolve = |path: &str| -> Observed<PathBuf> {
        let absolute = path.starts_with('/');
        if absolute { Ok(PathBuf::from(path)) } else { Ok(processes::directory(host, pid)?.join(path)) }
    };
    let flags = Flags::parse(arguments)
        .map_err(|refused| Unobserved::file(Path::new(&format!("/proc/{pid}/cmdline")), refused.problem))?;
    // With `--config` the flags for what it holds are ignored.
    let Some((config, _)) = flags.text("config").filter(|(path, _)| !path.is_empty()) else {
        return flags.text("kubeconfig").map(|(path, _)| resolve(path)).transpose();
    };
    let config = resolve(config)?;
    let text = host.text_within(&config, document::MAX_DOCUMENT)?;
    let text = text.ok_or_else(|| Unobserved::file(&config, "does not exist, and kube-proxy was given it"))?;
    let tree = document::parse(&text).map_err(|malformed| malformed.at(&config))?;
    let path = tree.get("clientConnection").and_then(|connection| connection.text("kubeconfig"));
    path.filter(|path| !path.is_empty()).map(resolve).transpose()
}
