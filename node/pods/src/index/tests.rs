//! The index against a model that is slow and simple: a list of pods, searched from one end to the other.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::{Annotations, Phase};

const UIDS: u8 = 6;

/// A few names and addresses for more UIDs, so that both are used again and again.
fn pod(uid: u8, address: u8, role: u8) -> Pod {
    Pod {
        uid: format!("uid-{uid}").into(),
        namespace: ["a", "b"][usize::from(uid % 2)].into(),
        name: format!("name-{}", uid % 3).into(),
        service_account: "default".into(),
        host_network: false,
        phase: Phase::Running,
        deleting: false,
        addresses: (0..=address % 3).map(|i| IpAddr::from([10, 0, 0, address % 4 + i])).collect(),
        annotations: Annotations::from([("role".into(), format!("role-{role}").into())]),
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put { uid: u8, address: u8, role: u8, version: u64 },
    Remove(u8),
    Forget(u8),
    List(Vec<(u8, u8, u8, u64)>),
}

fn step() -> impl Strategy<Value = Step> {
    let put = || (0..UIDS, 0..5u8, 0..3u8, 1..40u64);
    prop_oneof![
        6 => put().prop_map(|(uid, address, role, version)| Step::Put { uid, address, role, version }),
        2 => (0..UIDS).prop_map(Step::Remove),
        1 => (0..UIDS).prop_map(Step::Forget),
        1 => prop::collection::vec(put(), 0..6).prop_map(Step::List),
    ]
}

#[derive(Debug, Default, Clone)]
struct Model {
    pods: Vec<(u64, Pod)>,
    gone: BTreeSet<Arc<str>>,
}

impl Model {
    fn put(&mut self, version: u64, pod: Pod) {
        let rival = |other: &Pod| other.namespace == pod.namespace && other.name == pod.name;
        let newer = self.pods.iter().any(|(known, other)| (other.uid == pod.uid || rival(other)) && *known > version);
        if newer || self.gone.contains(&pod.uid) {
            return;
        }
        for (_, other) in self.pods.iter().filter(|(_, other)| rival(other) && other.uid != pod.uid) {
            self.gone.insert(other.uid.clone());
        }
        self.pods.retain(|(_, other)| other.uid != pod.uid && !rival(other));
        self.pods.push((version, pod));
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Put { uid, address, role, version } => self.put(version, pod(uid, address, role)),
            Step::Remove(uid) => {
                let uid = pod(uid, 0, 0).uid;
                self.pods.retain(|(_, pod)| pod.uid != uid);
                self.gone.insert(uid);
            }
            Step::Forget(uid) => self.pods.retain(|(_, known)| known.uid != pod(uid, 0, 0).uid),
            Step::List(all) => {
                *self = Self::default();
                for (uid, address, role, version) in all {
                    self.put(version, pod(uid, address, role));
                }
                self.gone.clear();
            }
        }
    }
}

fn found(uid: u8, address: u8, role: u8, version: u64) -> Found<Pod> {
    let object = pod(uid, address, role);
    Found { uid: object.uid.clone(), version: Version::new(&version.to_string()), object, too_long: 0 }
}

fn by_uid(pods: impl IntoIterator<Item = Pod>) -> Vec<Pod> {
    let mut pods: Vec<Pod> = pods.into_iter().collect();
    pods.sort_by(|a, b| a.uid.cmp(&b.uid));
    pods
}

