//! Asks STS who signed a request.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use safeguard_protocol::Code;
use serde::Deserialize;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Denied;
use super::arn::{Session, is_account};
use super::request::CallerRequest;
use super::settings::{self, SettingsError};
use crate::https::{Answer, Https, base};

/// The longest answer. Those of STS have 500 bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// Questions under way at once. With 100 ms each that is 640 a second, more than STS takes of one account.
const AT_ONCE: usize = 64;
/// For one of them to end. Whoever waits longer is to come again.
const TURN: Duration = Duration::from_secs(5);
/// The longest code of an error that is repeated.
const MAX_CODE_BYTES: usize = 64;
/// Errors by which STS says that it was asked too much (botocore, `_retry.json`, `general_throttling`).
const THROTTLED: [&str; 4] = ["Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"];

/// What a node is told whose session is not that of its instance.
pub(super) const WRONG_SESSION: &str =
    "the signed request to STS is not of the role session of this instance; sign it with the instance's own role";
const REFUSED: &str = "STS refused the signed request";
const UNAVAILABLE: &str = "STS could not be asked";

/// The way to STS.
#[derive(Debug)]
pub(super) struct Sts {
    https: Https,
    /// In the place of the region's.
    endpoint: Option<String>,
    allow_global_host: bool,
    turns: Semaphore,
}

/// Who signed, by the word of STS.
#[derive(Debug)]
pub(super) struct Caller {
    arn: String,
    account: String,
}

impl Caller {
    /// The session of a role that signed.
    pub(super) fn session(&self) -> Result<Session<'_>, Denied> {
        let session = Session::read(&self.arn).filter(|session| session.account == self.account);
        session.ok_or_else(|| Denied::new(Code::ProofSts, WRONG_SESSION, "who signed is no session of a role"))
    }
}

impl Sts {
    pub(super) fn new(settings: &settings::Sts) -> Result<Self, SettingsError> {
        let endpoint = settings.endpoint.as_deref().map(|url| base("verify.sts.endpoint", url)).transpose()?;
        Ok(Self {
            https: Https::new(settings.ca.as_deref())?,
            endpoint,
            allow_global_host: settings.allow_global_host,
            turns: Semaphore::new(AT_ONCE),
        })
    }

    pub(super) fn allows_global_host(&self) -> bool {
        self.allow_global_host
    }

    /// Sends the request on.
    pub(super) async fn ask(&self, request: CallerRequest) -> Result<Caller, Denied> {
        let unavailable = |detail: String| Denied::new(Code::ProofUnavailable, UNAVAILABLE, detail);
        let turn = timeout(TURN, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| unavailable(format!("{AT_ONCE} questions are under way already")))?;
        let CallerRequest { host, headers, body } = request;
        let url = self.endpoint.as_ref().map_or_else(|| format!("https://{host}/"), |base| format!("{base}/"));
        let mut request = Request::post(url)
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .map_err(|_| unavailable("the request cannot be made".to_owned()))?;
        *request.headers_mut() = headers;
        let answer = self.https.ask(request, MAX_ANSWER_BYTES).await.map_err(|error| unavailable(error.to_string()))?;
        read(&answer)
    }
}

