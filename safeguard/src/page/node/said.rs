//! What is known of a node's identity, and what only the node itself says. The two are never mixed.

use maud::{Markup, html};
use serde_json::Value;

use crate::clusters::Readiness;
use crate::store::read::NodeDetail;

use super::super::words;

/// Who it is, and whose word that is.
pub(crate) fn identity(detail: &NodeDetail) -> Markup {
    let node = &detail.node;
    let (level, meaning) = words::assurance(&node.assurance);
    let signed = node.assurance.starts_with("iid");
    html! {
        p { span.proof .weak[!signed] { (level) } " " span.dim { (meaning) } }
        dl.facts.grid {
            @for (name, value) in [("Instance", &node.instance_id), ("Account", &node.account), ("Region", &node.region), ("AMI", &node.image_id)] {
                div { dt { (name) } dd { (value) " " (source(signed)) } }
            }
            @if let Some(launched) = detail.pending_time_ms { div { dt { "Launched" } dd { (words::at(launched)) " " (source(signed)) } } }
            div { dt { "Name" } dd { (node.name) " " (source(false)) } }
            @if let Some(state) = &node.ec2_state { div { dt { "In EC2" } dd { (state) " " span.src.aws { "said by EC2" } } } }
            @if let Some(state) = &node.cluster_state { div { dt { "In the cluster" } dd { (readiness(state)) " " span.src.aws { "said by the cluster" } } } }
            div { dt { "Tenant" } dd { (node.tenant) } }
            div { dt { "First known" } dd { (words::at(detail.first_seen_ms)) } }
        }
        @if !detail.keys.is_empty() {
            details { summary { (words::count(detail.keys.len().try_into().unwrap_or(u64::MAX), "key")) }
                div.scroll tabindex="0" role="region" aria-label="Keys" { table {
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Enrolled" } th scope="col" { "Replaced" } th.n scope="col" { "Last number" } } }
                    tbody { @for key in &detail.keys { tr {
                        th scope="row" { code title=(key.key_id) { (key.key_id.chars().take(16).collect::<String>()) } } td { (words::at(key.enrolled_ms)) }
                        td { @match key.retired_ms { Some(at) => (words::at(at)), None => "in use" } } td.n { (key.sequence) }
                    } } }
                } }
            }
        }
    }
}

/// What its cluster says of it, in words.
fn readiness(state: &str) -> &str {
    match Readiness::of(state) {
        Some(Readiness::Ready) => "Ready",
        Some(Readiness::NotReady) => "not Ready",
        Some(Readiness::Unknown) => "its kubelet is not heard",
        Some(Readiness::Absent) => "not there",
        None => state,
    }
}

/// Whose word something is.
fn source(signed: bool) -> Markup {
    html! { @if signed { span.src.aws { "signed by AWS" } } @else { span.src { "said by the node" } } }
}

/// The last statement in words. It is hostile text in a form that is known; what has another form is left out.
pub(crate) fn said(statement: Option<&Value>, now_ms: i64) -> Markup {
    let Some(said) = statement else { return html! { p.dim { "Nothing yet." } } };
    let text = |at: &str| said.pointer(at).and_then(Value::as_str).unwrap_or_default();
    let number = |at: &str| said.pointer(at).and_then(Value::as_u64);
    html! {
        p.dim { "Root on a node can say anything. These are the node's own words, signed with its key." }
        dl.facts.grid {
            div { dt { "Agent" } dd { (text("/program/version")) } }
            div { dt { "In its cluster" } dd { (membership(said)) } }
            div { dt { "Logs" } dd { (logs(said, now_ms)) } }
            div { dt { "Metadata proxy" } dd { (proxy(said)) } }
            div { dt { "Exceptions" } dd { (number("/exceptions/count").map_or("\u{2013}".to_owned(), words::number))
                @if !text("/exceptions/next_expiry").is_empty() { span.dim { ", the next ends " (text("/exceptions/next_expiry")) } } } }
            @if let Some(beats) = number("/spool/beats").filter(|n| *n > 0) { div { dt { "Waiting to be sent" } dd { (words::count(beats, "beat")) } } }
        }
        details { summary { "Versions and digests" }
            dl.facts {
                @for (name, at) in [("Program", "/program/binary"), ("Settings", "/configuration"), ("Exceptions", "/exceptions/digest"), ("Report", "/assessment/report")] {
                    @if !text(at).is_empty() { div { dt { (name) } dd { code { (text(at)) } } } }
                }
                @for policy in said.pointer("/policies").and_then(Value::as_array).into_iter().flatten().take(8) {
                    div { dt { (policy.get("id").and_then(Value::as_str).unwrap_or("policy")) }
                        dd { code { (policy.get("digest").and_then(Value::as_str).unwrap_or_default()) } } }
                }
            }
        }
    }
}

fn membership(said: &Value) -> Markup {
    let lease = said.pointer("/membership/lease_age_s").and_then(Value::as_u64);
    html! {
        @match said.pointer("/membership/ready").and_then(Value::as_bool) {
            Some(true) => "Ready",
            Some(false) => span.bad { "not Ready" },
            None => "the cluster could not be asked",
        }
        @if let Some(lease) = lease { span.dim { ", lease renewed " (words::span(i64::try_from(lease).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000))) " before" } }
    }
}

fn logs(said: &Value, now_ms: i64) -> Markup {
    let Some(logs) = said.get("logs").filter(|logs| logs.is_object()) else {
        return html! { "not delivered by this agent" };
    };
    let number = |name: &str| logs.get(name).and_then(Value::as_u64).unwrap_or(0);
    let lost = logs.get("lost").and_then(Value::as_object);
    html! {
        @match number("behind_bytes") { 0 => "up to date", behind => { (bytes(behind)) " behind" } }
        @if let Some(oldest) = logs.get("oldest_unsent_ms").and_then(Value::as_i64) { span.dim { ", oldest line " (words::ago(now_ms, oldest)) } }
        @if number("excluded") > 0 { ", " (words::number(number("excluded"))) " events left out" }
        @for (reason, n) in lost.into_iter().flatten().take(8) {
            div.bad { (words::number(n.as_u64().unwrap_or(0))) " lost: " (reason) }
        }
    }
}

fn proxy(said: &Value) -> Markup {
    let Some(proxy) = said.get("proxy").filter(|proxy| proxy.is_object()) else { return html! { "none" } };
    let number = |name: &str| proxy.get(name).and_then(Value::as_u64).unwrap_or(0);
    html! {
        @match proxy.get("redirect").and_then(Value::as_str) {
            Some("in_place") => "in place",
            Some("broken") => span.bad { "redirect is broken: pods may reach the node's credentials" },
            _ => "redirect not seen",
        }
        span.dim { ", " (words::count(number("refusals"), "refusal")) ", " (words::count(number("host_network_pods"), "pod")) " on the host's network" }
    }
}

fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        10_000..10_000_000 => format!("{} kB", n / 1_000),
        _ => format!("{} MB", words::number(n / 1_000_000)),
    }
}
