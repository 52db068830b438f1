//! A reply of the service: two bytes of status, then the body. Only a JSON object is taken for a receipt.
#![no_main]

use std::sync::{Arc, Mutex, OnceLock};

use aws_sdk_cloudwatchlogs::Config;
use aws_sdk_cloudwatchlogs::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use safeguard_logs::{Deadlines, FailureKind, LogsApi, SdkLogs};

/// Answers every request with the same reply.
#[derive(Debug, Clone, Default)]
struct Answer(Arc<Mutex<(u16, Vec<u8>)>>);

impl HttpConnector for Answer {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let (status, body) = self.0.lock().expect("nobody panics with it").clone();
        let status = StatusCode::try_from(status).expect("checked before");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

struct Service {
    answer: Answer,
    client: SdkLogs,
    runtime: tokio::runtime::Runtime,
}

fn service() -> &'static Service {
    static SERVICE: OnceLock<Service> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let answer = Answer::default();
        let connector = SharedHttpConnector::new(answer.clone());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url("http://127.0.0.1:9")
            .http_client(http_client_fn(move |_, _| connector.clone()))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "secret", None, None, "fuzz")))
            .build();
        let client = SdkLogs::new(&config, Deadlines::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        Service { answer, client, runtime }
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [high, low, body @ ..] = data else { return };
    let status = 100 + u16::from_be_bytes([*high, *low]) % 500;
    let Service { answer, client, runtime } = service();
    *answer.0.lock().expect("nobody panics with it") = (status, body.to_vec());
    let result = runtime.block_on(client.put(bytes::Bytes::from_static(b"{}"), false));
    match result {
        Ok(_) => assert!((200..300).contains(&status) && body.trim_ascii().starts_with(b"{")),
        Err(failure) => {
            assert!(failure.message.chars().count() < 600, "{}", failure.message);
            assert!(failure.kind != FailureKind::AlreadyExists || !(200..300).contains(&status));
        }
    }
});
