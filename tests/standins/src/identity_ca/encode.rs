//! As much of BER and DER (X.690) as a signed message needs.

/// Names that a message uses (RFC 5652, RFC 5754, RFC 8017, X.520).
#[derive(Clone, Copy, Debug)]
pub(super) enum Oid {
    SignedData,
    Data,
    ContentType,
    MessageDigest,
    SigningTime,
    Sha256,
    Sha1,
    Rsa,
    CommonName,
}

impl Oid {
    pub(super) fn encode(self) -> Vec<u8> {
        let content: &[u8] = match self {
            Oid::SignedData => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02],
            Oid::Data => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01],
            Oid::ContentType => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03],
            Oid::MessageDigest => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04],
            Oid::SigningTime => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05],
            Oid::Sha256 => &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01],
            Oid::Sha1 => &[0x2b, 0x0e, 0x03, 0x02, 0x1a],
            Oid::Rsa => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01],
            Oid::CommonName => &[0x55, 0x04, 0x03],
        };
        der(0x06, content)
    }

    /// With NULL for parameters.
    pub(super) fn algorithm(self) -> Vec<u8> {
        der(0x30, &[self.encode(), der(0x05, &[])].concat())
    }
}

/// A value with its length before it.
pub(super) fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let bytes = content.len().to_be_bytes();
    let length: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    let mut value = vec![tag];
    match (length.as_slice(), u8::try_from(length.len())) {
        ([], _) => value.push(0),
        ([short @ 0..=0x7f], _) => value.push(*short),
        (length, count) => {
            value.push(0x80 | count.unwrap_or(8));
            value.extend(length);
        }
    }
    value.extend(content);
    value
}

/// Writes constructed values in one form or the other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoder {
    pub(super) indefinite: bool,
}

impl Encoder {
    pub(super) fn constructed(self, tag: u8, parts: &[Vec<u8>]) -> Vec<u8> {
        if !self.indefinite {
            return der(tag, &parts.concat());
        }
        let mut value = vec![tag, 0x80];
        value.extend(parts.concat());
        value.extend([0, 0]);
        value
    }

    /// An octet string; in the open form in pieces of 200 bytes, one of them in pieces again.
    pub(super) fn octets(self, content: &[u8]) -> Vec<u8> {
        if !self.indefinite {
            return der(0x04, content);
        }
        let mut pieces: Vec<Vec<u8>> = content.chunks(200).map(|piece| der(0x04, piece)).collect();
        if let Some(last) = pieces.pop() {
            pieces.push(self.constructed(0x24, &[last]));
        }
        self.constructed(0x24, &pieces)
    }
}
