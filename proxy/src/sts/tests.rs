//! The SDK against a strict STS.

use std::sync::Arc;

use safeguard_aws::{SdkOptions, sdk_config};
use safeguard_standins::sts::{Role, StsOp, denied, throttled};
use safeguard_standins::{Account, Principal, Sts as StandIn, StsOptions, Trouble};

use super::*;
use crate::role::RoleArn;

const ROLE: &str = "arn:aws:iam::123456789012:role/team/reader";
const NODE: &str = "arn:aws:iam::123456789012:role/node";

struct Rig {
    account: Arc<Account>,
    service: StandIn,
    sts: Sts,
}

impl Rig {
    async fn new() -> Self {
        let account = Account::new("123456789012").unwrap();
        let service = StandIn::start(StsOptions::new(account.clone())).await.unwrap();
        let key = account.issue_temporary(Principal::session(NODE, "i-1"), None);
        let (id, secret, token) = (key.access_key_id, key.secret_access_key, key.session_token);
        let environment = safeguard_aws::Environment::empty().with_credentials(&id, &secret, token.as_deref());
        let options = SdkOptions {
            app: "safeguard-proxy",
            region: "us-east-1".to_owned(),
            credentials: environment.credentials().cloned(),
            ..SdkOptions::default()
        };
        let sts = Sts::new(&sdk_config(&options).await.unwrap(), Some(&service.url()));
        Self { account, service, sts }
    }

    async fn assume(&self, key: &SessionKey) -> Result<Credentials, AssumeError> {
        self.sts.assume(key).await
    }
}

fn key() -> SessionKey {
    SessionKey {
        role: RoleArn::new(ROLE).unwrap(),
        external_id: None,
        session_name: "shop.web-0".to_owned(),
        duration: 3_600,
        tags: Vec::new(),
    }
}

#[tokio::test]
async fn a_session_is_the_roles_and_has_the_pods_name() {
    let rig = Rig::new().await;
    rig.service.put_role(Role { may_tag: true, ..Role::new(ROLE).trusting(NODE).with_external_id("id-1") });
    let tags = vec![("kubernetes-namespace".to_owned(), "shop".to_owned())];
    let credentials =
        rig.assume(&SessionKey { external_id: Some("id-1".to_owned()), tags: tags.clone(), ..key() }).await.unwrap();
    let principal = rig.account.principal(&credentials.access_key_id).unwrap();
    assert_eq!(principal.arn(), "arn:aws:sts::123456789012:assumed-role/reader/shop.web-0");
    let call = rig.service.assumed().remove(0);
    assert_eq!((call.tags, call.duration_seconds.as_deref()), (tags, Some("3600")));
    assert!(call.user_agent.contains("safeguard-proxy"), "{}", call.user_agent);
}

#[tokio::test]
async fn each_refusal_is_told_from_a_trouble_that_passes() {
    let rig = Rig::new().await;
    let refused = rig.assume(&key()).await.unwrap_err();
    assert_eq!((refused.kind, refused.code.as_str()), (AssumeErrorKind::Denied, "AccessDenied"));
    rig.service.put_role(Role::new(ROLE).trusting(NODE));
    let long = rig.assume(&SessionKey { duration: 43_200, ..key() }).await.unwrap_err();
    assert_eq!((long.kind, long.code.as_str()), (AssumeErrorKind::Denied, "ValidationError"), "role chaining: an hour");
    for (trouble, kind, code) in [
        (denied(), AssumeErrorKind::Denied, "AccessDenied"),
        (throttled(), AssumeErrorKind::Unavailable, "Throttling"),
        (Trouble::status(503), AssumeErrorKind::Unavailable, ""),
        (Trouble::Page(502), AssumeErrorKind::Unavailable, ""),
        (Trouble::Reset, AssumeErrorKind::Unavailable, "NotReached"),
    ] {
        rig.service.troubles().clear();
        rig.service.troubles().next(StsOp::AssumeRole, 10, trouble);
        let error = rig.assume(&key()).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.code.starts_with(code), "{error}");
    }
    rig.service.troubles().clear();
    assert!(rig.assume(&key()).await.is_ok());
}

/// What breaks off is no session: the SDK says Ok to half a reply, with a cut token that ends in 1970.
#[tokio::test]
async fn half_a_reply_is_no_session() {
    let rig = Rig::new().await;
    rig.service.put_role(Role::new(ROLE).trusting(NODE));
    for trouble in [Trouble::HalfBody, Trouble::CutBody, Trouble::Empty] {
        rig.service.troubles().next(StsOp::AssumeRole, 2, trouble.clone());
        let error = rig.assume(&key()).await.unwrap_err();
        assert_eq!(error.kind, AssumeErrorKind::Unavailable, "{trouble:?}: {error}");
        rig.service.troubles().clear();
    }
    assert!(rig.assume(&key()).await.is_ok());
}

#[test]
fn only_whole_credentials_count() {
    let ok = |id, secret, token, expires| whole(id, secret, token, expires, 1_000).is_ok();
    let id = "ASIAIOSFODNN7EXAMPLE";
    assert!(ok(id, "s/+", "t==", 1_001));
    assert!(!ok("ASIA", "s", "t", 1_001) && !ok(id, "", "t", 1_001) && !ok(id, "s", "", 1_001));
    assert!(!ok(id, "s", "t\n", 1_001) && !ok(id, "s", "t", 1_000) && !ok(id, "s", "t", 0));
}
