//! Asks EC2 again and again, and hands on what it says.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use safeguard_daemon::clock;
use safeguard_daemon::shutdown::Shutdown;

use super::{Asked, Ec2, Instance};
use crate::registrar::Desk;
use crate::verify::Tenant;

/// Places that are asked at the same time: one that does not answer holds up few others.
const AT_ONCE: usize = 8;

/// Of what EC2 gives one list.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
}

/// What EC2 said of one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Of where.
    pub place: Place,
    /// The list.
    pub outcome: Outcome,
}

/// A whole list, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The account's instances that have a cluster.
    Instances {
        /// Those that a tenant has, with whose they are.
        belonging: Vec<(String, Instance)>,
        /// The ids of all. An empty list says nothing about anybody: the credentials may be of another account.
        ids: HashSet<String>,
    },
    /// EC2 did not tell. What was known before stays.
    Silent(String),
}

/// Asks until the end: at once, and then at each interval. Without somebody to ask it only forgets what was asked before.
pub(crate) async fn watch(
    ec2: Option<Ec2>,
    asked: Vec<Asked>,
    every: Duration,
    tenants: Vec<Tenant>,
    desk: Desk,
    shutdown: Shutdown,
) {
    let places = asked.iter().flat_map(|asked| {
        let place = |region: &String| Place { account: asked.account.account.clone(), region: region.clone() };
        asked.account.regions.iter().map(move |region| (place(region), &asked.credentials))
    });
    let places: Vec<_> = places.collect();
    desk.expect_from(places.iter().map(|(place, _)| place.clone()).collect()).await;
    let Some(ec2) = ec2 else { return };
    let round = async || {
        let each = stream::iter(&places).for_each_concurrent(AT_ONCE, async |(place, credentials)| {
            let outcome = match ec2.instances(credentials, &place.region, clock::now()).await {
                Ok(instances) => outcome(instances, &place.account, &tenants),
                Err(error) => Outcome::Silent(error.to_string()),
            };
            desk.expect(Listing { place: place.clone(), outcome }).await;
        });
        each.await;
    };
    let ask = async {
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            round().await;
        }
    };
    tokio::select! {
        () = ask => {}
        () = shutdown.requested() => {}
    }
}

fn outcome(mut instances: Vec<Instance>, account: &str, tenants: &[Tenant]) -> Outcome {
    let other = instances.iter().find(|instance| instance.account != account).map(|instance| instance.account.clone());
    instances.retain(|instance| instance.account == account);
    if let Some(other) = other.filter(|_| instances.is_empty()) {
        return Outcome::Silent(format!("the credentials are of account {other}, and not of {account}"));
    }
    let ids = instances.iter().map(|instance| instance.instance_id.clone()).collect();
    Outcome::Instances { belonging: belonging(instances, tenants), ids }
}

/// Those that a tenant has: the first who has such an account, region and cluster.
fn belonging(instances: Vec<Instance>, tenants: &[Tenant]) -> Vec<(String, Instance)> {
    let has = |allowed: &[String], value: &str| allowed.is_empty() || allowed.iter().any(|one| one == value);
    let tenant = |instance: &Instance| {
        let cluster = instance.cluster.as_deref().unwrap_or_default();
        tenants.iter().find(|tenant| {
            tenant.accounts.contains(&instance.account)
                && has(&tenant.regions, &instance.region)
                && has(&tenant.clusters, cluster)
        })
    };
    let of = |instance: Instance| Some((tenant(&instance)?.name.clone(), instance));
    instances.into_iter().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expected::InstanceState;

    #[test]
    fn an_instance_is_of_the_first_tenant_who_may_have_it() {
        let text = |s: &str| s.to_owned();
        let instance = |account: &str, cluster: &str| Instance {
            account: text(account),
            region: text("eu-central-1"),
            instance_id: text("i-1"),
            image_id: text("ami-1"),
            state: InstanceState::Running,
            launch_ms: None,
            root_attach_ms: None,
            eni_attach_ms: None,
            cluster: Some(text(cluster)),
            node_group: None,
        };
        let tenant = |name: &str, clusters: &[&str]| Tenant {
            name: text(name),
            accounts: vec![text("1")],
            clusters: clusters.iter().map(|c| text(c)).collect(),
            ..Tenant::default()
        };
        let tenants = [tenant("a", &["prod"]), tenant("b", &[])];
        let all = vec![instance("1", "prod"), instance("1", "dev"), instance("2", "prod")];
        let names: Vec<String> = belonging(all, &tenants).into_iter().map(|(tenant, _)| tenant).collect();
        assert_eq!(names, ["a", "b"], "an account that nobody has is left out");
        let elsewhere = [Tenant { regions: vec![text("us-east-1")], ..tenant("a", &[]) }];
        assert!(belonging(vec![instance("1", "prod")], &elsewhere).is_empty());
        // Credentials of another account say nothing of this one.
        let Outcome::Silent(why) = outcome(vec![instance("2", "prod")], "1", &tenants) else {
            panic!("a list of another account was taken")
        };
        assert!(why.contains("account 2"), "{why}");
    }
}