proptest! {
    #[test]
    fn the_reader_says_what_the_model_says(steps in prop::collection::vec(step(), 0..60)) {
        let (mut writer, reader) = index();
        let mut model = Model::default();
        for step in steps {
            let before = (by_uid(reader.pods().iter().map(|pod| (**pod).clone())), *reader.changes().borrow());
            let changed = match step.clone() {
                Step::Put { uid, address, role, version } => writer.pods.put(found(uid, address, role, version)),
                Step::Remove(uid) => writer.remove_pod(&pod(uid, 0, 0).uid),
                Step::Forget(uid) => writer.pods.forget(&pod(uid, 0, 0).uid),
                Step::List(all) => writer.pods.replace(all.into_iter().map(|(u, a, r, v)| found(u, a, r, v)).collect()),
            };
            model.take(step);
            let known = by_uid(reader.pods().iter().map(|pod| (**pod).clone()));
            let expected = by_uid(model.pods.iter().map(|(_, pod)| pod.clone()));
            prop_assert_eq!(&known, &expected);
            prop_assert_eq!(changed, known != before.0);
            prop_assert_eq!(*reader.changes().borrow(), before.1 + u64::from(changed));
            prop_assert_eq!(reader.health().pods.objects, expected.len());
            for uid in 0..UIDS {
                let asked = pod(uid, 0, 0);
                let by_uid = expected.iter().find(|pod| pod.uid == asked.uid);
                let told = reader.pod(&asked.uid);
                prop_assert_eq!(told.as_deref(), by_uid);
                let by_name = expected.iter().find(|pod| pod.namespace == asked.namespace && pod.name == asked.name);
                let told = reader.named(&asked.namespace, &asked.name);
                prop_assert_eq!(told.as_deref(), by_name);
            }
            for last in 0..8 {
                let address = IpAddr::from([10, 0, 0, last]);
                let there = by_uid(reader.at(address).iter().map(|pod| (**pod).clone()));
                let expected: Vec<Pod> = expected.iter().filter(|pod| pod.addresses.contains(&address)).cloned().collect();
                prop_assert_eq!(there, expected);
            }
        }
    }
}

/// kube2iam#178: `Recreate` pods with the same IP.
#[test]
fn delete_and_add_with_the_same_address_leaves_the_new_pod_alone_there() {
    let (mut writer, reader) = index();
    let address = pod(1, 0, 1).addresses[0];
    writer.put_pod("1", pod(1, 0, 1));
    writer.remove_pod("uid-1");
    writer.put_pod("3", pod(2, 0, 2));
    assert_eq!(reader.at(address).iter().map(|pod| &*pod.uid).collect::<Vec<_>>(), ["uid-2"]);
}

/// kiam#499: an address is used again before the deletion of its last pod is told. Whoever asks sees that there are two.
#[test]
fn an_address_that_is_used_again_early_has_two_pods() {
    let (mut writer, reader) = index();
    let address = pod(1, 0, 1).addresses[0];
    writer.put_pod("1", pod(1, 0, 1));
    writer.put_pod("2", pod(2, 0, 2));
    assert_eq!(reader.at(address).len(), 2);
    writer.remove_pod("uid-1");
    assert_eq!(reader.at(address).iter().map(|pod| &*pod.uid).collect::<Vec<_>>(), ["uid-2"]);
}

#[test]
fn an_address_of_ipv4_written_as_ipv6_is_the_same_address() {
    let (mut writer, reader) = index();
    let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
    writer.put_pod("1", Pod { addresses: vec![mapped], ..pod(1, 0, 0) });
    for asked in ["10.1.2.3", "::ffff:10.1.2.3"] {
        assert_eq!(reader.at(asked.parse().unwrap()).len(), 1, "{asked}");
    }
}

#[test]
fn versions_that_are_no_numbers_count_in_the_order_in_which_they_come() {
    let (mut writer, reader) = index();
    for (version, role) in [("b", 1), ("a", 2), ("", 3)] {
        assert!(writer.put_pod(version, pod(1, 0, role)), "{version}");
        assert_eq!(reader.pod("uid-1").unwrap().annotations["role"], format!("role-{role}").into());
    }
}

#[test]
fn what_was_the_same_before_a_list_is_not_copied() {
    let (mut writer, reader) = index();
    writer.put_pod("1", pod(1, 0, 1));
    let before = reader.pod("uid-1").unwrap();
    assert!(!writer.pods.replace(vec![found(1, 0, 1, 9)]));
    assert!(Arc::ptr_eq(&before, &reader.pod("uid-1").unwrap()));
    assert!(!writer.put_pod("8", pod(1, 0, 2)), "the list was of version 9");
}

#[test]
fn deleted_uids_are_remembered_within_a_bound() {
    let (mut writer, reader) = index();
    for i in 0..5_000u64 {
        let one = Pod { uid: format!("uid-{i}").into(), ..pod(1, 0, 0) };
        writer.put_pod(&i.to_string(), one.clone());
        assert!(writer.remove_pod(&one.uid));
        assert!(!writer.put_pod(&(i + 1).to_string(), one), "a late event brought it back");
    }
    assert_eq!((reader.pods().len(), reader.health().pods.late), (0, 5_000));
    assert!(reader.shared.pods.read().remembered() <= crate::limits::MAX_GONE);
}
