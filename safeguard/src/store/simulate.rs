//! A fleet that does not exist, for demonstrations, tests and measurements. The same seed gives the same fleet, and every node of
//! it is marked as simulated.

mod controls;
mod node;

use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use controls::{CONTROLS, POLICIES};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
/// The control that [`break_one`] lets fail.
const BREAKS: &str = "4.2.7";
const TENANT: &str = "meadow-health";

/// Cluster, account, region, node group, and the share of the fleet in percent.
const PLACES: [(&str, &str, &str, &str, u32); 9] = [
    ("claims-prod", "210987654321", "eu-central-1", "general", 26),
    ("claims-prod", "210987654321", "eu-central-1", "memory", 12),
    ("claims-prod", "210987654321", "eu-central-1", "ingress", 4),
    ("imaging-prod", "310987654322", "eu-central-1", "general", 14),
    ("imaging-prod", "310987654322", "eu-central-1", "gpu", 9),
    ("portal-prod", "410987654323", "us-east-1", "general", 16),
    ("portal-prod", "410987654323", "us-east-1", "ingress", 4),
    ("staging", "510987654324", "eu-central-1", "general", 11),
    ("staging", "510987654324", "eu-central-1", "spot", 4),
];

/// Fills a store that has its tables with a fleet of so many nodes, as it stands at `now_ms`.
///
/// # Errors
/// When the store cannot be written.
pub fn fill(db: &mut Connection, nodes: u32, seed: u64, now_ms: i64) -> rusqlite::Result<()> {
    let mut chance = fastrand::Rng::with_seed(seed);
    let all = db.transaction()?;
    {
        let mut writer = Writer::new(&all)?;
        for (i, place) in places(nodes).enumerate() {
            writer.node(&mut chance, i64::try_from(i).unwrap_or(i64::MAX) + 1, place, now_ms)?;
        }
        writer.days(&mut chance, nodes, now_ms)?;
    }
    all.execute(
        "INSERT INTO exclusion (account, node_group, reason, owner, expires) VALUES (?1, 'spot', ?2, ?3, ?4)",
        params![
            "510987654324",
            "Spot nodes of staging are replaced by the new AMI this month",
            "platform@meadow-health.example",
            day(now_ms + 20 * DAY),
        ],
    )?;
    all.commit()
}

/// Lets something break on a node of the fleet that is compliant: root may log in over SSH. Returns its number and its name; `None`
/// if no node is compliant.
///
/// # Errors
/// When the store cannot be written.
pub fn break_one(db: &mut Connection, now_ms: i64) -> rusqlite::Result<Option<(i64, String)>> {
    let Some(control) = CONTROLS.iter().find(|control| control.id == BREAKS) else { return Ok(None) };
    let all = db.transaction()?;
    let found = all.query_row(
        "SELECT id, node_name FROM node WHERE simulated = 1 AND state = 'compliant' AND NOT EXISTS
           (SELECT 1 FROM finding f WHERE f.node_id = node.id AND f.control = ?1) ORDER BY node_name LIMIT 1",
        [control.id],
        |row| Ok((row.get(0)?, row.get(1)?)),
    );
    let (id, name): (i64, String) = match found.optional()? {
        Some(found) => found,
        None => return Ok(None),
    };
    let reasons = format!("[\"{}/{} fails: {}\"]", control.policy, control.id, control.title);
    let detail = format!("{{\"control\":\"{}/{}\",\"from\":\"pass\",\"to\":\"fail\"}}", control.policy, control.id);
    Writer::new(&all)?.finding(id, control, "fail", now_ms)?;
    all.execute(
        "UPDATE result SET pass = pass - 1, fail = fail + 1, finished_at_ms = ?2 WHERE node_id = ?1 AND policy = ?3",
        params![id, now_ms, control.policy],
    )?;
    all.execute(
        "UPDATE node SET state = 'non-compliant', state_since_ms = ?2, reasons = ?3 WHERE id = ?1",
        params![id, now_ms, reasons],
    )?;
    all.execute(
        "UPDATE heard SET assessed_ms = ?2, last_live_ms = ?2, last_beat_ms = ?2
         WHERE key_no = (SELECT key_no FROM node WHERE id = ?1)",
        params![id, now_ms],
    )?;
    all.execute(
        "INSERT INTO state_change (node_id, at_ms, from_state, to_state, reasons) VALUES (?1, ?2, 'compliant', 'non-compliant', ?3)",
        params![id, now_ms, reasons],
    )?;
    all.execute(
        "INSERT INTO event (node_id, at_ms, kind, detail) VALUES (?1, ?2, 'drift', ?3)",
        params![id, now_ms, detail],
    )?;
    all.commit()?;
    Ok(Some((id, name)))
}

