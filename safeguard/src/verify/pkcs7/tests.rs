use proptest::prelude::*;
use safeguard_standins::IdentityCa;
use safeguard_standins::identity_ca::{Form, Hash, attributes};

use super::*;

const DOCUMENT: &[u8] = b"{ \"instanceId\" : \"i-0123456789abcdef0\" }";

fn ca() -> &'static IdentityCa {
    static CA: std::sync::LazyLock<IdentityCa> = std::sync::LazyLock::new(|| IdentityCa::new("eu-central-1").unwrap());
    &CA
}

fn signed(form: Form) -> Vec<u8> {
    ca().sign(DOCUMENT, form)
}

/// Whether a message is read at all, and is signed by the test's key.
fn holds(message: &[u8]) -> Result<bool, String> {
    SignedMessage::read(message).map(|read| read.is_signed_by(ca().public_key())).map_err(|error| error.to_string())
}

#[test]
fn both_encodings_are_read_with_and_without_attributes_and_certificates() {
    for indefinite in [true, false] {
        for attributes in [true, false] {
            for certificate in [true, false] {
                let form = Form { indefinite, attributes, certificate, digest: Hash::Sha256 };
                let message = signed(form);
                assert_eq!(holds(&message), Ok(true), "{form:?}");
                assert_eq!(SignedMessage::read(&message).unwrap().content(), DOCUMENT, "{form:?}");
            }
        }
    }
}

#[test]
fn long_content_comes_in_pieces() {
    let content = vec![b'x'; 5000];
    let message = ca().sign(&content, Form::default());
    assert_eq!(SignedMessage::read(&message).unwrap().content(), content);
    assert_eq!(holds(&message), Ok(true));
}

#[test]
fn the_certificate_inside_is_not_believed() {
    let stranger = IdentityCa::new("eu-central-1").unwrap();
    let message = stranger.sign(DOCUMENT, Form { certificate: true, ..Form::default() });
    assert_eq!(holds(&message), Ok(false));
}

#[test]
fn a_digest_of_other_content_is_refused() {
    let other = attributes(b"{ \"instanceId\" : \"i-0000000000000000f\" }");
    let signature = ca().signature(&[&[0x31, u8::try_from(other.len()).unwrap()], other.as_slice()].concat());
    let message = ca().message(DOCUMENT, Some(&other), &signature, Form::default());
    assert!(holds(&message).unwrap_err().contains("digest"), "{message:?}");
}

/// RFC 5652 does not tell a signature of attributes from one of content that looks like them.
#[test]
fn attributes_that_are_passed_off_as_content_are_no_document() {
    let attributes = attributes(DOCUMENT);
    let set = as_set(&attributes);
    let message = ca().message(&set, None, &ca().signature(&set), Form::default());
    assert_eq!(holds(&message), Ok(true));
    assert!(serde_json::from_slice::<serde_json::Value>(SignedMessage::read(&message).unwrap().content()).is_err());
}

#[test]
fn attributes_have_to_be_there_once_and_for_this_kind() {
    let right = attributes(DOCUMENT);
    let twice = [right.as_slice(), right.as_slice()].concat();
    for (attributes, why) in [(twice, "twice"), (Vec::new(), "missing")] {
        let signature = ca().signature(&as_set(&attributes));
        let message = ca().message(DOCUMENT, Some(&attributes), &signature, Form::default());
        assert!(holds(&message).unwrap_err().contains(why), "{why}");
    }
    // The attribute `contentType` says SignedData: the last byte of its value is 2.
    let mut other = right;
    let data = other.windows(9).rposition(|bytes| bytes == DATA.0).unwrap();
    other[data + 8] = 2;
    let signature = ca().signature(&as_set(&other));
    let message = ca().message(DOCUMENT, Some(&other), &signature, Form::default());
    assert!(holds(&message).unwrap_err().contains("other content"));
}

