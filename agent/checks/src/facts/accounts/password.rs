//! Pure: what a password field is worth. Nothing of a hash leaves this file but the name of its scheme.

use std::fmt;

/// The class of a password field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Password {
    /// Nothing: whoever asks may enter.
    Empty,
    /// No password fits: `!`, `*`, and everything behind them.
    Locked,
    /// The password is in `/etc/shadow` (`x` in `/etc/passwd`).
    Shadowed,
    /// A hash (crypt(5)) of this scheme: `6`, `y`, or `des`.
    Hash(String),
    /// Something that is none of these.
    Odd,
}

/// Longest name of a scheme that crypt(5) lists, such as `sha1` or `argon2id`, with room.
const MAX_SCHEME: usize = 16;

/// Length of a hash of the oldest scheme (crypt(5), "descrypt").
const DES_LENGTH: usize = 13;

impl Password {
    /// The class of a field of `/etc/passwd` or `/etc/shadow`.
    pub(crate) fn of(field: &[u8]) -> Self {
        match field {
            [] => Self::Empty,
            [b'!' | b'*', ..] => Self::Locked,
            b"x" => Self::Shadowed,
            [b'$', rest @ ..] => Self::scheme(rest),
            [b'_', rest @ ..] if rest.iter().all(is_of_hash) => Self::Hash("bsdi".to_owned()),
            hash if hash.len() == DES_LENGTH && hash.iter().all(is_of_hash) => Self::Hash("des".to_owned()),
            _ => Self::Odd,
        }
    }

    fn scheme(rest: &[u8]) -> Self {
        let name = rest.split(|b| *b == b'$').next().unwrap_or_default();
        let plain = !name.is_empty()
            && name.len() <= MAX_SCHEME
            && name.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-');
        // Without a second `$` it is no hash, and its first word might be the secret itself.
        match std::str::from_utf8(name) {
            Ok(name) if plain && rest.contains(&b'$') => Self::Hash(name.to_owned()),
            _ => Self::Odd,
        }
    }
}

fn is_of_hash(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'/')
}

impl fmt::Display for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("empty password"),
            Self::Locked => f.write_str("locked password"),
            Self::Shadowed => f.write_str("password in /etc/shadow"),
            Self::Hash(scheme) => write!(f, "password hash of scheme {scheme}"),
            Self::Odd => f.write_str("password field of no known kind"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_class() {
        let hash = |scheme: &str| Password::Hash(scheme.to_owned());
        let cases: &[(&str, Password)] = &[
            ("", Password::Empty),
            ("!", Password::Locked),
            ("!!", Password::Locked),
            ("*", Password::Locked),
            ("!$6$salt$hash", Password::Locked),
            ("x", Password::Shadowed),
            ("$6$salt$hash", hash("6")),
            ("$y$j9T$salt$hash", hash("y")),
            ("ab01234567890", hash("des")),
            ("_J9..rasmBYk8r9AiWNc", hash("bsdi")),
            ("$secret", Password::Odd),
            ("hunter2", Password::Odd),
        ];
        for (field, class) in cases {
            assert_eq!(&Password::of(field.as_bytes()), class, "{field}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_never_tells_much(field in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(Password::of(&field).to_string().len() < 60);
        }
    }
}
