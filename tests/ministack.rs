//! The platform on ministack, a second opinion beside moto, LocalStack and `eventcast dev`: its
//! bus, its queue, and its MQTT broker, which checks signatures and policies. Its differences from
//! `dev` are in docs/broker.md and docs/bus.md.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/dev.rs"]
mod dev;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/ministack.rs"]
mod ministack;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/role.rs"]
mod role;

use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};
use std::time::SystemTime;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use daemon::Daemon;
use dev::Dev;
use eventcast::aws::sign::Signer;
use futures_util::{SinkExt, StreamExt};
use lines::until;
use ministack::MiniStack;
use raw::{Got, Raw, v5};
use role::document;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

/// An access key: id and secret.
type Key = [(&'static str, String); 2];

/// The bus, the queues and the broker, where policies decide.
struct Platform {
    ministack: MiniStack,
    queue: String,
    dead_letter_queue: String,
}

impl Platform {
    fn new() -> Self {
        let ministack = MiniStack::start(true);
        let mut platform = Self {
            ministack,
            queue: String::new(),
            dead_letter_queue: String::new(),
        };
        let urls = platform.script("bus.py", &["setup"]);
        let (queue, dead_letter_queue) = urls.trim().split_once(' ').unwrap();
        (platform.queue, platform.dead_letter_queue) = (queue.into(), dead_letter_queue.into());
        platform
    }

    fn script(&self, script: &str, arguments: &[&str]) -> String {
        let mut command = moto::python(script);
        command.args(arguments).envs(self.ministack.environment());
        let (status, out, errors) = told(command.output().unwrap());
        assert_eq!(status, 0, "{errors}");
        out
    }

    fn user(&self, policy: &str) -> Key {
        let key = self.script("iam.py", &["user", policy]);
        let (id, secret) = key.trim().split_once(' ').unwrap();
        [
            ("AWS_ACCESS_KEY_ID", id.into()),
            ("AWS_SECRET_ACCESS_KEY", secret.into()),
        ]
    }

    /// The command with the broker of ministack, and the configuration's own role at it.
    fn eventcast(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        let broker = format!("ws://127.0.0.1:{}/mqtt", self.ministack.port());
        command
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .envs(self.ministack.environment())
            .env("EVENTCAST_CONFIG", "tests/shop/eventcast.yaml")
            .env("EVENTCAST_BRIDGE_QUEUE", &self.queue)
            .env(
                "EVENTCAST_BRIDGE_DEAD_LETTER_QUEUE",
                &self.dead_letter_queue,
            )
            .env("EVENTCAST_BRIDGE_BROKER", broker)
            .env("EVENTCAST_BRIDGE_CREDENTIALS", "aws");
        command
    }

    /// The policy of the daemon.
    fn role(&self) -> Vec<Value> {
        let mut command = self.eventcast(&["policy", "generate", "--for", "bridge"]);
        let (status, policy, errors) = told(command.output().unwrap());
        assert_eq!(status, 0, "{errors}");
        let policy: Value = serde_json::from_str(&policy).unwrap();
        policy["Statement"].as_array().unwrap().clone()
    }

    fn bridge(&self, key: &Key) -> Daemon {
        let mut command = self.eventcast(&["bridge", "--wait", "--set=bridge.wait=1s"]);
        command.envs(key.iter().cloned()).stderr(Stdio::null());
        Daemon(command.spawn().unwrap())
    }
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

/// A client over a WebSocket whose address is signed with a key.
#[expect(
    clippy::disallowed_methods,
    reason = "the task ends with the client's stream"
)]
async fn client(port: u16, id: &str, key: &Key) -> Raw<DuplexStream> {
    let host = format!("127.0.0.1:{port}");
    let credentials = Credentials::new(&key[0].1, &key[1].1, None, None, "test");
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .build();
    let signer = Signer::try_new(&config).unwrap();
    let query = signer
        .query(&host, "/mqtt", SystemTime::now())
        .await
        .unwrap();
    let mut request = format!("ws://{host}/mqtt?{query}")
        .into_client_request()
        .unwrap();
    let protocol = "mqtt".parse().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let (socket, _) = client_async(request, io).await.unwrap();
    let (near, far) = duplex(1 << 20);
    tokio::spawn(carry(socket, far));
    let mut raw = Raw::new(near);
    raw.login(&v5(id)).await;
    raw
}

/// Carries bytes between a WebSocket and a stream until one of them ends.
async fn carry(socket: tokio_tungstenite::WebSocketStream<TcpStream>, far: DuplexStream) {
    let (mut out, mut come) = socket.split();
    let (mut read, mut write) = tokio::io::split(far);
    let outgoing = async {
        let mut bytes = vec![0; 1 << 18];
        while let Ok(count) = read.read(&mut bytes).await
            && count > 0
        {
            let message = Message::binary(bytes[..count].to_vec());
            if out.send(message).await.is_err() {
                return;
            }
        }
    };
    let incoming = async {
        while let Some(Ok(message)) = come.next().await {
            if write.write_all(&message.into_data()).await.is_err() {
                return;
            }
        }
    };
    tokio::select! {
        () = outgoing => {}
        () = incoming => {}
    }
}

/// From the bus to a client, with the generated role and through a `kill -9`: nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn events_reach_clients() {
    let platform = Platform::new();
    let key = platform.user(&document(&platform.role(), None));
    let watcher = json!([
        { "Action": "iot:Connect", "Resource": "arn:aws:iot:us-east-1:000000000000:client/watcher" },
        { "Action": "iot:Subscribe", "Resource": "arn:aws:iot:us-east-1:000000000000:topicfilter/#" },
        { "Action": "iot:Receive", "Resource": "arn:aws:iot:us-east-1:000000000000:topic/*" },
    ]);
    let watcher = platform.user(&document(watcher.as_array().unwrap(), None));
    let mut watcher = client(platform.ministack.port(), "watcher", &watcher).await;
    assert_eq!(watcher.subscribe("#").await, 1);

    let mut expected = BTreeSet::new();
    let mut put = |first: &str| {
        let lines = platform.script("bus.py", &["put", first, "20"]);
        expected.extend(lines.lines().map(str::to_owned));
    };
    let bridge = platform.bridge(&key);
    put("0");
    drop(bridge);
    let _bridge = platform.bridge(&key);
    put("20");
    let mut received = BTreeSet::new();
    while received.len() < expected.len() {
        let message = watcher.message().await;
        let payload: Value = serde_json::from_slice(message.payload.as_bytes()).unwrap();
        let n = [
            &payload["detail"]["n"],
            &payload["data"]["n"],
            &payload["n"],
        ];
        let n = n.into_iter().find_map(Value::as_u64).unwrap();
        received.insert(format!("{} {n}", message.topic));
    }
    assert_eq!(received, expected);
    until("the queue is empty", || {
        let state: Value = serde_json::from_str(&platform.script("bus.py", &["state"])).unwrap();
        state["visible"] == 0 && state["invisible"] == 0 && state["dead"] == json!([])
    });
}

