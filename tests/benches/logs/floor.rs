//! The floor: what the SDK alone costs for the same messages.

use std::path::PathBuf;

use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use safeguard_tests::lines::{AVERAGE, Lines};

use crate::agent::cost;

const GROUP: &str = "/bench/floor";

/// Sends every message once, in batches of the largest size, and prints the CPU time that took.
pub(crate) async fn run(url: &str, files: usize, lines: u64, ca: Option<PathBuf>) -> anyhow::Result<()> {
    let key = |name: &str| std::env::var(name).unwrap_or_default();
    let credentials = Credentials::new(key("AWS_ACCESS_KEY_ID"), key("AWS_SECRET_ACCESS_KEY"), None, None, "bench");
    let http = aws_smithy_http_client::Builder::new();
    let http = match ca {
        None => http.build_http(),
        Some(path) => {
            use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
            let store = TrustStore::empty().with_native_roots(false).with_pem_certificate(std::fs::read(path)?);
            let context = TlsContext::builder().with_trust_store(store).build()?;
            http.tls_provider(Provider::Rustls(CryptoMode::AwsLc)).tls_context(context).build_https()
        }
    };
    let config = aws_sdk_cloudwatchlogs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .http_client(http)
        .credentials_provider(credentials)
        .build();
    let client = Client::from_conf(config);
    client.create_log_group().log_group_name(GROUP).send().await?;
    client.create_log_stream().log_group_name(GROUP).log_stream_name("s").send().await?;
    let now = safeguard_daemon::clock::now_ms();
    let mut spent = std::time::Duration::ZERO;
    let mut text = Vec::new();
    for file in 0..files {
        // Making the messages is not what is measured.
        let mut writer = Lines::new(file as u64, format!("f{file}"), AVERAGE);
        let mut messages = Vec::new();
        for _ in 0..lines {
            text.clear();
            writer.append(&mut text);
            messages.push(String::from_utf8_lossy(&text).into_owned());
        }
        let before = cost(std::process::id())?.cpu;
        let mut messages = messages.into_iter().peekable();
        while messages.peek().is_some() {
            let mut batch = Vec::new();
            let mut size = 0;
            while let Some(message) = messages.next_if(|m| size + m.len() + 26 <= 1_048_576 && batch.len() < 10_000) {
                size += message.len() + 26;
                batch.push(InputLogEvent::builder().timestamp(now).message(message).build()?);
            }
            let call = client.put_log_events().log_group_name(GROUP).log_stream_name("s").set_log_events(Some(batch));
            call.send().await?;
        }
        spent += cost(std::process::id())?.cpu - before;
    }
    println!("{}", spent.as_micros());
    Ok(())
}
