//! Nodes in a list, with search and filter in the address.

use maud::{Markup, html};
use safeguard_protocol::State;

use crate::store::read::{Filter, Node, Page};

use super::controls::more;
use super::layout::{address, bar, scope, simulated, state};
use super::words;

/// Nodes.
pub(crate) fn page(nodes: &Page<Node>, filter: &Filter, now_ms: i64) -> Markup {
    html! {
        h1 { "Nodes" }
        form.search method="get" action="/nodes" role="search" {
            @for (name, value) in [("tenant", &filter.tenant), ("cluster", &filter.cluster), ("group", &filter.group), ("policy", &filter.policy)] {
                @if let Some(value) = value { input type="hidden" name=(name) value=(value); }
            }
            label for="text" { "Name, instance, AMI or account" }
            input #text type="search" name="text" maxlength="200" value=(filter.text.as_deref().unwrap_or_default());
            label for="state" { "State" }
            select #state name="state" {
                option value="" selected[filter.state.is_none()] { "any" }
                @for each in State::ALL { option value=(each.as_str()) selected[filter.state == Some(each)] { (words::state(each)) } }
            }
            button { "Show" }
        }
        (scope("/nodes", filter, &[]))
        section #list data-part="" data-total=(nodes.total) aria-label="Nodes" {
            p { (words::count(u64::from(nodes.total), "node")) "." }
            @if !nodes.items.is_empty() { div.scroll tabindex="0" role="region" aria-label="Nodes" { table.nodes {
                thead { tr { th scope="col" { "Node" } th scope="col" { "State" } th.n scope="col" { "Passed" } th.wide scope="col" { span.hidden { "Share" } }
                    th.n scope="col" { "Failed" } th scope="col" { "Last heard" } th scope="col" { "Assessed" } } }
                tbody { @for node in &nodes.items { (line(node, filter, now_ms)) } }
            } } }
        }
        (more(nodes.next.as_deref(), &address("/nodes", filter, &[])))
    }
}

fn line(node: &Node, filter: &Filter, now_ms: i64) -> Markup {
    let at = format!("/nodes/{}", node.id);
    html! {
        tr {
            th scope="row" { a href=(at) { (node.name) }
                div.dim { a href=(address("/nodes", filter, &[("tenant", &node.tenant), ("cluster", &node.cluster)])) { (node.cluster) }
                    @if let Some(group) = &node.group { " / " a href=(address("/nodes", filter, &[("tenant", &node.tenant), ("cluster", &node.cluster), ("group", group)])) { (group) } }
                    " \u{b7} " (node.instance_id) (simulated(node.simulated)) } }
            td { (state(&node.state)) div.dim.small { (words::for_time(now_ms, node.state_since_ms)) } }
            td.n { (words::percent(node.passed_permille)) }
            td.wide { (bar(&node.checks)) }
            td.n .bad[node.checks.fail > 0] {
                @if node.checks.fail == 0 { span.zero { "0" } }
                @else { a.n href={ (at) "#findings" } data-fails=(node.checks.fail) { (words::number(u64::from(node.checks.fail))) } }
            }
            td.when { @match node.last_live_ms { Some(last) => (words::ago(now_ms, last)), None => "never" } }
            td.when { @match node.assessed_ms { Some(at) => (words::ago(now_ms, at)), None => "never" } }
        }
    }
}
