//! Pure: the path of a request becomes what is asked for.
//!
//! A path is decoded once and normalised here, and nothing of it is looked at again: what is forwarded is put together from the
//! parts that were recognised. kube2iam forwards what its router does not know, raw (research section 2.1); here everything that
//! is not known is not found.

/// What is asked for, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// A session token of IMDSv2.
    Token,
    /// What the pod may look at: the names below `meta-data/`.
    Index,
    /// The names below `iam/`.
    Iam,
    /// `iam/info`
    IamInfo,
    /// The name of the pod's role.
    Roles,
    /// The credentials of a role, as the client names it.
    Credentials {
        /// As it stands in the path.
        role: String,
        /// `security-credentials-extended`: with the account.
        extended: bool,
    },
    /// A path of the node's metadata service that anybody may see.
    Forward(String),
    /// A path that exists on the node's metadata service and is no pod's business.
    Withheld,
    /// Nothing that is known.
    Unknown,
    /// No path.
    Malformed,
}

/// Paths below `meta-data/` that are forwarded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Forwarded {
    entries: Vec<String>,
}

/// First steps below `meta-data/` that are never forwarded, whatever the settings say: credentials, and keys of people.
const NEVER_BELOW_META_DATA: [&str; 4] = ["iam", "identity-credentials", "managed-ssh-keys", "public-keys"];

/// First steps below the version that are never forwarded: they prove who the node is, or hold its bootstrap secrets.
const NEVER: [&str; 2] = ["user-data", "dynamic"];

impl Forwarded {
    pub(crate) fn new(entries: &[String]) -> Self {
        Self { entries: entries.iter().map(|entry| entry.trim_matches('/').to_owned()).collect() }
    }

    fn allows(&self, steps: &[&str]) -> bool {
        self.entries.iter().any(|entry| is_like(&entry.split('/').collect::<Vec<_>>(), steps))
    }

    /// What stands in the listing of `meta-data/`.
    pub(crate) fn index(&self) -> String {
        let mut names: Vec<String> = vec!["iam/".to_owned()];
        for entry in &self.entries {
            let name = match entry.split_once('/') {
                Some((first, _)) => format!("{first}/"),
                None => entry.trim_end_matches('*').to_owned(),
            };
            if !name.is_empty() && !names.contains(&name) {
                names.push(name);
            }
        }
        names.sort();
        names.join("\n")
    }
}

/// Whether a path is like a pattern, step by step: `*` as the last step is everything below, and elsewhere one step; at the end of a
/// step it is the rest of that step.
fn is_like(pattern: &[&str], steps: &[&str]) -> bool {
    match (pattern, steps) {
        (["*"], _) | ([], []) => true,
        ([first, pattern @ ..], [step, steps @ ..]) => {
            let fits = match first.strip_suffix('*') {
                Some(start) => step.starts_with(start),
                None => first == step,
            };
            fits && is_like(pattern, steps)
        }
        _ => false,
    }
}

/// Finds out what the path of a request asks for.
pub(crate) fn route(path: &str, forwarded: &Forwarded) -> Route {
    let Some(decoded) = decode(path) else { return Route::Malformed };
    let steps = steps(&decoded);
    let Some((version, rest)) = steps.split_first() else { return Route::Unknown };
    if !is_version(version) {
        return Route::Unknown;
    }
    match rest {
        // Only the current version has tokens (EC2 User Guide); the others answer 403 there.
        ["api", "token"] if *version == "latest" => Route::Token,
        ["meta-data"] => Route::Index,
        ["meta-data", "iam"] => Route::Iam,
        ["meta-data", "iam", "info"] => Route::IamInfo,
        ["meta-data", "iam", "security-credentials" | "security-credentials-extended"] => Route::Roles,
        ["meta-data", "iam", kind @ ("security-credentials" | "security-credentials-extended"), role @ ..] => {
            Route::Credentials { role: role.join("/"), extended: *kind != "security-credentials" }
        }
        ["meta-data", below @ ..] => {
            let below_lower = below.first().map(|first| first.to_ascii_lowercase()).unwrap_or_default();
            let path = below.join("/");
            if NEVER_BELOW_META_DATA.contains(&below_lower.as_str()) {
                Route::Withheld
            } else if forwarded.allows(below) {
                let slash = if decoded.ends_with('/') { "/" } else { "" };
                Route::Forward(format!("/{version}/meta-data/{path}{slash}"))
            } else {
                Route::Unknown
            }
        }
        [first, ..] if NEVER.contains(&first.to_ascii_lowercase().as_str()) => Route::Withheld,
        _ => Route::Unknown,
    }
}

/// Percent-decodes once. `None` for what no honest client sends: control characters, backslashes, anything beyond ASCII, and what
/// would need decoding again.
fn decode(path: &str) -> Option<String> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') || bytes.len() > crate::limits::TARGET {
        return None;
    }
    let mut decoded = String::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match byte {
            b'%' => {
                let (digits, after) = after.split_first_chunk::<2>()?;
                let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
                (u8::from_str_radix(digits, 16).ok()?, after)
            }
            byte => (byte, after),
        };
        if !byte.is_ascii_graphic() || matches!(byte, b'\\' | b'%') {
            return None;
        }
        decoded.push(char::from(byte));
        rest = after;
    }
    Some(decoded)
}

/// The steps of a path, without empty ones, `.` and `..`.
fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => drop(steps.pop()),
            step => steps.push(step),
        }
    }
    steps
}

/// `latest`, `1.0`, or a date.
fn is_version(step: &str) -> bool {
    let is_date = |step: &str| {
        step.len() == 10
            && step.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() })
    };
    step == "latest" || step == "1.0" || is_date(step)
}

/// Whether a `Host` is that of the metadata service (research row 48: a name that somebody rebinds is not).
pub(crate) fn is_our_host(host: &str) -> bool {
    const NAMES: [&str; 4] = ["169.254.169.254", "[fd00:ec2::254]", "instance-data", "instance-data.ec2.internal"];
    let is_port = |port: &str| !port.is_empty() && port.len() <= 5 && port.bytes().all(|b| b.is_ascii_digit());
    NAMES.iter().any(|name| match (host.get(..name.len()), host.get(name.len()..)) {
        (Some(start), Some(rest)) => {
            start.eq_ignore_ascii_case(name) && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port))
        }
        _ => false,
    })
}

#[cfg(test)]
mod tests;