/// A decision that moto's IAM cannot make: the permissions at the broker are needed, and enough.
#[test]
fn each_permission_at_the_broker_is_needed() {
    let platform = Platform::new();
    let statements = platform.role();
    let doctor = |without| {
        let key = platform.user(&document(&statements, without));
        let mut command = platform.eventcast(&["doctor", "--publish", "--format", "json"]);
        let (status, report, errors) = told(command.envs(key).output().unwrap());
        assert!(status < 2, "{errors}");
        let report: Value = serde_json::from_str(&report).unwrap();
        let checks = report["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .filter(|check| check["verdict"] == "failed" || check["verdict"] == "missing")
            .map(|check| format!("{}: {}", check["about"].as_str().unwrap(), check["found"]))
            .collect::<Vec<_>>()
            .join("; ")
    };
    assert_eq!(doctor(None), "");
    // Without a broker the endpoint is asked for; boto3 asks here, since its host name takes a name
    // server.
    let mut command = platform.eventcast(&["policy", "generate", "--for", "bridge"]);
    command.env_remove("EVENTCAST_BRIDGE_BROKER");
    let (_, policy, _) = told(command.output().unwrap());
    let policy: Value = serde_json::from_str(&policy).unwrap();
    let asked = |without| {
        let key = platform.user(&document(policy["Statement"].as_array().unwrap(), without));
        let mut command = moto::python("iam.py");
        command
            .arg("endpoint")
            .envs(platform.ministack.environment())
            .envs(key);
        told(command.output().unwrap())
    };
    assert_eq!(asked(None).0, 0);
    let (status, _, errors) = asked(Some(("iot:DescribeEndpoint", "*")));
    assert!(status != 0 && errors.contains("AccessDenied"), "{errors}");
    for (action, resource, about) in [
        ("iot:Connect", ":client/eventcast-*", "broker: "),
        (
            "iot:Publish",
            ":topic/eventcast/doctor",
            "publish permission: ",
        ),
        (
            "sqs:GetQueueAttributes",
            ":events-dlq",
            "dead-letter queue: ",
        ),
    ] {
        let found = doctor(Some((action, resource)));
        assert!(found.starts_with(about), "{action} {resource}: {found}");
    }
}

/// The differences of the two brokers, as docs/broker.md has them: `dev` keeps IoT Core's limits.
#[tokio::test(flavor = "multi_thread")]
async fn the_brokers_differ_where_the_manual_says() {
    let key: Key = [
        ("AWS_ACCESS_KEY_ID", "testing".into()),
        ("AWS_SECRET_ACCESS_KEY", "testing".into()),
    ];
    let dev = Dev::start(&[
        "--aws-key",
        "testing:testing",
        "--limit",
        "connects-per-second=off",
    ]);
    let ministack = MiniStack::start(true);
    for (port, is_dev) in [(dev.port("ws"), true), (ministack.port(), false)] {
        let join = async |id: &str| client(port, id, &key).await;
        let mut publisher = join("publisher").await;

        // Nine filters in one SUBSCRIBE.
        let mut one = join("nine").await;
        let filters: Vec<String> = (0..9).map(|n| format!("f/{n}")).collect();
        let filters: Vec<(&str, u8)> = filters.iter().map(|filter| (&**filter, 1)).collect();
        one.send(&raw::subscribe(true, 7, &filters, &[])).await;
        match one.next().await {
            Got::Disconnect(0x97) => assert!(is_dev),
            Got::SubAck(7, codes) => assert!(!is_dev && codes == [1; 9], "{codes:?}"),
            other => panic!("{other:?}"),
        }

        // Eight slashes.
        let code = publisher.publish("a/b/c/d/e/f/g/h/i", "x").await;
        assert_eq!(code, if is_dev { 0x90 } else { 0 });

        // The same filter twice is one subscription (MQTT 5, 3.8.4).
        let mut one = join("twice").await;
        for _ in 0..2 {
            assert_eq!(one.subscribe("twice/1").await, 1);
        }
        publisher.publish("twice/1", "x").await;
        one.message().await;
        if is_dev {
            one.expect_silence().await;
        } else {
            one.message().await;
        }

        // A shared subscription.
        let mut one = join("shared").await;
        assert_eq!(one.subscribe("$share/g/shared/1").await, 1);
        publisher.publish("shared/1", "x").await;
        if is_dev {
            one.message().await;
        } else {
            one.expect_silence().await;
        }

        // A payload above 128 KiB.
        let mut one = join("large").await;
        let large = "x".repeat(129 * 1024);
        one.send(&raw::publish(true, "large/1", &large, 1, 5, false, &[]))
            .await;
        match one.next().await {
            Got::Disconnect(0x97) => assert!(is_dev),
            Got::PubAck(5, 0) => assert!(!is_dev),
            other => panic!("{other:?}"),
        }

        // Both: `a/#` does not match `a`, and wildcards bring no retained message.
        let mut one = join("alike").await;
        assert_eq!(one.subscribe("alike/#").await, 1);
        publisher.publish("alike", "x").await;
        publisher.publish_with("kept/1", "x", true, &[]).await;
        assert_eq!(one.subscribe("kept/+").await, 1);
        one.expect_silence().await;
    }
}
