//! The first page: how everything stands.

use maud::{Markup, html};
use safeguard_protocol::State;

use crate::store::read::{Control, Filter, Node, Overview, Roll};

use super::layout::{address, bar, counted, scope, simulated, state};
use super::{chart, words};

/// Of places where EC2 is silent, and of silent clusters, how many are named.
const SILENT: usize = 5;

/// The first page.
pub(crate) fn page(overview: &Overview, filter: &Filter, now_ms: i64) -> Markup {
    // Whose a cluster is says nothing where all are one tenant's.
    let several = overview.total.tenant.is_none();
    html! {
        h1 { "How the nodes stand" }
        (scope("/", filter, &[]))
        div.hero {
            section #sum data-part="" aria-labelledby="sum-h" {
                h2 #sum-h { "Checks passed" }
                (sum(&overview.total, filter))
            }
            section #trend data-part="" aria-labelledby="trend-h" {
                h2 #trend-h { "Last 30 days" }
                (chart::trend(&overview.trend))
            }
        }
        section #states data-part="" aria-labelledby="states-h" {
            h2 #states-h { "Nodes" }
            (states(overview, filter))
        }
        section #attention data-part="" aria-labelledby="attention-h" {
            h2 #attention-h { "Late, missing or doubtful" }
            (silent(overview, now_ms))
            (attention(overview, filter, now_ms))
        }
        section #controls data-part="" aria-labelledby="controls-h" {
            h2 #controls-h { "Failing controls" }
            (controls(&overview.controls, overview.controls_all, filter, now_ms))
        }
        section #clusters data-part="" aria-labelledby="clusters-h" {
            h2 #clusters-h { "By cluster" }
            (rolls("Cluster", &overview.clusters, filter, several))
        }
        section #groups data-part="" aria-labelledby="groups-h" {
            h2 #groups-h { "By node group" }
            (rolls("Node group", &overview.groups, filter, several))
        }
        section #policies data-part="" aria-labelledby="policies-h" {
            h2 #policies-h { "By policy" }
            (rolls("Policy", &overview.policies, filter, several))
        }
    }
}

fn sum(total: &Roll, filter: &Filter) -> Markup {
    let checks = &total.checks;
    let open = total.nodes.saturating_sub(total.assessed);
    html! {
        p.big { (words::percent(total.passed_permille)) }
        (bar(checks))
        p { (words::number(u64::from(checks.pass))) " of " (words::number(u64::from(checks.enabled()))) " enabled checks passed on "
            (words::count(u64::from(total.assessed), "node")) "." }
        dl.legend {
            @for (class, name, n) in [("fail", "failed", checks.fail), ("unknown", "not observed", checks.unknown), ("excepted", "excepted", checks.excepted)] {
                div { dt .(class) { (name) } dd { (counted(n, &address("/controls", filter, &[("verdict", class)]), "check")) } }
            }
        }
        @if open > 0 { p.dim { (words::count(u64::from(open), "node")) " never assessed, and not part of this." } }
    }
}

fn states(overview: &Overview, filter: &Filter) -> Markup {
    let of =
        |state: State| overview.states.iter().find(|each| each.state == state.as_str()).map_or(0, |each| each.nodes);
    let order = [
        State::Compliant,
        State::NonCompliant,
        State::Stale,
        State::Missing,
        State::Suspect,
        State::NeverEnrolled,
        State::Retired,
    ];
    html! {
        ul.tiles {
            @for state in order {
                li .(state.as_str()) .none[of(state) == 0] title=(words::meaning(state)) {
                    span.tile-n { (counted(of(state), &address("/nodes", filter, &[("state", state.as_str())]), "node")) }
                    span.state .(state.as_str()) { (words::state(state)) }
                }
            }
        }
        p.dim { (counted(overview.total.nodes, &address("/nodes", filter, &[]), "node")) " in all, without retired ones"
            @if overview.total.left_alone > 0 { ", " (left_alone(&overview.total)) }
            @if overview.simulated > 0 { "; " (words::number(u64::from(overview.simulated))) " are simulated" } "." }
    }
}

