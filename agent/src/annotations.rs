//! Pure: what the annotations of a pod ask to be left out of the logs.
//!
//! Whoever makes the pod writes them, so they are hostile: a value that is not in the grammar asks for nothing, and the pod is
//! shipped. What is repeated of it in messages is short and escaped.

use std::collections::BTreeMap;
use std::sync::Arc;

use safeguard_logs::PodExclusion;
use safeguard_pods::{Annotations, MAX_PREFIXED, TOO_LONG};

/// Ours: `"true"`, `"false"`, or names of containers.
pub(crate) const OURS: &str = "safeguard.io/exclude-logs";

/// Fluent Bit's (Fluent Bit manual, "Kubernetes filter", "Request to exclude logs"); with `-CONTAINER` behind it for one
/// container, and with `_stdout` or `_stderr` for one output.
const FLUENT_BIT: &str = "fluentbit.io/exclude";

/// Every annotation that is looked at, as the watch of pods is told. That of static pods is what the directory of their logs is
/// named by (k8s.io/kubernetes, `pkg/kubelet/types`, `ConfigHashAnnotationKey`).
pub(crate) const WANTED: [&str; 3] = [OURS, "fluentbit.io/exclude*", CONFIG_HASH];

/// Hash of a static pod's manifest.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// Containers that one annotation may name: as many as there may be annotations with a container in their key.
const MOST_CONTAINERS: usize = MAX_PREFIXED;

/// Longest name of a container (Kubernetes, "Object Names and IDs", RFC 1123 label names).
const NAME_BYTES: usize = 63;

/// Characters of a value that messages repeat.
const SHOWN_CHARS: usize = 40;

/// Problems of one pod that are told.
const MOST_PROBLEMS: usize = 4;

/// What could stand for `true` or `false`, and might be the name of a container as well.
const AMBIGUOUS: [&str; 14] =
    ["yes", "no", "on", "off", "1", "0", "y", "n", "t", "f", "all", "none", "enabled", "disabled"];

/// What a pod asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    /// What is to be left out.
    pub(crate) exclusion: PodExclusion,
    /// What is not obeyed: the annotation, and what to write.
    pub(crate) problems: Vec<String>,
}

/// Reads a pod's annotations. Ours decides alone where it is there, even if it cannot be read; without it Fluent Bit's do.
pub(crate) fn asked(annotations: &Annotations) -> Asked {
    let mut asked = match annotations.get(OURS) {
        Some(value) => ours(value),
        None => fluent_bit(annotations),
    };
    asked.problems.truncate(MOST_PROBLEMS);
    asked
}

/// The hash by which the directory of a static pod's logs is named.
pub(crate) fn config_hash(annotations: &Annotations) -> Option<&Arc<str>> {
    let hash = annotations.get(CONFIG_HASH)?;
    (!hash.is_empty() && hash.len() <= NAME_BYTES && hash.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(hash)
}

fn ours(value: &str) -> Asked {
    match exclusion(value) {
        Ok(exclusion) => Asked { exclusion, problems: Vec::new() },
        Err(wrong) => {
            let what = "write \"true\", \"false\", or the names of containers with commas between them";
            let problem = format!("`{OURS}` = {} is not obeyed, because {wrong}: {what}", shown(value));
            Asked { exclusion: PodExclusion::default(), problems: vec![problem] }
        }
    }
}

fn exclusion(value: &str) -> Result<PodExclusion, String> {
    let by: Arc<str> = OURS.into();
    match value.trim() {
        "true" => return Ok(PodExclusion { all: Some(by), containers: BTreeMap::new() }),
        "false" => return Ok(PodExclusion::default()),
        "" => return Err("it says nothing".to_owned()),
        _ => {}
    }
    let mut containers = BTreeMap::new();
    for name in value.split(',').map(str::trim) {
        if matches!(name, "true" | "false") || AMBIGUOUS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(format!("{} may mean more than one thing", shown(name)));
        }
        if !is_container(name) {
            return Err(format!("{} is not the name of a container", shown(name)));
        }
        containers.insert(name.to_owned(), by.clone());
        if containers.len() > MOST_CONTAINERS {
            return Err(format!("it names more than {MOST_CONTAINERS} containers"));
        }
    }
    Ok(PodExclusion { all: None, containers })
}

fn fluent_bit(annotations: &Annotations) -> Asked {
    let mut asked = Asked::default();
    let mut seen = 0;
    for (key, value) in annotations {
        let Some(rest) = key.strip_prefix(FLUENT_BIT) else { continue };
        seen += 1;
        let container = match rest.strip_prefix('-') {
            Some(name) => Some(name),
            None if rest.is_empty() => None,
            None => {
                if rest.starts_with('_') {
                    asked.problems.push(format!(
                        "{} is not obeyed: a single output is not left out. Write `{OURS}` with names of containers",
                        shown(key)
                    ));
                }
                continue;
            }
        };
        match (&**value, container) {
            ("false", _) => {}
            ("true", None) => asked.exclusion.all = Some(key.clone()),
            ("true", Some(name)) if is_container(name) => {
                asked.exclusion.containers.insert(name.to_owned(), key.clone());
            }
            ("true", Some(_)) => {
                asked
                    .problems
                    .push(format!("{} is not obeyed: it does not end in the name of a container", shown(key)));
            }
            (other, _) => asked.problems.push(format!(
                "{} = {} is not obeyed: write \"true\" or \"false\"",
                shown(key),
                shown(other)
            )),
        }
    }
    if seen == MAX_PREFIXED {
        let problem = format!("of annotations that begin with `{FLUENT_BIT}`, only {MAX_PREFIXED} are looked at");
        asked.problems.insert(0, problem);
    }
    asked
}

fn is_container(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let ends = !name.starts_with('-') && !name.ends_with('-');
    !name.is_empty() && name.len() <= NAME_BYTES && ends && name.bytes().all(fits)
}

/// The start of a text that somebody else wrote, in quotes and escaped.
fn shown(text: &str) -> String {
    if text == TOO_LONG {
        return "(a value that is too long to be read)".to_owned();
    }
    let start: String = text.chars().take(SHOWN_CHARS).collect();
    let more = if start.len() < text.len() { "..." } else { "" };
    format!("{start:?}{more}")
}

#[cfg(test)]
mod tests;
