//! What is between us and STS, or STS on a bad day: never the node's fault, and never a way in.

use std::time::Duration;

use safeguard::verify::Verifier;
use safeguard_protocol::Code;
use safeguard_standins::{Trouble, sts};

use crate::rig::{ACCOUNT, INSTANCE, NOW, ROLE, Rig, refused};
use crate::server::{answer, server};

fn identity() -> String {
    format!(
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{INSTANCE}</Arn>\
         <UserId>x</UserId><Account>{ACCOUNT}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    )
}

async fn asking(rig: &Rig, endpoint: String) -> Verifier {
    let mut settings = rig.settings();
    settings.sts.endpoint = Some(endpoint);
    Verifier::new(&settings).unwrap()
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let rig = Rig::start().await;
    let (evil, seen) = server(|_| answer(200, "", &identity())).await;
    for status in [301, 302, 303, 307, 308] {
        let location = format!("location: {evil}/\r\n");
        let (url, asked) = server(move |_| answer(status, &location, &identity())).await;
        let result = asking(&rig, url).await.verify(&rig.enrolment().await, NOW).await;
        refused(result, Code::ProofUnavailable, &status.to_string());
        assert_eq!(asked.lock().unwrap().len(), 1);
    }
    assert!(seen.lock().unwrap().is_empty(), "the node's request went elsewhere");
    // The same answer counts where it was asked for: it is the status that decided.
    assert!(asking(&rig, evil).await.verify(&rig.enrolment().await, NOW).await.is_ok());
}

#[tokio::test]
async fn what_was_signed_is_sent_and_nothing_else() {
    let rig = Rig::start().await;
    let (url, asked) = server(|_| answer(200, "", &identity())).await;
    let enrolment = rig.enrolment().await;
    asking(&rig, url).await.verify(&enrolment, NOW).await.unwrap();
    let request = asked.lock().unwrap().first().unwrap().clone();
    assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\nAction=GetCallerIdentity&Version=2011-06-15"), "{request}");
    for (name, value) in &enrolment.proofs.sts.as_ref().unwrap().headers {
        assert_eq!(request.matches(&format!("{name}: {value}\r\n")).count(), 1, "{name}");
    }
    // The request line, six headers, and the length.
    assert_eq!(request.split("\r\n\r\n").next().unwrap().lines().count(), 8, "{request}");
}

#[tokio::test]
async fn an_answer_without_end_or_sense_is_an_outage() {
    let rig = Rig::start().await;
    let enrolment = rig.enrolment().await;
    let huge = format!("{}{}", identity(), " ".repeat(16 * 1024));
    for body in
        [huge.as_str(), "", "{}", "<html>It works</html>", "<GetCallerIdentityResponse>", "\u{0}", &"<a>".repeat(5000)]
    {
        let reply = answer(200, "", body);
        let (url, _) = server(move |_| reply.clone()).await;
        refused(asking(&rig, url).await.verify(&enrolment, NOW).await, Code::ProofUnavailable, "");
    }
    let (url, _) =
        server(|_| b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nx".to_vec()).await;
    refused(asking(&rig, url).await.verify(&enrolment, NOW).await, Code::ProofUnavailable, "");
    let (url, _) = server(|_| b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()).await;
    refused(asking(&rig, url).await.verify(&enrolment, NOW).await, Code::ProofUnavailable, "");
}

#[tokio::test]
async fn trouble_of_sts_is_told_from_a_refusal() {
    let rig = Rig::start().await;
    let enrolment = rig.enrolment().await;
    for trouble in [
        sts::throttled(),
        sts::internal(),
        sts::unavailable(),
        Trouble::Page(502),
        Trouble::Reset,
        Trouble::Empty,
        Trouble::CutBody,
    ] {
        rig.sts.troubles().next(sts::StsOp::GetCallerIdentity, 1, trouble.clone());
        let denied = rig.verify(&enrolment).await.unwrap_err();
        assert_eq!(denied.code, Code::ProofUnavailable, "{trouble:?} {denied:?}");
    }
    for trouble in [sts::denied(), sts::expired_token()] {
        rig.sts.troubles().next(sts::StsOp::GetCallerIdentity, 1, trouble.clone());
        let denied = rig.verify(&enrolment).await.unwrap_err();
        assert_eq!(denied.code, Code::ProofSts, "{trouble:?} {denied:?}");
    }
    assert!(rig.verify(&enrolment).await.is_ok());
    rig.sts.go_down().await;
    refused(rig.verify(&enrolment).await, Code::ProofUnavailable, "");
}

#[tokio::test]
async fn sts_that_hangs_costs_ten_seconds() {
    let rig = Rig::start().await;
    let enrolment = rig.enrolment().await;
    let start = tokio::time::Instant::now();
    let slow = |trouble| async {
        rig.sts.troubles().next(sts::StsOp::GetCallerIdentity, 1, trouble);
        refused(rig.verify(&enrolment).await, Code::ProofUnavailable, "10 s");
    };
    tokio::join!(slow(Trouble::Hang), slow(Trouble::HangAfterHeaders));
    assert!(start.elapsed() < Duration::from_secs(13), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_authority_that_is_not_trusted_is_an_outage() {
    let rig = Rig::start().await;
    let mut settings = rig.settings();
    settings.sts.ca = None;
    let verifier = Verifier::new(&settings).unwrap();
    refused(verifier.verify(&rig.enrolment().await, NOW).await, Code::ProofUnavailable, "certificate");
}
