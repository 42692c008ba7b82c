//! The IoT control plane of `eventcast dev`: AWS's own SDK in front of it, as in front of moto, and
//! MQTT clients with certificates behind it.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/dev.rs"]
mod dev;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/secure.rs"]
mod secure;

use std::path::{Path, PathBuf};
use std::process::Command;

use authority::Authority;
use dev::Dev;
use moto::Moto;
use raw::{Connect, Got, Raw, Will, v3, v5};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

const ARN: &str = "arn:aws:iot:us-east-1:000000000000";

/// MQTT 5's "not authorized".
const NOT_AUTHORIZED: u8 = 0x87;

type Client = Raw<TlsStream<TcpStream>>;

#[track_caller]
fn well(environment: [(&'static str, String); 5], place: &str) {
    let output = moto::python("iot_control.py")
        .arg(place)
        .envs(environment)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "well\n",
        "{place}: {errors}"
    );
}

/// One script, two servers: moto answers its calls as dev does.
#[test]
fn boto3_is_content() {
    well(Dev::start(&[]).environment(), "dev");
    well(Moto::start().environment(), "moto");
}

/// A broker with TLS, and the files and addresses that its clients and its operator need.
struct Shop {
    dev: Dev,
    authority: Authority,
}

impl Shop {
    fn open(start: fn(&[&str]) -> Dev, more: &[&str]) -> Self {
        let authority = Authority::new();
        let (certificate, key) = authority.issue("localhost", &["localhost"]);
        let ca = authority.certificate();
        let [certificate, key, ca] =
            [&certificate, &key, &ca].map(|path| path.to_str().unwrap().to_owned());
        let mut arguments = vec!["--mqtts-port=0", "--wss-port=0", "--certificate"];
        arguments.extend([&*certificate, "--key", &*key]);
        arguments.extend(["--limit", "connects-per-second=off"]);
        let with_authority = !more.contains(&"--without-authority");
        if with_authority {
            arguments.extend(["--client-ca", &*ca]);
        }
        arguments.extend(more.iter().filter(|word| **word != "--without-authority"));
        Self {
            dev: start(&arguments),
            authority,
        }
    }

    fn bare() -> Self {
        Self::open(Dev::start, &[])
    }

    /// One call by boto3.
    fn call(&self, name: &str, arguments: &Value) -> Value {
        let output = moto::python("iot_call.py")
            .args([name, &arguments.to_string()])
            .envs(self.dev.environment())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `eventcast policy …`, which must go well.
    #[track_caller]
    fn policy(&self, arguments: &[&str]) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .arg("policy")
            .args(arguments)
            .args(["--format", "json"])
            .envs(self.dev.environment())
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Registers a certificate as active; its id.
    fn register(&self, certificate: &Path) -> String {
        let pem = std::fs::read_to_string(certificate).unwrap();
        let registered = self.call(
            "register_certificate_without_ca",
            &json!({"certificatePem": pem, "status": "ACTIVE"}),
        );
        registered["certificateId"].as_str().unwrap().to_owned()
    }

    /// A connection by TLS that nothing was said on, and its application protocol.
    async fn dial(&self, pair: &(PathBuf, PathBuf), protocol: Option<&str>) -> Client {
        let stream = self.try_dial(pair, protocol).await.unwrap();
        Raw::new(stream)
    }

    async fn try_dial(
        &self,
        (certificate, key): &(PathBuf, PathBuf),
        protocol: Option<&str>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let scheme = if protocol.is_some() { "wss" } else { "mqtts" };
        let authority = self.authority.certificate();
        let config = secure::config(&authority, Some((certificate, key)), protocol);
        secure::dial(self.dev.port(scheme), config).await
    }

    async fn join(&self, pair: &(PathBuf, PathBuf), connect: &Connect) -> Client {
        let mut client = self.dial(pair, None).await;
        client.login(connect).await;
        client
    }

    /// The code of CONNACK.
    async fn knock(&self, pair: &(PathBuf, PathBuf), connect: &Connect) -> u8 {
        let mut client = self.dial(pair, None).await;
        match client.knock(connect).await {
            Got::ConnAck { code, .. } => code,
            other => panic!("{other:?}"),
        }
    }

    /// A client of the inspector.
    fn inspected(&self, id: &str) -> Value {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["inspect", "client", id, "--format", "json"])
            .args(["--endpoint", self.dev.endpoint()])
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn document(statements: &[(&str, &str)]) -> String {
    let statement = |(action, resource): &(&str, &str)| json!({"Effect": "Allow", "Action": action, "Resource": format!("{ARN}:{resource}")});
    let statements: Vec<Value> = statements.iter().map(statement).collect();
    json!({"Version": "2012-10-17", "Statement": statements}).to_string()
}

/// A courier may be itself, receive orders but those of others, and publish its own status.
fn courier() -> String {
    document(&[
        ("iot:Connect", "client/courier-*"),
        ("iot:Subscribe", "topicfilter/order/*"),
        ("iot:Receive", "topic/order/1"),
        (
            "iot:Publish",
            "topic/status/${iot:Certificate.Subject.CommonName}",
        ),
    ])
}

/// Actions that a policy attached to a certificate forbids are refused as IoT Core does it, to MQTT
/// 5 and to MQTT 3.1.1.
#[tokio::test]
async fn the_policies_of_a_certificate_decide() {
    let shop = Shop::bare();
    let pair = shop.authority.issue("courier", &[]);
    let id = shop.register(&pair.0);
    let arn = format!("{ARN}:cert/{id}");
    let policy = courier();
    // Registered, and without any policy.
    assert_eq!(shop.knock(&pair, &v5("courier-1")).await, NOT_AUTHORIZED);
    shop.policy(&[
        "apply", "--name", "courier", "--policy", &policy, "--attach", &arn,
    ]);

    assert_eq!(shop.knock(&pair, &v5("other")).await, NOT_AUTHORIZED);
    // MQTT 3.1.1 is closed without CONNACK.
    let mut client = shop.dial(&pair, None).await;
    assert_eq!(client.knock(&v3("other")).await, Got::End);
    let will = Will {
        topic: "status/other".into(),
        ..Will::default()
    };
    let with_will = v5("courier-1").will(will);
    assert_eq!(shop.knock(&pair, &with_will).await, NOT_AUTHORIZED);

    for connect in [v5("courier-1"), v3("courier-1")] {
        let mut client = shop.join(&pair, &connect).await;
        assert_eq!(client.subscribe("order/+").await, 1);
        assert_eq!(client.publish("status/courier", "here").await, 0);
        // A message that may not be received is dropped, without any error.
        shop.publish("order/2", "not for you");
        shop.publish("order/1", "for you");
        assert_eq!(client.message().await.payload, "for you");
        if connect.level == 5 {
            assert_eq!(client.subscribe("tenant/1").await, NOT_AUTHORIZED);
            assert_eq!(client.publish("status/other", "x").await, NOT_AUTHORIZED);
            client.leave().await;
            continue;
        }
        client
            .send(&raw::subscribe(false, 1, &[("tenant/1", 1)], &[]))
            .await;
        client.expect_end().await;
        let mut client = shop.join(&pair, &connect).await;
        client
            .send(&raw::publish(false, "status/other", "x", 1, 1, false, &[]))
            .await;
        client.expect_end().await;
    }
    // The same by application protocol, on the port of WebSockets.
    let mut client = shop.dial(&pair, Some("x-amzn-mqtt-ca")).await;
    client.login(&v5("courier-2")).await;
    assert_eq!(client.publish("status/other", "x").await, NOT_AUTHORIZED);
}

impl Shop {
    /// Publishes by the data plane.
    fn publish(&self, topic: &str, payload: &str) {
        let address = self.dev.endpoint().strip_prefix("http://").unwrap();
        let mut http = std::net::TcpStream::connect(address).unwrap();
        let length = payload.len();
        let request = format!(
            "POST /topics/{topic}?qos=1 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{payload}"
        );
        std::io::Write::write_all(&mut http, request.as_bytes()).unwrap();
        let mut answer = String::new();
        std::io::Read::read_to_string(&mut http, &mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

/// A change is in force once its call was answered, for connected clients as well.
#[tokio::test]
async fn changes_reach_live_clients() {
    let shop = Shop::bare();
    let pair = shop.authority.issue("courier", &[]);
    let id = shop.register(&pair.0);
    let arn = format!("{ARN}:cert/{id}");
    let narrow = courier();
    let attach = ["--attach", &arn];
    shop.policy(
        &[
            &["apply", "--name", "courier", "--policy", &narrow][..],
            &attach,
        ]
        .concat(),
    );
    let mut client = shop.join(&pair, &v5("courier-1")).await;
    assert_eq!(client.subscribe("order/+").await, 1);
    assert_eq!(client.subscribe("tenant/1").await, NOT_AUTHORIZED);
    shop.publish("order/2", "hidden");

    // A new default version.
    let wide = document(&[("iot:*", "*")]).replace(&format!("{ARN}:*"), "*");
    shop.policy(&["apply", "--name", "courier", "--policy", &wide, "--no-lint"]);
    shop.publish("order/2", "seen");
    assert_eq!(client.message().await.payload, "seen");
    assert_eq!(client.subscribe("tenant/1").await, 1);
    // Back to the first one: the subscription stays, and nothing comes by it.
    shop.call(
        "set_default_policy_version",
        &json!({"policyName": "courier", "policyVersionId": "1"}),
    );
    shop.publish("order/2", "hidden");
    shop.publish("tenant/1", "hidden");
    shop.publish("order/1", "seen");
    assert_eq!(client.message().await.payload, "seen");
    // A second policy, attached and taken away.
    let publish = document(&[("iot:Publish", "topic/extra")]);
    shop.policy(
        &[
            &["apply", "--name", "extra", "--policy", &publish][..],
            &attach,
        ]
        .concat(),
    );
    assert_eq!(client.publish("extra", "x").await, 0);
    shop.policy(&["revoke", "--name", "extra", "--target", &arn]);
    assert_eq!(client.publish("extra", "x").await, NOT_AUTHORIZED);
    // Others are none of its business.
    client.expect_silence().await;

    shop.call(
        "update_certificate",
        &json!({"certificateId": id, "newStatus": "INACTIVE"}),
    );
    client.expect_disconnect(NOT_AUTHORIZED).await;
    assert_eq!(shop.knock(&pair, &v5("courier-1")).await, 0x86);
    shop.call(
        "update_certificate",
        &json!({"certificateId": id, "newStatus": "ACTIVE"}),
    );
    let mut client = shop.join(&pair, &v3("courier-1")).await;
    shop.call(
        "update_certificate",
        &json!({"certificateId": id, "newStatus": "REVOKED"}),
    );
    client.expect_end().await;
    // Deleted, it is nobody's: the authority has signed it, and nothing is granted to it.
    shop.call(
        "delete_certificate",
        &json!({"certificateId": id, "forceDelete": true}),
    );
    assert_eq!(shop.knock(&pair, &v5("courier-1")).await, NOT_AUTHORIZED);
}

/// A client that does not use the registry is not affected by it, until there is a policy.
#[tokio::test]
async fn a_certificate_that_nobody_registered() {
    let shop = Shop::open(Dev::assembled, &["--config", "tests/support/open.yaml"]);
    let pair = shop.authority.issue("device", &[]);
    let mut client = shop.join(&pair, &v5("device-1")).await;
    assert_eq!(client.subscribe("anything").await, 1);
    let policy = courier();
    shop.policy(&["apply", "--name", "courier", "--policy", &policy]);
    // It stays connected, as on AWS, and may nothing any more.
    assert_eq!(client.publish("anything", "x").await, NOT_AUTHORIZED);
    assert_eq!(shop.knock(&pair, &v5("device-2")).await, NOT_AUTHORIZED);
    let told = shop.inspected("device-2").to_string();
    assert!(
        told.contains("is not registered; help: aws iot register-certificate-without-ca"),
        "{told}"
    );
    assert!(told.contains("eventcast policy apply"), "{told}");
    // Without a certificate everything is as before.
    let mut plain = Raw::join(shop.dev.port("mqtt"), &v5("plain")).await;
    assert_eq!(plain.publish("anything", "x").await, 0);
    // Registered while it is connected, it is known at once.
    let id = shop.register(&pair.0);
    let all = document(&[("iot:Publish", "topic/anything")]);
    let arn = format!("{ARN}:cert/{id}");
    shop.policy(&["apply", "--name", "all", "--policy", &all, "--attach", &arn]);
    assert_eq!(client.publish("anything", "x").await, 0);
    let inspected = shop.inspected("device-1");
    assert_eq!(inspected["principal"], json!(id), "{inspected}");
    assert_eq!(
        inspected["policies"][0]["name"],
        json!("policy `all` version 1"),
        "{inspected}"
    );
    assert_eq!(inspected["policies"][0]["text"], json!(all), "{inspected}");
}

/// Keys that were made here, and an authority that is registered nowhere: TLS takes a certificate
/// that is registered, and nothing else.
#[tokio::test]
async fn a_certificate_that_was_made_here() {
    let shop = Shop::open(Dev::start, &["--without-authority"]);
    let made = shop.call("create_keys_and_certificate", &json!({"setAsActive": true}));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let file = |name: &str, value: &Value| {
        let path = shop.authority.certificate().with_file_name(name);
        std::fs::write(&path, text(value)).unwrap();
        path
    };
    let pair = (
        file("made.pem", &made["certificatePem"]),
        file("made.key", &made["keyPair"]["PrivateKey"]),
    );
    let policy = document(&[("iot:Connect", "client/${iot:Connection.Thing.ThingName}")]);
    let arn = text(&made["certificateArn"]);
    shop.policy(&[
        "apply", "--name", "p", "--policy", &policy, "--attach", &arn,
    ]);
    assert_eq!(shop.knock(&pair, &v5("lamp")).await, NOT_AUTHORIZED);
    shop.call("create_thing", &json!({"thingName": "lamp"}));
    shop.call(
        "attach_thing_principal",
        &json!({"thingName": "lamp", "principal": arn}),
    );
    // The policy asks for the thing, and the thing's group adds another one.
    let mut lamp = shop.join(&pair, &v5("lamp")).await;
    assert_eq!(shop.knock(&pair, &v5("other")).await, NOT_AUTHORIZED);
    assert_eq!(lamp.publish("lights", "on").await, NOT_AUTHORIZED);
    shop.call("create_thing_group", &json!({"thingGroupName": "lights"}));
    shop.call(
        "add_thing_to_thing_group",
        &json!({"thingGroupName": "lights", "thingName": "lamp"}),
    );
    let group = document(&[("iot:Publish", "topic/lights")]);
    let target = format!("{ARN}:thinggroup/lights");
    shop.policy(&[
        "apply", "--name", "g", "--policy", &group, "--attach", &target,
    ]);
    assert_eq!(lamp.publish("lights", "on").await, 0);

    let stranger = shop.authority.issue("stranger", &[]);
    if let Ok(stream) = shop.try_dial(&stranger, None).await {
        // With TLS 1.3 the client notices with its first read.
        assert_eq!(Raw::new(stream).knock(&v5("lamp")).await, Got::End);
    }
}

/// Certificate and token: the permissions of both.
#[tokio::test]
async fn a_token_beside_a_certificate() {
    const USER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
    let shop = Shop::open(Dev::assembled, &["--config", "tests/support/roles.yaml"]);
    let pair = shop.authority.issue("courier", &[]);
    let token = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args([
            "token", "mint", "--dev", "--role", "customer", "--sub", USER,
        ])
        .args(["--config", "tests/support/roles.yaml"])
        .output()
        .unwrap();
    let token = String::from_utf8(token.stdout).unwrap().trim().to_owned();
    let with = |token: &str| Connect {
        user_name: Some("anybody".into()),
        password: Some(token.to_owned()),
        ..v5(USER)
    };
    // Without a token, and without a policy anywhere, it is the token that is asked for.
    assert_eq!(shop.knock(&pair, &v5(USER)).await, 0x86);
    let mut client = shop.join(&pair, &with(&token)).await;
    assert_eq!(client.subscribe(&format!("user/{USER}")).await, 1);
    assert_eq!(client.publish("extra", "x").await, NOT_AUTHORIZED);
    let id = shop.register(&pair.0);
    let arn = format!("{ARN}:cert/{id}");
    let extra = document(&[
        ("iot:Connect", "client/courier"),
        ("iot:Publish", "topic/extra"),
    ]);
    shop.policy(&[
        "apply", "--name", "extra", "--policy", &extra, "--attach", &arn,
    ]);
    assert_eq!(client.publish("extra", "x").await, 0);
    assert_eq!(client.subscribe(&format!("user/{USER}")).await, 1);
    let inspected = shop.inspected(USER);
    assert_eq!(inspected["role"], json!("customer"), "{inspected}");
    let names: Vec<&Value> = inspected["policies"]
        .as_array()
        .unwrap()
        .iter()
        .map(|policy| &policy["name"])
        .collect();
    assert_eq!(
        names,
        [
            &json!("policy `extra` version 1"),
            &json!("policy 1 of the token")
        ]
    );
    // The certificate alone, and with a token that nobody signed.
    let mut alone = shop.join(&pair, &v5("courier")).await;
    assert_eq!(alone.publish("extra", "x").await, 0);
    assert_eq!(
        alone.subscribe(&format!("user/{USER}")).await,
        NOT_AUTHORIZED
    );
    assert_eq!(shop.knock(&pair, &with(&format!("{token}x"))).await, 0x86);
}

/// Faults are asked for by the calls' names: the command goes on where it is throttled, and where
/// an answer is lost.
#[test]
fn faults_of_the_control_plane() {
    let shop = Shop::bare();
    let policy = courier();
    for kind in ["throttle", "refuse", "drop"] {
        let fault = json!({"action": "CreatePolicy", "fault": kind, "times": 1});
        shop.dev.fault(&fault);
        let report = shop.policy(&["apply", "--name", kind, "--policy", &policy]);
        let calls = report["calls"]["CreatePolicy"].as_u64();
        assert_eq!(calls, Some(2), "{kind}: {report}");
        let shown = shop.policy(&["show", "--name", kind]);
        assert_eq!(shown["version"], json!("1"), "{kind}: {shown}");
    }
}

/// Life-cycle events have the certificate's id as the principal.
#[tokio::test]
async fn the_principal_is_the_certificate() {
    let shop = Shop::bare();
    let pair = shop.authority.issue("device", &[]);
    let id = shop.register(&pair.0);
    let policy = document(&[("iot:Connect", "client/device")]);
    let arn = format!("{ARN}:cert/{id}");
    shop.policy(&[
        "apply", "--name", "p", "--policy", &policy, "--attach", &arn,
    ]);
    let mut watch = Raw::join(shop.dev.port("mqtt"), &v5("watch")).await;
    let filter = "$aws/events/presence/+/device";
    assert_eq!(watch.subscribe(filter).await, 1);
    let _client = shop.join(&pair, &v5("device")).await;
    let event: Value = serde_json::from_str(&watch.message().await.payload).unwrap();
    assert_eq!(event["eventType"], json!("connected"), "{event}");
    assert_eq!(event["principalIdentifier"], json!(id), "{event}");
    shop.call(
        "update_certificate",
        &json!({"certificateId": id, "newStatus": "INACTIVE"}),
    );
    let event: Value = serde_json::from_str(&watch.message().await.payload).unwrap();
    assert_eq!(event["eventType"], json!("disconnected"), "{event}");
    assert_eq!(event["disconnectReason"], json!("AUTH_ERROR"), "{event}");
}
