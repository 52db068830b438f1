//! Which instances should be there, asked of moto.

use std::process::Command;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use safeguard::expected::{Account, Ec2, InstanceState, Settings};
use safeguard::server::{Outside, Server};
use safeguard::verify::Tenant;
use safeguard::vouching::Vouching;
use safeguard_standins::sts::{Outcome, Role};
use safeguard_standins::{Account as Issuer, Principal, Sts, StsOptions};
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
    let image = python(&moto, FLEET);

    let credentials = SharedCredentialsProvider::new(Credentials::new("test", "test", None, None, "test"));
    let ec2 = Ec2::new(&Settings { endpoint: Some(moto.endpoint()), ..Settings::default() }).unwrap();
    let instances = ec2.instances(&credentials, "eu-central-1", safeguard_daemon::clock::now()).await.unwrap();
    assert_eq!(instances.len(), 501);
    let count = |state| instances.iter().filter(|instance| instance.state == state).count();
    assert_eq!(count(InstanceState::Running), 499);
    assert_eq!((count(InstanceState::Stopped), count(InstanceState::Terminated)), (1, 1));
    for instance in &instances {
        assert_eq!((instance.cluster.as_deref(), instance.node_group.as_deref()), (Some("prod"), Some("workers")));
        assert_eq!((instance.account.as_str(), instance.image_id.as_str()), ("123456789012", image.trim()));
        assert!(instance.launch_ms.is_some(), "{instance:?}");
    }
    assert!(ec2.instances(&credentials, "eu-west-1", safeguard_daemon::clock::now()).await.unwrap().is_empty());
}

/// What a program of boto3 prints, which has the endpoint as its argument.
fn python(moto: &Moto, program: &str) -> String {
    let made = Command::new(venv_program("python").unwrap())
        .args(["-c", program, &moto.endpoint()])
        .env_clear()
        .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_EC2_METADATA_DISABLED", "true")])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap()
}

/// An instance of a cluster in each of two accounts of customers, whose role somebody else assumes.
const CUSTOMERS: &str = r"
import boto3, sys
sts = boto3.client('sts', region_name='eu-central-1', endpoint_url=sys.argv[1])
for account in ('444455556666', '777788889999'):
    taken = sts.assume_role(RoleArn=f'arn:aws:iam::{account}:role/reads', RoleSessionName='test')['Credentials']
    ec2 = boto3.client('ec2', region_name='eu-central-1', endpoint_url=sys.argv[1], aws_access_key_id=taken['AccessKeyId'],
        aws_secret_access_key=taken['SecretAccessKey'], aws_session_token=taken['SessionToken'])
    image = ec2.describe_images()['Images'][0]['ImageId']
    id = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)['Instances'][0]['InstanceId']
    ec2.create_tags(Resources=[id], Tags=[{'Key': 'eks:cluster-name', 'Value': account}])
";

/// A safeguard that asks with these settings, once the query of its store says what is wanted.
async fn once(settings: Settings, credentials: Credentials, query: &str, wanted: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut all = safeguard::config::Settings::default();
    all.server.listen = "127.0.0.1:0".to_owned();
    all.server.state_dir = dir.path().join("state");
    let accounts = settings.accounts.iter().map(|account| account.account.clone()).collect();
    all.verify.tenants = vec![Tenant { name: "acme".to_owned(), accounts, ..Tenant::default() }];
    all.expected = settings;
    let credentials = Some(SharedCredentialsProvider::new(credentials));
    let outside = Outside { vouching: Vouching::Simulation, credentials };
    let server = Server::start_with(&all, outside, safeguard_daemon::clock::now_ms).await.unwrap();
    let store = rusqlite::Connection::open(all.store()).unwrap();
    let mut said = None;
    for _ in 0..300 {
        said = store.query_row(query, [], |row| row.get::<_, Option<String>>(0)).ok().flatten();
        if said.as_ref().is_some_and(|said| said.contains(wanted)) {
            return server.shutdown().await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{query}: {said:?}, and not {wanted}")
}

fn customer(account: &str, external_id: Option<&str>) -> Account {
    Account {
        account: account.to_owned(),
        regions: vec!["eu-central-1".to_owned()],
        role: Some(format!("arn:aws:iam::{account}:role/reads")),
        external_id: external_id.map(str::to_owned),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_of_customers_are_asked_with_their_own_roles() {
    if !here("expected::accounts_of_customers_are_asked_with_their_own_roles", Part::Moto) {
        return;
    }
    let moto = Moto::start().await.unwrap();
    python(&moto, CUSTOMERS);
    let settings = Settings {
        accounts: vec![customer("444455556666", None), customer("777788889999", None)],
        endpoint: Some(moto.endpoint()),
        sts_endpoint: Some(moto.endpoint()),
        ..Settings::default()
    };
    let query =
        "SELECT group_concat(account || ' ' || cluster || ' ' || ec2_state) FROM (SELECT * FROM node ORDER BY account)";
    let wanted = "444455556666 444455556666 running,777788889999 777788889999 running";
    once(settings, Credentials::new("test", "test", None, None, "test"), query, wanted).await;
}

/// The trust policy of a customer's role asks for an external id, against whoever has the safeguard ask for him ("confused deputy").
#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_may_not_be_assumed_is_told_by_name() {
    let issuer = Issuer::new("111122223333").unwrap();
    let own = issuer.issue_lasting(Principal::user("111122223333", "safeguard"));
    let options = StsOptions { region: "eu-central-1".to_owned(), ..StsOptions::new(issuer) };
    let sts = Sts::start(options).await.unwrap();
    let role = Role::new("arn:aws:iam::444455556666:role/reads");
    sts.put_role(role.trusting("arn:aws:iam::111122223333:user/safeguard").with_external_id("ours"));
    let own = Credentials::new(own.access_key_id, own.secret_access_key, None, None, "test");
    // Nobody listens there.
    let ec2 = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let settings = |external_id| Settings {
        accounts: vec![customer("444455556666", external_id)],
        endpoint: Some(format!("http://{ec2}")),
        sts_endpoint: Some(sts.url()),
        ..Settings::default()
    };
    let query = "SELECT reason FROM ec2_place";
    for external_id in [None, Some("theirs")] {
        once(settings(external_id), own.clone(), query, "AccessDenied").await;
        once(settings(external_id), own.clone(), query, "arn:aws:iam::444455556666:role/reads").await;
    }
    let given = || sts.calls().iter().filter(|call| matches!(call.outcome, Outcome::Done(Some(_)))).count();
    assert_eq!(given(), 0);
    // With the right one it is EC2's turn.
    once(settings(Some("ours")), own, query, "EC2 in eu-central-1 could not be asked").await;
    assert!(given() > 0 && sts.calls().iter().all(|call| call.session_name.as_deref() == Some("safeguard")));
}
