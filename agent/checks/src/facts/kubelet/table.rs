//! Every setting of `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1) with its type, its default and its flag.
//!
//! Sources, of kubernetes/kubernetes:
//! * fields and types: `staging/src/k8s.io/kubelet/config/v1beta1/types.go`;
//! * defaults: `SetDefaults_KubeletConfiguration` in `pkg/kubelet/apis/config/v1beta1/defaults.go`, of which those that this table
//!   has are the same from 1.29 to 1.36 but for [`CHANGED`];
//! * defaults without a configuration file ([`LEGACY`]): `applyLegacyDefaults` in `cmd/kubelet/app/options/options.go`;
//! * flags: `AddKubeletConfigFlags` and `AddFlags` there.

use super::value::Kind::{self, Bool, Duration, Float, Gates, Int, List, Long, Map, Opaque, Quantity, Secret, Text};

/// What a setting is that nobody set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// Not set either.
    Nothing,
    /// A boolean.
    Yes,
    /// A boolean.
    No,
    /// A number; seconds, if it is a duration.
    Number(i64),
    /// A text.
    Word(&'static str),
    /// A list of one.
    One(&'static str),
    /// It depends on other settings, on the machine or on a version that this table does not know.
    Unknown,
}

use Unset::{No, Nothing, Number, One, Unknown, Word, Yes};

/// A setting.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its path: names of fields joined by dots.
    pub(crate) path: &'static str,
    /// Its type.
    pub(crate) kind: Kind,
    /// Its default, with a configuration file.
    pub(crate) default: Unset,
    /// Its flag, without dashes; empty if it has none.
    pub(crate) flag: &'static str,
    /// Whether zero and an empty text are values of their own. Where the field is no pointer, a file that says `0s` says nothing:
    /// the kubelet takes its default.
    pub(crate) zero: bool,
}

const fn row(path: &'static str, kind: Kind, default: Unset, flag: &'static str) -> Row {
    Row { path, kind, default, flag, zero: false }
}

/// A field that is a pointer.
const fn pointer(path: &'static str, kind: Kind, default: Unset, flag: &'static str) -> Row {
    Row { path, kind, default, flag, zero: true }
}

