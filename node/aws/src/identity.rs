//! Who this instance is, by the word of the metadata service.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::imds;
use aws_config::provider_config::ProviderConfig;
use serde::Deserialize;
use tokio::time::timeout;

use crate::http::{HttpError, HttpOptions, http_client};
use crate::sdk::imds_client;

/// For everything that is asked, retries included. A metadata service that is there answers in milliseconds; one that
/// is not must not hold a start up for long.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// The instance identity document (EC2 User Guide, "Instance identity documents").
pub(crate) const DOCUMENT: &str = "/latest/dynamic/instance-identity/document";
/// The private DNS name (EC2 User Guide, "Instance metadata categories").
const LOCAL_HOSTNAME: &str = "/latest/meta-data/local-hostname";
/// The names of the instance's tags, one a line, where the launch template allows them (EC2 User Guide, "View tags for
/// your EC2 instances using instance metadata").
const TAGS: &str = "/latest/meta-data/tags/instance";
/// An instance has 50 tags at most (EC2 User Guide, "Tag restrictions"); AWS's own may come on top.
const MAX_TAGS: usize = 100;

/// What the instance is called.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// AWS region.
    pub region: String,
    /// Account id, 12 digits.
    pub account: String,
    /// Instance id.
    pub instance_id: String,
    /// AMI that it was started from.
    pub image_id: String,
    /// Instance type, such as `m7i.large`.
    pub instance_type: String,
    /// Availability zone.
    pub availability_zone: String,
    /// Private DNS name, if it was wanted and there is one.
    pub local_hostname: Option<String>,
    /// The tags that were wanted and are shown to the instance; empty where tags in metadata are not enabled.
    pub tags: BTreeMap<String, String>,
}

/// What is asked for besides the identity document.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The private DNS name.
    pub local_hostname: bool,
    /// Names of tags, and with a last `*` the beginnings of names.
    pub tags: &'a [&'a str],
}

/// Why the instance is not known.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The endpoint is no URL.
    #[error("{endpoint:?} is not the URL of a metadata service: {reason}")]
    Endpoint {
        /// As it was set.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The environment forbids to ask.
    #[error("the metadata service is off (AWS_EC2_METADATA_DISABLED)")]
    Off,
    /// No HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Nothing came back in time.
    #[error(
        "the instance metadata service did not answer within {} s; in a container it needs a hop limit of 2, and a host \
         that is not an EC2 instance has none",
        DEADLINE.as_secs()
    )]
    Deadline,
    /// The request failed.
    #[error("the instance metadata service did not give {path}: {reason}")]
    Refused {
        /// What was asked for.
        path: String,
        /// What came back instead.
        reason: String,
    },
    /// The document is not one.
    #[error("the instance identity document cannot be read: {0}")]
    Document(serde_json::Error),
}

/// Asks the metadata service at `endpoint` (`None` lets the SDK find it: `AWS_EC2_METADATA_SERVICE_ENDPOINT`, a profile,
/// then the well-known address). Within 5 seconds in all.
///
/// # Errors
/// [`IdentityError`]; tags and host name that are not there are no error.
pub async fn identity(endpoint: Option<&str>, wanted: Wanted<'_>) -> Result<Identity, IdentityError> {
    let client = plain_client(endpoint)?;
    timeout(DEADLINE, ask(&client, wanted)).await.unwrap_or(Err(IdentityError::Deadline))
}

/// Neither proxies nor authorities: the metadata service is plain HTTP on this machine's link.
pub(crate) fn plain_client(endpoint: Option<&str>) -> Result<imds::Client, IdentityError> {
    let http = http_client(&HttpOptions::default())?;
    imds_client(endpoint, &ProviderConfig::without_region().with_http_client(http))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    region: String,
    account_id: String,
    instance_id: String,
    #[serde(default)]
    image_id: String,
    #[serde(default)]
    instance_type: String,
    #[serde(default)]
    availability_zone: String,
}

async fn ask(client: &imds::Client, wanted: Wanted<'_>) -> Result<Identity, IdentityError> {
    let document = get(client, DOCUMENT).await?;
    let document: Document = serde_json::from_str(&document).map_err(IdentityError::Document)?;
    let mut identity = Identity {
        region: document.region,
        account: document.account_id,
        instance_id: document.instance_id,
        image_id: document.image_id,
        instance_type: document.instance_type,
        availability_zone: document.availability_zone,
        ..Identity::default()
    };
    if wanted.local_hostname {
        // With several VPC domain names the service lists them all, separated by blanks.
        let name = get(client, LOCAL_HOSTNAME).await.ok();
        identity.local_hostname = name.and_then(|name| name.split_whitespace().next().map(str::to_owned));
    }
    if !wanted.tags.is_empty() {
        identity.tags = tags(client, wanted.tags).await;
    }
    Ok(identity)
}

async fn tags(client: &imds::Client, wanted: &[&str]) -> BTreeMap<String, String> {
    let names = match get(client, TAGS).await {
        Ok(names) => names,
        Err(error) => {
            tracing::debug!(%error, "instance tags are not in the metadata; the launch template may allow them");
            return BTreeMap::new();
        }
    };
    let is_wanted = |name: &&str| {
        wanted.iter().any(|wanted| wanted.strip_suffix('*').map_or(*name == *wanted, |start| name.starts_with(start)))
    };
    let mut tags = BTreeMap::new();
    for name in names.lines().take(MAX_TAGS).filter(is_wanted) {
        match get(client, &format!("{TAGS}/{}", escaped(name))).await {
            Ok(value) => {
                tags.insert(name.to_owned(), value);
            }
            Err(error) => tracing::debug!(%error, tag = name, "an instance tag could not be read"),
        }
    }
    tags
}

/// For the path of a URL; the slash, which some instance types allow in names of tags, stays.
fn escaped(name: &str) -> String {
    use std::fmt::Write as _;
    let mut path = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' | b'@' | b'=' | b'+' => {
                path.push(char::from(byte));
            }
            _ => write!(path, "%{byte:02X}").expect("writing to a String does not fail"),
        }
    }
    path
}

pub(crate) async fn get(client: &imds::Client, path: &str) -> Result<String, IdentityError> {
    use imds::client::error::ImdsError;
    let refused = |reason: String| IdentityError::Refused { path: path.to_owned(), reason };
    match client.get(path).await {
        Ok(value) => Ok(value.into()),
        Err(ImdsError::ErrorResponse(response)) => {
            Err(refused(format!("status {}", response.response().status().as_u16())))
        }
        Err(error) => Err(refused(aws_smithy_types::error::display::DisplayErrorContext(error).to_string())),
    }
}

#[cfg(test)]
pub(crate) mod tests;
