//! The test vectors of docs/protocol.md, for whoever writes another end of the protocol.
//!
//! `UPDATE_GOLDEN=1 cargo test -p safeguard-protocol --test vectors` writes them anew.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::print_stderr, reason = "what was not checked has to be said")]
#![expect(clippy::disallowed_methods, reason = "vectors are files of the repository, and Python checks them too")]

#[path = "vectors/messages.rs"]
mod messages;

use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use safeguard_protocol::{
    Acknowledgement, Challenge, Digest, Enrolled, Enrolment, Envelope, EnvelopeError, Kind, PublicKey, Refusal,
    SigningKey, Statement, limits,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What a file holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    /// What it shows.
    about: String,
    /// The seed of the key that signs, as 64 hexadecimal digits.
    seed: String,
    /// The keys that whoever opens it trusts, in base64url.
    trusted: Vec<PublicKey>,
    /// The media type that whoever opens it expects.
    expected: String,
    /// What comes of it: `opens`, or why it must be refused: `kind`, `signature`, `signatures`, `unknown-key`.
    outcome: String,
    /// The payload, to the byte. Of one that is refused too.
    payload: String,
    /// The digest of the payload.
    digest: Digest,
    /// The bytes that are signed, in base64.
    signed: String,
    /// The envelope, to the byte.
    envelope: String,
}

const NODE: [u8; 32] = [1; 32];
const SERVER: [u8; 32] = [2; 32];
const STRANGER: [u8; 32] = [3; 32];
const KINDS: [Kind; 6] =
    [Kind::Enrolment, Kind::Statement, Kind::Challenge, Kind::Enrolled, Kind::Acknowledgement, Kind::Refusal];

fn key(seed: &[u8; 32]) -> SigningKey {
    SigningKey::from_seed(seed).unwrap()
}

fn vector(about: &str, kind: Kind, seed: &[u8; 32], payload: &[u8], envelope: &Envelope) -> Vector {
    let media_type = kind.media_type();
    let mut signed = format!("DSSEv1 {} {media_type} {} ", media_type.len(), payload.len()).into_bytes();
    signed.extend_from_slice(payload);
    Vector {
        about: about.to_owned(),
        seed: seed.iter().map(|byte| format!("{byte:02x}")).collect(),
        trusted: vec![key(seed).public()],
        expected: media_type.to_owned(),
        outcome: "opens".to_owned(),
        payload: String::from_utf8(payload.to_vec()).unwrap(),
        digest: Digest::of(payload),
        signed: STANDARD.encode(signed),
        envelope: String::from_utf8(envelope.to_bytes()).unwrap(),
    }
}

fn good<T: Serialize>(about: &str, kind: Kind, seed: &[u8; 32], content: &T) -> Vector {
    let payload = serde_json::to_vec(content).unwrap();
    vector(about, kind, seed, &payload, &Envelope::seal(kind, &payload, &key(seed)))
}

