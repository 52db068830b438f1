//! Commands of the AWS CLI, against a stand-in of AWS that others wrote. It knows the cluster `production` with one node.

use std::process::{Command, Stdio};

use safeguard_tests::moto::{Moto, venv_program};

use super::pages::Block;

const NODE: &str = "ip-10-0-12-34.ec2.internal";

/// The account of the manual, as far as its commands look at it.
pub(super) struct Aws(Moto);

impl Aws {
    /// An account with the groups of the cluster.
    pub(super) async fn new() -> Self {
        let aws = Self(Moto::start().await.unwrap());
        for group in ["application", "dataplane", "host"] {
            let group = format!("/aws/containerinsights/production/{group}");
            let made = aws.run(&format!(
                "aws logs create-log-group --log-group-name {group}\n\
                 aws logs create-log-stream --log-group-name {group} --log-stream-name {NODE}"
            ));
            assert_eq!(made, None);
        }
        aws
    }

    /// What is said if a block does not end as it should.
    pub(super) fn mistake(&self, block: &Block) -> Option<String> {
        self.run(&block.text).map(|said| format!("{}: {said}", block.at))
    }

    /// What IAM has against a policy, if a block is one. One that names principals says who may be a role.
    pub(super) fn unfit_policy(&self, block: &Block) -> Option<String> {
        if block.language != "json" || !block.text.contains("\"Statement\"") {
            return None;
        }
        let name: String = block.at.chars().filter(char::is_ascii_alphanumeric).collect();
        let verb = if block.text.contains("\"Principal\"") {
            format!("create-role --role-name {name} --assume-role-policy-document")
        } else {
            format!("create-policy --policy-name {name} --policy-document")
        };
        self.run(&format!("aws iam {verb} '{}'", block.text)).map(|said| format!("{}: {said}", block.at))
    }

    fn run(&self, script: &str) -> Option<String> {
        let bin = venv_program("aws").unwrap();
        let path = format!("{}:/usr/bin:/bin", bin.parent().unwrap().display());
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", script]).stdin(Stdio::null()).env_clear().env("PATH", path);
        command.env("AWS_ENDPOINT_URL", self.0.endpoint()).env("AWS_DEFAULT_REGION", "us-east-1");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_PAGER", "");
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (!output.status.success()).then(|| format!("{}\n{script}\n{}", output.status, String::from_utf8_lossy(&said)))
    }
}
