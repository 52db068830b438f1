//! Pure: which rules record what is wanted, and which keep it out.

use std::collections::BTreeMap;

use crate::facts::audit::rule::{Field, List, Reach, Rule, Target};

/// What has to be recorded, for one architecture.
#[derive(Debug, Clone)]
pub(super) struct Wanted<'a> {
    /// `b64` or `b32`.
    pub(super) architecture: &'a str,
    pub(super) what: What<'a>,
    /// Conditions that a rule may have.
    pub(super) fields: &'a [Field],
}

/// What has to be recorded.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    /// A system call.
    Syscall(&'a str),
    /// One kind of access to a path.
    Access { path: &'a str, is_dir: bool, permission: Option<char> },
}

/// What the rules make of something that is wanted.
#[derive(Debug)]
pub(super) enum Covered<'a> {
    /// This rule records it, but for what the other keeps out.
    By { rule: &'a Rule, except: Option<&'a Rule> },
    /// No rule does; of one that nearly does, why not.
    Not { near: Option<(&'a Rule, String)> },
}

/// The rule that records what is wanted.
pub(super) fn covered<'a>(rules: &'a [Rule], wanted: &Wanted<'_>) -> Covered<'a> {
    let keepers = keepers(rules, wanted);
    let (mut near, mut partly) = (None, None);
    for (index, rule) in rules.iter().enumerate() {
        if rule.never || rule.list != List::Exit || !wanted.is_subject_of(rule) {
            continue;
        }
        if let Some(why) = wanted.narrowed_by(rule) {
            near.get_or_insert((rule, why));
            continue;
        }
        let before = keepers.iter().filter(|keeper| keeper.from.is_none_or(|at| at < index));
        match before.max_by_key(|keeper| keeper.whole) {
            None => return Covered::By { rule, except: None },
            Some(keeper) if keeper.whole => {
                near.get_or_insert((rule, format!("{} keeps it out before", keeper.rule.source)));
            }
            Some(keeper) => {
                partly.get_or_insert((rule, keeper.rule));
            }
        }
    }
    match partly {
        Some((rule, by)) => Covered::By { rule, except: Some(by) },
        None => Covered::Not { near },
    }
}

/// A rule that keeps out what is wanted, or a part of it.
struct Keeper<'a> {
    rule: &'a Rule,
    /// Rules behind this one never see it; `None` is all rules.
    from: Option<usize>,
    whole: bool,
}

fn keepers<'a>(rules: &'a [Rule], wanted: &Wanted<'_>) -> Vec<Keeper<'a>> {
    let keeper = |(at, rule): (usize, &'a Rule)| match rule.list {
        // A task that is kept out is not looked at when its system calls end.
        List::Task if rule.never => Some(Keeper { rule, from: None, whole: rule.fields.is_empty() }),
        // Without their first record events are nothing; the action of this list does not matter.
        List::Exclude if is_every_event(rule) => Some(Keeper { rule, from: None, whole: true }),
        List::Exit if rule.never && wanted.is_subject_of(rule) => {
            let whole = rule.fields.is_empty() && wanted.is_all_of(rule);
            Some(Keeper { rule, from: Some(at), whole })
        }
        _ => None,
    };
    rules.iter().enumerate().filter_map(keeper).collect()
}

fn is_every_event(rule: &Rule) -> bool {
    let is_first_record =
        |f: &Field| f.name == "msgtype" && f.operator == "=" && matches!(f.value.as_str(), "SYSCALL" | "1300");
    matches!(rule.fields.as_slice(), [field] if is_first_record(field))
}

impl Wanted<'_> {
    /// Whether a rule is about it at all, whatever else narrows the rule.
    fn is_subject_of(&self, rule: &Rule) -> bool {
        let architecture = rule.architecture.as_deref().is_none_or(|a| a == self.architecture);
        architecture
            && match self.what {
                // Without an architecture names become numbers of the 64-bit one.
                What::Syscall(name) => {
                    rule.is_for(name)
                        && (rule.is_for_all() || rule.architecture.is_some() || self.architecture == "b64")
                }
                What::Access { path, is_dir, permission } => {
                    let target = rule.target.as_ref().is_none_or(|target| reaches(target, path, is_dir));
                    let kinds = rule.permissions.as_deref();
                    target && permission.is_none_or(|p| kinds.is_none_or(|kinds| kinds.contains(p)))
                }
            }
    }

    /// Whether a rule, its fields aside, is about all of it.
    fn is_all_of(&self, rule: &Rule) -> bool {
        match self.what {
            What::Syscall(_) => rule.target.is_none() && rule.permissions.is_none(),
            What::Access { .. } => rule.is_for_all(),
        }
    }

    /// Why a rule records less than is wanted.
    fn narrowed_by(&self, rule: &Rule) -> Option<String> {
        let named: Vec<String> = match self.what {
            What::Syscall(_) => {
                let path = rule.target.iter().filter(|t| !self.allows_target(t)).map(|t| format!("path {}", t.path));
                path.chain(rule.permissions.iter().map(|p| format!("perm={p}"))).collect()
            }
            What::Access { .. } if !rule.is_for_all() => vec!["some system calls".to_owned()],
            What::Access { .. } => Vec::new(),
        };
        let fields = rule.fields.iter().filter(|field| !self.fields.iter().any(|allowed| admits(allowed, field)));
        let fields = fields.map(|f| format!("{}{}{}", f.name, f.operator, f.value));
        let narrow: Vec<String> = named.into_iter().chain(fields).collect();
        (!narrow.is_empty()).then(|| format!("only for {}", narrow.join(", ")))
    }

    fn allows_target(&self, target: &Target) -> bool {
        let names: &[&str] = if target.reach == Reach::One { &["path"] } else { &["dir"] };
        self.fields.iter().any(|f| names.contains(&f.name.as_str()) && f.operator == "=" && f.value == target.path)
    }
}

/// Whether a watch is about a path.
fn reaches(target: &Target, path: &str, is_dir: bool) -> bool {
    let same = target.path == path;
    let below = path.strip_prefix(target.path.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
    match target.reach {
        // Of a directory, that is not what is in it.
        Reach::One => same && !is_dir,
        Reach::Below | Reach::Either => same || below,
    }
}

/// Whether a rule with `field` records all that one with `allowed` would: the same condition, of two fields also the other way
/// round, or a lower bound of a number that is lower still.
fn admits(allowed: &Field, field: &Field) -> bool {
    let turned =
        allowed.name == field.value && allowed.value == field.name && matches!(field.operator.as_str(), "=" | "!=");
    if allowed == field || (turned && allowed.operator == field.operator) {
        return true;
    }
    let lower_bound = |field: &Field| {
        let number: u64 = field.value.parse().ok()?;
        match field.operator.as_str() {
            ">=" => Some(number),
            ">" => number.checked_add(1),
            _ => None,
        }
    };
    allowed.name == field.name
        && lower_bound(allowed).zip(lower_bound(field)).is_some_and(|(most, bound)| bound <= most)
}

/// Texts by what they say: `adjtimex, settimeofday: not recorded`.
pub(super) fn grouped(pairs: impl IntoIterator<Item = (String, String)>) -> Vec<(String, String)> {
    let mut groups: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (what, said) in pairs {
        groups.entry(said).or_default().push(what);
    }
    groups.into_iter().map(|(said, whats)| (whats.join(", "), said)).collect()
}
