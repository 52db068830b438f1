//! Names of AWS: accounts, instances, and the sessions of roles.

/// 12 digits.
pub(crate) fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

/// `i-` and 8 or 17 hexadecimal digits (EC2 User Guide, "Resource IDs").
pub(crate) fn is_instance(text: &str) -> bool {
    is_resource(text, "i-")
}

/// `ami-` and 8 or 17 hexadecimal digits.
pub(crate) fn is_image(text: &str) -> bool {
    is_resource(text, "ami-")
}

/// The account of a role: `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`.
pub(crate) fn role_account(arn: &str) -> Option<&str> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else { return None };
    // IAM API, CreateRole: a path and a name of `[\w+=,.@-]`.
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-/".contains(&b);
    let name = resource.strip_prefix("role/").filter(|name| !name.is_empty() && name.bytes().all(allowed));
    (partition.starts_with("aws") && is_account(account) && name.is_some()).then_some(account)
}

fn is_resource(text: &str, prefix: &str) -> bool {
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix(prefix).is_some_and(|id| matches!(id.len(), 8 | 17) && id.bytes().all(hex))
}

/// A session of a role, as GetCallerIdentity names it: `arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session<'a> {
    pub(crate) partition: &'a str,
    pub(crate) account: &'a str,
    /// The role's name, without its path.
    pub(crate) role: &'a str,
    pub(crate) name: &'a str,
}

impl<'a> Session<'a> {
    /// None for everything else, such as a user.
    pub(crate) fn read(arn: &'a str) -> Option<Self> {
        let parts: Vec<&str> = arn.splitn(7, ':').collect();
        let ["arn", partition, "sts", "", account, resource] = parts.as_slice() else { return None };
        let parts: Vec<&str> = resource.splitn(4, '/').collect();
        let ["assumed-role", role, name] = parts.as_slice() else { return None };
        // IAM API, CreateRole and STS API, AssumeRole: `[\w+=,.@-]`, up to 64 characters.
        let word = |text: &str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
            (1..=64).contains(&text.len()) && text.bytes().all(allowed)
        };
        (is_account(account) && word(role) && word(name)).then_some(Self { partition, account, role, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_read_in_its_parts() {
        let session = Session::read("arn:aws:sts::123456789012:assumed-role/node/i-0123456789abcdef0").unwrap();
        assert_eq!((session.partition, session.account), ("aws", "123456789012"));
        assert_eq!((session.role, session.name), ("node", "i-0123456789abcdef0"));
    }

    #[test]
    fn nothing_else_is_a_session() {
        for arn in [
            "",
            "arn:aws:iam::123456789012:user/i-0123456789abcdef0",
            "arn:aws:iam::123456789012:role/node",
            "arn:aws:sts::123456789012:federated-user/node/i-1",
            "arn:aws:sts::123456789012:assumed-role/node",
            "arn:aws:sts::123456789012:assumed-role/path/node/i-0123456789abcdef0",
            "arn:aws:sts::123456789012:assumed-role//i-0123456789abcdef0",
            "arn:aws:sts::12345678901:assumed-role/node/i-0123456789abcdef0",
            "arn:aws:sts:us-east-1:123456789012:assumed-role/node/i-0123456789abcdef0",
            "arn:aws:sts::123456789012:assumed-role/node/i-0123456789abcdef0:x",
            "arn:aws:sts::123456789012:assumed-role/node/i-0123456789abcdef0\n",
        ] {
            assert_eq!(Session::read(arn), None, "{arn}");
        }
    }

    #[test]
    fn a_role_is_of_an_account() {
        for arn in ["arn:aws:iam::123456789012:role/node", "arn:aws-cn:iam::123456789012:role/a/b/node"] {
            assert_eq!(role_account(arn), Some("123456789012"), "{arn}");
        }
        for arn in [
            "",
            "node",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:user/node",
            "arn:aws:iam::12345678901:role/node",
            "arn:aws:sts::123456789012:assumed-role/node/x",
            "arn:aws:iam::123456789012:role/no de",
        ] {
            assert_eq!(role_account(arn), None, "{arn}");
        }
    }

    #[test]
    fn ids_have_their_form() {
        assert!(is_instance("i-0123456789abcdef0") && is_instance("i-0123abcd") && is_image("ami-0123456789abcdef0"));
        for id in ["", "i-", "i-0123", "i-0123456789ABCDEF0", "i-0123456789abcdefg", "ami-0123abcd", "i-0123abcd "] {
            assert!(!is_instance(id), "{id}");
        }
        assert!(is_account("123456789012") && !is_account("1234567890123") && !is_account("12345678901x"));
    }
}
