//! Who is asking: the address of a connection becomes a pod, or the reason why not.
//!
//! The CNI's result cache knows an address before the pod can ask; the Kubernetes API knows what the pod is. Both have to agree on
//! the UID. In every doubt nobody is recognised.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use safeguard_daemon::clock;
use safeguard_pods::{Pod, Reader};
use tokio::time::{Instant, sleep};

use crate::cni::{CniCache, CniResult, Owner};
use crate::settings::{AnnotationNames, IdentitySource};

/// Between two looks while a pod is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A pod that certainly has the address that a request came from.
#[derive(Debug, Clone)]
pub(crate) struct Identified {
    pub(crate) pod: Arc<Pod>,
    /// The UID by which the runtime knows it: that of a static pod is not the one in the API.
    pub(crate) uid: Arc<str>,
    pub(crate) how: How,
}

/// Whose word it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum How {
    /// A file of the CNI's result cache.
    Cni(Arc<str>),
    /// `status.podIPs`.
    Status,
}

/// Why nobody is recognised.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unidentified {
    /// No pod has the address, as far as anybody knows.
    #[error("no pod of this node has this address")]
    NoPod,
    /// A file of the cache cannot be understood, and it may be that one.
    #[error("no pod of this node has this address, and a CNI result cannot be read: {0}")]
    Unreadable(String),
    /// The cache itself cannot be read.
    #[error("the CNI results cannot be read: {0}")]
    NoCache(String),
    /// The runtime knows the pod and the API has not told of it.
    #[error("the pod {namespace}/{name} ({uid}) is not known from Kubernetes")]
    NotInKubernetes {
        /// As the CNI was told.
        namespace: Arc<str>,
        /// As the CNI was told.
        name: Arc<str>,
        /// As the CNI was told.
        uid: Arc<str>,
    },
    /// What the CNI and Kubernetes say of one UID differs.
    #[error("the CNI calls the pod {0}, Kubernetes calls it {1}")]
    Contradiction(String, String),
    /// Several pods have the address.
    #[error("several pods have this address: {}", .0.join(", "))]
    Several(Vec<String>),
    /// It shares the node's network.
    #[error("the pod {0} uses the host's network")]
    HostNetwork(String),
    /// It has ended.
    #[error("the pod {0} has ended")]
    Finished(String),
}

impl Unidentified {
    /// Whether waiting may help: news of the pod may be on their way.
    pub(crate) fn may_change(&self) -> bool {
        !matches!(self, Self::HostNetwork(_) | Self::Finished(_) | Self::Contradiction(..))
    }

    /// One word for metrics and the audit log.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoPod => "unknown_address",
            Self::Unreadable(_) | Self::NoCache(_) => "cni_unreadable",
            Self::NotInKubernetes { .. } => "pod_not_known",
            Self::Contradiction(..) => "contradiction",
            Self::Several(_) => "address_of_several_pods",
            Self::HostNetwork(_) => "host_network",
            Self::Finished(_) => "pod_ended",
        }
    }
}

/// Recognises pods.
#[derive(Debug)]
pub(crate) struct Identify {
    source: IdentitySource,
    cni: CniCache,
    pods: Reader,
    wait: Duration,
}

impl Identify {
    pub(crate) fn new(source: IdentitySource, cni: CniCache, pods: Reader, wait: Duration) -> Self {
        Self { source, cni, pods, wait }
    }

    /// Who has an address; a pod that is not known yet is waited for.
    ///
    /// # Errors
    /// [`Unidentified`], at once where waiting cannot help.
    pub(crate) async fn identify(&self, address: IpAddr) -> Result<Identified, Unidentified> {
        let first = self.now(address);
        if !first.as_ref().is_err_and(Unidentified::may_change) {
            return first;
        }
        let late = Instant::now() + self.wait;
        loop {
            sleep(LOOK_EVERY).await;
            let again = self.now(address);
            if !again.as_ref().is_err_and(Unidentified::may_change) || Instant::now() >= late {
                return again;
            }
        }
    }

    /// Who has an address, as things stand.
    ///
    /// # Errors
    /// [`Unidentified`]
    pub(crate) fn now(&self, address: IpAddr) -> Result<Identified, Unidentified> {
        let address = address.to_canonical();
        let use_cni = match self.source {
            IdentitySource::Cni => true,
            IdentitySource::Status => false,
            IdentitySource::Auto => self.cni.exists(),
        };
        if use_cni { self.by_cni(address) } else { self.by_status(address) }
    }

