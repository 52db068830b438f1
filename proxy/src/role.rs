//! Pure: what an annotation says becomes the ARN of a role, and what a session is called.
//!
//! Annotations are written by whoever may create a pod. Nothing of one reaches an ARN, a header or a log before it has passed
//! the grammar here (kube2iam and kiam pass them on as they are: research rows 46 and 50).

use std::fmt;
use std::sync::Arc;

use crate::limits;

/// The ARN of an IAM role, whole and well-formed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleArn(Arc<str>);

/// What stands before the name of a role that is given without its ARN: `arn:aws:iam::123456789012:role/`, and perhaps a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoleBase(String);

/// Why a text is no role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    /// Nothing is there.
    #[error("it is empty")]
    Empty,
    /// Longer than any role's ARN.
    #[error("it is longer than {} characters", limits::ROLE_ARN.end())]
    Long,
    /// It begins like an ARN and is not that of a role.
    #[error("it is not the ARN of an IAM role, such as arn:aws:iam::123456789012:role/name")]
    Arn,
    /// The name, or its path, has characters that IAM does not allow.
    #[error(
        "it is not the name of an IAM role: letters, digits and +=,.@_- are allowed, 64 at most, and a path in front of it"
    )]
    Name,
}

/// The name of a role, the last part of its ARN.
fn is_name(name: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    // A step up, or none, is a legal name in IAM and means something else in every URL.
    !matches!(name, "" | "." | "..") && name.len() <= limits::ROLE_NAME && name.bytes().all(word)
}

/// What stands between `role/` and the name: nothing, or words that each end with a slash. IAM allows every printable ASCII
/// character; those that a URL or a log could take for something else are not let through here.
fn is_path(path: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b"+=,.@_-".contains(&b);
    let is_step = |step: &str| !step.is_empty() && step != "." && step != ".." && step.bytes().all(word);
    path.len() < limits::ROLE_PATH
        && path.strip_suffix('/').map_or(path.is_empty(), |steps| steps.split('/').all(is_step))
}

fn is_path_and_name(text: &str) -> bool {
    let at = text.rfind('/').map_or(0, |slash| slash + 1);
    text.split_at_checked(at).is_some_and(|(path, name)| is_path(path) && is_name(name))
}

fn is_partition(partition: &str) -> bool {
    partition.starts_with("aws")
        && partition.len() <= 16
        && partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

fn is_account(account: &str) -> bool {
    account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())
}

/// The parts of `arn:partition:iam::account:role/rest`.
fn parts(arn: &str) -> Option<(&str, &str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let (head, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let rest = resource.strip_prefix("role/")?;
    let fits = head == "arn" && is_partition(partition) && service == "iam" && region.is_empty() && is_account(account);
    fits.then_some((partition, account, rest))
}

/// Whether a text means an ARN, whatever it is worth: kube2iam takes the prefix in any case.
fn begins_like_an_arn(text: &str) -> bool {
    text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("arn:"))
}

impl RoleArn {
    /// Reads an ARN.
    ///
    /// # Errors
    /// [`RoleError`]
    pub fn new(arn: &str) -> Result<Self, RoleError> {
        if arn.len() > *limits::ROLE_ARN.end() {
            return Err(RoleError::Long);
        }
        let (.., rest) = parts(arn).ok_or(RoleError::Arn)?;
        is_path_and_name(rest).then(|| Self(arn.into())).ok_or(RoleError::Name)
    }

    /// The ARN.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its path, as it stands in the ARN of a session.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The account that the role is in.
    #[must_use]
    pub fn account(&self) -> &str {
        parts(&self.0).map_or("", |(_, account, _)| account)
    }

