use super::*;
use crate::{Acknowledgement, Refusal};

fn key(n: u8) -> SigningKey {
    SigningKey::from_seed(&[n; 32]).unwrap()
}

#[test]
fn what_is_signed_is_what_the_standard_says() {
    // The example of the DSSE specification.
    assert_eq!(head("http://example.com/HelloWorld", 11), "DSSEv1 29 http://example.com/HelloWorld 11 ");
    for len in 0..70 {
        let payload = "x".repeat(len);
        let signed = Signed::of(Kind::Refusal, &STANDARD.encode(&payload)).unwrap();
        assert_eq!(signed.bytes, [head(Kind::Refusal.media_type(), len).as_bytes(), payload.as_bytes()].concat());
        assert_eq!(signed.payload(), payload.as_bytes());
    }
}

#[test]
fn only_one_spelling_of_a_payload_is_taken() {
    assert!(Signed::of(Kind::Refusal, "e30=").is_some());
    for wrong in
        ["e30", "e30==", "e30===", "=", "==", "====", "e3==", "e31=", "e30=e30=", "e3 =", "e30\n", "e30=\n", "-_8="]
    {
        assert!(Signed::of(Kind::Refusal, wrong).is_none(), "{wrong:?}");
    }
}

#[test]
fn it_opens_with_its_key_and_as_what_it_is_only() {
    let envelope = Envelope::seal(Kind::Refusal, br#"{"a":1}"#, &key(1));
    let open = |kind, key: &PublicKey| envelope.open::<serde_json::Value>(kind, key);
    let opened = open(Kind::Refusal, &key(1).public()).unwrap();
    assert_eq!((opened.content["a"].as_i64(), opened.digest), (Some(1), Digest::of(br#"{"a":1}"#)));
    assert!(matches!(open(Kind::Refusal, &key(2).public()), Err(EnvelopeError::UnknownKey(_))));
    assert!(matches!(open(Kind::Statement, &key(1).public()), Err(EnvelopeError::Kind { .. })));
    // A key that only has the name of another.
    let mut renamed = envelope.clone();
    renamed.signatures[0].keyid = key(2).public().id();
    let open = renamed.open::<serde_json::Value>(Kind::Refusal, &key(2).public());
    assert!(matches!(open, Err(EnvelopeError::Signature(_))));
}

#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let envelope = Envelope::seal(Kind::Acknowledgement, br#"{"seq":41}"#, &key(1));
    let public = key(1).public();
    let changed = Envelope { payload: STANDARD.encode(br#"{"seq":42}"#), ..envelope.clone() };
    assert!(changed.open::<serde_json::Value>(Kind::Acknowledgement, &public).is_err());
    // The same bytes said to be another kind of message.
    let retyped = Envelope { payload_type: Kind::Refusal.media_type().to_owned(), ..envelope };
    assert!(retyped.open::<serde_json::Value>(Kind::Refusal, &public).is_err());
}

#[test]
fn none_and_two_signatures_are_refused() {
    let mut envelope = Envelope::seal(Kind::Refusal, b"{}", &key(1));
    envelope.signatures.push(envelope.signatures[0].clone());
    assert!(matches!(Envelope::read(&envelope.to_bytes(), 4096), Err(EnvelopeError::Signatures(2))));
    envelope.signatures.clear();
    assert!(matches!(Envelope::read(&envelope.to_bytes(), 4096), Err(EnvelopeError::Signatures(0))));
    assert!(matches!(envelope.open::<Refusal>(Kind::Refusal, &key(1).public()), Err(EnvelopeError::Signatures(0))));
}

#[test]
fn what_is_too_long_is_not_even_parsed() {
    assert!(matches!(Envelope::read(&[b'['; 5000], 4096), Err(EnvelopeError::TooLong { len: 5000, most: 4096 })));
}

#[test]
fn well_signed_nonsense_is_refused() {
    let envelope = Envelope::seal(Kind::Acknowledgement, b"[]", &key(1));
    let open = envelope.open::<Acknowledgement>(Kind::Acknowledgement, &key(1).public());
    assert!(matches!(open, Err(EnvelopeError::Payload(_))));
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_refused_or_an_envelope(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
        if let Ok(envelope) = Envelope::read(&bytes, 4096) {
            proptest::prop_assert!(envelope.open::<Refusal>(Kind::Refusal, &key(1).public()).is_err());
        }
    }
}
