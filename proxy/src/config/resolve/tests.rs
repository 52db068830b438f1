#![expect(clippy::disallowed_methods, reason = "the tests are the operator, who writes a kubeconfig")]

use super::*;
use safeguard_daemon::settings::ProgramSettings;
use std::convert::Infallible;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// A metadata service that answers version 2 alone, and counts.
struct Imds {
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Imds {
    async fn of_region(region: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::<AtomicUsize>::default();
        let count = asked.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let count = count.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    count.fetch_add(1, Ordering::Relaxed);
                    async move { Ok::<_, Infallible>(answer(&request, region)) }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self { url, asked }
    }
}

fn answer(request: &Request<Incoming>, region: &str) -> Response<Full<Bytes>> {
    let document = format!(r#"{{"region":"{region}","accountId":"123456789012","instanceId":"i-0123456789abcdef0"}}"#);
    let (status, body) = match (request.method(), request.uri().path()) {
        (&Method::PUT, "/latest/api/token") => (200, "token"),
        _ if request.headers().get("x-aws-ec2-metadata-token").is_none_or(|token| token != "token") => (401, ""),
        (_, "/latest/dynamic/instance-identity/document") => (200, document.as_str()),
        (_, "/latest/meta-data/local-hostname") => (200, "IP-10-0-0-9.eu-central-1.compute.internal other.name"),
        (_, "/latest/meta-data/tags/instance") => (200, "Name\neks:cluster-name"),
        (_, "/latest/meta-data/tags/instance/eks:cluster-name") => (200, "tagged"),
        _ => (404, ""),
    };
    let response = Response::builder().status(status).header("x-aws-ec2-metadata-token-ttl-seconds", "21600");
    response.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap()
}

/// Nothing may be asked: nobody listens there.
const NOBODY: &str = "http://127.0.0.1:9";

fn settings(text: &str, imds: &str) -> Settings {
    let mut settings = Settings::parse(text, "proxy.toml").unwrap().value;
    settings.aws.imds_endpoint = Some(imds.to_owned());
    settings
}

async fn found(settings: &Settings, environment: &Environment) -> Resolved {
    resolve(settings, &settings.checked().unwrap(), environment).await
}

fn in_a_pod() -> Environment {
    Environment::empty().with("KUBERNETES_SERVICE_HOST", "10.100.0.1")
}

const EVERYTHING: &str = "[node]\nname = \"set\"\n[aws]\nregion = \"us-west-2\"\n[roles]\nbase_arn = \
                          \"arn:aws:iam::210987654321:role/pods/\"\n";

fn source<'r>(resolved: &'r Resolved, key: &str) -> &'r Source {
    resolved.found.source(key).unwrap()
}

#[tokio::test]
async fn a_bare_node_is_known_by_the_metadata_service_alone() {
    let imds = Imds::of_region("eu-central-1").await;
    let resolved = found(&settings("", &imds.url), &in_a_pod()).await;
    assert_eq!(resolved.found.missing, []);
    assert_eq!(resolved.region, "eu-central-1");
    assert_eq!(resolved.node, "ip-10-0-0-9.eu-central-1.compute.internal");
    assert_eq!(resolved.base.as_ref().unwrap().as_str(), "arn:aws:iam::123456789012:role/");
    assert_eq!(resolved.kubernetes, Access::InCluster);
    assert_eq!(source(&resolved, "kubernetes.mode"), &Source::Env("KUBERNETES_SERVICE_HOST"));
    assert_eq!(source(&resolved, "roles.base_arn"), &Source::Imds);
    assert_eq!(resolved.cluster, None, "nobody needs it");
}

/// kube2iam#376 and kiam's resolver: names of roles lead to the partition that the node is in.
#[tokio::test]
async fn the_base_is_in_the_partition_of_the_region() {
    for (region, base) in [
        ("cn-north-1", "arn:aws-cn:iam::123456789012:role/"),
        ("us-gov-east-1", "arn:aws-us-gov:iam::123456789012:role/"),
    ] {
        let imds = Imds::of_region(region).await;
        // Where STS is asked is another matter.
        let elsewhere = in_a_pod().with("AWS_REGION", "eu-west-1");
        let resolved = found(&settings("", &imds.url), &elsewhere).await;
        assert_eq!((resolved.base.unwrap().as_str(), resolved.region.as_str()), (base, "eu-west-1"));
    }
}

