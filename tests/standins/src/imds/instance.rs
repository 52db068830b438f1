//! What the service knows about its instance.

use std::collections::BTreeMap;

use super::tree::Tree;
use crate::{IdentityCa, dates};

/// The instance. [`Instance::default`] is a worker node in `us-east-1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Such as `i-0123456789abcdef0`.
    pub instance_id: String,
    /// Such as `m7i.large`.
    pub instance_type: String,
    /// Such as `us-east-1`.
    pub region: String,
    /// Such as `us-east-1a`.
    pub availability_zone: String,
    /// Such as `use1-az1`.
    pub availability_zone_id: String,
    /// Such as `ami-0123456789abcdef0`.
    pub image_id: String,
    /// The private IPv4 address of its first interface.
    pub local_ipv4: String,
    /// The hardware address of its first interface.
    pub mac: String,
    /// `services/domain`: `amazonaws.com`, in China `amazonaws.com.cn`.
    pub domain: String,
    /// `services/partition`: `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// Its tags, where the instance allows them in metadata; none where it does not.
    pub tags: Option<BTreeMap<String, String>>,
    /// What it was started with. It tends to hold secrets.
    pub user_data: Option<String>,
}

impl Default for Instance {
    fn default() -> Instance {
        Instance {
            instance_id: "i-0123456789abcdef0".to_owned(),
            instance_type: "m7i.large".to_owned(),
            region: "us-east-1".to_owned(),
            availability_zone: "us-east-1a".to_owned(),
            availability_zone_id: "use1-az1".to_owned(),
            image_id: "ami-0123456789abcdef0".to_owned(),
            local_ipv4: "10.0.1.23".to_owned(),
            mac: "02:29:96:8f:6a:2d".to_owned(),
            domain: "amazonaws.com".to_owned(),
            partition: "aws".to_owned(),
            tags: None,
            user_data: Some("#!/bin/sh\n/etc/eks/bootstrap.sh cluster --token a-secret-of-the-node\n".to_owned()),
        }
    }
}

impl Instance {
    /// `ip-10-0-1-23.ec2.internal`; outside `us-east-1` with the region in it.
    #[must_use]
    pub fn local_hostname(&self) -> String {
        let name = format!("ip-{}", self.local_ipv4.replace('.', "-"));
        match self.region.as_str() {
            "us-east-1" => format!("{name}.ec2.internal"),
            region => format!("{name}.{region}.compute.internal"),
        }
    }

    pub(super) fn tree(&self, account: &str, started_ms: i64, ca: Option<&IdentityCa>) -> Tree {
        let mut tree = Tree::default();
        self.describe(&mut tree);
        self.describe_network(&mut tree, account);
        for (key, value) in self.tags.iter().flatten() {
            tree.set(&format!("meta-data/tags/instance/{key}"), value);
        }
        if let Some(user_data) = &self.user_data {
            tree.set("user-data", user_data);
        }
        let identity = "dynamic/instance-identity";
        let document = self.document(account, started_ms);
        // Where nobody signs, only the place and the shape of these are right.
        for signature in ["pkcs7", "rsa2048", "signature"] {
            let line = base64_simd::STANDARD.encode_to_string(format!("{signature} of {}", self.instance_id).repeat(2));
            tree.set(&format!("{identity}/{signature}"), format!("{line}\n{line}\n"));
        }
        if let Some(ca) = ca {
            tree.set(&format!("{identity}/rsa2048"), ca.rsa2048(&document));
        }
        tree.set(&format!("{identity}/document"), document);
        tree
    }

    fn describe(&self, tree: &mut Tree) {
        let hostname = self.local_hostname();
        for (path, value) in [
            ("ami-id", self.image_id.as_str()),
            ("ami-launch-index", "0"),
            ("ami-manifest-path", "(unknown)"),
            ("block-device-mapping/ami", "/dev/xvda"),
            ("block-device-mapping/root", "/dev/xvda"),
            ("events/maintenance/history", "[]"),
            ("events/maintenance/scheduled", "[]"),
            ("hibernation/configured", "false"),
            ("hostname", &hostname),
            ("instance-action", "none"),
            ("instance-id", &self.instance_id),
            ("instance-life-cycle", "on-demand"),
            ("instance-type", &self.instance_type),
            ("local-hostname", &hostname),
            ("local-ipv4", &self.local_ipv4),
            ("mac", &self.mac),
            ("metrics/vhostmd", "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"),
            ("placement/availability-zone", &self.availability_zone),
            ("placement/availability-zone-id", &self.availability_zone_id),
            ("placement/region", &self.region),
            ("profile", "default-hvm"),
            ("public-keys/0/openssh-key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE node"),
            ("reservation-id", "r-0123456789abcdef0"),
            ("security-groups", "nodes"),
            ("services/domain", &self.domain),
            ("services/partition", &self.partition),
            ("system", "nitro"),
        ] {
            tree.set(&format!("meta-data/{path}"), value);
        }
    }

    fn describe_network(&self, tree: &mut Tree, account: &str) {
        let hostname = self.local_hostname();
        for (name, value) in [
            ("device-number", "0"),
            ("interface-id", "eni-0123456789abcdef0"),
            ("local-hostname", &hostname),
            ("local-ipv4s", &self.local_ipv4),
            ("mac", &self.mac),
            ("owner-id", account),
            ("security-group-ids", "sg-0123456789abcdef0"),
            ("security-groups", "nodes"),
            ("subnet-id", "subnet-0123456789abcdef0"),
            ("subnet-ipv4-cidr-block", "10.0.1.0/24"),
            ("vpc-id", "vpc-0123456789abcdef0"),
            ("vpc-ipv4-cidr-block", "10.0.0.0/16"),
            ("vpc-ipv4-cidr-blocks", "10.0.0.0/16"),
        ] {
            tree.set(&format!("meta-data/network/interfaces/macs/{}/{name}", self.mac), value);
        }
    }

    /// The members and their order are those of the EC2 User Guide, "Instance identity documents".
    fn document(&self, account: &str, started_ms: i64) -> String {
        let pending = dates::rfc3339(started_ms.div_euclid(1_000));
        let members = [
            ("accountId", Some(account)),
            ("architecture", Some("x86_64")),
            ("availabilityZone", Some(&self.availability_zone)),
            ("billingProducts", None),
            ("devpayProductCodes", None),
            ("marketplaceProductCodes", None),
            ("imageId", Some(&self.image_id)),
            ("instanceId", Some(&self.instance_id)),
            ("instanceType", Some(&self.instance_type)),
            ("kernelId", None),
            ("pendingTime", Some(&pending)),
            ("privateIp", Some(&self.local_ipv4)),
            ("ramdiskId", None),
            ("region", Some(&self.region)),
            ("version", Some("2017-09-30")),
        ];
        pretty(members)
    }
}

/// JSON as the service lays it out: a member a line, ` : ` between name and value.
pub(super) fn pretty<'a>(members: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let line = |(name, value)| format!("  \"{name}\" : {}", serde_json::Value::from(value));
    let lines: Vec<String> = members.into_iter().map(line).collect();
    format!("{{\n{}\n}}", lines.join(",\n"))
}
