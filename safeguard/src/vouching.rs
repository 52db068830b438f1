//! Who says that a node is who it says it is.

use safeguard_protocol::{Assurance, Code, Enrolment};
use serde::Deserialize;

use crate::verify::{Denied, Verified, Verifier};

/// Who vouches for nodes.
#[derive(Debug)]
pub enum Vouching {
    /// AWS and the clusters, as the settings say.
    Verifier(Box<Verifier>),
    /// Nobody: every word is believed, and every node is labelled as simulated. For a demonstration and for tests; no setting leads
    /// here.
    Simulation,
}

/// The members of an identity document that are looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    account_id: String,
    region: String,
    instance_id: String,
    image_id: String,
}

impl Vouching {
    /// Whether nodes are made up.
    #[must_use]
    pub fn is_simulation(&self) -> bool {
        matches!(self, Self::Simulation)
    }

    /// Who this is.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn verify(&self, enrolment: &Enrolment, now_ms: i64) -> Result<Verified, Denied> {
        match self {
            Self::Verifier(verifier) => verifier.verify(enrolment, now_ms).await,
            Self::Simulation => believe(enrolment),
        }
    }
}

fn believe(enrolment: &Enrolment) -> Result<Verified, Denied> {
    let proofs = &enrolment.proofs;
    let denied = |detail: String| Denied { code: Code::ProofIdentity, message: detail.clone(), detail };
    let identity = proofs.identity.as_ref().ok_or_else(|| denied("there is no identity document".to_owned()))?;
    let document: Document = serde_json::from_str(&identity.document).map_err(|error| denied(error.to_string()))?;
    let assurance = if proofs.sts.is_some() { Assurance::IdentitySts } else { Assurance::Identity };
    Ok(Verified {
        account: document.account_id,
        region: document.region,
        instance_id: document.instance_id,
        image_id: document.image_id,
        pending_time_ms: None,
        role_arn: None,
        assurance,
    })
}
