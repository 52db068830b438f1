//! Which instances should be there, asked of moto.

use std::process::Command;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use safeguard::expected::{Ec2, InstanceState, Settings};
use safeguard_tests::moto::{Moto, venv_program};

use safeguard_tests::parts::{Part, here};

/// 501 instances of a cluster, one of them stopped and one terminated, and one of nobody.
const FLEET: &str = r"
import boto3, sys
ec2 = boto3.client('ec2', region_name='eu-central-1', endpoint_url=sys.argv[1])
image = ec2.describe_images()['Images'][0]['ImageId']
def run(count):
    return [instance['InstanceId'] for instance in ec2.run_instances(ImageId=image, MinCount=count, MaxCount=count)['Instances']]
def tag(ids, key, value): ec2.create_tags(Resources=ids, Tags=[{'Key': key, 'Value': value}])
ids = run(501)
tag(ids, 'eks:cluster-name', 'prod')
tag(ids, 'eks:nodegroup-name', 'workers')
run(1)
ec2.stop_instances(InstanceIds=ids[:1])
ec2.terminate_instances(InstanceIds=ids[1:2])
print(image)
";

#[tokio::test(flavor = "multi_thread")]
async fn every_instance_of_a_cluster_is_told_page_by_page() {
    if !here("expected::every_instance_of_a_cluster_is_told_page_by_page", Part::Moto) {
        return;
    }
    let moto = Moto::start().await.unwrap();
    let made = Command::new(venv_program("python").unwrap())
        .args(["-c", FLEET, &moto.endpoint()])
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_EC2_METADATA_DISABLED", "true")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let image = String::from_utf8(made.stdout).unwrap();

    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let ec2 = Ec2::new(&Settings { endpoint: Some(moto.endpoint()), ..Settings::default() }, credentials).unwrap();
    let instances = ec2.instances("eu-central-1", safeguard_daemon::clock::now()).await.unwrap();
    assert_eq!(instances.len(), 501);
    let count = |state| instances.iter().filter(|instance| instance.state == state).count();
    assert_eq!(count(InstanceState::Running), 499);
    assert_eq!((count(InstanceState::Stopped), count(InstanceState::Terminated)), (1, 1));
    for instance in &instances {
        assert_eq!((instance.cluster.as_deref(), instance.node_group.as_deref()), (Some("prod"), Some("workers")));
        assert_eq!((instance.account.as_str(), instance.image_id.as_str()), ("123456789012", image.trim()));
        assert!(instance.launch_ms.is_some(), "{instance:?}");
    }
    assert!(ec2.instances("eu-west-1", safeguard_daemon::clock::now()).await.unwrap().is_empty());
}
