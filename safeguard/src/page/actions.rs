//! What `terminate` would do, and why not.

use maud::{Markup, html};

use crate::dry_run::{self, BRAKE_PERMILLE, FRESH_MS, PER_HOUR, Sources, Verdict};
use crate::store::read::{ClusterPlace, Exclusion, Fleet, Node, Place};

use super::layout::{counted, simulated, state};
use super::words;

/// The dry run.
pub(crate) fn page(fleet: &Fleet, sources: Sources<'_>, exclusions: &[Exclusion], now_ms: i64) -> Markup {
    let today: String = words::at_text(now_ms).chars().take(10).collect();
    let judged = dry_run::judge(fleet, sources, exclusions, now_ms, &today);
    let would = judged.iter().filter(|verdict| verdict.would()).count();
    html! {
        h1 { "What " code { "terminate" } " would do" }
        section #brake data-part="" aria-labelledby="brake-h" {
            h2 #brake-h { "Nothing is terminated" }
            p { "The safeguard reports. This is a dry run: of " (words::count(u64::from(fleet.all), "doubtful node")) " it would terminate "
                b { (would) } "." }
            ul.reasons {
                li { "Silence here for an hour is not enough. Two others have to agree that a node is lost: EC2, which says that its instance runs ("
                    code { "[[expected.accounts]]" } "), and its cluster, which says that it is not Ready, not heard or not there ("
                    code { "nodes" } " of " code { "[[verify.clusters]]" } "). What they said counts for " (words::span(FRESH_MS)) "." }
                li { "Fleet brake: " @if dry_run::braked(fleet) { b.bad { "on. " } } @else { "off. " }
                    (words::count(u64::from(fleet.lately), "node")) " of " (counted(fleet.nodes, "/nodes", "node")) " went missing within the last hour; beyond "
                    (BRAKE_PERMILLE / 10) " % the trouble is taken to be the network or the safeguard." }
                li { "Rate limit: at most " (PER_HOUR) " nodes an hour." }
            }
        }
        section #list data-part="" aria-labelledby="list-h" {
            h2 #list-h { "Node by node" }
            @if fleet.doubtful.is_empty() { p.good { "No node is missing, suspect or non-compliant." } }
            @else { div.scroll tabindex="0" role="region" aria-label="Node by node" { table {
                thead { tr { th scope="col" { "Node" } th scope="col" { "State" } th scope="col" { "Terminate?" } th scope="col" { "Why, or why not" } } }
                tbody { @for (node, verdict) in fleet.doubtful.iter().zip(&judged) { (line(node, verdict, now_ms)) } }
            } } }
            @let shown = u32::try_from(fleet.doubtful.len()).unwrap_or(u32::MAX);
            @if fleet.all > shown { p.dim { "And " (words::number(u64::from(fleet.all - shown))) " more." } }
        }
        section #ec2 data-part="" aria-labelledby="ec2-h" {
            h2 #ec2-h { "What EC2 says" }
            (told(sources.ec2, now_ms))
        }
        section #cluster data-part="" aria-labelledby="cluster-h" {
            h2 #cluster-h { "What clusters say" }
            (clusters(sources.clusters, now_ms))
        }
        section #exclusions data-part="" aria-labelledby="exclusions-h" {
            h2 #exclusions-h { "Left alone" }
            (excluded(exclusions, &today))
        }
    }
}

fn line(node: &Node, verdict: &Verdict, now_ms: i64) -> Markup {
    html! { tr {
        th scope="row" { a href={ "/nodes/" (node.id) } { (node.name) } (simulated(node.simulated)) div.dim { (node.cluster) } }
        td { (state(&node.state)) div.dim.small { (words::for_time(now_ms, node.state_since_ms)) } }
        td { @if verdict.would() { b.bad { "yes" } } @else { "no" } }
        td {
            @if verdict.would() { (verdict.because.join("; ")) }
            @else {
                ul.plain-list { @for why in &verdict.unless { li { (why) } } }
                @if !verdict.because.is_empty() { div.dim.small { "but " (verdict.because.join("; ")) } }
            }
        }
    } }
}

/// Of where EC2 is asked, and how that goes.
fn told(places: &[Place], now_ms: i64) -> Markup {
    html! {
        @if places.is_empty() {
            p.dim { "It is not asked which instances there should be: " code { "[[expected.accounts]]" } " says where. Until then nobody misses a node that never spoke." }
        } @else { div.scroll tabindex="0" role="region" aria-label="What EC2 says" { table {
            thead { tr { th scope="col" { "Account" } th scope="col" { "Region" } th scope="col" { "Instances of clusters" } th scope="col" { "Told" } th scope="col" { "Now" } } }
            tbody { @for place in places { tr {
                th scope="row" { (place.account) }
                td.solid { (place.region) }
                td { @if place.listed_ms.is_some() { (words::number(u64::from(place.instances))) } @else { "-" } }
                td.solid { @match place.listed_ms { Some(at_ms) => (words::ago(now_ms, at_ms)), None => "never" } }
                td { (answers(place.listed_ms, place.silent_since_ms, place.reason.as_deref(), now_ms)) }
            } } }
        } } }
    }
}

/// Which clusters are asked, and how that goes.
fn clusters(places: &[ClusterPlace], now_ms: i64) -> Markup {
    html! {
        @if places.is_empty() {
            p.dim { "None is asked for its nodes: " code { "nodes" } " of " code { "[[verify.clusters]]" } " says which are. Until then nothing would be terminated." }
        } @else { div.scroll tabindex="0" role="region" aria-label="What clusters say" { table {
            thead { tr { th scope="col" { "Cluster" } th scope="col" { "Nodes" } th scope="col" { "Told" } th scope="col" { "Now" } } }
            tbody { @for place in places { tr {
                th scope="row" { (place.cluster) span.dim { " of " (place.tenant) } }
                td { @if place.listed_ms.is_some() { (words::number(u64::from(place.nodes))) } @else { "-" } }
                td.solid { @match place.listed_ms { Some(at_ms) => (words::ago(now_ms, at_ms)), None => "never" } }
                td { (answers(place.listed_ms, place.silent_since_ms, place.reason.as_deref(), now_ms)) }
            } } }
        } } }
    }
}

/// Whether who is asked answers.
fn answers(listed_ms: Option<i64>, silent_since_ms: Option<i64>, reason: Option<&str>, now_ms: i64) -> Markup {
    html! {
        @match silent_since_ms {
            Some(since_ms) => { b.bad { "silent" } " " (words::for_time(now_ms, since_ms)) @if let Some(why) = reason { div.small { (why) } } }
            None => { @if listed_ms.is_some() { span.good { "it answers" } } @else { span.dim { "not asked yet" } } }
        }
    }
}

fn excluded(exclusions: &[Exclusion], today: &str) -> Markup {
    html! {
        @if exclusions.is_empty() { p.dim { "No account and no node group is excluded." } }
        @else { div.scroll tabindex="0" role="region" aria-label="Exclusions" { table {
            thead { tr { th scope="col" { "Account" } th scope="col" { "Node group" } th scope="col" { "Why" } th scope="col" { "Owner" } th scope="col" { "Last day" } } }
            tbody { @for exclusion in exclusions { tr {
                th scope="row" { (exclusion.account) } td { (exclusion.group.as_deref().unwrap_or("all")) } td { (exclusion.reason) } td { (exclusion.owner) }
                td { (exclusion.expires) @if exclusion.expires.as_str() < today { " " span.tag { "over" } } }
            } } }
        } } }
    }
}
