//! The agent and the proxy at work, to look at, all in this process.
//!
//! The agent: a stand-in of CloudWatch Logs, a sample node whose containers write, rotate, restart and end and which has an
//! audit log and a journal, and the agent between them. In the end every line that was written is looked for in what the
//! stand-in holds, by its number.
//!
//! The proxy: stand-ins of the metadata service, STS and Kubernetes, and pods with different rights that ask for credentials.
//! In the end every access key that a pod got is looked up in the account that issued it. Nothing leaves the loopback
//! interface.
//!
//! The host checks: what they say of the machine that the demo runs on.
//!
//! The safeguard: its page, with the sample node's live heartbeat beside a fleet that is simulated and says so.

mod agent;
mod checks;
mod host;
mod pods;
mod proxy;
mod safeguard;
mod sample_host;
mod screen;
mod summary;
mod table;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use safeguard_standins::{Account, CloudWatch, Options as ServiceOptions};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::{Instant, MissedTickBehavior};

use crate::node::SampleNode;
use agent::RunningAgent;
use host::HostLogs;
use pods::Pods;
use proxy::RunningProxy;
use safeguard::RunningSafeguard;
use screen::Screen;
use summary::Summary;
use table::Table;

/// The cluster's name in the names of log groups.
const CLUSTER: &str = "demo";

/// The node's name in Kubernetes.
const NODE: &str = "ip-10-0-1-23.ec2.internal";

/// The instance that the sample node is.
const INSTANCE: &str = "i-0123456789abcdef0";

/// The account that it belongs to.
const ACCOUNT: &str = "123456789012";

/// How often the table is drawn, or a line of totals printed where there is no terminal.
const REFRESH: Duration = Duration::from_secs(1);

/// How long the agent may go on as usual when writing has ended. The last line of a container that died in the middle of it
/// is sent when its file was quiet for `quiet_period` (5 s), or at the latest after `partial_period` (30 s).
const CATCH_UP: Duration = Duration::from_secs(40);

/// How long the agent may take to end: what a stopping agent has by default.
const DRAIN: Duration = Duration::from_secs(25);

/// How the demo runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Seconds of writing and asking; without end until Ctrl-C if `None`.
    pub seconds: Option<u64>,
    /// Leave out the throttling and the outages.
    pub calm: bool,
}

/// Runs the demo on standard output. Returns whether everything that was written arrived, the account balances, and each pod
/// got what it should.
///
/// # Errors
/// When something could not be started, or standard output is closed.
pub async fn run(options: Options) -> anyhow::Result<bool> {
    let account = Account::new(ACCOUNT).context("make the account")?;
    let service = ServiceOptions { keys: Some(account.clone()), ..ServiceOptions::default() };
    let service = CloudWatch::start(service).await.context("start the stand-in on 127.0.0.1")?;
    let service = Arc::new(service);
    let node = Arc::new(SampleNode::new(1).context("make the sample node")?);
    let host = HostLogs::new(&node).context("start the audit log and the journal")?;
    let proxy = RunningProxy::start(NODE).await.context("start the proxy")?;
    let safeguard = RunningSafeguard::start(&account, service.region()).await.context("start the safeguard")?;
    let agent = RunningAgent::start(&node, &service, &account, &safeguard, proxy.socket());
    let agent = agent.await.context("start the agent")?;
    let mut screen = Screen::new();
    for line in introduction(&service, &node, &agent, options).into_iter().chain(about_proxy(&proxy)) {
        screen.say(&line)?;
    }
    let (to_break, socket) = (sample_host::to_break(node.root()), agent.socket().display().to_string());
    let of_safeguard = safeguard.lines(&to_break.display().to_string(), &socket, screen.paint());
    for line in checks::of_this_machine(screen.paint())?.into_iter().chain(of_safeguard) {
        screen.say(&line)?;
    }

    let length = options.seconds.map(Duration::from_secs);
    let pods = Pods::start(&node, length).context("start the sample pods")?;
    let (say, said) = mpsc::unbounded_channel();
    let host = host.start(length, say.clone());
    let trouble = (!options.calm).then(|| tokio::spawn(trouble::cause(Arc::clone(&service), length, say.clone())));
    proxy.let_ask();
    let story = proxy.play(length, !options.calm, say.clone());
    let started = Instant::now();
    let table = Table::new(started);
    let mut show =
        Show { node: Arc::clone(&node), agent, proxy, screen, table, said, started, last: Default::default() };

    let end = async {
        match length {
            Some(length) => tokio::time::sleep_until(started + length).await,
            None => std::future::pending().await,
        }
    };
    show.until(end, false).await?;
    if let Some(trouble) = trouble {
        trouble.abort();
        service.faults().clear();
        service.come_up().await.context("bring the stand-in up again")?;
    }
    proxy::finish(story).await.context("play what happens to pods")?;
    show.proxy.stop_asking().await?;
    pods.stop().await.context("play the sample pods")?;
    host.stop().await.context("write the audit log and the journal")?;
    show.say("writing and asking have ended, the agent catches up")?;
    show.until(tokio::time::sleep(CATCH_UP), true).await?;
    show.screen.keep();
    show.say("the agent and the proxy are told to end")?;

    let Show { agent, proxy, mut screen, table, .. } = show;
    let draining = Instant::now();
    let heartbeat = agent.heartbeat();
    let (last_word, keys) = tokio::select! {
        ended = async { tokio::join!(agent.drain(DRAIN), proxy.end()) } => ended,
        _ = tokio::signal::ctrl_c() => anyhow::bail!("interrupted while the agent delivered what was left"),
    };
    let summary = Summary::new(&node, &service, last_word, table.balance());
    let paint = screen.paint();
    for line in summary.lines(draining.elapsed(), paint) {
        screen.say(&line)?;
    }
    screen.say("")?;
    for line in keys.lines(paint) {
        screen.say(&line)?;
    }
    let (beats, line) = safeguard::verdict(heartbeat, paint);
    screen.say("")?;
    screen.say(&line)?;
    safeguard.end().await;
    Ok(summary.is_good() && keys.is_good() && beats)
}

