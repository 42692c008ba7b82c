//! The data plane's publisher against a server with scripted answers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/publications.rs"]
mod publications;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use eventcast::aws::data_plane::{DataPlanePublisher, Pending};
use eventcast::port::{PublishError, Publisher};
use eventcast::route::publication::Publication;
use publications::publication;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

const BOUND: Duration = Duration::from_secs(20);

/// One call: its path and query, its headers as they stand, its body.
#[derive(Clone, Debug)]
struct Call {
    target: String,
    headers: Vec<(String, String)>,
    body: String,
}

#[derive(Clone, Default)]
struct Script {
    /// The next answers: a status and an error's code. When there are none left, all is well.
    answers: Arc<Mutex<VecDeque<(u16, &'static str)>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

struct Server {
    script: Script,
    publisher: DataPlanePublisher,
    _serving: JoinSet<()>,
}

async fn answer(State(script): State<Script>, request: Request) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let text = |value: &axum::http::HeaderValue| value.to_str().unwrap_or_default().to_owned();
    let headers = parts.headers.iter();
    script.calls.lock().unwrap().push(Call {
        target: parts.uri.to_string(),
        headers: headers
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: String::from_utf8(body.to_vec()).unwrap(),
    });
    let next = script.answers.lock().unwrap().pop_front();
    match next {
        None => (StatusCode::OK, "{}").into_response(),
        Some((status, code)) => (
            StatusCode::from_u16(status).unwrap(),
            [("x-amzn-errortype", code)],
            r#"{"message":"scripted"}"#,
        )
            .into_response(),
    }
}

async fn server(answers: &[(u16, &'static str)], calls: u16) -> Server {
    let script = Script::default();
    script.answers.lock().unwrap().extend(answers);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(answer).with_state(script.clone());
    let mut serving = JoinSet::new();
    serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "AKID", "secret", None, None, "test",
        )))
        .http_client(
            aws_smithy_http_client::Builder::new()
                .tls_provider(aws_smithy_http_client::tls::Provider::Rustls(
                    aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
                ))
                .build_https(),
        )
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .build();
    Server {
        script,
        publisher: DataPlanePublisher::new(&config, &url, calls, None),
        _serving: serving,
    }
}

impl Server {
    fn calls(&self) -> Vec<Call> {
        self.script.calls.lock().unwrap().clone()
    }

    fn hand_over(&self, topic: &str, payload: &str) -> Pending {
        self.publisher.publish(publication(topic, payload)).unwrap()
    }

    async fn publish(&self, publication: Publication) -> Result<(), PublishError> {
        let pending = self.publisher.publish(publication)?;
        timeout(BOUND, pending).await.unwrap()
    }
}

#[tokio::test]
async fn a_message_goes_out_whole() {
    let server = server(&[], 4).await;
    let kept = Publication {
        retain: true,
        ..publication("order/ü 1", "{}")
    };
    server.publish(kept).await.unwrap();
    let call = &server.calls()[0];
    let (path, query) = call.target.split_once('?').unwrap();
    assert_eq!((path, &*call.body), ("/topics/order%2F%C3%BC%201", "{}"));
    for pair in [
        "qos=1",
        "retain=true",
        "messageExpiry=60",
        "contentType=application%2Fjson",
    ] {
        assert!(
            query.split('&').any(|known| known == pair),
            "{pair}: {query}"
        );
    }
    let header = |name: &str| {
        let found = call.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(
        header("x-amz-mqtt5-payload-format-indicator"),
        Some("UTF8_DATA")
    );
    // [{"eb-id":"e1"},{"eb-source":"shop"},{"eb-route":"r"}] in Base64.
    assert_eq!(
        header("x-amz-mqtt5-user-properties"),
        Some("W3siZWItaWQiOiJlMSJ9LHsiZWItc291cmNlIjoic2hvcCJ9LHsiZWItcm91dGUiOiJyIn1d")
    );
    assert!(
        header("authorization")
            .unwrap()
            .contains("/eu-central-1/iotdata/aws4_request")
    );
}

#[tokio::test]
async fn a_call_of_unknown_fate_is_made_again_before_the_next_of_its_topic() {
    let server = server(&[(500, "InternalFailureException"), (503, "")], 4).await;
    let first = server.hand_over("a", "1");
    let second = server.hand_over("a", "2");
    // The second is polled first and waits all the same.
    let (second, first) = timeout(BOUND, async { tokio::join!(second, first) })
        .await
        .unwrap();
    assert_eq!((first, second), (Ok(()), Ok(())));
    let bodies: Vec<String> = server.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(bodies, ["1", "1", "1", "2"]);
    assert_eq!(*server.publisher.up().borrow(), 1);
}

#[tokio::test]
async fn one_that_nobody_waits_for_gives_way() {
    let server = server(&[], 4).await;
    let first = server.hand_over("a", "1");
    let second = server.hand_over("a", "2");
    drop(first);
    timeout(BOUND, second).await.unwrap().unwrap();
    assert_eq!(server.calls().len(), 1);
}

#[tokio::test]
async fn throttling_is_back_pressure_for_all() {
    let server = server(&[(429, "ThrottlingException")], 4).await;
    let refused = server.publish(publication("a", "1")).await.unwrap_err();
    assert!(
        matches!(refused, PublishError::Throttled { .. }),
        "{refused:?}"
    );
    let begin = Instant::now();
    server.publish(publication("b", "2")).await.unwrap();
    assert!(
        begin.elapsed() >= Duration::from_millis(200),
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn refusals_say_what_they_mean() {
    let reason = async |status, code| {
        let server = server(&[(status, code)], 4).await;
        match server.publish(publication("a", "1")).await {
            Err(PublishError::Permanent { reason, what }) => {
                assert!(what.contains(&status.to_string()), "{what}");
                reason
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason(403, "ForbiddenException").await, "not_authorized");
    assert_eq!(reason(401, "UnauthorizedException").await, "not_authorized");
    assert_eq!(
        reason(413, "RequestEntityTooLargeException").await,
        "too_large"
    );
    assert_eq!(reason(400, "InvalidRequestException").await, "refused");
    // Bad credentials are no fault of the message's: they may be renewed.
    let server = server(&[(403, "ExpiredTokenException")], 4).await;
    server.publish(publication("a", "1")).await.unwrap();
    let large = "x".repeat(128 * 1024 + 1);
    let refused = server.publish(publication("a", &large)).await.unwrap_err();
    assert!(matches!(
        refused,
        PublishError::Permanent {
            reason: "too_large",
            ..
        }
    ));
}

#[tokio::test]
async fn calls_are_bounded_and_closing_waits_for_them() {
    let server = server(&[(500, "")], 1).await;
    let first = server.hand_over("a", "1");
    let mut second = server.hand_over("b", "2");
    let (mut first, mut begun) = (first, 0);
    while begun == 0 {
        // Both are polled: the first takes the one place.
        let _ = futures_util::poll!(&mut first);
        let _ = futures_util::poll!(&mut second);
        tokio::task::yield_now().await;
        begun = server.calls().len();
    }
    assert!(server.calls().iter().all(|call| call.body == "1"));
    drop(second);
    let close = server.publisher.close(Instant::now() + BOUND);
    let (first, ()) = timeout(BOUND, async { tokio::join!(first, close) })
        .await
        .unwrap();
    assert_eq!(first, Ok(()));
    let refused = server.publisher.publish(publication("a", "3"));
    assert!(matches!(refused, Err(PublishError::Transient { .. })));
}
