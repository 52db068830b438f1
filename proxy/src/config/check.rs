//! What a setting may say. Every problem is found at once, and names the key, its value, and what is allowed.

mod names;
mod redirect;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use safeguard_aws::kubelet::cluster_char;
use safeguard_daemon::settings::{Findings, Problems};
use safeguard_daemon::telemetry::check_quiet;

use super::raw::{Imdsv2, Ipv6, Patterns, Policy, Settings, Source};
use super::resolve::Resolved;
use crate::role::{RoleBase, SessionTemplate};
use crate::{limits, settings};

/// Examples for messages.
const METRICS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9465);
const STS: &str = "https://sts.eu-central-1.amazonaws.com";
const IMDS: &str = "http://[fd00:ec2::254]";
const API_SERVER: &str = "https://api.cluster.example.com:6443";

/// Most connections, and requests a second, that can be asked for.
const MOST_CONNECTIONS: usize = 65_536;
const MOST_REQUESTS: u32 = 100_000;

/// Settings that were judged. What the file leaves open is still open.
#[derive(Debug, Clone)]
pub struct Checked {
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// `roles.base_arn`, if it is set.
    pub base: Option<RoleBase>,
    /// How requests of pods come here.
    pub redirect: crate::redirect::Redirect,
    listen: Vec<SocketAddr>,
    session_name: SessionTemplate,
}

impl Settings {
    /// Judges every value.
    ///
    /// # Errors
    /// [`Problems`], all of them.
    pub fn checked(&self) -> Result<Checked, Problems> {
        let mut found = Findings::default();
        self.check_names(&mut found);
        self.check_kubernetes(&mut found);
        self.check_paths(&mut found);
        self.check_durations(&mut found);
        self.check_limits(&mut found);
        self.check_listen(&mut found);
        names::annotations(&mut found, &self.annotations);
        found.each("imds.forwarded", &self.imds.forwarded, names::forwarded);
        found.test("log.filter", &self.log.filter, check_quiet(&self.log));
        let metrics = found.address_or_off("proxy.metrics", &self.proxy.metrics, METRICS);
        let base = self.roles.base_arn.as_deref();
        let base = base.and_then(|base| found.make("roles.base_arn", base, base_arn(base)));
        self.check_default_role(&mut found, base.as_ref());
        let session_name = &self.roles.session_name;
        let session_name = found.make("roles.session_name", session_name, SessionTemplate::new(session_name));
        let redirect = redirect::redirect(&mut found, &self.redirect);
        let both = session_name.zip(redirect);
        let listen = self.listen();
        found.finish(both.map(|(session_name, redirect)| Checked { metrics, base, redirect, listen, session_name }))
    }

    /// Where pods are answered. With `redirect.ipv6 = "auto"` the IPv6 address is among them, and may not be there.
    #[must_use]
    pub fn listen(&self) -> Vec<SocketAddr> {
        if !self.proxy.listen.is_empty() {
            return self.proxy.listen.clone();
        }
        let redirect = &self.redirect;
        let v6 = (redirect.ipv6 != Ipv6::Off).then_some(IpAddr::from(redirect.address_v6));
        let addresses = std::iter::once(IpAddr::from(redirect.address_v4)).chain(v6);
        addresses.map(|address| SocketAddr::new(address, redirect.port)).collect()
    }

    fn check_names(&self, found: &mut Findings) {
        let name = |c: char| !c.is_control() && !c.is_whitespace();
        found.word("node.name", self.node.name.as_deref(), 253, name, "the name of a Kubernetes node");
        let aws = &self.aws;
        found.region("aws.region", aws.region.as_deref());
        found.url("aws.sts_endpoint_url", aws.sts_endpoint_url.as_deref(), STS);
        found.url("aws.imds_endpoint", aws.imds_endpoint.as_deref(), IMDS);
    }

    fn check_kubernetes(&self, found: &mut Findings) {
        let kubernetes = &self.kubernetes;
        found.url("kubernetes.url", kubernetes.url.as_deref(), API_SERVER);
        let cluster = kubernetes.cluster.as_deref();
        found.word("kubernetes.cluster", cluster, 100, cluster_char, "the name of an EKS cluster");
        if let Some(wrong) = kubernetes.access().contradiction() {
            found.add(&format!("kubernetes.{}", wrong.field), &wrong.value, wrong.reason);
        }
    }

    fn check_paths(&self, found: &mut Findings) {
        let kubernetes = &self.kubernetes;
        for (key, path) in [
            ("aws.ca_bundle", self.aws.ca_bundle.as_deref()),
            ("kubernetes.kubeconfig", kubernetes.kubeconfig.as_deref()),
            ("kubernetes.ca_file", kubernetes.ca_file.as_deref()),
            ("kubernetes.token_file", kubernetes.token_file.as_deref()),
            ("proxy.socket", Some(self.proxy.socket.as_path())),
            ("proxy.lock", Some(self.proxy.lock.as_path())),
            ("identity.cni_results", Some(self.identity.cni_results.as_path())),
        ] {
            found.absolute(key, path);
        }
        // sockaddr_un(7) has room for 107 bytes and the final NUL.
        if self.proxy.socket.as_os_str().len() > 107 {
            found.add("proxy.socket", &self.proxy.socket.display(), "the path of a socket has 107 bytes at most");
        }
    }

