//! The first page: how everything stands, summed up.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::trend::{self, day_of};
use super::types::{Filter, InState, Overview, Roll};
use super::{SCOPE, Scope, cluster_places, controls, places, row};

const CLUSTERS: usize = 200;
const GROUPS: usize = 500;
const POLICIES: usize = 64;
const CONTROLS: u32 = 15;
const ATTENTION: u32 = 12;
/// Groups of a roll-up that are read at most: clusters times node groups times policies.
const ROLLS: u32 = 20_000;

/// Whether somebody is answered for: an exclusion that is in force leaves the node alone.
const LEFT_ALONE: &str =
    "EXISTS (SELECT 1 FROM exclusion e WHERE e.expires >= :today AND (e.account IS NULL OR e.account = n.account)
    AND (e.node_group IS NULL OR e.node_group = n.node_group))";

/// How everything stands.
///
/// # Errors
/// When the store cannot be read.
pub fn overview(db: &Connection, filter: &Filter, now_ms: i64) -> rusqlite::Result<Overview> {
    let (mut overview, today) = (Overview::default(), day_of(now_ms));
    states(db, filter, &mut overview)?;
    rolls(db, filter, &today, &mut overview)?;
    let ranked = controls::controls(db, filter, None, CONTROLS, None)?;
    overview.controls = ranked.items;
    overview.controls_all = ranked.total;
    overview.trend = trend::trend(db, filter, now_ms)?;
    attention(db, filter, &today, &mut overview)?;
    overview.ec2 = places(db)?;
    overview.asked_clusters = cluster_places(db)?;
    Ok(overview)
}

fn states(db: &Connection, filter: &Filter, overview: &mut Overview) -> rusqlite::Result<()> {
    // Every state is told here, also the retired ones: the tiles lead to each.
    let scope = Scope::of(filter);
    let sql = format!(
        "SELECT n.state, count(*), coalesce(sum(n.simulated), 0) FROM node n
         WHERE ({SCOPE}) OR (:state IS NULL AND n.state = 'retired'
           AND (:tenant IS NULL OR n.tenant = :tenant) AND (:cluster IS NULL OR n.cluster = :cluster)
           AND (:group IS NULL OR coalesce(nullif(n.node_group, ''), '-') = :group)
           AND (:policy IS NULL OR EXISTS (SELECT 1 FROM result p WHERE p.node_id = n.id AND p.policy = :policy)))
         GROUP BY n.state"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(&*scope.values(filter))?;
    while let Some(row) = rows.next()? {
        overview.states.push(InState { state: row.get(0)?, nodes: row.get(1)? });
        overview.simulated = overview.simulated.saturating_add(row.get(2)?);
    }
    Ok(())
}

fn rolls(db: &Connection, filter: &Filter, today: &str, overview: &mut Overview) -> rusqlite::Result<()> {
    // By name, and where two tenants have one of that name, by tenant.
    let mut clusters: BTreeMap<(String, String), Roll> = BTreeMap::new();
    let mut groups: BTreeMap<(String, String, String), Roll> = BTreeMap::new();
    let mut policies: BTreeMap<String, Roll> = BTreeMap::new();
    let scope = Scope::of(filter);

    let sql = format!(
        "SELECT n.cluster, n.tenant, coalesce(nullif(n.node_group, ''), '-'), count(*), count(h.assessed_ms), sum({LEFT_ALONE})
         FROM node n LEFT JOIN heard h ON h.key_no = n.key_no WHERE {SCOPE} GROUP BY 1, 2, 3 LIMIT {ROLLS}"
    );
    let mut values = scope.values(filter);
    values.push((":today", &today));
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(&*values)?;
    while let Some(row) = rows.next()? {
        let (cluster, tenant, group): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (nodes, assessed, left_alone) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let here = groups.entry((cluster.clone(), tenant.clone(), group)).or_default();
        for roll in [&mut overview.total, clusters.entry((cluster, tenant)).or_default(), here] {
            roll.nodes = roll.nodes.saturating_add(nodes);
            roll.assessed = roll.assessed.saturating_add(assessed);
            roll.left_alone = roll.left_alone.saturating_add(left_alone);
        }
    }

    let sql = format!(
        "SELECT n.cluster, n.tenant, coalesce(nullif(n.node_group, ''), '-'), r.policy, count(*), sum(r.pass), sum(r.fail),
                sum(r.excepted), sum(r.unknown), sum(r.manual), sum(r.not_applicable)
         FROM node n JOIN result r ON r.node_id = n.id
         WHERE {SCOPE} AND (:policy IS NULL OR r.policy = :policy) GROUP BY 1, 2, 3, 4 LIMIT {ROLLS}"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let mut rows = statement.query(&*scope.values(filter))?;
    while let Some(row) = rows.next()? {
        let (cluster, tenant, group): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (nodes, checks) = (row.get(4)?, row::tally(row, 5)?);
        let policy = policies.entry(row.get(3)?).or_default();
        policy.nodes = u32::saturating_add(policy.nodes, nodes);
        policy.assessed = policy.nodes;
        let here = groups.entry((cluster.clone(), tenant.clone(), group)).or_default();
        for roll in [&mut overview.total, clusters.entry((cluster, tenant)).or_default(), here, policy] {
            roll.checks.add(checks);
        }
    }

    let mut tenants = clusters.keys().map(|(_, tenant)| tenant);
    let first = tenants.next();
    overview.total.tenant = first.filter(|first| tenants.all(|tenant| tenant == *first)).cloned();
    let done = |roll: Roll| Roll { passed_permille: roll.checks.permille(), ..roll };
    overview.total = done(std::mem::take(&mut overview.total));
    let named = |((cluster, tenant), roll)| done(Roll { tenant: Some(tenant), cluster: Some(cluster), ..roll });
    overview.clusters = clusters.into_iter().take(CLUSTERS).map(named).collect();
    let named = |((cluster, tenant, group), roll)| {
        done(Roll { tenant: Some(tenant), cluster: Some(cluster), group: Some(group), ..roll })
    };
    overview.groups = groups.into_iter().take(GROUPS).map(named).collect();
    let named = |(policy, roll)| done(Roll { policy: Some(policy), ..roll });
    overview.policies = policies.into_iter().take(POLICIES).map(named).collect();
    Ok(())
}

fn attention(db: &Connection, filter: &Filter, today: &str, overview: &mut Overview) -> rusqlite::Result<()> {
    const WHICH: &str = "n.state IN ('missing', 'suspect', 'stale', 'never-enrolled')";
    let scope = Scope::of(filter);
    let mut values = scope.values(filter);
    values.push((":today", &today));
    let sql = format!("SELECT count(*) FROM node n WHERE {WHICH} AND NOT {LEFT_ALONE} AND {SCOPE}");
    overview.attention_all = db.prepare_cached(&sql)?.query_row(&*values, |row| row.get(0))?;
    let sql = format!(
        "SELECT {} FROM node n WHERE {WHICH} AND NOT {LEFT_ALONE} AND {SCOPE}
         ORDER BY CASE n.state WHEN 'suspect' THEN 0 WHEN 'missing' THEN 1 WHEN 'stale' THEN 2 ELSE 3 END,
                  n.state_since_ms, n.id LIMIT {ATTENTION}",
        row::NODE
    );
    let mut statement = db.prepare_cached(&sql)?;
    overview.attention = statement.query_map(&*values, row::node)?.collect::<Result<_, _>>()?;
    Ok(())
}
