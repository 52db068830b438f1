//! Why the safeguard does not take something: stable codes, which the agent shows and acts upon.

use serde::{Deserialize, Serialize};

use crate::Digest;

/// An answer that something was not taken, signed like every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// [`crate::VERSION`].
    pub version: u32,
    /// Digest of the payload that is refused; of the request's body where no payload could be read.
    pub in_reply_to: Digest,
    /// Why.
    pub code: Code,
    /// Why, in plain words, without secrets and without details that only the safeguard's operator should have.
    pub message: String,
    /// The safeguard's clock, in milliseconds since 1970.
    pub server_time_ms: i64,
    /// Not to be tried again before, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident $text:literal $status:literal $action:ident;)+) => {
        /// Why something is not taken. New codes may come; an agent takes one that it does not know for a reason to wait.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Code {
            $($(#[doc = $doc])+ #[serde(rename = $text)] $name,)+
            /// One that this program does not know.
            #[serde(other, rename = "unknown")]
            Unknown,
        }

        impl Code {
            /// Every code but [`Code::Unknown`].
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// As it is written in messages.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ Self::Unknown => "unknown" }
            }

            /// The HTTP status that goes with it.
            #[must_use]
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)+ Self::Unknown => 500 }
            }

            /// What the agent does about it.
            #[must_use]
            pub fn remedy(self) -> Remedy {
                match self { $(Self::$name => Remedy::$action,)+ Self::Unknown => Remedy::Wait }
            }
        }
    };
}

/// What an agent does about a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Waits longer each time, and sends the same again.
    Wait,
    /// Enrols again with the key it has.
    Enrol,
    /// Makes a new key and enrols with it.
    NewKey,
    /// Sends this one no more; the next one may be taken.
    Drop,
    /// Waits at least ten minutes, and says so: an operator has to act.
    Operator,
}

codes! {
    /// The body is not of the form that the protocol gives.
    Malformed "malformed" 400 Drop;
    /// The body is too long.
    TooLong "too-long" 413 Drop;
    /// The version of the message is not spoken here.
    Version "version" 400 Operator;
    /// The signature is not of this payload and this key.
    Signature "signature" 401 NewKey;
    /// No node is known by this key.
    UnknownKey "unknown-key" 401 Enrol;
    /// The key was replaced by another one of the same instance.
    RetiredKey "retired-key" 401 NewKey;
    /// The key is not enrolled for this boot.
    UnknownBoot "unknown-boot" 409 Enrol;
    /// The statement names another tenant, account, instance, cluster or node than its key's enrolment.
    Identity "identity" 403 Enrol;
    /// The sequence number was used with other content: a copy of the node's disk speaks, or an old one was restored.
    SequenceReused "sequence-reused" 409 NewKey;
    /// The nonce was never given, was used, or is too old.
    Nonce "nonce" 409 Enrol;
    /// A proof that the operator asks for is missing.
    ProofMissing "proof-missing" 403 Operator;
    /// The identity document is not signed by AWS for its region, or is not what was signed.
    ProofIdentity "proof-identity" 403 Operator;
    /// STS does not vouch for this key, this role or this instance.
    ProofSts "proof-sts" 403 Operator;
    /// The cluster does not vouch for the token.
    ProofToken "proof-token" 403 Operator;
    /// STS or the cluster could not be asked.
    ProofUnavailable "proof-unavailable" 503 Wait;
    /// The tenant is not known, or not for this account, region or cluster.
    Tenant "tenant" 403 Operator;
    /// The AMI is not approved.
    Image "image" 403 Operator;
    /// Another key speaks for this instance, and nothing proves that this one has its place.
    KeyConflict "key-conflict" 409 Operator;
    /// The node sends more than is taken of one.
    RateLimited "rate-limited" 429 Wait;
    /// The safeguard takes nothing for a moment.
    Busy "busy" 503 Wait;
    /// The safeguard cannot store it.
    Storage "storage" 503 Wait;
    /// The report is not one that was asked for, or is not what its digest says.
    Report "report" 409 Drop;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_is_new_is_a_reason_to_wait() {
        let code: Code = serde_json::from_str("\"tomorrow\"").unwrap();
        assert_eq!((code, code.remedy()), (Code::Unknown, Remedy::Wait));
    }

    #[test]
    fn codes_are_written_as_they_are_read() {
        for code in Code::ALL {
            assert_eq!(serde_json::to_string(code).unwrap(), format!("\"{}\"", code.as_str()));
        }
    }
}
