//! The proxy under show: the same library entry as the program's own `main`, strict stand-ins of the services around it, and
//! pods that are addresses of the loopback interface.
//!
//! Without root there is no redirect: pods connect to the proxy itself, each from its own address, and `status.podIPs` tells
//! whose that is.

mod client;
mod pods;
mod record;
mod services;
mod story;
mod summary;
mod table;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use safeguard_proxy::config::{HumanDuration, Policy};
use safeguard_proxy::{Other, Proxy};
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use client::Clients;
use record::{Due, Record};
use services::Services;

pub(super) use summary::Summary;
pub(super) use table::Table;

/// How long the proxy may take to end.
const END: Duration = Duration::from_secs(10);

/// The proxy, running in this process, with everything around it.
#[derive(Debug)]
pub(super) struct RunningProxy {
    proxy: Proxy,
    services: Arc<Services>,
    record: Arc<Record>,
    clients: Arc<Clients>,
}

impl RunningProxy {
    /// Starts the services, tells them of the first pods, and starts the proxy on `node`.
    pub(super) async fn start(node: &str) -> anyhow::Result<Self> {
        Self::start_with(node, Policy::Enforce).await
    }

    async fn start_with(node: &str, policy: Policy) -> anyhow::Result<Self> {
        let services = Services::start(node).await.context("start the stand-ins of IMDS, STS and Kubernetes")?;
        for pod in pods::FIRST {
            services.run(pod);
        }
        let mut settings = services.settings();
        settings.roles.namespace_policy = policy;
        settings.proxy.shutdown_grace = HumanDuration(Duration::from_secs(2));
        let proxy = Proxy::start(settings, services.environment(), Other::Refuse).await?;
        services.pods_may_ask();
        let to = *proxy.addresses().first().context("the proxy listens nowhere")?;
        let record = Arc::new(Record::new(services.account.clone(), services.node_role()));
        let clients = Arc::new(Clients::new(to, record.clone()));
        Ok(Self { proxy, services: Arc::new(services), record, clients })
    }

    /// Where pods are answered.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        self.proxy.addresses().first().copied()
    }

    /// The socket that `explain` asks.
    pub(super) fn socket(&self) -> &Path {
        self.proxy.socket()
    }

    /// Lets the first pods ask.
    pub(super) fn let_ask(&self) {
        for pod in pods::FIRST {
            self.clients.start(Some(pod), pod.address, pod.due());
        }
        self.clients.start(None, pods::NOBODY, Due::Refused { status: 503, why: "unknown" });
    }

    /// What happens to pods, and with `trouble` to STS, in `length`.
    pub(super) fn play(
        &self,
        length: Option<Duration>,
        trouble: bool,
        say: UnboundedSender<String>,
    ) -> JoinHandle<anyhow::Result<()>> {
        let (services, clients) = (self.services.clone(), self.clients.clone());
        let length = length.unwrap_or(Duration::from_secs(30));
        tokio::spawn(async move { story::play(&services, &clients, length, trouble, &say).await })
    }

    /// Lets nobody ask any more, once each pod has had the answer that it is due. STS is there again.
    pub(super) async fn stop_asking(&self) -> anyhow::Result<()> {
        self.services.sts.come_up().await.context("bring the stand-in of STS up again")?;
        self.clients.stop().await;
        Ok(())
    }

    /// What the clients have seen so far, and what the proxy says of it.
    pub(super) async fn table(&self) -> Table {
        Table::new(&self.record, self.proxy.socket()).await
    }

    /// Ends the proxy, and looks every key up.
    pub(super) async fn end(self) -> Summary {
        let Self { proxy, services, record, clients } = self;
        drop(clients);
        let ended = tokio::time::timeout(END, proxy.shutdown()).await.is_ok();
        Summary::new(&record, &services, ended)
    }
}

/// Ends what happens to pods, however far it is, and says what went wrong.
///
/// # Errors
/// What went wrong.
pub(super) async fn finish(story: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    story.abort();
    match story.await {
        Ok(ended) => ended,
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn play(policy: Policy) -> Summary {
        let proxy = RunningProxy::start_with("node-1", policy).await.unwrap();
        proxy.let_ask();
        let (say, _said) = tokio::sync::mpsc::unbounded_channel();
        proxy.play(Some(Duration::from_secs(3)), true, say).await.unwrap().unwrap();
        proxy.stop_asking().await.unwrap();
        proxy.end().await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn each_pod_gets_what_it_should_through_all_that_happens() {
        let summary = play(Policy::Enforce).await;
        assert!(summary.is_good(), "{:#?}", summary.problems());
    }

    /// A proxy that gives too much is not shown as a good one.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_pod_that_gets_more_than_it_should_is_noticed() {
        let summary = play(Policy::Off).await;
        assert!(!summary.is_good());
        let problems = summary.problems().join("\n");
        assert!(problems.contains("clinic/nosy"), "{problems}");
        assert!(!problems.contains("shop/checkout"), "{problems}");
    }
}