/// What is shown while the agent runs.
#[derive(Debug)]
struct Show {
    node: Arc<SampleNode>,
    agent: RunningAgent,
    proxy: RunningProxy,
    screen: Screen,
    table: Table,
    said: UnboundedReceiver<String>,
    started: Instant,
    /// Totals of the agent and the proxy: lines that say nothing new are left out.
    last: [String; 2],
}

impl Show {
    /// Shows the table until `end`, or until Ctrl-C; with `or_settled`, also until nothing is left to deliver.
    async fn until(&mut self, end: impl Future<Output = ()>, or_settled: bool) -> anyhow::Result<()> {
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(end, interrupt);
        let mut refresh = tokio::time::interval(REFRESH);
        refresh.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut end => return self.refresh().await,
                interrupted = &mut interrupt => {
                    interrupted.context("listen for Ctrl-C")?;
                    return self.refresh().await;
                }
                Some(text) = self.said.recv() => self.say(&text)?,
                _ = refresh.tick() => {
                    self.refresh().await?;
                    if or_settled && self.table.is_settled() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes in the present state and shows it.
    async fn refresh(&mut self) -> anyhow::Result<()> {
        self.table.update(&self.node, self.agent.status().await);
        let pods = self.proxy.table().await;
        if self.screen.is_terminal() {
            let (seconds, paint, size) = (self.started.elapsed().as_secs(), self.screen.paint(), self.screen.size());
            let of_proxy = [String::new()].into_iter().chain(pods.lines(paint));
            let with = |brief| self.table.lines(seconds, size.map(|(columns, _)| columns), brief, paint);
            let mut lines: Vec<String> = with(false).into_iter().chain(of_proxy.clone()).collect();
            if size.is_some_and(|(_, height)| lines.len() >= height) {
                lines = with(true).into_iter().chain(of_proxy).collect();
            }
            self.screen.draw(&lines)?;
        } else {
            let totals = [self.table.totals(), pods.totals()];
            for (now, last) in totals.iter().zip(self.last.clone()) {
                if *now != last {
                    self.say(now)?;
                }
            }
            self.last = totals;
        }
        Ok(())
    }

    /// Prints a line that stays.
    fn say(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.screen.say(&format!("[{:>3} s] {text}", self.started.elapsed().as_secs()))?)
    }
}

/// What this is, and how to look inside with a client that is not ours.
fn introduction(service: &CloudWatch, node: &SampleNode, agent: &RunningAgent, options: Options) -> Vec<String> {
    let key = service.credential();
    let end = match options.seconds {
        Some(seconds) => format!("for {seconds} s"),
        None => "until Ctrl-C".to_owned(),
    };
    let trouble = if options.calm { "nothing goes wrong" } else { "three faults are injected on the way" };
    let at = format!("--endpoint-url {} --region {}", service.url(), service.region());
    let mut lines = vec![
        format!(
            "Safeguard node agent, demo: a sample node writes container logs, an audit log and a journal, and its pods ask for \
             credentials, {end}; {trouble}."
        ),
        format!("  Host root of the sample node: {}", node.root().display()),
        format!("  Stand-in for CloudWatch Logs: {} (loopback only; it verifies signatures and limits)", service.url()),
        "Look inside with the AWS CLI, in another terminal:".to_owned(),
        format!("  export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={}", key.access_key_id, key.secret_access_key),
    ];
    let groups = ["application", "dataplane", "host"];
    lines.extend(groups.map(|group| format!("  aws logs tail /aws/containerinsights/{CLUSTER}/{group} --follow {at}")));
    lines.push(format!("  aws logs describe-log-groups {at}"));
    if let Some(metrics) = agent.metrics() {
        lines.push(format!("The agent's own figures: curl http://{metrics}/metrics"));
    }
    lines.push(String::new());
    lines
}

/// The same of the proxy.
fn about_proxy(proxy: &RunningProxy) -> Vec<String> {
    let at = proxy.address().map(|at| at.to_string()).unwrap_or_default();
    vec![
        format!(
            "The proxy answers pods at {at}. Pods are the addresses 127.0.1.1 to 127.0.1.7; there is no redirect, which"
        ),
        "needs root: they connect to it by themselves. Ask as one of them, in another terminal:".to_owned(),
        format!(
            "  curl --interface 127.0.1.1 http://{at}/latest/meta-data/iam/security-credentials/ -H 'Host: 169.254.169.254'"
        ),
        "and ask the proxy why somebody gets what he gets:".to_owned(),
        format!(
            "  cargo run -q --release --bin safeguard-proxy -- explain clinic/nosy --socket {}",
            proxy.socket().display()
        ),
        String::new(),
    ]
}
