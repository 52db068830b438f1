//! The agent inside another program: several at a time, with credentials that are handed over.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, reason = "a test builds a host")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use safeguard_agent::{Agent, Environment, Settings, StartError};
use safeguard_standins::{CloudWatch, Options};
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(30);

fn settings(dir: &Path, name: &str, cloud: &CloudWatch) -> Settings {
    let pod = dir.join(format!("{name}/host/var/log/pods/shop_{name}-1_0a1b/web"));
    fs::create_dir_all(&pod).unwrap();
    fs::write(pod.join("0.log"), format!("{name} has no head of a container runtime\n")).unwrap();
    let mut settings = Settings::default();
    settings.node.name = Some(name.to_owned());
    settings.node.cluster = Some("prod".to_owned());
    settings.node.host_root = dir.join(name).join("host");
    settings.aws.region = Some("us-east-1".to_owned());
    settings.aws.endpoint_url = Some(cloud.url());
    settings.logs.flush_interval = Duration::from_millis(100).into();
    settings.agent.state_dir = dir.join(name).join("state");
    settings.agent.run_dir = dir.join(name).join("run");
    settings.agent.metrics = "127.0.0.1:0".to_owned();
    settings
}

fn environment(cloud: &CloudWatch) -> Environment {
    let key = cloud.credential();
    Environment::empty().with_credentials(&key.access_key_id, &key.secret_access_key, key.session_token.as_deref())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_agents_live_in_one_process_and_start_again() {
    let (dir, cloud) = (tempfile::tempdir().unwrap(), CloudWatch::start(Options::default()).await.unwrap());
    let group = "/aws/containerinsights/prod/application";
    let (a, b) = (settings(dir.path(), "a", &cloud), settings(dir.path(), "b", &cloud));
    let first = Agent::start(a.clone(), environment(&cloud)).await.unwrap();
    let second = Agent::start(b, environment(&cloud)).await.unwrap();
    assert_ne!(first.metrics(), second.metrics());
    let arrived = async |stream: &str| {
        while cloud.events(group, stream).is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, async { tokio::join!(arrived("a"), arrived("b")) }).await.unwrap();
    assert!(first.health().healthy);
    assert_eq!(first.status().await.unwrap().total.imbalance(), None);

    let refused = Agent::start(a.clone(), environment(&cloud)).await.unwrap_err();
    assert!(matches!(refused, StartError::Lock(_)), "{refused}");
    assert!(first.shutdown().await.complete && second.shutdown().await.complete);
    // Everything is released: socket, port and lock.
    let again = Agent::start(a, environment(&cloud)).await.unwrap();
    let summary = again.shutdown().await;
    assert!(summary.complete && summary.behind_bytes == 0, "{summary:?}");
    assert_eq!(cloud.events(group, "a").len(), 1, "the checkpoint holds");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ca_bundle_that_is_none_is_refused_by_name() {
    let (dir, cloud) = (tempfile::tempdir().unwrap(), CloudWatch::start(Options::default()).await.unwrap());
    let mut settings = settings(dir.path(), "a", &cloud);
    let bundle = dir.path().join("ca.pem");
    fs::write(&bundle, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    settings.aws.ca_bundle = Some(bundle.clone());
    let error = Agent::start(settings, environment(&cloud)).await.unwrap_err().to_string();
    assert!(error.contains(bundle.to_str().unwrap()) && error.contains("PEM"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_verified_with_the_bundle_that_was_set() {
    let cloud = CloudWatch::start(Options { tls: true, ..Options::default() }).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let bundle = dir.path().join("ca.pem");
    fs::write(&bundle, cloud.ca_pem().unwrap()).unwrap();
    let trusting = environment(&cloud).with("AWS_CA_BUNDLE", bundle.to_str().unwrap());
    let agent = Agent::start(settings(dir.path(), "a", &cloud), trusting).await.unwrap();
    assert_eq!(agent.resolved().found["aws.ca_bundle"].1.to_string(), "env AWS_CA_BUNDLE");
    assert!(agent.shutdown().await.complete);

    let agent = Agent::start(settings(dir.path(), "b", &cloud), environment(&cloud)).await.unwrap();
    let summary = agent.shutdown_within(Duration::from_secs(2)).await;
    assert!(!summary.complete && summary.left[0].log == "shop/b-1/web", "{summary:?}");
}

/// A service of version 1 or 2, as far as one request without a token tells: it gives everybody this status.
async fn imds(status: u16) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            if stream.read(&mut request).await.is_ok() {
                let reply = format!("HTTP/1.1 {status} It\r\ncontent-length: 0\r\n\r\n");
                drop(stream.write_all(reply.as_bytes()).await);
            }
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_checks_learn_whether_tokens_are_required() {
    use safeguard_checks::Status;
    let (dir, cloud) = (tempfile::tempdir().unwrap(), CloudWatch::start(Options::default()).await.unwrap());
    for (name, status, expected) in [("a", 401, Status::Pass), ("b", 200, Status::Fail), ("c", 500, Status::Unknown)] {
        let mut settings = settings(dir.path(), name, &cloud);
        settings.aws.imds_endpoint = Some(imds(status).await);
        let agent = Agent::start(settings, environment(&cloud)).await.unwrap();
        let seen = timeout(PATIENCE, async {
            loop {
                let snapshot = agent.checks().map(|s| s.report.clone());
                let finding =
                    snapshot.as_ref().and_then(|r| r.findings().map(|(_, f)| f).find(|f| f.control == "IMD-01"));
                // Before it was asked, nobody knows either.
                if let Some(finding) = finding.filter(|f| !f.because().contains("nobody asked")) {
                    break (finding.id.clone(), finding.status);
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        assert_eq!(seen.await.unwrap(), (format!("{name}/eks-node-hardening/IMD-01"), expected));
        assert!(agent.shutdown().await.complete);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_checks_looks_at_nothing() {
    let (dir, cloud) = (tempfile::tempdir().unwrap(), CloudWatch::start(Options::default()).await.unwrap());
    let mut settings = settings(dir.path(), "a", &cloud);
    settings.checks.enabled = false;
    let agent = Agent::start(settings, environment(&cloud)).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    assert!(agent.checks().is_none() && !dir.path().join("a/state/checks").exists());
    assert!(agent.shutdown().await.complete);
}