/// All settings, sorted by their paths.
pub(crate) const SETTINGS: &[Row] = &[
    row("address", Text, Word("0.0.0.0"), "address"),
    row("allowedUnsafeSysctls", List, Nothing, "allowed-unsafe-sysctls"),
    row("authentication.anonymous.enabled", Bool, No, "anonymous-auth"),
    row("authentication.webhook.cacheTTL", Duration, Number(120), "authentication-token-webhook-cache-ttl"),
    row("authentication.webhook.enabled", Bool, Yes, "authentication-token-webhook"),
    row("authentication.x509.clientCAFile", Text, Nothing, "client-ca-file"),
    row("authorization.mode", Text, Word("Webhook"), "authorization-mode"),
    row(
        "authorization.webhook.cacheAuthorizedTTL",
        Duration,
        Number(300),
        "authorization-webhook-cache-authorized-ttl",
    ),
    row(
        "authorization.webhook.cacheUnauthorizedTTL",
        Duration,
        Number(30),
        "authorization-webhook-cache-unauthorized-ttl",
    ),
    // `cgroupfs`, unless the container runtime says otherwise (`KubeletCgroupDriverFromCRI`).
    row("cgroupDriver", Text, Unknown, "cgroup-driver"),
    row("cgroupRoot", Text, Nothing, "cgroup-root"),
    row("cgroupsPerQOS", Bool, Yes, "cgroups-per-qos"),
    row("clusterDNS", List, Nothing, "cluster-dns"),
    row("clusterDomain", Text, Nothing, "cluster-domain"),
    row("configMapAndSecretChangeDetectionStrategy", Text, Word("Watch"), ""),
    pointer("containerLogMaxFiles", Int, Number(5), "container-log-max-files"),
    row("containerLogMaxSize", Quantity, Number(10 << 20), "container-log-max-size"),
    pointer("containerLogMaxWorkers", Int, Number(1), ""),
    pointer("containerLogMonitorInterval", Duration, Number(10), ""),
    row("containerRuntimeEndpoint", Text, Word("unix:///run/containerd/containerd.sock"), "container-runtime-endpoint"),
    row("contentType", Text, Word("application/vnd.kubernetes.protobuf"), "kube-api-content-type"),
    row("cpuCFSQuota", Bool, Yes, "cpu-cfs-quota"),
    // 100 ms, rounded up.
    pointer("cpuCFSQuotaPeriod", Duration, Number(1), "cpu-cfs-quota-period"),
    row("cpuManagerPolicy", Text, Word("none"), "cpu-manager-policy"),
    row("cpuManagerPolicyOptions", Map, Nothing, "cpu-manager-policy-options"),
    row("cpuManagerReconcilePeriod", Duration, Number(10), "cpu-manager-reconcile-period"),
    pointer("crashLoopBackOff.maxContainerRestartPeriod", Duration, Unknown, ""),
    row("draManagerReconcilePeriod", Duration, Unknown, ""),
    row("enableContentionProfiling", Bool, No, "contention-profiling"),
    row("enableControllerAttachDetach", Bool, Yes, "enable-controller-attach-detach"),
    row("enableDebugFlagsHandler", Bool, Yes, ""),
    row("enableDebuggingHandlers", Bool, Yes, "enable-debugging-handlers"),
    row("enableProfilingHandler", Bool, Yes, ""),
    row("enableServer", Bool, Yes, "enable-server"),
    row("enableSystemLogHandler", Bool, Yes, ""),
    row("enableSystemLogQuery", Bool, No, ""),
    row("enforceNodeAllocatable", List, One("pods"), "enforce-node-allocatable"),
    row("eventBurst", Int, Number(100), "event-burst"),
    // 0 is no limit, as a flag too: both end in the same field (kubernetes/kubernetes#117119, in 1.28).
    pointer("eventRecordQPS", Int, Number(50), "event-qps"),
    // `eviction.DefaultEvictionHard`, which differs between versions.
    row("evictionHard", Map, Unknown, "eviction-hard"),
    row("evictionMaxPodGracePeriod", Int, Number(0), "eviction-max-pod-grace-period"),
    row("evictionMinimumReclaim", Map, Nothing, "eviction-minimum-reclaim"),
    row("evictionPressureTransitionPeriod", Duration, Number(300), "eviction-pressure-transition-period"),
    row("evictionSoft", Map, Nothing, "eviction-soft"),
    row("evictionSoftGracePeriod", Map, Nothing, "eviction-soft-grace-period"),
    row("failCgroupV1", Bool, No, "fail-cgroupv1"),
    row("failSwapOn", Bool, Yes, "fail-swap-on"),
    row("featureGates", Gates, Unknown, "feature-gates"),
    row("fileCheckFrequency", Duration, Number(20), "file-check-frequency"),
    row("hairpinMode", Text, Word("promiscuous-bridge"), "hairpin-mode"),
    row("healthzBindAddress", Text, Word("127.0.0.1"), "healthz-bind-address"),
    pointer("healthzPort", Int, Number(10_248), "healthz-port"),
    row("httpCheckFrequency", Duration, Number(20), "http-check-frequency"),
    pointer("imageGCHighThresholdPercent", Int, Number(85), "image-gc-high-threshold"),
    pointer("imageGCLowThresholdPercent", Int, Number(80), "image-gc-low-threshold"),
    row("imageMaximumGCAge", Duration, Number(0), ""),
    row("imageMinimumGCAge", Duration, Number(120), "minimum-image-ttl-duration"),
    row("imagePullCredentialsVerificationPolicy", Text, Unknown, ""),
    row("imageServiceEndpoint", Text, Nothing, "image-service-endpoint"),
    pointer("iptablesDropBit", Int, Number(15), "iptables-drop-bit"),
    pointer("iptablesMasqueradeBit", Int, Number(14), "iptables-masquerade-bit"),
    row("kernelMemcgNotification", Bool, No, "kernel-memcg-notification"),
    row("kubeAPIBurst", Int, Number(100), "kube-api-burst"),
    pointer("kubeAPIQPS", Int, Number(50), "kube-api-qps"),
    row("kubeReserved", Map, Nothing, "kube-reserved"),
    row("kubeReservedCgroup", Text, Nothing, "kube-reserved-cgroup"),
    row("kubeletCgroups", Text, Nothing, "kubelet-cgroups"),
    row("localStorageCapacityIsolation", Bool, Yes, "local-storage-capacity-isolation"),
    // A text or a number of nanoseconds.
    row("logging.flushFrequency", Opaque, Unknown, "log-flush-frequency"),
    row("logging.format", Text, Word("text"), "logging-format"),
    row("logging.options", Opaque, Unknown, ""),
    row("logging.verbosity", Long, Number(0), "v"),
    row("logging.vmodule", Opaque, Nothing, "vmodule"),
    row("makeIPTablesUtilChains", Bool, Yes, "make-iptables-util-chains"),
    row("maxOpenFiles", Long, Number(1_000_000), "max-open-files"),
    pointer("maxParallelImagePulls", Int, Nothing, ""),
    row("maxPods", Int, Number(110), "max-pods"),
    row("memoryManagerPolicy", Text, Word("None"), "memory-manager-policy"),
    row("memoryReservationPolicy", Text, Unknown, ""),
    row("memorySwap.swapBehavior", Text, Nothing, ""),
    pointer("memoryThrottlingFactor", Float, Word("0.9"), ""),
    row("mergeDefaultEvictionSettings", Bool, No, ""),
    row("nodeLeaseDurationSeconds", Int, Number(40), ""),
    pointer("nodeStatusMaxImages", Int, Number(50), "node-status-max-images"),
    // Five minutes, or `nodeStatusUpdateFrequency` if that is set.
    row("nodeStatusReportFrequency", Duration, Unknown, ""),
    row("nodeStatusUpdateFrequency", Duration, Number(10), "node-status-update-frequency"),
    // `qos.KubeletOOMScoreAdj`.
    pointer("oomScoreAdj", Int, Number(-999), "oom-score-adj"),
    row("podCIDR", Text, Nothing, "pod-cidr"),
    row("podLogsDir", Text, Word("/var/log/pods"), ""),
    pointer("podPidsLimit", Long, Number(-1), "pod-max-pids"),
    row("podsPerCore", Int, Number(0), "pods-per-core"),
    row("port", Int, Number(10_250), "port"),
    row("preloadedImagesVerificationAllowlist", List, Nothing, ""),
    row("protectKernelDefaults", Bool, No, "protect-kernel-defaults"),
    row("providerID", Text, Nothing, "provider-id"),
    row("qosReserved", Map, Nothing, "qos-reserved"),
    row("readOnlyPort", Int, Number(0), "read-only-port"),
    row("registerNode", Bool, Yes, "register-node"),
    row("registerWithTaints", Opaque, Nothing, "register-with-taints"),
    row("registryBurst", Int, Number(10), "registry-burst"),
    pointer("registryPullQPS", Int, Number(5), "registry-qps"),
    row("reservedMemory", Opaque, Nothing, "reserved-memory"),
    row("reservedSystemCPUs", Text, Nothing, "reserved-cpus"),
    pointer("resolvConf", Text, Word("/etc/resolv.conf"), "resolv-conf"),
    // False, whatever benchmarks say: there is no other default of the flag.
    row("rotateCertificates", Bool, No, "rotate-certificates"),
    row("runOnce", Bool, No, "runonce"),
    row("runtimeRequestTimeout", Duration, Number(120), "runtime-request-timeout"),
    row("seccompDefault", Bool, No, "seccomp-default"),
    // True, unless `maxParallelImagePulls` is more than 1.
    row("serializeImagePulls", Bool, Unknown, "serialize-image-pulls"),
    row("serverTLSBootstrap", Bool, No, "rotate-server-certificates"),
    row("showHiddenMetricsForVersion", Text, Nothing, ""),
    row("shutdownGracePeriod", Duration, Number(0), ""),
    row("shutdownGracePeriodByPodPriority", Opaque, Nothing, ""),
    row("shutdownGracePeriodCriticalPods", Duration, Number(0), ""),
    row("singleProcessOOMKill", Bool, Unknown, ""),
    row("staticPodPath", Text, Nothing, "pod-manifest-path"),
    row("staticPodURL", Secret, Nothing, "manifest-url"),
    row("staticPodURLHeader", Secret, Nothing, "manifest-url-header"),
    row("streamingConnectionIdleTimeout", Duration, Number(14_400), "streaming-connection-idle-timeout"),
    row("syncFrequency", Duration, Number(60), "sync-frequency"),
    row("systemCgroups", Text, Nothing, "system-cgroups"),
    row("systemReserved", Map, Nothing, "system-reserved"),
    row("systemReservedCgroup", Text, Nothing, "system-reserved-cgroup"),
    row("tlsCertFile", Text, Nothing, "tls-cert-file"),
    row("tlsCipherSuites", List, Nothing, "tls-cipher-suites"),
    row("tlsCurvePreferences", List, Nothing, "tls-curve-preferences"),
    // `DefaultTLSVersion` in `staging/src/k8s.io/component-base/cli/flag/ciphersuites_flag.go`.
    row("tlsMinVersion", Text, Word("VersionTLS12"), "tls-min-version"),
    row("tlsPrivateKeyFile", Text, Nothing, "tls-private-key-file"),
    row("topologyManagerPolicy", Text, Word("none"), "topology-manager-policy"),
    row("topologyManagerPolicyOptions", Map, Nothing, "topology-manager-policy-options"),
    row("topologyManagerScope", Text, Word("container"), "topology-manager-scope"),
    row("tracing.endpoint", Text, Nothing, ""),
    pointer("tracing.samplingRatePerMillion", Int, Nothing, ""),
    pointer("userNamespaces.idsPerPod", Long, Unknown, ""),
    row("volumePluginDir", Text, Word("/usr/libexec/kubernetes/kubelet-plugins/volume/exec/"), "volume-plugin-dir"),
    row("volumeStatsAggPeriod", Duration, Number(60), "volume-stats-agg-period"),
];

