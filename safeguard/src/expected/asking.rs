//! With whose credentials each account is asked.

use aws_credential_types::provider::SharedCredentialsProvider;
use safeguard_aws::{AssumedRole, HttpOptions, SdkOptions, assume_role, sdk_config};

use super::{Account, Settings};
use crate::https::base;
use crate::server::StartError;
use crate::verify::SettingsError;

/// How sessions of roles are called, in CloudTrail of their accounts.
const SESSION: &str = "safeguard";

/// An account, and the credentials to ask for it with.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) account: Account,
    pub(crate) credentials: SharedCredentialsProvider,
}

/// Who is asked. `given` are credentials in the place of the usual chain. Nothing is fetched yet.
pub(crate) async fn asked(
    settings: &Settings,
    given: Option<SharedCredentialsProvider>,
) -> Result<Vec<Asked>, StartError> {
    let wrong = StartError::Expected;
    let sts =
        settings.sts_endpoint.as_deref().map(|url| base("expected.sts_endpoint", url)).transpose().map_err(wrong)?;
    let mut all = Vec::new();
    for account in &settings.accounts {
        let http = HttpOptions { ca_bundle: settings.ca.clone(), ..HttpOptions::default() };
        let region = account.regions.first().cloned().unwrap_or_default();
        let mut own = sdk_config(&SdkOptions { app: "safeguard", region, http, ..SdkOptions::default() }).await?;
        if let Some(given) = given.clone() {
            own = own.into_builder().credentials_provider(given).build();
        }
        let role = |arn| AssumedRole {
            arn,
            session: SESSION,
            external_id: account.external_id.as_deref(),
            endpoint: sts.as_deref(),
        };
        let credentials = match &account.role {
            Some(arn) => Some(assume_role(&own, role(arn)).await),
            None => own.credentials_provider(),
        };
        let none = || wrong(SettingsError::value("credentials", "there are none".to_owned()));
        all.push(Asked { account: account.clone(), credentials: credentials.ok_or_else(none)? });
    }
    Ok(all)
}