#[tokio::test]
async fn the_metadata_service_is_not_asked_for_what_is_known() {
    let imds = Imds::of_region("eu-central-1").await;
    let environment = in_a_pod().with("NODE_NAME", "env").with("AWS_REGION", "eu-west-1");
    let resolved = found(&settings(EVERYTHING, &imds.url), &environment).await;
    assert_eq!((resolved.node.as_str(), resolved.region.as_str()), ("set", "us-west-2"), "what is set wins");
    assert_eq!((resolved.base, resolved.found.missing), (None, vec![]));
    assert_eq!(imds.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_kubeconfig_names_the_cluster_that_a_token_is_made_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubeconfig");
    fs::write(&file, "users: [{user: {exec: {args: [eks, get-token, --cluster-name, prod]}}}]").unwrap();
    let handed = Environment::empty().with("CREDENTIALS_DIRECTORY", dir.path().to_str().unwrap());
    let resolved = found(&settings(EVERYTHING, NOBODY), &handed).await;
    assert_eq!(resolved.kubernetes, Access::Kubeconfig(file.clone()));
    assert_eq!((resolved.cluster.as_deref(), resolved.found.missing.as_slice()), (Some("prod"), &[][..]));
    assert_eq!(source(&resolved, "kubernetes.kubeconfig"), &Source::Env("CREDENTIALS_DIRECTORY"));
    assert_eq!(source(&resolved, "kubernetes.cluster"), &Source::File(file.clone()));

    // A file that is named goes before the pod that the proxy runs in, and a name before that in the file.
    let text = format!("{EVERYTHING}[kubernetes]\nkubeconfig = {file:?}\ncluster = \"mine\"");
    let resolved = found(&settings(&text, NOBODY), &in_a_pod()).await;
    assert_eq!(resolved.kubernetes, Access::Kubeconfig(file));
    assert_eq!(resolved.cluster.as_deref(), Some("mine"));
}

#[tokio::test]
async fn a_token_without_a_cluster_is_missed_unless_a_tag_or_a_file_helps() {
    let url = format!("{EVERYTHING}[kubernetes]\nurl = \"https://api.example.com\"\n");
    let resolved = found(&settings(&url, NOBODY), &Environment::empty()).await;
    assert_eq!(resolved.kubernetes, Access::Url("https://api.example.com".to_owned()));
    let [missing] = resolved.found.missing.as_slice() else { panic!("{:?}", resolved.found.missing) };
    assert!(missing.to_string().contains("Set `kubernetes.cluster`"), "{missing}");

    let imds = Imds::of_region("eu-central-1").await;
    let resolved = found(&settings(&url, &imds.url), &Environment::empty()).await;
    assert_eq!(resolved.cluster.as_deref(), Some("tagged"));

    let with_token = format!("{url}token_file = \"/token\"\n");
    let resolved = found(&settings(&with_token, NOBODY), &Environment::empty()).await;
    assert_eq!((resolved.cluster, resolved.found.missing), (None, vec![]));
}

#[tokio::test]
async fn session_tags_go_without_a_cluster_that_nobody_names() {
    let text = format!("{EVERYTHING}session_tags = true\n");
    let resolved = found(&settings(&text, NOBODY), &in_a_pod()).await;
    assert_eq!((resolved.cluster, resolved.found.missing), (None, vec![]));
    let imds = Imds::of_region("eu-central-1").await;
    assert_eq!(found(&settings(&text, &imds.url), &in_a_pod()).await.cluster.as_deref(), Some("tagged"));
}

#[tokio::test]
async fn what_is_nowhere_to_be_found_names_the_key_to_set() {
    for environment in [in_a_pod(), in_a_pod().with("AWS_EC2_METADATA_DISABLED", "true")] {
        let resolved = found(&settings("", NOBODY), &environment).await;
        let keys: Vec<&str> = resolved.found.missing.iter().map(|missing| missing.key).collect();
        assert_eq!(keys, ["aws.region", "node.name", "roles.base_arn"]);
        let message = resolved.found.missing[2].to_string();
        assert!(message.contains("Set `roles.base_arn`") && message.contains("metadata service"), "{message}");
    }
}

#[tokio::test]
async fn endpoints_of_the_environment_are_honoured_and_shown() {
    let environment = in_a_pod()
        .with("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        .with("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:2")
        .with("AWS_CA_BUNDLE", "/ca.pem");
    let settings = settings(EVERYTHING, NOBODY);
    let resolved = found(&settings, &environment).await;
    assert_eq!(resolved.sts_endpoint_url.as_deref(), Some("http://127.0.0.1:2"));
    assert_eq!(resolved.ca_bundle.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(source(&resolved, "aws.sts_endpoint_url"), &Source::Env("AWS_ENDPOINT_URL_STS"));
    let ignored = environment.with("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    assert_eq!(found(&settings, &ignored).await.sts_endpoint_url, None);
}
