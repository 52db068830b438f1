//! A request of the query protocol, signed (SigV4).

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::Full;

const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// A POST of a form to EC2. An error holds no secrets.
pub(super) fn post(
    url: &str,
    body: &str,
    credentials: &Credentials,
    region: &str,
    now: SystemTime,
) -> Result<Request<Full<Bytes>>, String> {
    let uri: Uri = url.parse().map_err(|_| format!("{url:?} is no URL"))?;
    let host = uri.authority().map(ToString::to_string).unwrap_or_default();
    let identity = credentials.clone().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ec2")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let given = [("content-type", CONTENT_TYPE), ("host", host.as_str())];
    let signable = SignableRequest::new("POST", url, given.into_iter(), SignableBody::Bytes(body.as_bytes()))
        .map_err(|error| error.to_string())?;
    let (instructions, _) = sign(signable, &params.into()).map_err(|error| error.to_string())?.into_parts();
    let mut request = Request::post(uri)
        .header("content-type", CONTENT_TYPE)
        .header("host", &host)
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .map_err(|error| error.to_string())?;
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}