    fn check_durations(&self, found: &mut Findings) {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        found.duration("proxy.shutdown_grace", self.proxy.shutdown_grace, ms(0), s(60));
        found.duration("kubernetes.stale_after", self.kubernetes.stale_after, s(1), s(3_600));
        found.duration("identity.unknown_pod_wait", self.identity.unknown_pod_wait, ms(0), s(5));
        let (roles, of_pods) = (&self.roles, &self.limits);
        found.duration("roles.session_duration", roles.session_duration, s(15 * 60), limits::CHAINED_SESSION);
        found.duration("roles.credentials_deadline", roles.credentials_deadline, ms(100), s(30));
        found.duration("limits.header_deadline", of_pods.header_deadline, ms(100), s(60));
    }

    fn check_limits(&self, found: &mut Findings) {
        let limits = &self.limits;
        if !(1..=MOST_CONNECTIONS).contains(&limits.connections) {
            found.add("limits.connections", &limits.connections, &format!("allowed are 1 to {MOST_CONNECTIONS}"));
        } else if !(1..=limits.connections).contains(&limits.connections_per_pod) {
            let reason = format!("allowed are 1 to {}, which is `limits.connections`", limits.connections);
            found.add("limits.connections_per_pod", &limits.connections_per_pod, &reason);
        }
        if !(1..=MOST_REQUESTS).contains(&limits.requests_per_second) {
            let reason = format!("allowed are 1 to {MOST_REQUESTS}");
            found.add("limits.requests_per_second", &limits.requests_per_second, &reason);
        }
    }

    /// kube2iam#152: a proxy that listens everywhere gives credentials to whoever can route to the node.
    fn check_listen(&self, found: &mut Findings) {
        for (at, address) in self.proxy.listen.iter().enumerate() {
            if address.ip().is_unspecified() || address.ip().is_multicast() {
                let reason = "other machines would be answered, too: allowed is an address that only this node has";
                found.add(&format!("proxy.listen[{at}]"), &format!("\"{address}\""), reason);
            }
        }
    }

    fn check_default_role(&self, found: &mut Findings, base: Option<&RoleBase>) {
        let Some(role) = &self.roles.default_role else { return };
        // Which account it is does not matter for the grammar.
        let any = RoleBase::of_account("aws", "123456789012").expect("these are names of a partition and an account");
        found.make("roles.default_role", role, base.unwrap_or(&any).role(role));
    }
}

fn base_arn(text: &str) -> Result<RoleBase, String> {
    RoleBase::new(text).map_err(|_| {
        "allowed is the beginning of the ARNs of roles, such as \"arn:aws:iam::123456789012:role/\"".to_owned()
    })
}

impl Checked {
    /// The settings of the proxy itself. `None` if it is not known where roles are that have no ARN: `roles.base_arn` is then
    /// among what is missing in `resolved`.
    #[must_use]
    pub fn settings(self, raw: &Settings, resolved: &Resolved) -> Option<settings::Settings> {
        let (identity, roles, of_pods) = (&raw.identity, &raw.roles, &raw.limits);
        Some(settings::Settings {
            listen: self.listen,
            cni_results: identity.cni_results.clone(),
            identity: match identity.source {
                Source::Auto => settings::IdentitySource::Auto,
                Source::Cni => settings::IdentitySource::Cni,
                Source::Status => settings::IdentitySource::Status,
            },
            unknown_pod_wait: identity.unknown_pod_wait.0,
            base: self.base.or_else(|| resolved.base.clone())?,
            default_role: roles.default_role.clone(),
            namespace_policy: match roles.namespace_policy {
                Policy::Enforce => settings::NamespacePolicy::Enforce,
                Policy::Report => settings::NamespacePolicy::Report,
                Policy::Off => settings::NamespacePolicy::Off,
            },
            pattern: match roles.patterns {
                Patterns::Glob => settings::PatternKind::Glob,
                Patterns::Regexp => settings::PatternKind::Regexp,
            },
            annotations: annotation_names(raw),
            session_name: self.session_name,
            session_duration: roles.session_duration.0,
            session_tags: settings::SessionTags { enabled: roles.session_tags },
            cluster: resolved.cluster.clone(),
            imdsv2: match raw.imds.imdsv2 {
                Imdsv2::Optional => settings::Imdsv2::Optional,
                Imdsv2::Required => settings::Imdsv2::Required,
            },
            forwarded: raw.imds.forwarded.clone(),
            credentials_deadline: roles.credentials_deadline.0,
            limits: settings::Limits {
                connections_per_pod: of_pods.connections_per_pod,
                connections: of_pods.connections,
                requests_per_second: of_pods.requests_per_second,
                header_deadline: of_pods.header_deadline.0,
            },
        })
    }
}

fn annotation_names(raw: &Settings) -> settings::AnnotationNames {
    let names = raw.annotations.clone();
    settings::AnnotationNames {
        role: names.role,
        external_id: names.external_id,
        allowed_roles: names.allowed_roles,
        permitted: names.permitted,
        default_role: names.default_role,
        service_accounts: names.service_accounts,
        imdsv2: names.imdsv2,
    }
}