    /// Pods that the CNI has given an address, with what Kubernetes knows of them: for fetching ahead.
    pub(crate) fn all(&self) -> Vec<Arc<Pod>> {
        let use_cni = self.source == IdentitySource::Cni || self.source == IdentitySource::Auto && self.cni.exists();
        let results = if use_cni { self.cni.all(now_ns()).unwrap_or_default() } else { Vec::new() };
        let found = results.iter().filter_map(|result| self.of_result(result).ok()).map(|found| found.pod);
        // Those that Kubernetes has told of and the CNI has not: their sessions may be fetched even earlier.
        let mut pods: Vec<_> = found.chain(self.pods.pods()).filter(|p| !p.host_network && !p.is_finished()).collect();
        pods.sort_by(|a, b| a.uid.cmp(&b.uid));
        pods.dedup_by(|a, b| a.uid == b.uid);
        pods
    }

    /// The addresses that lead to a pod, or should.
    pub(crate) fn addresses_of(&self, pod: &Pod) -> Vec<IpAddr> {
        let results = self.cni.all(now_ns()).unwrap_or_default();
        let own = results.iter().filter(|result| result.namespace == pod.namespace && result.name == pod.name);
        let mut addresses: Vec<_> = own.flat_map(|result| result.addresses.iter().copied()).collect();
        addresses.extend(&pod.addresses);
        addresses
    }

    /// Changes whenever the CNI has written or removed a result; `None` where its cache is not used.
    pub(crate) fn generation(&self) -> Option<u64> {
        let use_cni = self.source != IdentitySource::Status;
        use_cni.then(|| self.cni.generation(now_ns())).flatten()
    }

    fn by_cni(&self, address: IpAddr) -> Result<Identified, Unidentified> {
        match self.cni.owner(address, now_ns()) {
            Err(error) => Err(Unidentified::NoCache(error.to_string())),
            Ok(Owner::Pod(result)) => self.of_result(&result),
            Ok(Owner::Several(results)) => {
                let name = |result: &Arc<CniResult>| format!("{}/{} ({})", result.namespace, result.name, result.uid);
                Err(Unidentified::Several(results.iter().map(name).collect()))
            }
            // A pod that shares the node's network has no result; its address is the node's.
            Ok(Owner::Nobody { unreadable }) => match self.pods.at(address).iter().find(|pod| pod.host_network) {
                Some(pod) => Err(Unidentified::HostNetwork(called(pod))),
                None => Err(unreadable.map_or(Unidentified::NoPod, Unidentified::Unreadable)),
            },
        }
    }

    fn of_result(&self, result: &CniResult) -> Result<Identified, Unidentified> {
        let pod = self.pods.pod(&result.uid).or_else(|| self.mirror(result));
        let Some(pod) = pod else {
            let (namespace, name, uid) = (result.namespace.clone(), result.name.clone(), result.uid.clone());
            return Err(Unidentified::NotInKubernetes { namespace, name, uid });
        };
        if pod.namespace != result.namespace || pod.name != result.name {
            return Err(Unidentified::Contradiction(format!("{}/{}", result.namespace, result.name), called(&pod)));
        }
        usable(pod, result.uid.clone(), How::Cni(result.file.clone()))
    }

    /// A static pod has another UID in the API than at the runtime, which its mirror there names.
    fn mirror(&self, result: &CniResult) -> Option<Arc<Pod>> {
        let pod = self.pods.named(&result.namespace, &result.name)?;
        let runtime_uid = pod.annotations.get(AnnotationNames::MIRROR)?;
        (*runtime_uid == result.uid).then_some(pod)
    }

    fn by_status(&self, address: IpAddr) -> Result<Identified, Unidentified> {
        let all = self.pods.at(address);
        let (finished, living): (Vec<_>, Vec<_>) = all.into_iter().partition(|pod| pod.is_finished());
        match living.as_slice() {
            [] => Err(finished.first().map_or(Unidentified::NoPod, |pod| Unidentified::Finished(called(pod)))),
            [pod] => usable(pod.clone(), pod.uid.clone(), How::Status),
            // All pods on the node's network share its address.
            several => match several.iter().find(|pod| pod.host_network) {
                Some(pod) => Err(Unidentified::HostNetwork(called(pod))),
                None => Err(Unidentified::Several(several.iter().map(|pod| called(pod)).collect())),
            },
        }
    }
}

fn usable(pod: Arc<Pod>, uid: Arc<str>, how: How) -> Result<Identified, Unidentified> {
    if pod.host_network {
        return Err(Unidentified::HostNetwork(called(&pod)));
    }
    if pod.is_finished() {
        return Err(Unidentified::Finished(called(&pod)));
    }
    Ok(Identified { pod, uid, how })
}

fn called(pod: &Pod) -> String {
    format!("{}/{} ({})", pod.namespace, pod.name, pod.uid)
}

/// The time of day in nanoseconds since the epoch, to compare with times of files.
fn now_ns() -> i128 {
    match clock::now().duration_since(std::time::UNIX_EPOCH) {
        Ok(since) => i128::try_from(since.as_nanos()).unwrap_or(i128::MAX),
        Err(before) => i128::try_from(before.duration().as_nanos()).map_or(i128::MIN, |ns| -ns),
    }
}
