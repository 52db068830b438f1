//! What EC2 answers, in XML.

use serde::Deserialize;

use super::{CLUSTER_TAG_PREFIX, CLUSTER_TAGS, GROUP_TAGS, Instance, InstanceState};
use crate::verify::{arn, dates};

/// A page of instances.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) instances: Vec<Instance>,
    /// What to ask for the next one with.
    pub(super) next: Option<String>,
}

#[derive(Deserialize)]
enum Reply {
    DescribeInstancesResponse(Described),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    // Not optional: an answer that has no list is none, and not one without instances.
    reservation_set: Items<Reservation>,
    #[serde(default)]
    next_token: String,
}

#[derive(Deserialize)]
struct Items<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self { item: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    owner_id: String,
    #[serde(default)]
    instances_set: Items<Listed>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    instance_id: String,
    #[serde(default)]
    image_id: String,
    instance_state: StateName,
    #[serde(default)]
    launch_time: String,
    #[serde(default)]
    root_device_name: String,
    #[serde(default)]
    block_device_mapping: Items<Device>,
    #[serde(default)]
    network_interface_set: Items<Interface>,
    #[serde(default)]
    tag_set: Items<Tag>,
}

#[derive(Deserialize)]
struct StateName {
    name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Device {
    #[serde(default)]
    device_name: String,
    #[serde(default)]
    ebs: Attachment,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(default)]
    attachment: Attachment,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Attachment {
    device_index: String,
    attach_time: String,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(default)]
    key: String,
    #[serde(default)]
    value: String,
}

/// A page of the instances of a region.
pub(super) fn read(body: &[u8], region: &str) -> Result<Page, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the answer is no text".to_owned())?;
    let reply =
        quick_xml::de::from_str::<Reply>(text).map_err(|error| format!("the answer is not one of EC2: {error}"))?;
    let Reply::DescribeInstancesResponse(Described { reservation_set, next_token }) = reply;
    let mut instances = Vec::new();
    for Reservation { owner_id, instances_set } in reservation_set.item {
        if !arn::is_account(&owner_id) {
            return Err("the answer has a reservation without account".to_owned());
        }
        for described in instances_set.item {
            instances.push(instance(described, &owner_id, region)?);
        }
    }
    Ok(Page { instances, next: Some(next_token).filter(|token| !token.is_empty()) })
}

fn instance(described: Listed, account: &str, region: &str) -> Result<Instance, String> {
    if !arn::is_instance(&described.instance_id) {
        return Err("the answer has an instance without id".to_owned());
    }
    let tag = |keys: &[&str]| {
        let tags = &described.tag_set.item;
        keys.iter().find_map(|key| tags.iter().find(|tag| tag.key == *key)).map(|tag| tag.value.clone())
    };
    // `kubernetes.io/cluster/NAME` has the name in its key.
    let named =
        || described.tag_set.item.iter().find_map(|tag| tag.key.strip_prefix(CLUSTER_TAG_PREFIX)).map(str::to_owned);
    let root =
        described.block_device_mapping.item.iter().find(|device| device.device_name == described.root_device_name);
    let first = described.network_interface_set.item.iter().find(|interface| interface.attachment.device_index == "0");
    Ok(Instance {
        account: account.to_owned(),
        region: region.to_owned(),
        state: state(&described.instance_state.name),
        launch_ms: dates::rfc3339_ms(&described.launch_time),
        root_attach_ms: root.and_then(|device| dates::rfc3339_ms(&device.ebs.attach_time)),
        eni_attach_ms: first.and_then(|interface| dates::rfc3339_ms(&interface.attachment.attach_time)),
        cluster: tag(&CLUSTER_TAGS).or_else(named),
        node_group: tag(&GROUP_TAGS),
        instance_id: described.instance_id,
        image_id: described.image_id,
    })
}

fn state(name: &str) -> InstanceState {
    match name {
        "pending" => InstanceState::Pending,
        "running" => InstanceState::Running,
        "shutting-down" => InstanceState::ShuttingDown,
        "terminated" => InstanceState::Terminated,
        "stopping" => InstanceState::Stopping,
        "stopped" => InstanceState::Stopped,
        _ => InstanceState::Other,
    }
}

#[derive(Deserialize)]
enum Refusal {
    Response {
        #[serde(rename = "Errors")]
        errors: Errors,
    },
}

#[derive(Deserialize)]
struct Errors {
    #[serde(rename = "Error")]
    error: Named,
}

#[derive(Deserialize)]
struct Named {
    #[serde(rename = "Code")]
    code: String,
}

/// The name of an error, or nothing.
pub(super) fn error_code(body: &[u8]) -> String {
    let refusal = std::str::from_utf8(body).ok().and_then(|text| quick_xml::de::from_str::<Refusal>(text).ok());
    let code = refusal.map(|Refusal::Response { errors }| errors.error.code).unwrap_or_default();
    let plain = code.len() <= 64 && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    if plain { code } else { String::new() }
}

#[cfg(test)]
mod tests;