/// Defaults that are others from a minor version on.
/// `failCgroupV1`: the kubelet does not start on cgroup v1 (KEP-5573).
const CHANGED: &[(&str, u32, Unset)] = &[("failCgroupV1", 35, Yes)];

/// Defaults of a kubelet that was not given `--config`.
const LEGACY: &[(&str, Unset)] = &[
    ("authentication.anonymous.enabled", Yes),
    ("authentication.webhook.enabled", No),
    ("authorization.mode", Word("AlwaysAllow")),
    ("readOnlyPort", Number(10_255)),
];

/// Feature gates that policies ask for, with their defaults: `pkg/features/kube_features.go`. Beta and on since 1.12.
const GATES: &[(&str, Unset)] = &[("featureGates.RotateKubeletServerCertificate", Yes)];

/// Paths in the configuration file that are taken from its directory if they are relative: `KubeletConfigurationPathRefs` in
/// `pkg/kubelet/apis/config/helpers.go`.
pub(crate) const PATHS: [&str; 6] = [
    "authentication.x509.clientCAFile",
    "resolvConf",
    "staticPodPath",
    "tlsCertFile",
    "tlsPrivateKeyFile",
    "volumePluginDir",
];

/// Flags that have no setting, and whether they can stand without a value.
const OTHER_FLAGS: &[(&str, bool)] = &[
    ("add-dir-header", true),
    ("alsologtostderr", true),
    ("application-metrics-count-limit", false),
    ("azure-container-registry-config", false),
    ("boot-id-file", false),
    ("bootstrap-kubeconfig", false),
    ("cert-dir", false),
    ("cloud-config", false),
    ("cloud-provider", false),
    ("config", false),
    ("config-dir", false),
    ("container-hints", false),
    ("container-runtime", false),
    ("containerd", false),
    ("containerd-namespace", false),
    ("enable-load-reader", true),
    ("event-storage-age-limit", false),
    ("event-storage-event-limit", false),
    ("exit-on-lock-contention", true),
    ("experimental-allocatable-ignore-eviction", true),
    ("experimental-mounter-path", false),
    ("global-housekeeping-interval", false),
    ("help", true),
    ("hostname-override", false),
    ("housekeeping-interval", false),
    ("image-credential-provider-bin-dir", false),
    ("image-credential-provider-config", false),
    ("keep-terminated-pod-volumes", true),
    ("kubeconfig", false),
    ("lock-file", false),
    ("log-backtrace-at", false),
    ("log-cadvisor-usage", true),
    ("log-dir", false),
    ("log-file", false),
    ("log-file-max-size", false),
    ("log-json-info-buffer-size", false),
    ("log-json-split-stream", true),
    ("log-text-info-buffer-size", false),
    ("log-text-split-stream", true),
    ("logtostderr", true),
    ("machine-id-file", false),
    ("maximum-dead-containers", false),
    ("maximum-dead-containers-per-container", false),
    ("minimum-container-ttl-duration", false),
    ("node-ip", false),
    ("node-labels", false),
    ("one-output", true),
    ("pod-infra-container-image", false),
    ("register-schedulable", true),
    ("root-dir", false),
    ("runtime-cgroups", false),
    ("skip-headers", true),
    ("skip-log-headers", true),
    ("stderrthreshold", false),
    ("version", true),
];

