//! AWS and a cluster, as far as a node can tell: stand-ins in the network of a booted machine, which leads nowhere.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use safeguard_standins::imds::Instance;
use safeguard_standins::kubernetes::{self, Eks, Resource, Verb};
use safeguard_standins::{
    Account, CloudWatch, IdentityCa, Imds, ImdsOptions, Kubernetes, KubernetesOptions, Options, Sts, StsOptions,
};
use safeguard_tests::machine::Machine;

pub(crate) const ACCOUNT: &str = "123456789012";
const CLUSTER: &str = "production";
const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);
const LOGS: SocketAddr = local(4567);
const STS: SocketAddr = local(4566);
const API: SocketAddr = local(6443);

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The services.
pub(crate) struct Cloud {
    pub(crate) logs: CloudWatch,
    pub(crate) sts: Sts,
    pub(crate) api: Kubernetes,
    _imds: Imds,
    authority: Arc<IdentityCa>,
}

/// The role of the nodes.
pub(crate) fn node_role() -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/node")
}

/// What the node is called that these services know.
pub(crate) fn node_name() -> String {
    format!("ip-{}.ec2.internal", Instance::default().local_ipv4.replace('.', "-"))
}

impl Cloud {
    /// Starts them for the boot that a machine is in: its network is new with each.
    pub(crate) async fn around(machine: &Machine) -> Self {
        // The metadata service's address may only be in a network that is not this host's.
        let inside = machine.root().parent().unwrap().join("ns/net");
        assert_ne!(fs::read_link(inside).unwrap(), fs::read_link("/proc/self/ns/net").unwrap());
        machine.run(&["ip", "address", "add", &format!("{METADATA}/32"), "dev", "lo"]).unwrap();

        let (account, instance, node) = (Account::new(ACCOUNT).unwrap(), Instance::default(), node_name());
        let user = format!("system:node:{node}");
        let authority = Arc::new(IdentityCa::new(&instance.region).unwrap());
        let options = ImdsOptions {
            listen: machine.listen_at((METADATA, 80).into()),
            instance,
            identity_ca: Some(authority.clone()),
            ..ImdsOptions::new(account.clone())
        };
        let imds = Imds::start(options).await.unwrap();
        let options = StsOptions { listen: machine.listen_at(STS), ..StsOptions::new(account.clone()) };
        let sts = Sts::start(options).await.unwrap();
        let eks = Eks {
            account: account.clone(),
            region: "us-east-1".to_owned(),
            cluster: CLUSTER.to_owned(),
            endpoints: vec![format!("http://{STS}")],
            users: BTreeMap::from([(node_role(), user.clone())]),
        };
        let listen = machine.listen_at(API);
        let options = KubernetesOptions { listen, tls: true, eks: Some(eks), ..KubernetesOptions::default() };
        let api = Kubernetes::start(options).await.unwrap();
        api.bind_to_node(&user, &node);
        // What the node authorizer lets a node do, and what docs/permissions.md gives to all nodes.
        api.grant(&user, &[Verb::List, Verb::Watch], Resource::Pods, None);
        api.grant(&user, &[Verb::Get], Resource::Nodes, None);
        api.grant(&user, &[Verb::Get], Resource::Leases, None);
        api.grant(&user, &[Verb::List, Verb::Watch], Resource::Namespaces, None);
        api.add_node(kubernetes::node(&node, "10.0.1.23"));
        let logs = Options { listener: Some(machine.listen_at(LOGS)), keys: Some(account), ..Options::default() };
        let logs = CloudWatch::start(logs).await.unwrap();
        Self { logs, sts, api, _imds: imds, authority }
    }

    /// Files that a safeguard needs to believe the AWS that is here, and its settings.
    pub(crate) fn safeguard(&self) -> [(&'static str, String); 3] {
        let settings = format!(
            "[page]\nopen = true\n[nodes]\ninterval = \"5s\"\n[verify]\ncertificates = \"/etc/safeguard/aws-certificates\"\n\
             [verify.sts]\nendpoint = \"http://{STS}\"\n\
             [[verify.tenants]]\nname = \"example\"\naccounts = [\"{ACCOUNT}\"]\nroles = [\"node\"]\n"
        );
        [
            ("etc/safeguard/aws-certificates/index.toml", self.authority.index_entry("2195-01-01T00:00:00Z")),
            ("etc/safeguard/aws-certificates/test.pem", self.authority.certificate_pem().to_owned()),
            ("etc/safeguard/safeguard.toml", settings),
        ]
    }
}

/// How an agent's settings name that safeguard, which has this key.
pub(crate) fn heartbeat(key: &str) -> String {
    let key = key.trim();
    format!("[heartbeat]\nurl = \"http://127.0.0.1:8420\"\ntenant = \"example\"\nserver_keys = [\"{key}\"]\n")
}

/// What the kubelet reaches its API server with.
pub(crate) fn kubeconfig() -> String {
    format!(
        "clusters: [{{name: a, cluster: {{server: 'https://{API}', certificate-authority: /etc/kubernetes/pki/ca.crt}}}}]\n\
         contexts: [{{name: a, context: {{cluster: a, user: a}}}}]\ncurrent-context: a\n\
         users: [{{name: a, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1beta1, command: aws, \
         args: [eks, get-token, --cluster-name, {CLUSTER}]}}}}}}]\n"
    )
}

/// A drop-in for a unit of ours: a region's services have no address here.
pub(crate) fn endpoints() -> String {
    format!(
        "[Service]\nEnvironment=AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=http://{LOGS}\n\
         Environment=AWS_ENDPOINT_URL_STS=http://{STS}\n"
    )
}

/// Copies a program with the libraries that it is linked with. Both sides are the same Debian.
pub(crate) fn copy_program(name: &str, root: &Path) {
    let found = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(|dir| Path::new(dir).join(name));
    let path = found.iter().find(|path| path.exists()).unwrap_or_else(|| panic!("the program {name} is missing"));
    // Where the file is, and not a link to it.
    let path = &path.canonicalize().unwrap();
    let linked = Command::new("ldd").arg(path).output().unwrap();
    let linked = String::from_utf8_lossy(&linked.stdout).into_owned();
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from);
    for file in libraries.chain([path.clone()]) {
        let to = root.join(file.strip_prefix("/").unwrap());
        // What the image has as an empty file is the same by name alone.
        if !to.metadata().is_ok_and(|meta| meta.len() > 0) {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(&file, &to).unwrap();
        }
    }
}