type Place = (&'static str, &'static str, &'static str, &'static str, u32);

/// The place of each node: shares of the whole, the last place takes what is left.
fn places(nodes: u32) -> impl Iterator<Item = &'static Place> {
    (0..nodes).filter_map(move |i| {
        let percent = u64::from(i) * 100 / u64::from(nodes.max(1));
        let mut sum = 0;
        let found = PLACES.iter().find(|place| {
            sum += u64::from(place.4);
            percent < sum
        });
        found.or(PLACES.last())
    })
}

struct Writer<'a> {
    node: Statement<'a>,
    key: Statement<'a>,
    heard: Statement<'a>,
    content: Statement<'a>,
    result: Statement<'a>,
    finding: Statement<'a>,
    hour: Statement<'a>,
    gap: Statement<'a>,
    change: Statement<'a>,
    event: Statement<'a>,
    day: Statement<'a>,
}

impl<'a> Writer<'a> {
    fn new(db: &'a Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            node: db.prepare(
                "INSERT INTO node (id, tenant, account, region, instance_id, cluster, node_group, node_name, image_id, assurance,
                   pending_time_ms, first_seen_ms, state, state_since_ms, reasons, content_id, key_no, simulated)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?16, 1)",
            )?,
            key: db.prepare(
                "INSERT INTO node_key (key_no, key_id, node_id, public_key, boot_id, enrolled_ms) VALUES (?1, ?2, ?1, ?2, ?3, ?4)",
            )?,
            heard: db.prepare(
                "INSERT INTO heard (key_no, sequence, last_beat_ms, last_live_ms, next_due_s, assessed_ms)
                 VALUES (?1, ?2, ?3, ?3, 75, ?4)",
            )?,
            content: db.prepare("INSERT INTO content (id, node_id, digest, said_ms, body) VALUES (?1, ?1, ?2, 0, ?3)")?,
            result: db.prepare(
                "INSERT INTO result (node_id, policy, pass, fail, excepted, not_applicable, manual, unknown, finished_at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?,
            finding: db.prepare(
                "INSERT INTO finding (node_id, policy, control, verdict, title, level, section, since_ms, evidence, remedy)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            )?,
            hour: db.prepare(
                "INSERT INTO beat_hour (node_id, hour_ms, live, late, gaps) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            gap: db.prepare(
                "INSERT INTO gap (node_id, key_no, first, last, opened_ms, closed_ms, declared) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)",
            )?,
            change: db.prepare(
                "INSERT INTO state_change (node_id, at_ms, from_state, to_state, reasons) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            event: db.prepare("INSERT INTO event (node_id, at_ms, kind, detail) VALUES (?1, ?2, ?3, ?4)")?,
            day: db.prepare(
                "INSERT INTO day (day, tenant, cluster, node_group, policy, nodes, pass, decided, applicable)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?,
        })
    }
}

impl Writer<'_> {
    /// The last 30 days: it got better, but for a week in which a new AMI made it worse.
    fn days(&mut self, chance: &mut fastrand::Rng, nodes: u32, now_ms: i64) -> rusqlite::Result<()> {
        for back in (0..30).rev() {
            let grown = nodes - nodes * u32::try_from(back).unwrap_or(0) / 120;
            let lost = 9 + u32::try_from(back).unwrap_or(0) / 3 + if (12..18).contains(&back) { 14 } else { 0 };
            for (cluster, _, _, group, share) in PLACES {
                for (policy, controls) in POLICIES {
                    let here = (grown * share / 100).max(1);
                    let applicable = here * (controls - controls / 8);
                    let bad = applicable * (lost + chance.u32(0..3)) / 1_000;
                    let today = day(now_ms - i64::from(back) * DAY);
                    self.day.execute(params![
                        today,
                        TENANT,
                        cluster,
                        group,
                        policy,
                        here,
                        applicable - bad,
                        applicable - bad / 9,
                        applicable
                    ])?;
                }
            }
        }
        Ok(())
    }
}

fn day(ms: i64) -> String {
    safeguard_daemon::clock::utc(ms).chars().take(10).collect()
}
