//! What the tests of several stages share.

use std::time::Duration;

use safeguard_pods::{Annotations, Namespace, Phase, Pod};

use crate::role::{RoleBase, SessionTemplate};
use crate::settings::{
    AnnotationNames, IdentitySource, Imdsv2, Limits, NamespacePolicy, PatternKind, SessionTags, Settings,
};

/// Settings as they are without a file, in the account 123456789012.
pub(crate) fn settings() -> Settings {
    Settings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        cni_results: "/var/lib/cni/results".into(),
        identity: IdentitySource::Auto,
        unknown_pod_wait: Duration::from_millis(400),
        base: RoleBase::of_account("aws", "123456789012").unwrap(),
        default_role: None,
        namespace_policy: NamespacePolicy::Enforce,
        pattern: PatternKind::Glob,
        annotations: AnnotationNames::default(),
        session_name: SessionTemplate::default(),
        session_duration: Duration::from_secs(3_600),
        session_tags: SessionTags::default(),
        cluster: None,
        imdsv2: Imdsv2::Optional,
        forwarded: vec!["instance-id".to_owned(), "placement/*".to_owned()],
        credentials_deadline: Duration::from_secs(5),
        limits: Limits::default(),
    }
}

pub(crate) fn annotations(pairs: &[(&str, &str)]) -> Annotations {
    pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
}

/// `shop/web-0` of the service account `web`, running.
pub(crate) fn pod(uid: &str, pairs: &[(&str, &str)]) -> Pod {
    Pod {
        uid: uid.into(),
        namespace: "shop".into(),
        name: "web-0".into(),
        service_account: "web".into(),
        host_network: false,
        phase: Phase::Running,
        deleting: false,
        addresses: Vec::new(),
        annotations: annotations(pairs),
    }
}

/// `shop`
pub(crate) fn namespace(pairs: &[(&str, &str)]) -> Namespace {
    Namespace { name: "shop".into(), annotations: annotations(pairs) }
}
