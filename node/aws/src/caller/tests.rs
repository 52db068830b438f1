//! Against what botocore 1.44.5 signs (`SigV4Auth.add_auth`) with its clock set to the same second.

use aws_credential_types::Credentials;

use super::*;
use crate::SdkOptions;

const BIND: (&str, &str) = ("x-safeguard-bind", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a");

/// 2026-03-14T15:09:26Z
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_773_500_966)
}

async fn signed(session: Option<&str>, region: &str) -> Result<CallerProof, CallerProofError> {
    let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    let credentials = Credentials::new("AKIDEXAMPLE0000TEST1", secret, session.map(str::to_owned), None, "test");
    let options =
        SdkOptions { region: "us-east-2".to_owned(), credentials: Some(credentials), ..SdkOptions::default() };
    caller_proof(&crate::sdk_config(&options).await.unwrap(), region, BIND, now()).await
}

#[tokio::test]
async fn a_request_is_what_botocore_makes_of_the_same_credentials_at_the_same_time() {
    let proof = signed(Some("Example//Session+Token=="), "eu-central-1").await.unwrap();
    assert_eq!(proof.url, "https://sts.eu-central-1.amazonaws.com/");
    assert_eq!(proof.body, "Action=GetCallerIdentity&Version=2011-06-15");
    let headers: Vec<(&str, &str)> =
        proof.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let authorization = "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE0000TEST1/20260314/eu-central-1/sts/aws4_request, \
        SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-safeguard-bind, \
        Signature=38162f0655f1ab94ce0ecf4ce7f546f925ed0e522372e2d0ae27bcc0684cf6fa";
    let expected = [
        ("authorization", authorization),
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", "sts.eu-central-1.amazonaws.com"),
        ("x-amz-date", "20260314T150926Z"),
        ("x-amz-security-token", "Example//Session+Token=="),
        BIND,
    ];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn lasting_credentials_and_other_partitions_sign_too() {
    let proof = signed(None, "cn-north-1").await.unwrap();
    assert_eq!(proof.url, "https://sts.cn-north-1.amazonaws.com.cn/");
    assert_eq!(proof.headers.len(), 5);
    let authorization = &proof.headers.first().unwrap().1;
    let signature = "203088233a2bb92969b31e099937c57b5c9373927208c64958d27f5f4c082a1a";
    assert!(authorization.ends_with(signature), "{authorization}");
}

#[tokio::test]
async fn a_place_that_is_no_region_is_not_signed_for() {
    for region in ["", "eu central", "evil.example.com/", "EU-CENTRAL-1"] {
        let result = signed(None, region).await;
        assert!(matches!(result, Err(CallerProofError::Region { .. })), "{region:?}");
    }
}

#[tokio::test]
async fn neither_token_nor_signature_is_shown() {
    let shown = format!("{:?}", signed(Some("tokentoken"), "eu-central-1").await.unwrap());
    assert!(
        !shown.contains("tokentoken") && !shown.contains("Signature") && shown.contains("x-safeguard-bind"),
        "{shown}"
    );
}
