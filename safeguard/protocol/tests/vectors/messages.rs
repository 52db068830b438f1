//! The messages of the vectors: every field of the smallest and of the largest.

use std::collections::BTreeMap;

use safeguard_protocol::{
    Acknowledgement, Assessment, Assurance, Beat, Challenge, Change, Code, Counts, Digest, Enrolled, Enrolment,
    Exceptions, IdentityProof, Logs, Membership, Policy, Posture, Program, Proofs, Proxy, PublicKey, Received,
    Redirect, Refusal, RoleMapping, SequenceRange, Spool, State, Statement, StsProof, Verdict, binding, limits,
};

/// The nonce of a challenge: 32 bytes of 7 in base64url.
pub(crate) const NONCE: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc";
const BOOT: &str = "6f0e1d9a-3c5b-4d27-9a41-0e2f8b7c6d5e";
const NOW: i64 = 1_790_000_000_000;

pub(crate) fn challenge() -> Challenge {
    Challenge { version: 1, nonce: NONCE.to_owned(), expires_in_s: limits::NONCE_SECONDS, server_time_ms: NOW }
}

pub(crate) fn enrolment(key: PublicKey) -> Enrolment {
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Enrolment {
        version: 1,
        tenant: "acme".to_owned(),
        nonce: NONCE.to_owned(),
        public_key: key,
        cluster: "production".to_owned(),
        node_group: Some("workers-a".to_owned()),
        node_name: "ip-10-0-1-23.eu-central-1.compute.internal".to_owned(),
        boot_id: BOOT.to_owned(),
        program: Program { version: "0.1.0".to_owned(), binary: Some(Digest::of(b"safeguard-agent")) },
        sent_at_ms: NOW + 120,
        last_sequence: 0,
        proofs: Proofs {
            identity: Some(IdentityProof {
                document: "{\n  \"accountId\" : \"123456789012\",\n  \"instanceId\" : \"i-0123456789abcdef0\"\n}"
                    .to_owned(),
                rsa2048: "TUlJ\n".to_owned(),
            }),
            sts: Some(StsProof {
                url: "https://sts.eu-central-1.amazonaws.com/".to_owned(),
                headers: vec![
                    header("content-type", "application/x-www-form-urlencoded; charset=utf-8"),
                    header("host", "sts.eu-central-1.amazonaws.com"),
                    header("x-amz-date", "20260921T140640Z"),
                    header("x-amz-security-token", "EXAMPLE"),
                    header("x-safeguard-bind", &binding("acme", NONCE, &key)),
                    header("authorization", "AWS4-HMAC-SHA256 EXAMPLE"),
                ],
                body: "Action=GetCallerIdentity&Version=2011-06-15".to_owned(),
            }),
            service_account_token: Some("EXAMPLE".to_owned()),
        },
    }
}

pub(crate) fn enrolled(in_reply_to: Digest, key: PublicKey) -> Enrolled {
    Enrolled {
        version: 1,
        in_reply_to,
        key_id: key.id(),
        assurance: Assurance::IdentityStsToken,
        sequence: 0,
        server_time_ms: NOW + 180,
        nonce: "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg".to_owned(),
        interval_s: 60,
    }
}

/// Nothing that could be absent is there.
pub(crate) fn smallest(key: PublicKey) -> Statement {
    Statement {
        version: 1,
        tenant: "acme".to_owned(),
        account: "123456789012".to_owned(),
        region: "eu-central-1".to_owned(),
        instance_id: "i-0123456789abcdef0".to_owned(),
        image_id: "ami-0123456789abcdef0".to_owned(),
        cluster: "production".to_owned(),
        node_group: None,
        node_name: "ip-10-0-1-23.eu-central-1.compute.internal".to_owned(),
        key_id: key.id(),
        beat: Beat {
            sequence: 1,
            previous: None,
            boot_id: BOOT.to_owned(),
            made_at_ms: NOW + 1_000,
            uptime_ms: 9_000,
            clock_offset_ms: None,
            server_nonce: None,
            next_due_s: 66,
        },
        program: Program { version: "0.1.0".to_owned(), binary: None },
        configuration: Digest::of(b"configuration"),
        policies: Vec::new(),
        assessment: None,
        exceptions: Exceptions::default(),
        membership: Membership { ready: None, lease_age_s: None, role_mapping: RoleMapping::Unknown },
        logs: None,
        proxy: None,
        spool: Spool::default(),
    }
}

