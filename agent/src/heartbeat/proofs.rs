//! What vouches for this node: AWS for the instance and for the key, the cluster for the pod.

use std::path::{Path, PathBuf};

use safeguard_aws::{Environment, SdkConfig, caller_proof};
use safeguard_daemon::clock;
use safeguard_heartbeat::{Future, IdentityProof, ProofSource, Proofs as Said, StsProof};
use safeguard_host::HostRoot;

/// The header that binds the request to the key (docs/protocol.md, "Enrolment").
const BIND: &str = "x-safeguard-bind";

/// A projected token has some 1 KiB.
const TOKEN_BYTES: u64 = 16 * 1024;

/// Who is asked.
#[derive(Debug)]
pub(crate) struct Proofs {
    pub(crate) sdk: SdkConfig,
    pub(crate) region: String,
    pub(crate) imds_endpoint: Option<String>,
    pub(crate) environment: Environment,
    pub(crate) token_file: Option<PathBuf>,
}

impl ProofSource for Proofs {
    fn proofs(&self, binding: String) -> Future<'_, Result<Said, String>> {
        Box::pin(async move {
            let identity = self.environment.identity_proof(self.imds_endpoint.as_deref()).await;
            // Without it nothing else counts.
            let identity = identity.map_err(|error| format!("the instance cannot be proved: {error}"))?;
            let sts = match caller_proof(&self.sdk, &self.region, (BIND, &binding), clock::now()).await {
                Ok(proof) => Some(StsProof { url: proof.url, headers: proof.headers, body: proof.body }),
                Err(error) => {
                    tracing::warn!(%error, "The node enrols without a proof by STS: its key is not bound to its role.");
                    None
                }
            };
            let service_account_token = self.token_file.as_deref().and_then(|path| match token(path) {
                Ok(token) => Some(token),
                Err(error) => {
                    tracing::warn!(error, "The node enrols without its service-account token.");
                    None
                }
            });
            let identity = Some(IdentityProof { document: identity.document, rsa2048: identity.rsa2048 });
            Ok(Said { identity, sts, service_account_token })
        })
    }
}

/// The token, as the kubelet renewed it last.
fn token(path: &Path) -> Result<String, String> {
    let read = || HostRoot::open("/")?.read(path, TOKEN_BYTES);
    let bytes = read().map_err(|error| error.to_string())?;
    let token = String::from_utf8(bytes).map_err(|_| format!("{} is no text", path.display()))?;
    Ok(token.trim().to_owned())
}
