//! Enrolments: nonces, copies, and who may take whose place. What the proofs have to hold is tested where they are verified.

use http::Method;
use safeguard_protocol::{Code, Enrolled, Envelope, Kind};

use crate::node::{Node, Safeguard, ask, code};

#[tokio::test]
async fn a_nonce_is_good_once() {
    let safeguard = Safeguard::start().await;
    let node = Node::new(safeguard.url(), safeguard.server.public_key(), 1);
    let enrolment = node.enrolment(node.nonce().await);
    let send = || node.send::<_, Enrolled>((Kind::Enrolment, Kind::Enrolled), "/v1/enroll", &enrolment);
    assert_eq!(send().await.unwrap().sequence, 0);
    assert_eq!(code(send().await), Code::Nonce);
    let made_up = node.enrolment("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned());
    assert_eq!(
        code(node.send::<_, Enrolled>((Kind::Enrolment, Kind::Enrolled), "/v1/enroll", &made_up).await),
        Code::Nonce
    );
}

#[tokio::test]
async fn a_key_is_one_instances_own() {
    let safeguard = Safeguard::start().await;
    let node = safeguard.node(1).await;
    let mut copy = node.copy();
    copy.n = 2;
    assert_eq!(code(copy.enrol().await), Code::RetiredKey);
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM event WHERE kind = 'refused'"), 1);
    copy.new_key();
    copy.enrol().await.unwrap();
}

#[tokio::test]
async fn without_the_word_of_sts_nobody_takes_the_place_of_a_key() {
    let safeguard = Safeguard::start().await;
    let node = safeguard.node(1).await;
    let mut thief = Node::new(safeguard.url(), safeguard.server.public_key(), 1);
    thief.sts = false;
    assert_eq!(code(thief.enrol().await), Code::KeyConflict);
    let mut node = node;
    node.beat().await.unwrap();
}

/// What is known of a node does not begin anew with a key: when it was heard, when it was assessed.
#[tokio::test]
async fn a_node_with_another_key_is_as_it_was_until_it_speaks() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    let heard = || {
        let of = "SELECT last_live_ms || ' ' || last_beat_ms || ' ' || assessed_ms FROM heard h JOIN node n ON n.key_no = h.key_no";
        safeguard.stored::<String>(of)
    };
    let before = heard();
    let mut rekeyed = node.copy();
    rekeyed.new_key();
    rekeyed.enrol().await.unwrap();
    assert_eq!(heard(), before);
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM node_key WHERE retired_ms IS NOT NULL"), 1);
    assert_eq!(code(node.beat().await), Code::RetiredKey);
    let safeguard = safeguard.restart().await;
    rekeyed.url = safeguard.url();
    assert_eq!(
        safeguard.stored::<String>("SELECT state FROM node"),
        "suspect",
        "the key that was replaced spoke again"
    );
    rekeyed.beat().await.unwrap();
    assert_eq!(safeguard.stored::<i64>("SELECT sequence FROM heard WHERE key_no = 2"), 1);
}

#[tokio::test]
async fn a_key_that_is_not_enrolled_is_not_heard() {
    let safeguard = Safeguard::start().await;
    let mut node = Node::new(safeguard.url(), safeguard.server.public_key(), 1);
    assert_eq!(code(node.beat().await), Code::UnknownKey);
}

#[tokio::test]
async fn the_signature_has_to_be_the_keys() {
    let safeguard = Safeguard::start().await;
    let (mut node, other) = (safeguard.node(1).await, safeguard.node(2).await);
    let statement = node.next();
    let (mut envelope, _) = Envelope::seal_json(Kind::Statement, &statement, &other.key).unwrap();
    envelope.signatures[0].keyid = node.key.public().id();
    let (status, body) = ask(Method::POST, &format!("{}/v1/beat", node.url), envelope.to_bytes()).await;
    assert_eq!(code(node.read::<serde_json::Value>(Kind::Acknowledgement, status, &body, None)), Code::Signature);
}

#[tokio::test]
async fn who_is_known_is_known_after_a_restart() {
    let safeguard = Safeguard::start().await;
    let mut node = safeguard.node(1).await;
    node.beat().await.unwrap();
    node.beat().await.unwrap();
    let safeguard = safeguard.restart().await;
    node.url = safeguard.url();
    let third = node.beat().await.unwrap();
    assert_eq!((third.sequence, third.received), (3, safeguard_protocol::Received::Live));
    assert_eq!(safeguard.stored::<i64>("SELECT count(*) FROM gap"), 0);
}
