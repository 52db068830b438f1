//! Asks clusters again and again, and hands on what they say.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use http::{Method, StatusCode};
use safeguard_daemon::shutdown::Shutdown;

use super::reply::{self, MAX_NODES};
use super::{ApiServer, Readiness};
use crate::registrar::Desk;
use crate::verify::{Cluster, Settings, SettingsError};

/// Nodes that are asked for at once. One with 50 images in its status has some 30 KiB.
const PAGE: &str = "100";
/// The longest page.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Pages of one list: 50,000 nodes. More are an error, and never a list that is cut short.
const MAX_PAGES: usize = 500;
/// For a whole list. The API server keeps a list that is begun for five minutes (`--etcd-compaction-interval`).
const WHOLE: Duration = Duration::from_secs(120);
/// Of a reason, what is told and stored.
const REASON: usize = 300;

/// A cluster that is asked.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(super) place: Place,
    pub(super) server: ApiServer,
}

/// A cluster: its tenant, and its name as its nodes say it. Two tenants may have clusters of one name.
pub type Place = [String; 2];

/// What a cluster said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Which.
    pub place: Place,
    /// The list.
    pub outcome: Outcome,
}

/// A whole list, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Its nodes that are instances of AWS, by the ids of these.
    Nodes(HashMap<String, Readiness>),
    /// It did not tell. What was known before stays.
    Silent(String),
}

/// Who is asked. Reads the authorities that the settings name; nobody is asked yet.
pub(crate) fn asked(settings: &Settings) -> Result<Vec<Asked>, SettingsError> {
    let asked = |cluster: &Cluster| {
        let place = [settings.tenant_of(cluster).to_owned(), cluster.name.clone()];
        Ok(Asked { place, server: ApiServer::new(cluster)? })
    };
    settings.clusters.iter().filter(|cluster| cluster.nodes).map(asked).collect()
}

/// Asks until the end: at once, and then at each interval. Without somebody to ask it only forgets what was said before.
pub(crate) async fn watch(asked: Vec<Asked>, every: Duration, desk: Desk, shutdown: Shutdown) {
    desk.clusters_from(asked.iter().map(|asked| asked.place.clone()).collect()).await;
    // Each goes its own way: none waits for another.
    let ask = stream::iter(&asked).for_each_concurrent(None, |asked| again(asked, every, &desk));
    tokio::select! {
        () = ask => {}
        () = shutdown.requested() => {}
    }
}

async fn again(asked: &Asked, every: Duration, desk: &Desk) {
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let outcome = asked.once().await;
        desk.cluster(Listing { place: asked.place.clone(), outcome }).await;
    }
}

impl Asked {
    /// One list.
    pub(super) async fn once(&self) -> Outcome {
        let late = |_| Err(format!("its list was not whole within {} s", WHOLE.as_secs()));
        match tokio::time::timeout(WHOLE, self.list()).await.unwrap_or_else(late) {
            Ok(nodes) => Outcome::Nodes(nodes),
            Err(reason) => Outcome::Silent(reason.chars().take(REASON).collect()),
        }
    }

    async fn list(&self) -> Result<HashMap<String, Readiness>, String> {
        let (mut nodes, mut at) = (HashMap::new(), None);
        for _ in 0..MAX_PAGES {
            let question = question(at.as_deref());
            let answer = self.server.ask(Method::GET, &question, String::new(), MAX_PAGE_BYTES).await?;
            if answer.status != StatusCode::OK {
                return Err(refusal(answer.status, at.is_some()));
            }
            let page = reply::read(&answer.body)?;
            for (id, readiness) in page.nodes {
                add(&mut nodes, id, readiness);
            }
            if nodes.len() > MAX_NODES {
                return Err(format!("it has more than {MAX_NODES} nodes"));
            }
            match page.next {
                None => return Ok(nodes),
                next if next == at => return Err("its list goes on where it was before".to_owned()),
                next => at = next,
            }
        }
        Err(format!("it has more than {MAX_PAGES} pages of nodes"))
    }
}

/// An instance that joined again by another name has two nodes for a while: it is Ready if one of them is.
fn add(nodes: &mut HashMap<String, Readiness>, id: String, readiness: Readiness) {
    let known = nodes.entry(id).or_insert(readiness);
    if readiness == Readiness::Ready {
        *known = readiness;
    }
}

fn question(at: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("limit", PAGE);
    if let Some(at) = at {
        query.append_pair("continue", at);
    }
    format!("/api/v1/nodes?{}", query.finish())
}

fn refusal(status: StatusCode, begun: bool) -> String {
    let why = match status {
        StatusCode::UNAUTHORIZED => ": it does not know our token",
        StatusCode::FORBIDDEN => ": our token may not list nodes",
        StatusCode::GONE if begun => ": the list grew too old while it was read",
        _ => "",
    };
    format!("it answered {}{why}", status.as_u16())
}