/// The setting with this path.
pub(crate) fn setting(path: &str) -> Option<&'static Row> {
    SETTINGS.binary_search_by(|row| row.path.cmp(path)).ok().and_then(|at| SETTINGS.get(at))
}

/// The setting that a path is, or is a key of: `featureGates.AllAlpha`.
pub(crate) fn setting_of(path: &str) -> Option<&'static Row> {
    setting(path).or_else(|| {
        let (map, key) = path.split_once('.')?;
        setting(map).filter(|row| matches!(row.kind, Map | Gates) && !key.is_empty())
    })
}

/// Whether some setting lies below this path.
pub(crate) fn has_below(path: &str) -> bool {
    let below = |row: &Row| row.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    let first = SETTINGS.partition_point(|row| row.path < path);
    SETTINGS.iter().skip(first).take_while(|row| row.path.starts_with(path)).any(below)
}

/// The setting that a flag is for.
pub(crate) fn setting_of_flag(flag: &str) -> Option<&'static Row> {
    SETTINGS.iter().find(|row| row.flag == flag && !flag.is_empty())
}

/// Whether a flag stands for `true` if no value follows; `None` if it is not known.
pub(crate) fn stands_alone(flag: &str) -> Option<bool> {
    let other = || OTHER_FLAGS.iter().find(|(name, _)| *name == flag).map(|(_, alone)| *alone);
    setting_of_flag(flag).map(|row| row.kind == Bool).or_else(other)
}