fn control(n: usize) -> String {
    format!("cis-al2023-1.0.0/5.2.4.{n}")
}

/// Everything is there, every list is as long as it may be, numbers are those of a node that beat for centuries and lost
/// terabytes, and names are as long as EKS and Kubernetes take them: more than fits, so that `changed` is cut.
pub(crate) fn largest(key: PublicKey) -> Statement {
    let name = |letter: &str, len: usize| letter.repeat(len);
    let policies = ["cis-eks-1.8.0", "cis-kubernetes-1.12-worker", "cis-al2023-1.0.0", "eks-node-hardening"];
    let changed = (0..limits::CHANGES).map(|n| Change {
        control: control(n),
        from: Some(Verdict::NotApplicable),
        to: Some(Verdict::NotApplicable),
    });
    let reasons = ["too_old", "too_large", "rejected", "deleted", "unreadable", "truncated", "quarantined", "expired"];
    let step = 1_000_000_000;
    let dropped = (0..limits::DROPPED_RANGES as u64).map(|n| SequenceRange { first: n * step + 1, last: n * step + 9 });
    Statement {
        tenant: name("t", 63),
        region: "ap-southeast-1".to_owned(),
        // The longest that EKS and Kubernetes take: 100 and 63 characters.
        cluster: name("c", 100),
        node_group: Some(name("g", 63)),
        node_name: format!("{}.ap-southeast-1.compute.internal", name("n", 63)),
        beat: Beat {
            sequence: 9_000_000_000,
            previous: Some(Digest::of(b"previous")),
            clock_offset_ms: Some(-CLOCK),
            server_nonce: Some(NONCE.to_owned()),
            uptime_ms: CLOCK.unsigned_abs(),
            next_due_s: limits::NEXT_DUE_SECONDS,
            ..smallest(key).beat
        },
        program: Program { version: "10.20.30-rc.1".to_owned(), binary: Some(Digest::of(b"safeguard-agent")) },
        policies: policies.map(|id| Policy { id: id.to_owned(), digest: Digest::of(id.as_bytes()) }).to_vec(),
        assessment: Some(Assessment {
            started_at_ms: NOW - 4_000,
            finished_at_ms: NOW,
            report: Digest::of(b"report"),
            counts: Counts { pass: 300, fail: 300, excepted: 300, not_applicable: 300, manual: 300, unknown: 300 },
            changed: changed.collect(),
            changed_more: 284,
            critical: (0..limits::CRITICAL).map(control).collect(),
            critical_more: 284,
        }),
        exceptions: Exceptions {
            count: 300,
            digest: Some(Digest::of(b"exceptions")),
            next_expiry: Some("2026-12-31".to_owned()),
        },
        membership: Membership { ready: Some(false), lease_age_s: Some(100_000), role_mapping: RoleMapping::Unknown },
        logs: Some(Logs {
            behind_bytes: LARGE,
            oldest_unsent_ms: Some(NOW),
            excluded: LARGE,
            lost: reasons.iter().map(|reason| ((*reason).to_owned(), LARGE)).collect::<BTreeMap<_, _>>(),
        }),
        proxy: Some(Proxy { redirect: Redirect::InPlace, refusals: LARGE, host_network_pods: 100_000 }),
        spool: Spool { beats: 100_000, oldest_ms: Some(NOW), dropped: dropped.collect() },
        ..smallest(key)
    }
}

const LARGE: u64 = 999_999_999_999_999;
/// A century in milliseconds.
const CLOCK: i64 = 3_155_760_000_000;

pub(crate) fn acknowledgement(in_reply_to: Digest, key: PublicKey) -> Acknowledgement {
    Acknowledgement {
        version: 1,
        in_reply_to,
        key_id: key.id(),
        sequence: 1,
        received: Received::Live,
        server_time_ms: NOW + 1_080,
        nonce: "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk".to_owned(),
        interval_s: 60,
        want: vec![Digest::of(b"report")],
        posture: Posture {
            state: State::NonCompliant,
            since_ms: NOW - 90_000,
            reasons: vec!["cis-eks-1.8.0/3.2.1 fails: anonymous requests to the kubelet are taken".to_owned()],
        },
    }
}

pub(crate) fn refusal(in_reply_to: Digest) -> Refusal {
    Refusal {
        version: 1,
        in_reply_to,
        code: Code::RateLimited,
        message: "This node sends more than one beat in 5 seconds.".to_owned(),
        server_time_ms: NOW + 1_080,
        retry_after_s: Some(30),
    }
}