/// Who does not say what is asked of it: EC2 which nodes there should be, and clusters how theirs are.
fn silent(overview: &Overview, now_ms: i64) -> Markup {
    let ec2: Vec<_> = overview.ec2.iter().filter_map(|place| Some((place, place.silent_since_ms?))).collect();
    let clusters = overview.asked_clusters.iter();
    let clusters: Vec<_> = clusters.filter_map(|place| Some((place, place.silent_since_ms?))).collect();
    html! {
        @if !ec2.is_empty() || !clusters.is_empty() { ul.plain.silent {
            @for (place, since_ms) in ec2.iter().take(SILENT) { li {
                b.bad { "EC2 is silent" } " "
                span {
                    "on " (place.region) " of account " (place.account) " " (words::for_time(now_ms, *since_ms))
                    ": what never spoke, and what is gone, is not seen there. " a href="/actions#ec2" { "Why" }
                }
            } }
            (more(ec2.len(), "/actions#ec2"))
            @for (place, since_ms) in clusters.iter().take(SILENT) { li {
                b.bad { "Cluster is silent" } " "
                span {
                    (place.cluster) " of " (place.tenant) " " (words::for_time(now_ms, *since_ms))
                    ": it does not say which of its nodes are Ready, and none of them would be terminated. "
                    a href="/actions#cluster" { "Why" }
                }
            } }
            (more(clusters.len(), "/actions#cluster"))
        } }
    }
}

/// The way to those that are not named.
fn more(silent: usize, to: &str) -> Markup {
    let more = silent.saturating_sub(SILENT);
    html! { @if more > 0 { li { a href=(to) { "And " (more) " more" } } } }
}

fn attention(overview: &Overview, filter: &Filter, now_ms: i64) -> Markup {
    let shown = u32::try_from(overview.attention.len()).unwrap_or(u32::MAX);
    html! {
        @if overview.attention.is_empty() {
            p.good {
                @if overview.total.left_alone > 0 { "Nothing. Of nodes that are not left alone, every one" } @else { "Nothing. Every node" }
                " speaks, was assessed lately, and is who it says it is."
            }
        } @else {
            ul.plain {
                @for node in &overview.attention { li { (state(&node.state)) " " (sentence(node, now_ms)) } }
            }
            @if overview.attention_all > shown {
                p { "And " (words::number(u64::from(overview.attention_all - shown))) " more: "
                    @for each in [State::Suspect, State::Missing, State::Stale, State::NeverEnrolled] {
                        a href=(address("/nodes", filter, &[("state", each.as_str())])) { (words::state(each)) } " "
                    }
                }
            }
        }
    }
}

/// What is the matter with a node, in a sentence.
fn sentence(node: &Node, now_ms: i64) -> Markup {
    html! {
        span {
            a href={ "/nodes/" (node.id) } { (node.name) } (simulated(node.simulated))
            span.dim { " in " (node.cluster) } " "
            @match (node.state.as_str(), node.last_live_ms) {
                ("missing", Some(last)) => {
                    "has sent no live beat " (words::for_time(now_ms, last))
                    @for (at, why) in node.reasons.iter().skip(1).enumerate() { @if at == 0 { ": " } @else { "; " } (why) } "."
                },
                ("never-enrolled", _) if node.assurance == "none" => { "has never spoken here. It has been known to EC2 " (words::for_time(now_ms, node.state_since_ms)) "." },
                ("stale", _) => {
                    "speaks, but "
                    @match node.assessed_ms {
                        Some(assessed) => { "was last assessed " (words::ago(now_ms, assessed)) "." },
                        None => "was never assessed.",
                    }
                },
                _ => { "has been so " (words::for_time(now_ms, node.state_since_ms)) @if node.reasons.is_empty() { "." } @else { ": " (node.reasons.join("; ")) } },
            }
        }
    }
}

