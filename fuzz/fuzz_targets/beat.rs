//! What a node sends, before anybody believes it: an envelope, and the statement or enrolment in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use safeguard_protocol::{Enrolment, Envelope, Kind, SigningKey, Statement, limits};

fuzz_target!(|data: &[u8]| {
    // As it comes over the wire.
    if let Ok(envelope) = Envelope::read(data, limits::ENROLMENT_BYTES) {
        drop(envelope.open_enrolment());
        let bytes = envelope.to_bytes();
        assert_eq!(Envelope::read(&bytes, usize::MAX).expect("what was written is read"), envelope);
    }
    // As what somebody with a key has signed.
    let key = SigningKey::from_seed(&[1; 32]).expect("a seed");
    let envelope = Envelope::seal(Kind::Statement, data, &key);
    if let Ok(opened) = envelope.open::<Statement>(Kind::Statement, &key.public())
        && opened.content.check().is_ok()
        && let Ok(sealed) = opened.content.seal(&key)
    {
        assert!(sealed.envelope.to_bytes().len() <= limits::BEAT_BYTES);
    }
    if let Ok(opened) = Envelope::seal(Kind::Enrolment, data, &key).open::<Enrolment>(Kind::Enrolment, &key.public()) {
        let _ = opened.content.check();
    }
});
