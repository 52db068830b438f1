//! Names that only the proxy has: annotations, roles, and paths of the metadata service.

use safeguard_daemon::settings::Findings;

use crate::config::raw::Annotations;

/// First steps below `meta-data/` that are never forwarded, whatever the settings say.
const NEVER: [&str; 4] = ["iam", "identity-credentials", "managed-ssh-keys", "public-keys"];

/// Kubernetes, "Annotations", syntax: an optional prefix, a DNS subdomain of at most 253 characters, a slash, and a name of at
/// most 63 characters.
fn is_annotation(name: &str) -> bool {
    let edge = |s: &str| {
        s.starts_with(|c: char| c.is_ascii_alphanumeric()) && s.ends_with(|c: char| c.is_ascii_alphanumeric())
    };
    let (prefix, name) = name.split_once('/').map_or((None, name), |(prefix, name)| (Some(prefix), name));
    let is_name =
        edge(name) && name.len() <= 63 && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let is_part =
        |part: &str| edge(part) && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    is_name && prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_part))
}

/// Names that Kubernetes has for annotations, and none of them twice on the same kind of object.
pub(super) fn annotations(found: &mut Findings, names: &Annotations) {
    let Annotations { role, external_id, allowed_roles, permitted, default_role, service_accounts, imdsv2 } = names;
    let of_pods = [("annotations.role", role), ("annotations.external_id", external_id)];
    let of_namespaces = [
        ("annotations.allowed_roles", allowed_roles),
        ("annotations.permitted", permitted),
        ("annotations.default_role", default_role),
        ("annotations.service_accounts", service_accounts),
        ("annotations.imdsv2", imdsv2),
    ];
    for names in [&of_pods[..], &of_namespaces[..]] {
        for (at, (key, name)) in names.iter().enumerate() {
            let same = names.iter().take(at).find(|(_, before)| before == name);
            if let Some((before, _)) = same {
                found.add(
                    key,
                    &format!("{name:?}"),
                    &format!("`{before}` has the same name, and means something else"),
                );
            } else if !is_annotation(name) {
                found.add(
                    key,
                    &format!("{name:?}"),
                    "allowed is the name of an annotation, such as \"example.com/role\"",
                );
            }
        }
    }
}

/// A path below `meta-data/`, with `*` for one step or, at the end, for all that follows.
pub(super) fn forwarded(path: &str) -> Result<(), String> {
    let steps: Vec<&str> = path.split('/').collect();
    let plain = |step: &str| step.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    let (last, before) = steps.split_last().unwrap_or((&"", &[]));
    let is_step = |step: &&str| !step.is_empty() && *step != "." && *step != ".." && plain(step);
    let begin = last.strip_suffix('*').unwrap_or(last);
    let ends = is_step(&begin) || (begin.is_empty() && *last == "*" && !before.is_empty());
    if !ends || !before.iter().all(|step| is_step(step) || *step == "*") || before.first() == Some(&"*") {
        return Err(
            "allowed is a path below meta-data/ such as \"placement/region\" or \"placement/*\", in which a step \
                    that is * stands for any one step, and a last * for all that follows"
                .to_owned(),
        );
    }
    let first = steps.first().map(|step| step.to_ascii_lowercase()).unwrap_or_default();
    let opens = |never: &&&str| match first.strip_suffix('*') {
        Some(begin) => never.starts_with(begin),
        None => first == **never,
    };
    if let Some(never) = NEVER.iter().find(opens) {
        return Err(format!("{never} holds credentials or keys and is never forwarded to pods"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_is_named_as_kubernetes_names_it() {
        for name in ["iam.amazonaws.com/role", "role", "a/b", "x-1.y/A_b.c-d"] {
            assert!(is_annotation(name), "{name}");
        }
        let long = format!("a/{}", "x".repeat(64));
        for name in ["", "/role", "a/", "a/b/c", "a b", "A.com/role", "a..b/c", "-a/b", "a/b-", "ä/b", &long] {
            assert!(!is_annotation(name), "{name}");
        }
    }

    #[test]
    fn no_path_opens_what_is_never_forwarded() {
        for path in
            ["instance-id", "placement/*", "placement/availability-*", "network/interfaces/macs/*/vpc-id", "instance-*"]
        {
            assert_eq!(forwarded(path), Ok(()), "{path}");
        }
        for path in
            ["iam", "iam/info", "iam/*", "IAM/x", "i*", "ia*", "public-keys/*", "p*", "identity-credentials/ec2/info"]
        {
            assert!(forwarded(path).unwrap_err().contains("never forwarded"), "{path}");
        }
        for path in [
            "",
            "*",
            "/",
            "/instance-id",
            "placement/",
            "a//b",
            "../user-data",
            "a/../iam",
            "a/./b",
            "*/x",
            "a*/b",
            "a b",
            "a%2f",
        ] {
            assert!(forwarded(path).unwrap_err().contains("below meta-data/"), "{path}");
        }
    }
}
