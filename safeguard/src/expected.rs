//! Which instances should be there, by the word of EC2.
//!
//! Comes in: credentials of a role that may `ec2:DescribeInstances`, and a region. Goes out: every instance of it that a cluster
//! has, also one that has ended within the last hour, which EC2 still tells of. An account of somebody else is asked with a role
//! there, which the safeguard's own may assume.
//!
//! Never: changes anything in EC2.
//!
//! A small client, on purpose: the SDK's is by far the largest that there is, for this one question.

mod asking;
mod listing;
mod reply;
mod settings;
mod signed;

use std::time::SystemTime;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use http::StatusCode;

use crate::https::{Https, base, causes};
use crate::verify::SettingsError;
use crate::verify::region::Region;

/// Instances that are asked for at once; EC2 gives up to 1,000 (EC2 API reference, "DescribeInstances"). One has some 6 KiB.
const PAGE: &str = "500";
/// The longest page.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// Pages of one region: 50,000 instances. More are an error, and never a list that is cut short.
const MAX_PAGES: usize = 100;
/// Tags that instances of clusters have: of managed node groups, of `eksctl`, and of whatever joins a cluster (EKS User Guide,
/// "Launch self-managed nodes"; the last is required of every node).
const CLUSTER_TAGS: [&str; 3] = ["aws:eks:cluster-name", "eks:cluster-name", "alpha.eksctl.io/cluster-name"];
const CLUSTER_TAG_PREFIX: &str = "kubernetes.io/cluster/";
const GROUP_TAGS: [&str; 3] = ["eks:nodegroup-name", "alpha.eksctl.io/nodegroup-name", "karpenter.sh/nodepool"];

pub(crate) use asking::{Asked, asked};
pub(crate) use listing::watch;
pub use listing::{Listing, Outcome, Place};
pub use settings::{Account, Settings};

/// An instance that EC2 knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The account that owns it.
    pub account: String,
    /// Its region.
    pub region: String,
    /// Its id.
    pub instance_id: String,
    /// The AMI that it was started from.
    pub image_id: String,
    /// What it is doing.
    pub state: InstanceState,
    /// When it was started last, in milliseconds since 1970.
    pub launch_ms: Option<i64>,
    /// When its root volume was attached, in milliseconds since 1970. Much later than [`Self::eni_attach_ms`]: somebody has
    /// exchanged the volume, and with it what the AMI put there (SPIRE takes 60 seconds for much).
    pub root_attach_ms: Option<i64>,
    /// When its first network interface was attached, in milliseconds since 1970.
    pub eni_attach_ms: Option<i64>,
    /// Its cluster, by its tags.
    pub cluster: Option<String>,
    /// Its node group, by its tags.
    pub node_group: Option<String>,
}

/// What an instance is doing (EC2 API reference, "InstanceState").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// It comes up.
    Pending,
    /// It runs.
    Running,
    /// It is being ended for good.
    ShuttingDown,
    /// It has ended for good.
    Terminated,
    /// It is being stopped.
    Stopping,
    /// It is stopped, and can be started again.
    Stopped,
    /// A state that is not known here.
    Other,
}

impl InstanceState {
    /// The state that EC2 calls so.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let all = [Self::Pending, Self::Running, Self::ShuttingDown, Self::Terminated, Self::Stopping, Self::Stopped];
        all.into_iter().find(|state| state.as_str() == name).unwrap_or(Self::Other)
    }

    /// As EC2 writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Other => "unknown",
        }
    }
}

/// Why it is not known which instances there are. What was known before stays true until it is old.
#[derive(Debug, thiserror::Error)]
pub enum ExpectedError {
    /// Not a region.
    #[error("{region:?} is no region that is known here")]
    Region {
        /// What was given.
        region: String,
    },
    /// Nobody gives credentials.
    #[error("there are no AWS credentials to ask EC2 with: {0}")]
    Credentials(String),
    /// EC2 refuses.
    #[error("EC2 in {region} answered {status} {code}; the role needs ec2:DescribeInstances")]
    Refused {
        /// Where.
        region: String,
        /// HTTP status.
        status: u16,
        /// The name of the error, where it has one.
        code: String,
    },
    /// EC2 does not answer, or not as EC2 does.
    #[error("EC2 in {region} could not be asked: {reason}")]
    Unavailable {
        /// Where.
        region: String,
        /// What happened.
        reason: String,
    },
}

/// Asks EC2.
#[derive(Debug)]
pub struct Ec2 {
    https: Https,
    endpoint: Option<String>,
}

impl Ec2 {
    /// Reads the authority that the settings name. Blocks as long as the disk does.
    ///
    /// # Errors
    /// [`SettingsError`], if the endpoint or the authority cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let endpoint = settings.endpoint.as_deref().map(|url| base("expected.endpoint", url)).transpose()?;
        Ok(Self { https: Https::new(settings.ca.as_deref())?, endpoint })
    }

    /// Every instance in a region whose tags say that it belongs to a cluster. A page takes 10 seconds at most.
    ///
    /// # Errors
    /// [`ExpectedError`]. A list is whole or there is none.
    pub async fn instances(
        &self,
        credentials: &SharedCredentialsProvider,
        region: &str,
        now: SystemTime,
    ) -> Result<Vec<Instance>, ExpectedError> {
        let region = Region::named(region).ok_or_else(|| ExpectedError::Region { region: region.to_owned() })?;
        let unavailable = |reason: String| ExpectedError::Unavailable { region: region.name().to_owned(), reason };
        let credentials = credentials.provide_credentials().await;
        let credentials = credentials.map_err(|error| ExpectedError::Credentials(causes(&error)))?;
        let (mut instances, mut next) = (Vec::new(), None);
        for _ in 0..MAX_PAGES {
            let body = question(next.as_deref());
            let url = self.endpoint.clone().unwrap_or_else(|| format!("https://{}", region.host_of("ec2")));
            let request =
                signed::post(&format!("{url}/"), &body, &credentials, region.name(), now).map_err(&unavailable)?;
            let answer =
                self.https.ask(request, MAX_PAGE_BYTES).await.map_err(|error| unavailable(error.to_string()))?;
            if answer.status != StatusCode::OK {
                let (region, status) = (region.name().to_owned(), answer.status.as_u16());
                return Err(ExpectedError::Refused { region, status, code: reply::error_code(&answer.body) });
            }
            let page = reply::read(&answer.body, region.name()).map_err(&unavailable)?;
            instances.extend(page.instances);
            match page.next {
                None => return Ok(instances),
                some => next = some,
            }
        }
        Err(unavailable(format!("there are more than {MAX_PAGES} pages of instances")))
    }
}

fn question(next: Option<&str>) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", "DescribeInstances").append_pair("Version", "2016-11-15");
    form.append_pair("MaxResults", PAGE).append_pair("Filter.1.Name", "tag-key");
    let wild = format!("{CLUSTER_TAG_PREFIX}*");
    for (at, tag) in CLUSTER_TAGS.into_iter().chain([wild.as_str()]).enumerate() {
        form.append_pair(&format!("Filter.1.Value.{}", at + 1), tag);
    }
    if let Some(next) = next {
        form.append_pair("NextToken", next);
    }
    form.finish()
}
