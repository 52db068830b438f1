//! The description of the API (OpenAPI 3.1), made from the types of its answers.

use axum::Json;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::exclusions::Wanted;
use super::export::FILES;
use super::problem::Problem;
use super::query::VERDICTS;
use super::suspicion::Cleared;
use crate::store::read::{Control, Day, Event, Exclusion, Finding, Node, NodeDetail, Overview, Page};

pub(super) async fn serve() -> Json<Value> {
    Json(document())
}

/// The description.
///
/// # Panics
/// Never: what is written as a literal is an object.
#[must_use]
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut types = settings.into_generator();
    let mut paths = Map::new();
    let list = ["limit", "after"];

    let read: [(&str, &str, &[&str], Schema); 8] = [
        ("overview", "How everything stands, summed up", &[], of::<Overview>(&mut types)),
        ("trend", "The last 30 days", &[], of::<Vec<Day>>(&mut types)),
        ("nodes", "Nodes, by name", &list, of::<Page<Node>>(&mut types)),
        (
            "controls",
            "Controls over all nodes, ranked",
            &["verdict", "limit", "after"],
            of::<Page<Control>>(&mut types),
        ),
        (
            "findings",
            "What does not simply pass, node by node",
            &["control", "verdict", "limit", "after"],
            of::<Page<Finding>>(&mut types),
        ),
        (
            "events",
            "What happened, the newest first",
            &["node", "kind", "limit", "after"],
            of::<Page<Event>>(&mut types),
        ),
        ("nodes/{id}", "Everything that is known of a node", &[], of::<NodeDetail>(&mut types)),
        ("exclusions", "Accounts and node groups that are left alone", &[], of::<Vec<Exclusion>>(&mut types)),
    ];
    for (path, summary, names, schema) in read {
        let filtered = !matches!(path, "events" | "nodes/{id}" | "exclusions");
        let mut parameters = if filtered { filter() } else { Vec::new() };
        parameters.extend(names.iter().map(|name| parameter(name)));
        if path == "nodes/{id}" {
            parameters.push(id("The node's number"));
        }
        let answer = json!({ "description": "The answer", "content": { "application/json": { "schema": schema } } });
        let may_miss = path.contains('{') || names.contains(&"after");
        let operation = operation(summary, &name(path), parameters, &[("200", answer)], may_miss);
        paths.insert(format!("/v1/{path}"), json!({ "get": operation }));
    }

    let wanted = of::<Wanted>(&mut types);
    let added = json!({ "description": "It is in force", "content": { "application/json": { "schema": of::<Exclusion>(&mut types) } } });
    let mut post = operation(
        "Leaves an account or a node group alone. Needs the scope `operate`",
        "addExclusion",
        Vec::new(),
        &[("201", added)],
        false,
    );
    insert(
        &mut post,
        "requestBody",
        json!({ "required": true, "content": { "application/json": { "schema": wanted } } }),
    );
    problems(&mut post, &["403", "409", "415"]);
    insert(paths.entry("/v1/exclusions").or_insert_with(|| json!({})), "post", post);
    let gone = json!({ "description": "It is gone" });
    let mut delete = operation(
        "Ends an exclusion. Needs the scope `operate`",
        "removeExclusion",
        vec![id("The exclusion's number")],
        &[("204", gone)],
        true,
    );
    problems(&mut delete, &["403"]);
    paths.insert("/v1/exclusions/{id}".to_owned(), json!({ "delete": delete }));

    let done = json!({ "description": "It is believed again" });
    let mut clear = operation(
        "Says that a person looked into what is suspected of a node. Needs the scope `operate`",
        "clearNode",
        vec![id("The node's number")],
        &[("204", done)],
        true,
    );
    let body = of::<Cleared>(&mut types);
    insert(
        &mut clear,
        "requestBody",
        json!({ "required": true, "content": { "application/json": { "schema": body } } }),
    );
    problems(&mut clear, &["403", "409", "415"]);
    paths.insert("/v1/nodes/{id}/clear".to_owned(), json!({ "post": clear }));

    for file in FILES {
        let kind = if file.ends_with("csv") { "text/csv" } else { "application/json" };
        let schema = match file {
            "nodes.json" => of::<Vec<Node>>(&mut types),
            "findings.json" => of::<Vec<Finding>>(&mut types),
            _ => of::<String>(&mut types),
        };
        let mut parameters = filter();
        if file.starts_with("findings") {
            parameters.extend(["control", "verdict"].map(parameter));
        }
        let answer = json!({ "description": "The file, streamed", "content": { kind: { "schema": schema } } });
        let operation = operation("All of them in a file", &name(file), parameters, &[("200", answer)], false);
        paths.insert(format!("/v1/export/{file}"), json!({ "get": operation }));
    }

    let stream = json!({
        "description": "Server-sent events `change`, whose data is `{\"topics\": [\"fleet\", \"node-7\"]}`. A stream ends after 15 minutes.",
        "content": { "text/event-stream": { "schema": { "type": "string" } } },
    });
    let live = operation("What changed, as it changes", "live", Vec::new(), &[("200", stream)], false);
    paths.insert("/v1/live".to_owned(), json!({ "get": live }));

    let problem = of::<Problem>(&mut types);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Safeguard",
            "version": "1",
            "description": "The reading side of the safeguard, and exclusions. What nodes say to it is in docs/protocol.md. Every text \
                may be a node's own: escape it where you show it.",
        },
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": types.take_definitions(true),
            "responses": {
                "Problem": { "description": "What went wrong (RFC 9457)", "content": { "application/problem+json": { "schema": problem } } },
            },
        },
    })
}