    /// The partition that the role is in: `aws`, `aws-cn`, `aws-us-gov`, ...
    #[must_use]
    pub fn partition(&self) -> &str {
        parts(&self.0).map_or("", |(partition, ..)| partition)
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl RoleBase {
    /// Reads `arn:aws:iam::123456789012:role/` with or without its last slash, and with a path or without (kube2iam's
    /// `--base-role-arn`).
    ///
    /// # Errors
    /// [`RoleError`]
    pub fn new(arn: &str) -> Result<Self, RoleError> {
        let base = format!("{}/", arn.trim_end_matches('/'));
        let (.., path) = parts(&base).ok_or(RoleError::Arn)?;
        if !is_path(path) {
            return Err(RoleError::Name);
        }
        Ok(Self(base))
    }

    /// The roles of an account.
    ///
    /// # Errors
    /// [`RoleError`] if these are no names of a partition and an account.
    pub fn of_account(partition: &str, account: &str) -> Result<Self, RoleError> {
        Self::new(&format!("arn:{partition}:iam::{account}:role/"))
    }

    /// What it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The role that an annotation, or the last part of a URL, means: a name, a path and a name, or an ARN. A slash in front
    /// changes nothing (kiam's spelling).
    ///
    /// # Errors
    /// [`RoleError`]
    pub fn role(&self, text: &str) -> Result<RoleArn, RoleError> {
        let text = text.trim_matches([' ', '\t']);
        if text.is_empty() {
            return Err(RoleError::Empty);
        }
        if begins_like_an_arn(text) {
            return RoleArn::new(text);
        }
        let name = text.strip_prefix('/').unwrap_or(text);
        if !is_path_and_name(name) {
            return Err(RoleError::Name);
        }
        RoleArn::new(&format!("{}{name}", self.0))
    }

    /// How a role is called in the list that a client reads: what stands behind the base, and else its ARN.
    #[must_use]
    pub fn shown<'r>(&self, role: &'r RoleArn) -> &'r str {
        role.0.strip_prefix(&self.0).unwrap_or(&role.0)
    }

    /// A pattern of roles as a namespace lists it, as a pattern of ARNs.
    #[must_use]
    pub(crate) fn pattern(&self, text: &str) -> String {
        let text = text.trim_matches([' ', '\t']);
        if begins_like_an_arn(text) {
            return text.to_owned();
        }
        // `*` alone is everything, whatever the account: that is how kube2iam's users write it.
        if text == "*" || text == ".*" {
            return text.to_owned();
        }
        format!("{}{}", self.0, text.strip_prefix('/').unwrap_or(text))
    }
}

/// How a session is called, with `{namespace}`, `{pod}`, `{service_account}` and `{node}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionTemplate {
    text: String,
}

/// What stands for the variables of a [`SessionTemplate`].
#[derive(Debug, Clone, Copy)]
pub struct SessionNames<'a> {
    /// `{namespace}`
    pub namespace: &'a str,
    /// `{pod}`
    pub pod: &'a str,
    /// `{service_account}`
    pub service_account: &'a str,
    /// `{node}`
    pub node: &'a str,
}

const VARIABLES: [&str; 4] = ["{namespace}", "{pod}", "{service_account}", "{node}"];

impl Default for SessionTemplate {
    fn default() -> Self {
        Self { text: "{namespace}.{pod}".to_owned() }
    }
}

impl SessionTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut rest = text.to_owned();
        for variable in VARIABLES {
            rest = rest.replace(variable, "");
        }
        if text.is_empty() {
            return Err("it is empty; the default is \"{namespace}.{pod}\"".to_owned());
        }
        if !rest.chars().all(is_session_char) {
            let known = VARIABLES.join(", ");
            return Err(format!("beside {known}, letters, digits and _+=,.@- are allowed (STS, RoleSessionName)"));
        }
        Ok(Self { text: text.to_owned() })
    }

    /// The template.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of a session: the same for the same pod, whenever it is asked. What is too long is cut, and a hash of the
    /// whole keeps two such apart.
    #[must_use]
    pub fn name(&self, names: &SessionNames<'_>) -> String {
        let whole = self
            .text
            .replace(VARIABLES[0], names.namespace)
            .replace(VARIABLES[1], names.pod)
            .replace(VARIABLES[2], names.service_account)
            .replace(VARIABLES[3], names.node);
        let legal: String = whole.chars().map(|c| if is_session_char(c) { c } else { '-' }).collect();
        let (least, most) = (*limits::SESSION_NAME.start(), *limits::SESSION_NAME.end());
        if (least..=most).contains(&legal.len()) && legal == whole {
            return legal;
        }
        let hash = fingerprint(whole.as_bytes());
        let kept: String = legal.chars().take(most - hash.len() - 1).collect();
        format!("{kept}-{hash}")
    }
}

/// STS API reference, AssumeRole, RoleSessionName: `[\w+=,.@-]*`, where `\w` is ASCII.
fn is_session_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+=,.@-".contains(c)
}

/// The first 48 bits of SHA-256, in hexadecimal digits.
fn fingerprint(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().take(6).fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String does not fail");
        text
    })
}

#[cfg(test)]
mod tests;
