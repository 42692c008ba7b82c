//! The SQS adapter keeps its port's contract on moto, on LocalStack, on ministack and on `eventcast
//! dev`; boto3 is content with the latter.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/localstack.rs"]
mod localstack;
#[path = "support/ministack.rs"]
mod ministack;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/queue_contract.rs"]
mod queue_contract;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName;
use dev::Dev;
use eventcast::aws::sqs::Sqs;
use eventcast::port::Queue;
use localstack::LocalStack;
use ministack::MiniStack;
use moto::Moto;

const VISIBILITY: Duration = Duration::from_secs(2);

fn config(endpoint: &str) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new().tls_provider(
        aws_smithy_http_client::tls::Provider::Rustls(
            aws_smithy_http_client::tls::rustls_provider::CryptoMode::Ring,
        ),
    );
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            "testing", "testing", None, None, "test",
        )))
        .endpoint_url(endpoint)
        .retry_config(aws_config::retry::RetryConfig::disabled())
        .http_client(http.build_https())
        .build()
}

async fn create(client: &Client, name: &str, fifo: bool) -> String {
    let mut request = client
        .create_queue()
        .queue_name(format!("{name}{}", if fifo { ".fifo" } else { "" }));
    let seconds = VISIBILITY.as_secs().to_string();
    request = request.attributes(QueueAttributeName::VisibilityTimeout, seconds);
    if fifo {
        request = request
            .attributes(QueueAttributeName::FifoQueue, "true")
            .attributes(QueueAttributeName::ContentBasedDeduplication, "true");
    }
    request.send().await.unwrap().queue_url.unwrap()
}

async fn contract(endpoint: &str, fifo: bool) {
    let config = config(endpoint);
    let client = Client::new(&config);
    let queue = create(&client, "events", fifo).await;
    let dead = create(&client, "dead", fifo).await;
    let send = async |body: &str, group: Option<&str>| {
        let request = client.send_message().queue_url(&queue).message_body(body);
        let request = request.set_message_group_id(group.map(str::to_owned));
        request.send().await.unwrap();
    };
    let sqs = Sqs::open(&config, queue.clone(), Some(dead)).await.unwrap();
    queue_contract::keep(&sqs, send, VISIBILITY, fifo).await;
}

#[tokio::test]
async fn on_moto() {
    let moto = Moto::start();
    let [(_, endpoint), ..] = moto.environment();
    contract(&endpoint, false).await;
}

#[tokio::test]
async fn on_dev() {
    contract(Dev::start(&[]).endpoint(), false).await;
}

#[tokio::test]
async fn on_dev_with_message_groups() {
    contract(Dev::start(&[]).endpoint(), true).await;
}

/// The order within message groups is LocalStack's and ours alike: the suite that `dev` passes is
/// no invention of its own.
#[tokio::test]
async fn on_localstack_with_message_groups() {
    contract(&LocalStack::start().endpoint(), true).await;
}

#[tokio::test]
async fn on_localstack() {
    contract(&LocalStack::start().endpoint(), false).await;
}

#[tokio::test]
async fn on_ministack() {
    contract(&MiniStack::start(false).endpoint(), false).await;
}

/// A second opinion on the order within message groups.
#[tokio::test]
async fn on_ministack_with_message_groups() {
    contract(&MiniStack::start(false).endpoint(), true).await;
}

#[test]
fn boto3_is_content() {
    let dev = Dev::start(&[]);
    let output = moto::python("sqs.py")
        .envs(dev.environment())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "well\n",
        "{errors}"
    );
}

/// `dev` hands nothing to a long poll whose client has gone. ministack may, as users report of SQS
/// (aws-sdk-js issue 2350): the message comes back when its visibility timeout is over.
#[tokio::test]
async fn a_poll_whose_client_has_gone() {
    let dev = Dev::start(&[]);
    assert_eq!(attempt_after_a_lost_poll(dev.endpoint(), "lost").await, 1);
}

/// The number of times that a message was handed out, of which the first may have been to nobody.
async fn attempt_after_a_lost_poll(endpoint: &str, queue: &str) -> u32 {
    let client = Client::new(&config(endpoint));
    let queue = create(&client, queue, false).await;
    let body = format!(r#"{{"QueueUrl":"{queue}","WaitTimeSeconds":20}}"#);
    let authority = endpoint.trim_start_matches("http://");
    let mut gone = TcpStream::connect(authority).unwrap();
    write!(
        gone,
        "POST / HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    // It waits: nothing is answered.
    gone.set_read_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    assert!(gone.read(&mut [0]).is_err());
    drop(gone);
    tokio::time::sleep(Duration::from_millis(300)).await;
    let send = client.send_message().queue_url(&queue).message_body("x");
    send.send().await.unwrap();
    let sqs = Sqs::open(&config(endpoint), queue, None).await.unwrap();
    let received = sqs.receive(10, Duration::from_secs(10)).await.unwrap();
    assert_eq!(received.len(), 1);
    received[0].attempt
}

#[tokio::test]
async fn faults_are_had_on_request() {
    let dev = Dev::start(&[]);
    let config = config(dev.endpoint());
    let client = Client::new(&config);
    let queue = create(&client, "events", false).await;
    let sqs = Sqs::open(&config, queue, None).await.unwrap();
    for (fault, told) in [
        ("refuse", "ServiceUnavailable"),
        ("throttle", "RequestThrottled"),
        ("drop", "receiving"),
    ] {
        dev.fault(&serde_json::json!({ "action": "ReceiveMessage", "fault": fault, "times": 1 }));
        let error = sqs.receive(1, Duration::ZERO).await.unwrap_err();
        assert!(error.to_string().contains(told), "{error}");
        assert!(
            matches!(error, eventcast::port::QueueError::Transient { .. }),
            "{error}"
        );
        assert!(sqs.receive(1, Duration::ZERO).await.unwrap().is_empty());
    }
}
