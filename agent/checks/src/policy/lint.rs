//! What the grammar allows in a policy and is wrong all the same.

mod predicate;

use std::collections::BTreeSet;

use super::{Assessment, Control, Policy, hipaa};
use crate::mistake::{Flaw, Walk};
use crate::yaml::nearest;

/// Most controls of one policy. The largest benchmark that we know has 243.
const MAX_CONTROLS: usize = 1000;

/// Most characters of a title: it has to fit into a row of a table.
const MAX_TITLE: usize = 120;

/// Most characters of the ids of policies and controls.
const MAX_ID: usize = 64;

/// Looks at what a policy says, beyond its grammar.
#[must_use]
pub fn lint(policy: &Policy) -> Vec<Flaw> {
    let mut walk = Walk::default();
    let small = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    walk.require(
        "policy",
        is_id(&policy.policy, small),
        "is no id: small letters, digits, and `-` or `.` between them",
    );
    for (key, text) in [("version", &policy.version), ("title", &policy.title), ("source", &policy.source)] {
        walk.require(key, !text.trim().is_empty(), "is empty");
    }
    walk.key("sections", |walk| sections(walk, policy));
    walk.key("controls", |walk| controls(walk, policy));
    walk.flaws
}

fn sections(walk: &mut Walk, policy: &Policy) {
    let mut seen = BTreeSet::new();
    for (n, section) in policy.sections.iter().enumerate() {
        walk.index(n, |walk| {
            walk.require("title", !section.title.trim().is_empty(), "is empty");
            walk.require("id", seen.insert(&section.id), format!("there are two sections `{}`", section.id));
            let used = policy.controls.iter().any(|control| section.has(&control.id));
            walk.require("id", used, format!("no control is in section `{}`", section.id));
        });
    }
}

fn controls(walk: &mut Walk, policy: &Policy) {
    if policy.controls.is_empty() || policy.controls.len() > MAX_CONTROLS {
        walk.flaw(format!("has to have between 1 and {MAX_CONTROLS} controls"));
    }
    let mut seen = BTreeSet::new();
    for (n, one) in policy.controls.iter().enumerate().take(MAX_CONTROLS) {
        walk.index(n, |walk| {
            walk.require("id", seen.insert(&one.id), format!("there are two controls `{}`", one.id));
            let is_somewhere = policy.sections.is_empty() || policy.sections.iter().any(|section| section.has(&one.id));
            walk.require("id", is_somewhere, format!("`{}` is in no section", one.id));
            control(walk, one);
        });
    }
}

fn control(walk: &mut Walk, control: &Control) {
    let any = |c: char| c.is_ascii_alphanumeric();
    walk.require("id", is_id(&control.id, any), "is no id: letters, digits, and `-` or `.` between them");
    for (key, text) in [("title", &control.title), ("why", &control.why), ("remedy", &control.remedy)] {
        walk.require(key, !text.trim().is_empty(), "is empty");
    }
    let is_a_line = !control.title.contains('\n') && control.title.chars().count() <= MAX_TITLE;
    walk.require("title", is_a_line, format!("has to be one line of at most {MAX_TITLE} characters"));
    let conflict_is_told = control.conflicts.as_ref().is_none_or(|text| !text.trim().is_empty());
    walk.require("conflicts", conflict_is_told, "is empty; leave it out");
    walk.require("level", matches!(control.level, 1 | 2), format!("is {}, and levels are 1 and 2", control.level));
    let decides = control.check.is_some() || control.assessment == Assessment::Manual;
    walk.require("check", decides, "is missing, and the control is automated");
    citations(walk, control);
    for (key, asked) in [("applies", &control.applies), ("check", &control.check)] {
        if let Some(asked) = asked {
            walk.key(key, |walk| predicate::lint(walk, asked));
        }
    }
}

fn citations(walk: &mut Walk, control: &Control) {
    let mut seen = BTreeSet::new();
    walk.key("hipaa", |walk| {
        for (n, citation) in control.hipaa.iter().enumerate() {
            walk.index(n, |walk| {
                if !seen.insert(citation) {
                    walk.flaw(format!("`{citation}` is there twice"));
                }
                if hipaa::heading(citation).is_none() {
                    let near = nearest(citation, hipaa::citations());
                    let near = near.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
                    walk.flaw(format!("`{citation}` is no paragraph of the Security Rule{near}"));
                }
            });
        }
    });
}

/// Words of characters that are `right`, with one dot or dash between two.
fn is_id(id: &str, right: impl Fn(char) -> bool) -> bool {
    id.len() <= MAX_ID && id.split(['.', '-']).all(|word| !word.is_empty() && word.chars().all(&right))
}

#[cfg(test)]
mod tests;
