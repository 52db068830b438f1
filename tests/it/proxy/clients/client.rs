//! The clients, and what they say.

use std::path::PathBuf;
use std::time::Duration;

use safeguard_tests::fabric::{Fabric, Place};
use safeguard_tests::moto::venv_program;
use serde_json::Value;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep, timeout};

use super::rust;
use safeguard_tests::parts::{Part, node_modules};

/// How long a client may run, the start of its interpreter included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the scripts are.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// A connection to 169.254.169.254:80, as proc_net_tcp(5) has it on a machine of little endian.
const TO_METADATA: &str = " FEA9FEA9:0050 ";

/// Somebody else's client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Client {
    Boto3,
    AwsCli,
    /// `@smithy/credential-provider-imds`
    CredentialProviderImds,
    /// `@aws-sdk/ec2-metadata-service`
    Ec2MetadataService,
    /// aws-config, of the AWS SDK for Rust.
    AwsConfig,
    CurlV1,
    CurlV2,
}

pub(super) const ALL: [Client; 7] = [
    Client::Boto3,
    Client::AwsCli,
    Client::CredentialProviderImds,
    Client::Ec2MetadataService,
    Client::AwsConfig,
    Client::CurlV1,
    Client::CurlV2,
];

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Who STS says it is.
    pub(super) arn: Option<String>,
    /// What the client says went wrong.
    pub(super) error: String,
    /// From the client's first step to its last; for the CLI and curl, with the start of the program.
    pub(super) took: Duration,
    /// From the start of the program to its end.
    pub(super) ran: Duration,
    /// All that it printed, where that is JSON.
    pub(super) printed: Value,
}

impl Client {
    pub(super) fn part(self) -> Part {
        match self {
            Self::Boto3 => Part::Moto,
            Self::AwsCli => Part::AwsCli,
            Self::CredentialProviderImds | Self::Ec2MetadataService => Part::Node,
            Self::CurlV1 | Self::CurlV2 => Part::Curl,
            // Part of this program; it has to get into a pod.
            Self::AwsConfig => Part::Network,
        }
    }

    /// Its words for an answer with this status where a list of roles or a session should be.
    pub(super) fn nothing(self, status: u16) -> &'static str {
        match (self, status) {
            (Self::Boto3, _) => "no credentials",
            (Self::AwsCli, _) => "Unable to locate credentials",
            (Self::CredentialProviderImds, _) => {
                "ProviderError: Error response received from instance metadata service"
            }
            (Self::Ec2MetadataService, 404) => "Request failed with status code 404",
            (Self::Ec2MetadataService, _) => "Request failed with status code 403",
            (Self::AwsConfig, 404) => "CredentialsNotLoaded",
            (Self::AwsConfig, _) => "ProviderError",
            (Self::CurlV1 | Self::CurlV2, 404) => "error: 404",
            (Self::CurlV1 | Self::CurlV2, _) => "error: 403",
        }
    }

    /// Runs it in a pod, against this STS.
    pub(super) async fn whoami(self, fabric: &Fabric, pod: u8, sts: &str) -> Said {
        let script = |name: &str| format!("{SCRIPTS}/{name}");
        let venv = |name: &str| venv_program(name).unwrap().to_str().unwrap().to_owned();
        let command = match self {
            Self::AwsConfig => return rust::whoami(fabric, pod, sts).await,
            Self::Boto3 => vec![venv("python"), script("whoami.py")],
            Self::AwsCli => {
                let arguments = "sts get-caller-identity --query Arn --output text --endpoint-url";
                let mut command = vec![venv("aws")];
                command.extend(arguments.split(' ').map(str::to_owned).chain([sts.to_owned()]));
                command
            }
            Self::CredentialProviderImds => node("credential-provider-imds"),
            Self::Ec2MetadataService => node("ec2-metadata-service"),
            Self::CurlV1 => vec![script("whoami.sh"), "v1".to_owned()],
            Self::CurlV2 => vec![script("whoami.sh"), "v2".to_owned()],
        };
        let begun = Instant::now();
        let (succeeded, out, err) = run(fabric, pod, sts, &command).await;
        let ran = begun.elapsed();
        let took = ran;
        match self {
            Self::AwsCli => {
                Said { arn: succeeded.then(|| out.trim().to_owned()), error: err, took, ran, ..Said::default() }
            }
            Self::CurlV1 | Self::CurlV2 => {
                let arn = out.split_once("<Arn>").and_then(|(_, rest)| rest.split_once("</Arn>"));
                Said { arn: arn.map(|(arn, _)| arn.to_owned()), error: err, took, ran, ..Said::default() }
            }
            _ => {
                let printed: Value =
                    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{self:?}: {error}: {out}{err}"));
                let text = |name: &str| printed[name].as_str().map(str::to_owned);
                let took = Duration::from_secs_f64(printed["took"].as_f64().unwrap());
                Said { arn: text("arn"), error: text("error").unwrap_or_default(), took, ran, printed }
            }
        }
    }
}

fn node(client: &str) -> Vec<String> {
    vec!["node".to_owned(), format!("{SCRIPTS}/whoami.mjs"), client.to_owned()]
}

/// Runs a program in a pod, with nothing of the caller's AWS setup. Whether it succeeded, and what it wrote.
async fn run(fabric: &Fabric, pod: u8, sts: &str, command: &[String]) -> (bool, String, String) {
    let home = tempfile::tempdir().unwrap();
    let mut ready = fabric.command_in(Place::Pod(pod), &command[0]);
    ready.args(&command[1..]).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    // The CLI knows the region by its older name alone.
    ready
        .envs([("AWS_REGION", "us-east-1"), ("AWS_DEFAULT_REGION", "us-east-1"), ("STS", sts)])
        .env("HOME", home.path());
    ready.env("MODULES", node_modules().unwrap_or_else(|| PathBuf::from("/")));
    let mut ready = tokio::process::Command::from(ready);
    let output = timeout(PATIENCE, ready.kill_on_drop(true).output()).await;
    let output = output.unwrap_or_else(|_| panic!("{command:?} still runs after {PATIENCE:?}")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stdout), text(output.stderr))
}

/// Waits until a client in a pod has asked the metadata service, having done so this often before; the moment when it was seen.
pub(super) async fn asks(fabric: &Fabric, pod: u8, before: u32) -> Instant {
    let late = Instant::now() + PATIENCE;
    let connections =
        || block_in_place(|| fabric.in_pod(pod, || std::fs::read_to_string("/proc/thread-self/net/tcp"))).unwrap();
    let seen: Vec<String> = if before == 0 { Vec::new() } else { lines(&connections()) };
    while lines(&connections()).iter().all(|line| seen.contains(line)) {
        assert!(Instant::now() < late, "it does not ask");
        sleep(Duration::from_millis(5)).await;
    }
    Instant::now()
}

/// The pod's own ends of connections to the metadata service, old ones included.
fn lines(table: &str) -> Vec<String> {
    let to_metadata = table.lines().filter(|line| line.contains(TO_METADATA));
    to_metadata.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
}