fn vectors() -> Vec<(&'static str, Vector)> {
    let node = key(&NODE).public();
    let enrolment = good(
        "A node enrols. The proofs have the right form and are not real.",
        Kind::Enrolment,
        &NODE,
        &messages::enrolment(node),
    );
    let smallest = good("A statement without anything optional.", Kind::Statement, &NODE, &messages::smallest(node));
    let sealed = messages::largest(node).seal(&key(&NODE)).unwrap();
    let payload = serde_json::to_vec(&sealed.statement).unwrap();
    let largest = vector(
        "A statement as long as one may be: changed controls are left out at the end of the list, and counted.",
        Kind::Statement,
        &NODE,
        &payload,
        &sealed.envelope,
    );
    let enrolled = messages::enrolled(enrolment.digest, node);
    let acknowledgement = messages::acknowledgement(smallest.digest, node);
    let refusal = messages::refusal(smallest.digest);
    let answer = |about: &str, outcome: &str| {
        let vector = good(about, Kind::Acknowledgement, &SERVER, &acknowledgement);
        let envelope: Envelope = serde_json::from_str(&vector.envelope).unwrap();
        (Vector { outcome: outcome.to_owned(), ..vector }, envelope)
    };
    let with = |(vector, envelope): (Vector, Envelope)| Vector { envelope: text(&envelope), ..vector };

    let mut changed = answer("One digit of the payload was changed after it was signed.", "signature");
    changed.0.payload = changed.0.payload.replace("\"interval_s\":60", "\"interval_s\":61");
    changed.0.digest = Digest::of(changed.0.payload.as_bytes());
    changed.1.payload = STANDARD.encode(&changed.0.payload);

    let mut retyped = answer("Well signed, as another kind than what belongs here.", "kind");
    retyped.0.expected = Kind::Enrolled.media_type().to_owned();

    let mut relabelled =
        answer("The media type was changed after it was signed: the same bytes, said to be another kind.", "signature");
    relabelled.0.expected = Kind::Enrolled.media_type().to_owned();
    relabelled.1.payload_type = Kind::Enrolled.media_type().to_owned();

    let mut twice = answer("Two signatures, both of them right.", "signatures");
    twice.1.signatures.push(twice.1.signatures[0].clone());

    let mut foreign = answer("Signed with a key that nobody here trusts.", "unknown-key");
    foreign.1 = Envelope::seal(Kind::Acknowledgement, foreign.0.payload.as_bytes(), &key(&STRANGER));

    let mut renamed = answer("Signed with a key that nobody here trusts, under the name of one that is.", "signature");
    let id = renamed.1.signatures[0].keyid;
    renamed.1 = Envelope::seal(Kind::Acknowledgement, renamed.0.payload.as_bytes(), &key(&STRANGER));
    renamed.1.signatures[0].keyid = id;

    vec![
        ("challenge", good("The safeguard gives a nonce.", Kind::Challenge, &SERVER, &messages::challenge())),
        ("enrolment", enrolment),
        ("enrolled", good("The enrolment was taken.", Kind::Enrolled, &SERVER, &enrolled)),
        ("statement-smallest", smallest),
        ("statement-largest", largest),
        (
            "acknowledgement",
            good("The smallest statement was stored.", Kind::Acknowledgement, &SERVER, &acknowledgement),
        ),
        ("refusal", good("The smallest statement was not taken.", Kind::Refusal, &SERVER, &refusal)),
        ("refused-changed-payload", with(changed)),
        ("refused-other-kind", with(retyped)),
        ("refused-relabelled", with(relabelled)),
        ("refused-two-signatures", with(twice)),
        ("refused-foreign-key", with(foreign)),
        ("refused-renamed-key", with(renamed)),
    ]
}

fn text(envelope: &Envelope) -> String {
    String::from_utf8(envelope.to_bytes()).unwrap()
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors")
}

fn on_disk() -> Vec<(String, Vector)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let vector = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            found.push((path.file_stem().unwrap().to_str().unwrap().to_owned(), vector));
        }
    }
    found
}

#[test]
fn the_files_are_what_this_program_says() {
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|update| update == "1") {
        for (name, vector) in vectors() {
            let text = serde_json::to_string_pretty(&vector).unwrap();
            std::fs::write(directory().join(format!("{name}.json")), text + "\n").unwrap();
        }
    }
    let found = on_disk();
    let expected = vectors();
    assert_eq!(found.len(), expected.len(), "a file too many or too few in tests/vectors");
    for (name, vector) in expected {
        let file = found.iter().find(|(other, _)| other == name);
        assert_eq!(file.map(|(_, vector)| vector), Some(&vector), "{name}.json is not current");
    }
}

/// Opens one as another end would: from the files alone.
fn open(vector: &Vector) -> Result<Digest, EnvelopeError> {
    fn opened<T: DeserializeOwned + Serialize>(vector: &Vector, kind: Kind) -> Result<Digest, EnvelopeError> {
        let envelope = Envelope::read(vector.envelope.as_bytes(), limits::ENROLMENT_BYTES)?;
        let opened = envelope.open_any::<T>(kind, &vector.trusted)?;
        // Nothing is lost on the way in and out.
        assert_eq!(serde_json::to_string(&opened.content).unwrap(), vector.payload);
        Ok(opened.digest)
    }
    let kind = KINDS.into_iter().find(|kind| kind.media_type() == vector.expected).unwrap();
    match kind {
        Kind::Challenge => opened::<Challenge>(vector, kind),
        Kind::Enrolment => opened::<Enrolment>(vector, kind),
        Kind::Enrolled => opened::<Enrolled>(vector, kind),
        Kind::Statement => opened::<Statement>(vector, kind),
        Kind::Acknowledgement => opened::<Acknowledgement>(vector, kind),
        Kind::Refusal => opened::<Refusal>(vector, kind),
    }
}