/// Controls in a table, ranked.
pub(crate) fn controls(controls: &[Control], all: u32, filter: &Filter, now_ms: i64) -> Markup {
    let shown = u32::try_from(controls.len()).unwrap_or(u32::MAX);
    html! {
        @if controls.is_empty() { p.good { "No control fails." } }
        @else {
            div.scroll tabindex="0" role="region" aria-label="Controls" {
                table.ranked {
                    thead { tr {
                        th scope="col" { "Control" } th.n scope="col" { "Fails on" } th.n scope="col" { "Not observed" }
                        th.n scope="col" { "Excepted" } th scope="col" { "Oldest" }
                    } }
                    tbody { @for control in controls { (ranked(control, filter, now_ms)) } }
                }
            }
            @if all > shown { p { a href=(address("/controls", filter, &[])) data-count=(all) { "All " (words::count(u64::from(all), "control")) } } }
        }
    }
}

fn ranked(control: &Control, filter: &Filter, now_ms: i64) -> Markup {
    let to = |verdict: &str| {
        address("/control", filter, &[("policy", &control.policy), ("control", &control.control), ("verdict", verdict)])
    };
    html! {
        tr {
            th scope="row" {
                a href=(to("")) { span.id { (control.control) } " " (control.title) }
                div.dim { (control.policy) @if let Some(level) = control.level { " \u{b7} level " (level) } }
            }
            td.n .bad[control.fail > 0] { (counted(control.fail, &to("fail"), "failing node")) }
            td.n { (counted(control.unknown, &to("unknown"), "node")) }
            td.n { (counted(control.excepted, &to("excepted"), "node")) }
            td.when { @match control.oldest_fail_ms { Some(since) => (words::ago(now_ms, since)), None => "\u{2013}" } }
        }
    }
}

fn rolls(kind: &str, rolls: &[Roll], filter: &Filter, several: bool) -> Markup {
    html! {
        @if rolls.is_empty() { p.dim { "None." } }
        @else { div.scroll tabindex="0" role="region" aria-label={ "By " (kind.to_lowercase()) } { table.rolls {
            thead { tr { th scope="col" { (kind) } th.n scope="col" { "Nodes" } th.n scope="col" { "Passed" } th.wide scope="col" { span.hidden { "Share" } }
                th.n scope="col" { "Failed" } th.n scope="col" { "Not observed" } } }
            tbody { @for roll in rolls { (rolled(roll, filter, several)) } }
        } } }
    }
}

/// How many of the nodes nobody is told about, with the way to who answers for it.
fn left_alone(roll: &Roll) -> Markup {
    html! {
        @if roll.left_alone > 0 {
            " " a.dim href="/actions#exclusions" { (words::number(u64::from(roll.left_alone))) " left alone" }
        }
    }
}

fn rolled(roll: &Roll, filter: &Filter, several: bool) -> Markup {
    let tenant = roll.tenant.as_deref().filter(|_| several);
    let parts = [("cluster", &roll.cluster), ("group", &roll.group), ("policy", &roll.policy)];
    let parts = parts.into_iter().map(|(name, value)| (name, value.as_deref()));
    let limit: Vec<(&str, &str)> =
        parts.chain([("tenant", tenant)]).filter_map(|(name, value)| Some((name, value?))).collect();
    let with = |verdict| [limit.as_slice(), &[("verdict", verdict)]].concat();
    html! {
        tr {
            th scope="row" {
                a href=(address("/", filter, &limit)) {
                    @match (&roll.group, &roll.cluster, &roll.policy) {
                        (Some(group), Some(cluster), _) => {
                            @if group == "-" { "no group" } @else { (group) } span.dim { " in " (cluster) }
                        },
                        (_, Some(cluster), _) => (cluster),
                        (_, _, policy) => (policy.as_deref().unwrap_or("all")),
                    }
                }
                @if let Some(tenant) = tenant { span.dim { " of " (tenant) } }
            }
            td.n { (counted(roll.nodes, &address("/nodes", filter, &limit), "node")) (left_alone(roll)) }
            td.n { a.n href=(address("/controls", filter, &limit)) { (words::percent(roll.passed_permille)) } }
            td.wide { (bar(&roll.checks)) }
            td.n .bad[roll.checks.fail > 0] { (counted(roll.checks.fail, &address("/controls", filter, &with("fail")), "failed check")) }
            td.n { (counted(roll.checks.unknown, &address("/controls", filter, &with("unknown")), "check")) }
        }
    }
}
