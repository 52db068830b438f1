//! Who a node is, by the word of others: AWS for its instance, STS for its role session, its cluster for its token.
//!
//! Comes in: an enrolment whose own signature holds and whose nonce was given out, and the time. Goes out: [`Verified`], with
//! what vouches for it, or [`Denied`].
//!
//! Never: believes what a node says of its account, instance or image, or asks a host that a node has named and that is not
//! one of its region's.

pub(crate) mod arn;
mod certificates;
pub(crate) mod dates;
mod document;
mod pkcs7;
pub(crate) mod region;
mod request;
mod review;
mod settings;
mod sts;
mod tenant;

use safeguard_protocol::{Assurance, Code, Enrolment, binding};

use arn::Session;
use certificates::Certificates;
pub use certificates::Expiring;
use document::Document;
use request::CallerRequest;
use review::Reviewers;
pub use settings::{Cluster, Proof, Settings, SettingsError, Sts as StsSettings, Tenant};
use sts::Sts;
use tenant::Rules;

/// What is known of a node, and by whose word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The account, 12 digits: signed by AWS.
    pub account: String,
    /// The region: signed by AWS.
    pub region: String,
    /// The instance: signed by AWS.
    pub instance_id: String,
    /// The AMI that it was started from: signed by AWS. What was done to the instance since is not in it.
    pub image_id: String,
    /// When the instance was started last, in milliseconds since 1970: signed by AWS.
    pub pending_time_ms: Option<i64>,
    /// `arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE`, by the word of STS. The role's path is not in it.
    pub role_arn: Option<String>,
    /// What vouches for all this.
    pub assurance: Assurance,
}

/// Why an enrolment is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", code.as_str())]
pub struct Denied {
    /// For the agent.
    pub code: Code,
    /// For the node: what to do, and nothing of what the operator of the safeguard set.
    pub message: String,
    /// For our log: what was found. Never a secret.
    pub detail: String,
}

impl Denied {
    fn new(code: Code, message: &str, detail: impl Into<String>) -> Self {
        Self { code, message: message.to_owned(), detail: detail.into() }
    }
}

/// Judges enrolments. One for the whole process; it is not changed by what it judges.
#[derive(Debug)]
pub struct Verifier {
    rules: Rules,
    certificates: Certificates,
    sts: Sts,
    reviewers: Reviewers,
}

impl Verifier {
    /// Reads what the settings name: certificates, authorities. Blocks as long as the disk does.
    ///
    /// # Errors
    /// [`SettingsError`], if something of it cannot be used.
    pub fn new(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            rules: Rules::new(&settings.tenants)?,
            certificates: Certificates::load(settings.certificates.as_deref())?,
            sts: Sts::new(&settings.sts)?,
            reviewers: Reviewers::new(settings)?,
        })
    }

    /// Certificates of AWS that end within 90 days of `now_ms`, or have ended. Documents of their regions are refused from then
    /// on, unless a newer one is in the settings' directory.
    #[must_use]
    pub fn expiring(&self, now_ms: i64) -> Vec<Expiring> {
        self.certificates.expiring(now_ms)
    }

    /// Who this is. Asks STS and the cluster where there is a proof for them, within 10 seconds each. What costs nothing is
    /// looked at first.
    ///
    /// # Errors
    /// [`Denied`]. A proof that does not hold is never passed over, also where none is required.
    pub async fn verify(&self, enrolment: &Enrolment, now_ms: i64) -> Result<Verified, Denied> {
        let rules = self.rules.of(enrolment)?;
        let proofs = &enrolment.proofs;
        rules.check_proofs(proofs)?;
        let missing = || Denied::new(Code::ProofMissing, tenant::IDENTITY_MISSING, "no identity document");
        let identity = proofs.identity.as_ref().ok_or_else(missing)?;
        let document = Document::verify(identity, &self.certificates, now_ms)?;
        rules.check_instance(&document)?;

        let mut verified = Verified {
            account: document.account.clone(),
            region: document.region.name().to_owned(),
            instance_id: document.instance_id.clone(),
            image_id: document.image_id.clone(),
            pending_time_ms: document.pending_time_ms,
            role_arn: None,
            assurance: Assurance::Identity,
        };
        if let Some(proof) = &proofs.sts {
            let bound = binding(&enrolment.tenant, &enrolment.nonce, &enrolment.public_key);
            let request = CallerRequest::check(proof, &document.region, &bound, self.sts.allows_global_host(), now_ms)?;
            let caller = self.sts.ask(request).await?;
            let session = caller.session()?;
            check_session(&session, &document)?;
            rules.check_role(session.role)?;
            let Session { partition, account, role, .. } = session;
            verified.role_arn = Some(format!("arn:{partition}:sts::{account}:assumed-role/{role}"));
            verified.assurance = Assurance::IdentitySts;
        }
        if let Some(token) = &proofs.service_account_token {
            self.reviewers.review(token, enrolment, &document).await?;
            // Nothing says that the token's holder has chosen this key; STS does. Without STS it adds nothing that has a name.
            if verified.assurance == Assurance::IdentitySts {
                verified.assurance = Assurance::IdentityStsToken;
            }
        }
        Ok(verified)
    }
}

/// The session has to be the instance's own: AWS calls the session of an instance profile by the instance.
fn check_session(session: &Session<'_>, document: &Document) -> Result<(), Denied> {
    let partition = document.region.partition().as_str();
    let found = if session.partition != partition {
        format!("STS says partition {}, and the document is of {partition}", session.partition)
    } else if session.account != document.account {
        format!("STS says account {}, and the document is of {}", session.account, document.account)
    } else if session.name != document.instance_id {
        format!("STS says session {}, and the document is of {}", session.name, document.instance_id)
    } else {
        return Ok(());
    };
    Err(Denied::new(Code::ProofSts, sts::WRONG_SESSION, found))
}