#[test]
fn each_opens_or_is_refused_for_the_reason_that_it_gives() {
    for (name, vector) in on_disk() {
        let outcome = match open(&vector) {
            Ok(digest) => {
                assert_eq!(digest, vector.digest, "{name}");
                "opens"
            }
            Err(EnvelopeError::Kind { .. }) => "kind",
            Err(EnvelopeError::Signature(_)) => "signature",
            Err(EnvelopeError::Signatures(_)) => "signatures",
            Err(EnvelopeError::UnknownKey(_)) => "unknown-key",
            Err(other) => panic!("{name}: {other}"),
        };
        assert_eq!(outcome, vector.outcome, "{name}");
    }
}

#[test]
fn the_smallest_and_the_largest_statement_are_within_their_bounds() {
    let node = key(&NODE);
    let whole = messages::largest(node.public());
    let sealed = whole.clone().seal(&node).unwrap();
    let (said, len) = (sealed.statement, sealed.envelope.to_bytes().len());
    assert!(len <= limits::BEAT_BYTES, "{len}");
    said.check().unwrap();
    let (before, after) = (whole.assessment.clone().unwrap(), said.assessment.clone().unwrap());
    let counted = |all: usize, named: usize, more: u32| u32::try_from(all - named).unwrap() + more;
    assert_eq!(after.changed_more, counted(before.changed.len(), after.changed.len(), before.changed_more));
    assert_eq!(after.critical_more, counted(before.critical.len(), after.critical.len(), before.critical_more));
    // The first ones stay, and critical ones are the last to go.
    assert!(after.changed.is_empty() && !after.critical.is_empty() && before.critical.starts_with(&after.critical));
    assert_eq!(said.spool.dropped, whole.spool.dropped.get(..1).unwrap());
    messages::smallest(node.public()).check().unwrap();
    messages::enrolment(node.public()).check().unwrap();
}

#[test]
fn any_statement_that_is_signed_is_short_enough_for_its_envelope() {
    let envelope = Envelope::seal(Kind::Statement, &[b'x'; limits::STATEMENT_BYTES], &key(&NODE));
    assert!(envelope.to_bytes().len() <= limits::BEAT_BYTES);
    let node = key(&NODE);
    let long = "n".repeat(limits::NAME_BYTES);
    let mut statement = messages::largest(node.public());
    statement.node_name.clone_from(&long);
    let sealed = statement.clone().seal(&node).unwrap();
    assert!(sealed.envelope.to_bytes().len() <= limits::BEAT_BYTES);
    // Every name as long as a name may be: nothing that could be left out is left, and it is said.
    statement.node_group = Some(long.clone());
    for name in [
        &mut statement.tenant,
        &mut statement.cluster,
        &mut statement.account,
        &mut statement.region,
        &mut statement.instance_id,
        &mut statement.image_id,
    ] {
        name.clone_from(&long);
    }
    statement.program.version.clone_from(&long);
    let error = statement.seal(&node).unwrap_err().to_string();
    assert!(error.contains("names of tenant, cluster, node group and node are too long"), "{error}");
}

#[test]
fn a_program_in_another_language_agrees() {
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/safeguard/venv"));
    let Some(venv) = std::env::var_os("SAFEGUARD_TEST_VENV").map(PathBuf::from).or(home) else { return };
    let python = venv.join("bin/python");
    let has = Command::new(&python).args(["-c", "import cryptography"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        eprintln!("not checked in Python: {} has no package `cryptography`", python.display());
        return;
    }
    let output = Command::new(&python).arg(directory().join("check.py")).output().unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}{wrong}");
    assert_eq!(said.lines().count(), vectors().len(), "{said}");
}
