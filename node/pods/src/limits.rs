//! Numbers: of Kubernetes, with their sources, and our own bounds.

use std::time::Duration;

/// A node names its images, of which the kubelet reports at most 50 with their names: some ten KiB. Beyond this it is not read.
pub(crate) const MAX_NODE_BYTES: usize = 1024 * 1024;

/// The longest value of an annotation that is kept. All annotations of an object together have 256 KiB
/// (k8s.io/apimachinery, `TotalAnnotationSizeLimitB`); a role's ARN has at most 2,048 characters (IAM API, `RoleArn`).
pub const MAX_ANNOTATION_BYTES: usize = 16 * 1024;

/// Annotations of one object that are kept because their keys begin as was asked for. A pod has a handful of containers, and
/// an annotation for each of them.
pub const MAX_PREFIXED: usize = 64;

/// The longest key of an annotation: a DNS subdomain, a slash, and a name (Kubernetes, "Annotations: Syntax and character set").
pub(crate) const MAX_KEY_BYTES: usize = 253 + 1 + 63;

/// The largest object that is read. The API server takes no request body above 3 MiB (k8s.io/apiserver,
/// `MaxRequestBodyBytes`), and etcd none above 1.5 MiB by default (`--max-request-bytes`).
pub(crate) const MAX_OBJECT_BYTES: usize = 3 * 1024 * 1024;

/// Objects in one answer to a list (client-go's pager, `defaultPageSize`).
pub(crate) const PAGE: u32 = 500;

/// Pods of one node that are kept. Pods that ended stay until the garbage collector takes them, from 12,500 in a cluster
/// on (kube-controller-manager, `--terminated-pod-gc-threshold`).
pub(crate) const MAX_PODS: usize = 20_000;

/// Namespaces that are kept. Kubernetes is tested with 10,000 (Scalability thresholds).
pub(crate) const MAX_NAMESPACES: usize = 50_000;

/// `status.podIPs` has one address of each family (Kubernetes API, PodStatus); more leaves room for what is to come.
pub(crate) const MAX_ADDRESSES: usize = 16;

/// Names of pods and namespaces are DNS subdomains (Kubernetes, "Object Names and IDs"); UIDs are 36 characters.
pub(crate) const MAX_NAME_BYTES: usize = 253;

/// What is around the objects of a list: kind, version, and where to continue.
pub(crate) const MAX_ENVELOPE_BYTES: usize = 64 * 1024;

/// What is read of an answer that is an error.
pub(crate) const MAX_ERROR_BYTES: usize = 16 * 1024;

/// What the kubelet says of its configuration has some 5 KiB.
pub(crate) const MAX_CONFIGZ_BYTES: usize = 1024 * 1024;

/// How much of the API server's own words is repeated.
pub(crate) const MAX_MESSAGE_CHARS: usize = 300;

/// A service account's token is about 1.2 KiB.
pub(crate) const MAX_TOKEN_BYTES: usize = 64 * 1024;

/// A cluster has one authority or two while it changes; each has some 1.5 KiB of PEM.
pub(crate) const MAX_AUTHORITY_BYTES: u64 = 1024 * 1024;

/// A kubeconfig with many clusters and certificates in it.
pub(crate) const MAX_KUBECONFIG_BYTES: usize = 1024 * 1024;

/// Deleted UIDs that are remembered, so that a late event does not bring one back.
pub(crate) const MAX_GONE: usize = 1024;

/// Waiting between attempts: from this, doubled each time, up to [`BACKOFF_MOST`].
pub(crate) const BACKOFF_FIRST: Duration = Duration::from_millis(250);
/// The longest wait that we choose ourselves.
pub(crate) const BACKOFF_MOST: Duration = Duration::from_secs(30);
/// The longest wait that the API server may ask for with `Retry-After`.
pub(crate) const RETRY_AFTER_MOST: Duration = Duration::from_secs(120);
/// Watches do not start more often than this, whatever ended the last one.
pub(crate) const WATCH_SPACING: Duration = Duration::from_secs(1);
/// After so long without a list, the next one is not held back.
pub(crate) const LIST_CALM: Duration = Duration::from_secs(60);
/// The same trouble is said again after this.
pub(crate) const SAY_AGAIN: Duration = Duration::from_secs(10 * 60);
