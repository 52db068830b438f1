use safeguard_pods::{Phase, Reader, Writer, index};

use super::*;
use crate::annotations::OURS;

struct Cluster {
    writer: Writer,
    reader: Reader,
    words: Words,
    version: u64,
}

impl Cluster {
    fn new(allowed: &[&str]) -> Self {
        let (mut writer, reader) = index();
        writer.mark_synced();
        let allowed = allowed.iter().map(|glob| Selector::new(glob).unwrap()).collect();
        Self { writer, reader, words: Words::new(allowed), version: 0 }
    }

    fn pod(&mut self, namespace: &str, name: &str, annotations: &[(&str, &str)]) {
        self.version += 1;
        let pod = Pod {
            uid: format!("uid-{namespace}-{name}").into(),
            namespace: namespace.into(),
            name: name.into(),
            service_account: "default".into(),
            host_network: false,
            phase: Phase::Running,
            deleting: false,
            addresses: Vec::new(),
            annotations: annotations.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        };
        self.writer.put_pod(&self.version.to_string(), pod);
    }

    fn word(&mut self) -> Option<Exclusions> {
        self.words.next(&self.reader.pods(), &self.reader.health())
    }
}

fn pod_key(namespace: &str, name: &str, uid: &str) -> PodKey {
    PodKey { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() }
}

#[tokio::test]
async fn only_namespaces_that_may_are_heard_and_of_those_every_pod() {
    let mut cluster = Cluster::new(&["dev-*", "load"]);
    for namespace in ["dev-1", "load", "shop", "dev"] {
        cluster.pod(namespace, "web", &[(OURS, "true")]);
    }
    cluster.pod("load", "plain", &[]);
    let word = cluster.word().unwrap();
    let mut heard: Vec<_> = word.pods.iter().map(|(key, told)| (key.namespace.as_str(), told.is_empty())).collect();
    heard.sort_unstable();
    assert_eq!(heard, [("dev-1", false), ("load", false), ("load", true)]);
    assert_eq!(word.problem, None);
}

#[tokio::test]
async fn a_word_is_said_once_and_again_when_it_changes() {
    let mut cluster = Cluster::new(&["shop"]);
    cluster.pod("shop", "web", &[]);
    assert!(cluster.word().is_some());
    assert_eq!(cluster.word(), None);
    cluster.pod("shop", "web", &[(OURS, "app")]);
    let word = cluster.word().unwrap();
    assert_eq!(word.pods[&pod_key("shop", "web", "uid-shop-web")].of("app").map(|by| &**by), Some(OURS));
    assert_eq!(cluster.word(), None);
    cluster.writer.remove_pod("uid-shop-web");
    assert!(cluster.word().unwrap().pods.is_empty());
}

#[tokio::test]
async fn a_static_pod_is_known_by_both_of_its_names() {
    let mut cluster = Cluster::new(&["*"]);
    cluster.pod("kube-system", "etcd", &[(OURS, "true"), ("kubernetes.io/config.hash", "0a1b2c")]);
    let word = cluster.word().unwrap();
    for uid in ["uid-kube-system-etcd", "0a1b2c"] {
        assert!(!word.pods[&pod_key("kube-system", "etcd", uid)].is_empty(), "{uid}");
    }
}

#[tokio::test]
async fn what_is_not_obeyed_names_the_pod_the_annotation_and_what_to_write() {
    let mut cluster = Cluster::new(&["shop"]);
    cluster.pod("shop", "web", &[(OURS, "yes")]);
    cluster.pod("shop", "log", &[(OURS, "true")]);
    let problem = cluster.word().unwrap().problem.unwrap();
    for part in ["pod shop/web", OURS, "\"yes\"", "write \"true\""] {
        assert!(problem.contains(part), "{part} is not in {problem}");
    }
    cluster.pod("shop", "web-2", &[("fluentbit.io/exclude_stdout", "true")]);
    assert!(cluster.word().unwrap().problem.unwrap().ends_with("; and 1 more pods"));
    cluster.pod("shop", "web", &[(OURS, "true")]);
    cluster.pod("shop", "web-2", &[]);
    assert_eq!(cluster.word().unwrap().problem, None);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_does_not_work_is_a_problem_and_takes_nothing_back() {
    let (_writer, reader) = index();
    let mut words = Words::new(vec![Selector::new("shop").unwrap()]);
    let problem = words.next(&reader.pods(), &reader.health()).unwrap().problem.unwrap();
    assert!(problem.contains("nothing is excluded until"), "{problem}");

    let mut cluster = Cluster::new(&["shop"]);
    cluster.pod("shop", "web", &[(OURS, "true")]);
    let before = cluster.word().unwrap();
    tokio::time::advance(SILENT).await;
    let after = cluster.word().unwrap();
    assert!(after.problem.as_deref().is_some_and(|problem| problem.contains("no sign of life")), "{after:?}");
    assert_eq!(after.pods, before.pods);
    tokio::time::advance(SILENT).await;
    assert_eq!(cluster.word(), None, "it is the same word");
}

#[test]
fn while_nobody_can_be_asked_that_is_said_once() {
    let mut words = Words::new(Vec::new());
    let problem = words.none("there is no token").unwrap().problem.unwrap();
    assert!(problem.contains("there is no token"), "{problem}");
    assert_eq!(words.none("there is no token"), None);
}