#[test]
fn other_algorithms_and_smaller_keys_are_refused() {
    let sha1 = signed(Form { digest: Hash::Sha1, ..Form::default() });
    assert!(holds(&sha1).unwrap_err().contains("SHA-256"));
    for bits in [1024, 4096] {
        let message = ca().message(DOCUMENT, None, &vec![1; bits / 8], Form::default());
        assert!(holds(&message).unwrap_err().contains("2048"), "{bits}");
    }
}

#[test]
fn a_second_signer_is_refused() {
    let message = signed(Form { indefinite: false, attributes: false, ..Form::default() });
    let signer = message.windows(2).rposition(|bytes| bytes == [0x31, 0x82]).unwrap();
    let (head, set) = message.split_at(signer);
    let one = &set[4..];
    let both = [one, one].concat();
    let length = u16::try_from(both.len()).unwrap().to_be_bytes();
    let mut doubled = head.to_vec();
    doubled.extend([0x31, 0x82]);
    doubled.extend(length);
    doubled.extend(&both);
    // Every length around it that is written with two bytes grows by as much.
    for at in [0, 15, 19] {
        assert_eq!(doubled[at + 1], 0x82, "{at}");
        let length = u16::from_be_bytes([doubled[at + 2], doubled[at + 3]]) + u16::try_from(one.len()).unwrap();
        doubled[at + 2..at + 4].copy_from_slice(&length.to_be_bytes());
    }
    assert!(holds(&doubled).unwrap_err().contains("trailing"), "{:?}", holds(&doubled));
}

#[test]
fn what_is_cut_short_or_goes_on_is_refused() {
    for form in [Form::default(), Form { indefinite: false, ..Form::default() }] {
        let message = signed(form);
        for length in 0..message.len() {
            assert!(holds(&message[..length]).is_err(), "{form:?} {length}");
        }
        for more in [&[0_u8][..], &[0, 0], b"\n", &message] {
            assert!(holds(&[message.as_slice(), more].concat()).is_err(), "{form:?} {more:?}");
        }
    }
}

#[test]
fn what_is_too_deep_or_too_long_is_refused_at_once() {
    for piece in [&[0x30_u8, 0x80][..], &[0x24, 0x80], &[0xa0, 0x80], &[0x31, 0x80]] {
        let deep = piece.repeat(MAX_BYTES / 2);
        assert!(holds(&deep).unwrap_err().contains("deep"), "{piece:?}");
    }
    // An octet string in octet strings, where the content is.
    let mut nested = vec![0x04, 0x00];
    for _ in 0..40 {
        nested = [&[0x24, u8::try_from(nested.len()).unwrap()], nested.as_slice()].concat();
    }
    let message = signed(Form { attributes: false, ..Form::default() });
    let at = message.windows(2).position(|bytes| bytes == [0x24, 0x80]).unwrap();
    let message = [&message[..at], &nested, &message[at..]].concat();
    assert!(holds(&message).unwrap_err().contains("deep"));
    assert!(holds(&vec![0x30; MAX_BYTES + 1]).unwrap_err().contains("more than"));
    for huge in
        [&[0x30_u8, 0x84, 0xff, 0xff, 0xff, 0xff][..], &[0x30, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]
    {
        assert!(holds(huge).is_err());
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        prop_assert!(holds(&bytes) != Ok(true));
    }

    /// Whatever is changed: either it is refused, or what is signed is what was signed.
    #[test]
    fn a_changed_message_never_speaks_for_other_content(
        form in (any::<bool>(), any::<bool>(), any::<bool>()),
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..6),
    ) {
        let (indefinite, attributes, certificate) = form;
        let mut message = signed(Form { indefinite, attributes, certificate, digest: Hash::Sha256 });
        for (at, byte, how) in changes {
            let at = at.index(message.len());
            match how {
                0 => message[at] = byte,
                1 => message.insert(at, byte),
                _ => { message.remove(at); }
            }
        }
        if let Ok(read) = SignedMessage::read(&message)
            && read.is_signed_by(ca().public_key())
        {
            prop_assert_eq!(read.content(), DOCUMENT);
        }
    }
}