fn of<T: JsonSchema>(types: &mut SchemaGenerator) -> Schema {
    types.subschema_for::<T>()
}

fn operation(summary: &str, id: &str, parameters: Vec<Value>, answers: &[(&str, Value)], may_miss: bool) -> Value {
    let mut responses = Map::new();
    for (status, answer) in answers {
        responses.insert((*status).to_owned(), answer.clone());
    }
    let mut operation = json!({ "summary": summary, "operationId": id, "responses": responses });
    if !parameters.is_empty() {
        insert(&mut operation, "parameters", Value::Array(parameters));
    }
    problems(&mut operation, &["400", "401", "503"]);
    if may_miss {
        problems(&mut operation, &["404"]);
    }
    operation
}

fn problems(operation: &mut Value, statuses: &[&str]) {
    if let Some(responses) = operation.get_mut("responses") {
        for status in statuses {
            insert(responses, status, json!({ "$ref": "#/components/responses/Problem" }));
        }
    }
}

fn insert(object: &mut Value, name: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value);
    }
}

/// An operation's name: `nodes/{id}` is `nodesId`.
fn name(path: &str) -> String {
    let parts = path.split(['/', '.']).map(|part| part.trim_matches(['{', '}']));
    let mut name = String::new();
    for part in parts {
        let mut letters = part.chars();
        match letters.next() {
            Some(first) if !name.is_empty() => name.extend(first.to_uppercase()),
            first => name.extend(first),
        }
        name.extend(letters);
    }
    name
}

fn id(description: &str) -> Value {
    let schema = json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX });
    json!({ "name": "id", "in": "path", "required": true, "description": description, "schema": schema })
}

fn filter() -> Vec<Value> {
    super::query::FILTER.iter().map(|name| parameter(name)).collect()
}

fn parameter(name: &str) -> Value {
    // A form sends what was not chosen as empty, and that counts as not given.
    let states: Vec<&str> = safeguard_protocol::State::ALL.iter().map(|state| state.as_str()).chain([""]).collect();
    let verdicts: Vec<&str> = VERDICTS.into_iter().chain([""]).collect();
    let text = json!({ "type": "string", "maxLength": 300, "pattern": r"^[^\u0000]*$" });
    let (description, schema) = match name {
        "tenant" => ("Only of this tenant", text),
        "cluster" => ("Only of this cluster", text),
        "group" => ("Only of this node group; `-` for nodes without one", text),
        "policy" => ("Only nodes that are assessed against this policy, and results against it", text),
        "state" => {
            ("Only nodes in this state; without it all but retired ones", json!({ "type": "string", "enum": states }))
        }
        "text" => ("Only nodes whose name, instance, image or account contains this", text),
        "control" => ("Only of this control", text),
        "kind" => ("Only of this kind", text),
        "verdict" => ("Only with this verdict", json!({ "type": "string", "enum": verdicts })),
        "node" => (
            "Only of the node with this number",
            json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": i64::MAX }),
        ),
        "limit" => {
            ("How many at most; 100 if nothing is said", json!({ "type": "integer", "minimum": 1, "maximum": 500 }))
        }
        _ => {
            ("`next` of the part before", json!({ "type": "string", "maxLength": 2048, "pattern": "^[A-Za-z0-9_-]*$" }))
        }
    };
    json!({ "name": name, "in": "query", "description": description, "schema": schema })
}
