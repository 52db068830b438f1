//! SHA-256 of bytes, as it is written: `sha256:` and 64 lower-case hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256, digest};

/// The SHA-256 of something.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// Why a text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is written as `sha256:` and 64 lower-case hexadecimal digits")]
pub struct DigestError;

impl Digest {
    /// The digest of bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut value = [0; 32];
        value.copy_from_slice(digest(&SHA256, bytes).as_ref());
        Self(value)
    }

    /// The digest of everything that a reader gives.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn of_reader(mut reader: impl std::io::Read) -> std::io::Result<Self> {
        let (mut context, mut buffer) = (Context::new(&SHA256), vec![0; 64 * 1024]);
        loop {
            match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => context.update(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let mut value = [0; 32];
        value.copy_from_slice(context.finish().as_ref());
        Ok(Self(value))
    }

    /// A digest from its 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        f.write_str(hex(&self.0).as_str())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix("sha256:").ok_or(DigestError)?;
        unhex(digits).map(Self).ok_or(DigestError)
    }
}

crate::text::as_text!(Digest);

/// 64 lower-case hexadecimal digits as 32 bytes.
pub(crate) fn unhex(digits: &str) -> Option<[u8; 32]> {
    let mut value = [0; 32];
    if digits.len() != 64 {
        return None;
    }
    for (byte, pair) in value.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().try_fold(0_u8, |high, digit| {
            let low = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(high << 4 | low)
        })?;
    }
    Some(value)
}

/// 64 lower-case hexadecimal digits, without an allocation: a statement and its reply have a dozen.
pub(crate) struct Hex([u8; 64]);

impl Hex {
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hexadecimal digits are ASCII")
    }
}

/// 32 bytes as 64 lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8; 32]) -> Hex {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[digit(byte >> 4), digit(*byte)]);
    }
    Hex(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_others_write_it() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(empty.parse(), Ok(Digest::of(b"")));
    }

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        assert_eq!(Digest::of_reader(bytes.as_slice()).unwrap(), Digest::of(&bytes));
    }

    #[test]
    fn it_is_a_string_in_json_however_that_is_written() {
        let (digest, text) = (Digest::of(b""), format!("\"{}\"", Digest::of(b"")));
        assert_eq!(serde_json::to_string(&digest).unwrap(), text);
        let read = |json: &str| serde_json::from_str::<Digest>(json).map_err(|error| error.to_string());
        assert_eq!(read(&text), Ok(digest));
        assert_eq!(read(&text.replace('s', "\\u0073")), Ok(digest));
        assert_eq!(serde_json::from_value(serde_json::json!(digest)).ok(), Some(digest));
        assert!(read("1").unwrap_err().contains("expected a string"));
        assert!(read("\"sha256:00\"").unwrap_err().contains("64 lower-case hexadecimal digits"));
    }

    #[test]
    fn another_spelling_is_refused() {
        let right = Digest::of(b"").to_string();
        for wrong in [right.to_uppercase(), right.replace("sha256:", ""), format!("{right}0"), right.replace('e', "g")]
        {
            assert_eq!(wrong.parse::<Digest>(), Err(DigestError), "{wrong}");
        }
    }
}