/// The default of a setting in a minor version. `legacy` is one of a kubelet that was not given `--config`.
pub(crate) fn default(path: &str, minor: u32, legacy: bool) -> Unset {
    let found = |table: &[(&str, Unset)]| table.iter().find(|(name, _)| *name == path).map(|(_, default)| *default);
    let changed = || CHANGED.iter().find(|(name, from, _)| *name == path && minor >= *from).map(|(_, _, new)| *new);
    let old = || legacy.then(|| found(LEGACY)).flatten();
    old()
        .or_else(changed)
        .or_else(|| found(GATES))
        .or_else(|| setting_of(path).map(|row| row.default))
        .unwrap_or(Unknown)
}

/// Whether a policy can ask for this: a path in `KubeletConfiguration`, one of its feature gates, or a flag (`--node-ip`).
pub(crate) fn is_known(name: &str) -> bool {
    match name.strip_prefix("--") {
        Some(flag) => match setting_of_flag(flag) {
            Some(row) => !matches!(row.kind, Map | Gates),
            None => stands_alone(flag).is_some(),
        },
        None => setting_of(name).is_some_and(|row| row.path != name || !matches!(row.kind, Map | Gates)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_flags_are_there_once() {
        assert!(SETTINGS.is_sorted_by(|a, b| a.path < b.path));
        for row in SETTINGS.iter().filter(|row| !row.flag.is_empty()) {
            assert_eq!(setting_of_flag(row.flag).unwrap().path, row.path);
            assert!(!OTHER_FLAGS.iter().any(|(name, _)| *name == row.flag), "{}", row.flag);
        }
        for path in PATHS {
            assert!(setting(path).is_some(), "{path}");
        }
        for (path, _, _) in CHANGED {
            assert!(setting(path).is_some(), "{path}");
        }
        for (path, _) in LEGACY {
            assert!(setting(path).is_some(), "{path}");
        }
    }

    #[test]
    fn defaults_are_those_of_the_version_and_of_how_it_is_configured() {
        assert_eq!(default("readOnlyPort", 34, false), Number(0));
        assert_eq!(default("readOnlyPort", 34, true), Number(10_255));
        assert_eq!(default("authentication.anonymous.enabled", 34, true), Yes);
        assert_eq!(default("authorization.mode", 34, false), Word("Webhook"));
        assert_eq!(default("failCgroupV1", 34, false), No);
        assert_eq!(default("failCgroupV1", 35, false), Yes);
        assert_eq!(default("featureGates.RotateKubeletServerCertificate", 29, false), Yes);
        assert_eq!(default("featureGates.SomethingElse", 29, false), Unknown);
    }

    #[test]
    fn names_are_known_exactly() {
        for name in [
            "authentication.anonymous.enabled",
            "featureGates.RotateKubeletServerCertificate",
            "evictionHard.memory.available",
            "--hostname-override",
            "--anonymous-auth",
        ] {
            assert!(is_known(name), "{name}");
        }
        // kube-bench's remedy for `rotateCertificates` has a name that no kubelet knows.
        for name in [
            "RotateCertificate",
            "rotatecertificates",
            "authentication",
            "featureGates",
            "featureGates.",
            "--nope",
            "--",
            "",
        ] {
            assert!(!is_known(name), "{name}");
        }
    }

    #[test]
    fn what_lies_below_is_found() {
        assert!(has_below("authentication") && has_below("authentication.webhook") && has_below("logging"));
        assert!(!has_below("address") && !has_below("auth") && !has_below("zz"));
    }
}
