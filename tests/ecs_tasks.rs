//! The number of tasks that share an account's quota, counted on moto's ECS, which others wrote.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails should say where"
)]

#[path = "support/moto.rs"]
mod moto;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use eventcast::aws::ecs_tasks::{EcsTasks, EcsTasksError};
use moto::Moto;

const FAMILY: &str = "bridge";

/// The metadata of a task, served once; its address as ECS_CONTAINER_METADATA_URI_V4 has it.
/// `cluster` is a name or an ARN: both occur (ECS developer guide, "Task metadata version 4").
fn metadata(cluster: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let body = format!(
        r#"{{"Cluster":"{cluster}","TaskARN":"arn:aws:ecs:us-east-1:123456789012:task/{cluster}/1","Family":"{FAMILY}","Revision":"1"}}"#
    );
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            request.extend(byte);
        }
        assert!(request.starts_with(b"GET /v4/1/task "));
        write!(
            stream,
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    });
    format!("http://{address}/v4/1")
}

async fn config(moto: &Moto, keys: Option<(String, String)>) -> SdkConfig {
    let environment = moto.environment();
    let mut endpoint = environment.iter();
    let endpoint = endpoint.find(|(name, _)| *name == "AWS_ENDPOINT_URL");
    let (id, secret) = keys.unwrap_or(("testing".into(), "testing".into()));
    let config = eventcast::aws::client::environment().await;
    config
        .to_builder()
        .endpoint_url(&endpoint.unwrap().1)
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            id, secret, None, None, "test",
        )))
        .build()
}

fn ecs(moto: &Moto, arguments: [&str; 4]) {
    let mut command = moto::python("ecs.py");
    let status = command.args(arguments).envs(moto.environment()).status();
    assert!(status.unwrap().success(), "ecs.py {arguments:?}");
}

#[tokio::test]
async fn tasks_are_counted_as_they_come_and_go() {
    let moto = Moto::start();
    let count = async |cluster: &str| {
        let tasks = EcsTasks::find(config(&moto, None).await, &metadata(cluster)).await;
        tasks.unwrap().running().await.unwrap()
    };
    ecs(&moto, ["run", "shop", "other", "1"]);
    assert_eq!(count("shop").await, 1, "the one that asks, not listed yet");
    ecs(&moto, ["run", "shop", FAMILY, "1"]);
    assert_eq!(count("shop").await, 1);
    ecs(&moto, ["run", "shop", FAMILY, "149"]);
    assert_eq!(count("shop").await, 150);
    let arn = "arn:aws:ecs:us-east-1:123456789012:cluster/shop";
    assert_eq!(count(arn).await, 150);
    ecs(&moto, ["stop", "shop", FAMILY, "147"]);
    assert_eq!(count("shop").await, 3);
}

#[tokio::test]
async fn a_role_that_may_not_list_tasks_is_told_what_it_needs() {
    let moto = Moto::start();
    let user = |action: &str| {
        let policy = serde_json::json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": action, "Resource": "*" }],
        });
        let [(_, id), (_, secret)] = moto.user(&policy.to_string());
        (id, secret)
    };
    let (denied, allowed) = (user("sqs:*"), user("ecs:ListTasks"));
    ecs(&moto, ["run", "shop", FAMILY, "2"]);
    moto.enforce(true);
    let count = async |keys| {
        let tasks = EcsTasks::find(config(&moto, Some(keys)).await, &metadata("shop")).await;
        tasks.unwrap().running().await
    };
    let error = count(denied).await.unwrap_err();
    assert!(matches!(error, EcsTasksError::Call(_)), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("AccessDenied") && text.ends_with("the task role needs ecs:ListTasks"),
        "{text}"
    );
    assert_eq!(count(allowed).await.unwrap(), 2);
}

#[tokio::test]
async fn what_cannot_be_asked_is_named() {
    let moto = Moto::start();
    let gone = EcsTasks::find(config(&moto, None).await, &metadata("nowhere")).await;
    let error = gone.unwrap().running().await.unwrap_err().to_string();
    assert!(error.contains("ClusterNotFoundException"), "{error}");
    let away = config(&moto, None).await.to_builder();
    let away = away.endpoint_url("http://127.0.0.1:1").build();
    let tasks = EcsTasks::find(away, &metadata("shop")).await.unwrap();
    let error = tasks.running().await.unwrap_err().to_string();
    assert!(error.starts_with("ecs:ListTasks: "), "{error}");
    assert!(!error.contains("role"), "nobody refused anything: {error}");
    // A port where nobody listens: TCPMUX.
    let unreachable = "http://127.0.0.1:1/v4/1";
    let error = EcsTasks::find(config(&moto, None).await, unreachable).await;
    let error = error.unwrap_err();
    assert!(matches!(error, EcsTasksError::Metadata { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("http://127.0.0.1:1/v4/1/task: "), "{text}");
}
