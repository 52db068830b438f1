//! Against what botocore 1.44.8 signs (`RequestSigner.generate_presigned_url`, as `aws eks get-token` calls it), with its
//! clock set to the same second.

use std::collections::BTreeSet;

use super::*;

const ACCESS_KEY: &str = "AKIDEXAMPLE0000TEST1";
const SECRET_KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const SESSION: &str = "Example//Session+Token==";

const WITH_SESSION: &str = "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15\
    &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE0000TEST1%2F20260314%2Feu-central-1%2Fsts%2Faws4_request\
    &X-Amz-Date=20260314T150926Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
    &X-Amz-Security-Token=Example%2F%2FSession%2BToken%3D%3D\
    &X-Amz-Signature=23deb2c7006e39a408bc6a471010368ebdd79e6bb1e29fe4329eca8eebcf60ca";

const OF_CHINA: &str = "https://sts.cn-north-1.amazonaws.com.cn/?Action=GetCallerIdentity&Version=2011-06-15\
    &X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE0000TEST1%2F20260314%2Fcn-north-1%2Fsts%2Faws4_request\
    &X-Amz-Date=20260314T150926Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id\
    &X-Amz-Signature=6b56b1800ed37eb71e0912da5fcee34df299c0e19b483a4daa5e7f53d0d3ac79";

/// 2026-03-14T15:09:26Z
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_773_500_966)
}

fn credentials(session: Option<&str>, lasting: Option<Duration>) -> Credentials {
    let expiry = lasting.map(|lasting| now() + lasting);
    Credentials::new(ACCESS_KEY, SECRET_KEY, session.map(str::to_owned), expiry, "test")
}

fn url(token: &EksToken) -> String {
    let encoded = token.expose().strip_prefix("k8s-aws-v1.").unwrap();
    String::from_utf8(URL_SAFE_NO_PAD.decode(encoded).unwrap()).unwrap()
}

/// Parameters have no order; everything else does.
fn parts(url: &str) -> (&str, BTreeSet<&str>) {
    let (start, query) = url.split_once('?').unwrap();
    (start, query.split('&').collect())
}

#[test]
fn tokens_are_what_botocore_makes_of_the_same_credentials_at_the_same_time() {
    for (session, region, expected) in [(Some(SESSION), "eu-central-1", WITH_SESSION), (None, "cn-north-1", OF_CHINA)] {
        let token = mint(&credentials(session, None), region, "prod-1", now()).unwrap();
        let url = url(&token);
        assert_eq!(parts(&url), parts(expected));
        assert_eq!(url.split('&').count(), expected.split('&').count(), "a parameter is there twice");
    }
}

#[tokio::test]
async fn the_credentials_and_the_region_of_the_configuration_sign() {
    let options = crate::SdkOptions {
        region: "eu-central-1".to_owned(),
        credentials: Some(credentials(Some(SESSION), None)),
        ..crate::SdkOptions::default()
    };
    let config = crate::sdk_config(&options).await.unwrap();
    let token = eks_token(&config, "prod-1", now()).await.unwrap();
    assert_eq!(parts(&url(&token)), parts(WITH_SESSION));
    let debug = format!("{token:?}");
    assert!(!debug.contains("k8s-aws-v1") && debug.contains("renew_at"), "{debug}");
}

#[test]
fn a_token_is_renewed_well_before_it_or_its_credentials_end() {
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    for (lasting, expires, renew) in [(None, 15, 10), (Some(360), 15, 10), (Some(6), 6, 4)] {
        let token = mint(&credentials(None, lasting.map(minutes)), "eu-central-1", "c", now()).unwrap();
        assert_eq!(
            (token.expires_at, token.renew_at),
            (now() + minutes(expires), now() + minutes(renew)),
            "{lasting:?}"
        );
    }
}

#[test]
fn names_that_are_none_are_not_signed() {
    let long = "c".repeat(101);
    for cluster in ["", "a b", "a\nb", "ü", &long] {
        let result = mint(&credentials(None, None), "eu-central-1", cluster, now());
        assert!(matches!(result, Err(EksTokenError::Cluster { .. })), "{cluster:?}");
    }
    for region in ["", "eu central", "evil.example.com/", "EU-CENTRAL-1"] {
        let result = mint(&credentials(None, None), region, "c", now());
        assert!(matches!(result, Err(EksTokenError::Region { .. })), "{region:?}");
    }
    let huge = mint(&credentials(Some(&"t".repeat(4096)), None), "eu-central-1", "c", now());
    assert!(matches!(huge, Err(EksTokenError::TooLong(_))));
}

#[test]
fn each_partition_has_its_own_domain() {
    for (region, host) in [
        ("us-gov-west-1", "sts.us-gov-west-1.amazonaws.com"),
        ("us-iso-east-1", "sts.us-iso-east-1.c2s.ic.gov"),
        ("us-isob-east-1", "sts.us-isob-east-1.sc2s.sgov.gov"),
        ("eusc-de-east-1", "sts.eusc-de-east-1.amazonaws.eu"),
    ] {
        let token = mint(&credentials(None, None), region, "c", now()).unwrap();
        assert!(url(&token).starts_with(&format!("https://{host}/?")), "{}", url(&token));
    }
}