#[derive(Deserialize)]
enum Reply {
    GetCallerIdentityResponse {
        #[serde(rename = "GetCallerIdentityResult")]
        result: Identity,
    },
    ErrorResponse {
        #[serde(rename = "Error")]
        error: Trouble,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Identity {
    arn: String,
    account: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trouble {
    code: String,
}

/// What an answer says. Only an error that STS itself has written is the node's fault.
fn read(answer: &Answer) -> Result<Caller, Denied> {
    let status = answer.status;
    let unavailable = |detail: String| Denied::new(Code::ProofUnavailable, UNAVAILABLE, detail);
    let text = std::str::from_utf8(&answer.body).unwrap_or_default();
    let reply = quick_xml::de::from_str::<Reply>(text).ok();
    match reply {
        Some(Reply::GetCallerIdentityResponse { result: Identity { arn, account } }) if status == StatusCode::OK => {
            if is_account(&account) {
                Ok(Caller { arn, account })
            } else {
                Err(unavailable("STS names no account".to_owned()))
            }
        }
        Some(Reply::ErrorResponse { error: Trouble { code } }) => {
            let plain = code.len() <= MAX_CODE_BYTES && code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
            let code = if plain { code.as_str() } else { "an error without a name" };
            let detail = format!("STS answered {} {code}", status.as_u16());
            if status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS && !THROTTLED.contains(&code) {
                Err(Denied::new(Code::ProofSts, REFUSED, detail))
            } else {
                Err(unavailable(detail))
            }
        }
        _ => Err(unavailable(format!("the answer, with status {}, is not one of STS", status.as_u16()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, body: &str) -> Result<Caller, Denied> {
        let body = Bytes::copy_from_slice(body.as_bytes());
        read(&Answer { status: StatusCode::from_u16(status).unwrap(), body })
    }

    fn identity(arn: &str, account: &str) -> String {
        format!(
            "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n<GetCallerIdentityResult>\
             <Arn>{arn}</Arn><UserId>AROA:i-1</UserId><Account>{account}</Account></GetCallerIdentityResult>\
             <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"
        )
    }

    const ARN: &str = "arn:aws:sts::123456789012:assumed-role/node/i-0123456789abcdef0";

    #[test]
    fn the_words_of_sts_are_understood() {
        let caller = said(200, &identity(ARN, "123456789012")).unwrap();
        assert_eq!(caller.session().unwrap().name, "i-0123456789abcdef0");
        // The account is said twice; both have to agree.
        let caller = said(200, &identity(ARN, "210987654321")).unwrap();
        assert_eq!(caller.session().unwrap_err().code, Code::ProofSts);
        let caller =
            said(200, &identity("arn:aws:iam::123456789012:user/i-0123456789abcdef0", "123456789012")).unwrap();
        assert_eq!(caller.session().unwrap_err().code, Code::ProofSts);
    }

    #[test]
    fn only_a_refusal_of_sts_itself_is_the_nodes_fault() {
        let error = |code: &str| {
            format!("<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code></Error></ErrorResponse>")
        };
        for code in ["SignatureDoesNotMatch", "InvalidClientTokenId", "ExpiredToken", "AccessDenied"] {
            assert_eq!(said(403, &error(code)).unwrap_err().code, Code::ProofSts, "{code}");
        }
        for (status, body) in [
            (400, error("Throttling")),
            (429, error("Anything")),
            (500, error("InternalFailure")),
            (503, "<html>".to_owned()),
            (403, "<html><body>Forbidden by your proxy</body></html>".to_owned()),
            (200, error("AccessDenied").replace("ErrorResponse", "Other")),
            (200, String::new()),
            (200, "{}".to_owned()),
            (301, identity(ARN, "123456789012")),
            (200, identity(ARN, "none")),
        ] {
            assert_eq!(said(status, &body).unwrap_err().code, Code::ProofUnavailable, "{status} {body}");
        }
    }

    #[test]
    fn an_answer_that_says_a_thing_twice_or_hides_it_is_none() {
        let twice = identity(ARN, "123456789012").replace("<UserId>", "<Arn>arn:aws:iam::1:user/x</Arn><UserId>");
        let entity = format!("<!DOCTYPE x [<!ENTITY a \"{ARN}\">]>{}", identity("&a;", "123456789012"));
        let elsewhere = format!("<Other>{}</Other>", identity(ARN, "123456789012"));
        for body in [twice, entity, elsewhere] {
            assert_eq!(said(200, &body).unwrap_err().code, Code::ProofUnavailable, "{body}");
        }
        let error = "<ErrorResponse><Error><Code>&lt;script&gt;</Code></Error></ErrorResponse>";
        assert!(!said(403, error).unwrap_err().detail.contains("script"));
    }
}
