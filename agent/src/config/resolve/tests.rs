#![expect(clippy::disallowed_methods, reason = "the tests build a host")]

use super::*;
use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// A metadata service that answers version 2 alone, and counts.
struct Imds {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Imds {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<AtomicUsize>::default();
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = count.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    count.fetch_add(1, Ordering::Relaxed);
                    async move { Ok::<_, Infallible>(answer(&request)) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, asked }
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let document = r#"{"region":"eu-central-1","accountId":"123456789012","instanceId":"i-0123456789abcdef0"}"#;
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::PUT, "/latest/api/token") => (200, "token"),
        _ if request.headers().get("x-aws-ec2-metadata-token").is_none_or(|token| token != "token") => (401, ""),
        (_, "/latest/dynamic/instance-identity/document") => (200, document),
        (_, "/latest/meta-data/local-hostname") => (200, "ip-10-0-0-9.eu-central-1.compute.internal"),
        (_, "/latest/meta-data/tags/instance") => (200, "Name\neks:cluster-name\nkubernetes.io/cluster/other"),
        (_, "/latest/meta-data/tags/instance/eks:cluster-name") => (200, "tagged"),
        (_, "/latest/meta-data/tags/instance/kubernetes.io/cluster/other") => (200, "owned"),
        _ => (404, ""),
    };
    let response = Response::builder().status(status).header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    response.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

/// Nothing may be asked: nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

fn settings(host: &TempDir, imds: &str) -> Settings {
    let mut settings = Settings::default();
    settings.node.host_root = host.path().to_owned();
    settings.aws.imds_endpoint = Some(imds.to_owned());
    settings
}

fn host() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn write(host: &TempDir, path: &str, text: &str) {
    let path = host.path().join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

#[tokio::test]
async fn the_metadata_service_is_not_asked_for_what_is_known() {
    let (host, imds) = (host(), Imds::start().await);
    write(&host, "etc/hostname", "node-7\n");
    write(&host, "var/lib/kubelet/kubeconfig", "users: [{user: {exec: {args: [token, -i, prod]}}}]");
    let environment = Environment::empty().with("AWS_REGION", "eu-west-1");
    let resolved = resolve(&settings(&host, &imds.url), &environment).await;
    assert_eq!(resolved.found.missing, []);
    assert_eq!(resolved.found["aws.region"], ("eu-west-1".to_owned(), Source::Env("AWS_REGION")));
    assert_eq!(resolved.found["node.cluster"], ("prod".to_owned(), Source::Kubelet(KUBECONFIG)));
    assert_eq!(resolved.found["node.name"], ("node-7".to_owned(), Source::HostName));
    assert_eq!(imds.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_bare_node_is_known_by_the_metadata_service_alone() {
    let (host, imds) = (host(), Imds::start().await);
    let mut settings = settings(&host, &imds.url);
    settings.logs.stream = "{account}/{instance_id}/{node}".to_owned();
    let resolved = resolve(&settings, &Environment::empty()).await;
    assert_eq!(resolved.found.missing, []);
    let names = NodeNames {
        cluster: "tagged".to_owned(),
        region: "eu-central-1".to_owned(),
        account: "123456789012".to_owned(),
        instance_id: "i-0123456789abcdef0".to_owned(),
        node: "ip-10-0-0-9.eu-central-1.compute.internal".to_owned(),
    };
    assert_eq!(resolved.names, names);
    assert_eq!(resolved.found["node.cluster"].1, Source::Tag("eks:cluster-name".to_owned()));
    assert_eq!(resolved.found["node.account"].1, Source::Imds);
}

#[tokio::test]
async fn what_is_set_wins_over_everything() {
    let host = host();
    write(&host, "etc/hostname", "node-7\n");
    let mut settings = settings(&host, NOBODY);
    settings.node.name = Some("set".to_owned());
    settings.node.cluster = Some("set".to_owned());
    settings.aws.region = Some("us-west-2".to_owned());
    let environment = Environment::empty().with("NODE_NAME", "env").with("AWS_REGION", "eu-west-1");
    let resolved = resolve(&settings, &environment).await;
    assert_eq!((resolved.names.node.as_str(), resolved.names.region.as_str()), ("set", "us-west-2"));
    assert!(resolved.found.missing.is_empty() && resolved.found.get("node.name").is_none());
}

#[tokio::test]
async fn only_what_the_names_use_is_needed() {
    let host = host();
    let mut settings = settings(&host, NOBODY);
    settings.aws.region = Some("us-west-2".to_owned());
    settings.logs.groups.application = "/app".to_owned();
    settings.logs.groups.dataplane = "/dataplane".to_owned();
    settings.logs.stream = "{namespace}".to_owned();
    let missing = resolve(&settings, &Environment::empty()).await.found.missing;
    assert_eq!(missing.len(), 2, "the host group has the cluster's name, and its stream the node's: {missing:?}");
    settings.logs.journal.enabled = false;
    settings.logs.files.paths.clear();
    assert_eq!(resolve(&settings, &Environment::empty()).await.found.missing, []);
}

#[tokio::test]
async fn nothing_is_needed_when_logs_are_off() {
    let host = host();
    let mut settings = settings(&host, NOBODY);
    settings.logs.enabled = false;
    assert_eq!(resolve(&settings, &Environment::empty()).await.found.missing, []);
}

#[tokio::test]
async fn what_is_nowhere_to_be_found_names_the_key_to_set() {
    let host = host();
    let resolved = resolve(&settings(&host, NOBODY), &Environment::empty()).await;
    let keys: Vec<&str> = resolved.found.missing.iter().map(|missing| missing.key).collect();
    assert_eq!(keys, ["aws.region", "node.cluster", "node.name"]);
    let message = resolved.found.missing[1].to_string();
    for part in ["Set `node.cluster`", "kubeconfig", "metadata service"] {
        assert!(message.contains(part), "{message}");
    }
}

#[tokio::test]
async fn the_metadata_service_can_be_switched_off() {
    let (host, imds) = (host(), Imds::start().await);
    let environment = Environment::empty().with("AWS_EC2_METADATA_DISABLED", "true");
    let resolved = resolve(&settings(&host, &imds.url), &environment).await;
    assert!(resolved.found.missing[0].reason.contains("AWS_EC2_METADATA_DISABLED"), "{:?}", resolved.found.missing);
    assert_eq!(imds.asked.load(Ordering::Relaxed), 0);
}
