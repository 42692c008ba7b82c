//! `eventcast dev` before the clients that AWS itself gives to applications: its device SDK, and
//! Amplify in a browser, over TLS with an authority of the test's own.

#![cfg(all(feature = "authorizer", feature = "dev"))]
#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails should say where"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/dev.rs"]
mod dev;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/moto.rs"]
mod moto;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use authority::Authority;
use dev::Dev;
use lines::{Lines, until};

const CUSTOMER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";
const ORDER: &str = "11111111-4f0b-4d3e-9f51-6a4f0c6c2a11";
const OTHER: &str = "22222222-4f0b-4d3e-9f51-6a4f0c6c2a11";

const SHOP: &str = "
channels:
  user: { id: uuid }
  order: { id: uuid }
routes:
  - { name: orders, match: { source: [shop.orders] }, to: ['order:{detail.orderId}'] }
bridge: { queue: 'https://sqs.us-east-1.amazonaws.com/000000000000/shop-events' }
";

const ROLES: &str = "
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ['order:{claims.order}', 'user:{claims.sub}']
    publish: ['user:{claims.sub}']
";

/// Constructors of the device SDK's clients, and the ports that they use.
const CUSTOM_WEBSOCKET: (&str, &str) = ("websockets_with_custom_authorizer", "wss");
const CUSTOM_DIRECT: (&str, &str) = ("direct_with_custom_authorizer", "mqtts");
const SIGNED: (&str, &str) = ("websockets_with_default_aws_signing", "wss");
const CERTIFICATE: (&str, &str) = ("mtls_from_path", "mqtts");

/// A platform with TLS, and the files that its clients need.
struct Shop {
    dev: Dev,
    authority: Authority,
    configuration: PathBuf,
}

impl Shop {
    /// Everybody may do everything.
    fn open(name: &str) -> Self {
        Self::start(name, SHOP)
    }

    /// Customers receive an order of theirs, and write to themselves.
    fn with_roles(name: &str) -> Self {
        Self::start(name, &format!("{SHOP}{ROLES}"))
    }

    fn start(name: &str, configuration: &str) -> Self {
        let authority = Authority::new();
        let (certificate, key) = authority.issue("localhost", &["localhost", "127.0.0.1"]);
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.yaml"));
        std::fs::write(&file, configuration).unwrap();
        let dev = Dev::assembled(&[
            "--config",
            file.to_str().unwrap(),
            "--mqtts-port=0",
            "--wss-port=0",
            "--certificate",
            certificate.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
            "--client-ca",
            authority.certificate().to_str().unwrap(),
        ]);
        Self {
            dev,
            authority,
            configuration: file,
        }
    }

    /// A customer's token, as the command mints it.
    fn token(&self) -> String {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["token", "mint", "--dev", "--role", "customer"])
            .args(["--sub", CUSTOMER, "--claim", &format!("order={ORDER}")])
            .arg("--config")
            .arg(&self.configuration)
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Puts an event of an order on the bus, as applications do it.
    fn place(&self, order: &str) -> String {
        let output = moto::python("events.py")
            .args(["place", order])
            .envs(self.dev.environment())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// A client by the device SDK, with a token where there is one.
    fn client(
        &self,
        version: &str,
        (builder, scheme): (&str, &str),
        id: &str,
        token: Option<&str>,
    ) -> Lines {
        let pair = self.authority.issue("device", &[]);
        self.shows(version, (builder, scheme), id, token, &pair)
    }

    /// A client by the device SDK, with a certificate that it shows where its way asks for one.
    fn shows(
        &self,
        version: &str,
        (builder, scheme): (&str, &str),
        id: &str,
        token: Option<&str>,
        (certificate, key): &(PathBuf, PathBuf),
    ) -> Lines {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/aws_clients.py");
        let mut command = Command::new(moto::cache().join("device/bin/python"));
        command
            .args([script, version, builder])
            .env("PORT", self.dev.port(scheme).to_string())
            .env("CA", self.authority.certificate())
            .env("CERTIFICATE", certificate)
            .env("KEY", key)
            .env("CLIENT", id)
            .env_remove("TOKEN")
            .envs(self.dev.environment())
            .envs(token.map(|token| ("TOKEN", token)));
        Lines::of(&mut command)
    }

    /// Registers a certificate by AWS's own SDK, and puts a policy into force for it.
    #[cfg(feature = "admin")]
    fn register(&self, certificate: &Path, policy: &str) {
        let pem = std::fs::read_to_string(certificate).unwrap();
        let asked = serde_json::json!({"certificatePem": pem, "status": "ACTIVE"});
        let output = moto::python("iot_call.py")
            .args(["register_certificate_without_ca", &asked.to_string()])
            .envs(self.dev.environment())
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let status = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["policy", "apply", "--name", "device", "--policy", policy])
            .args(["--attach", told["certificateArn"].as_str().unwrap()])
            .envs(self.dev.environment())
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// A page by Amplify.
    fn page(&self, kind: &str, id: &str, query: &str, topic: &str) -> Lines {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/amplify.cjs");
        let bundle = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("amplify-{kind}.js"));
        let endpoint = format!("wss://localhost:{}/mqtt{query}", self.dev.port("wss"));
        let mut command = Command::new("node");
        command
            .arg(script)
            .arg(moto::cache().join("browser").join("node_modules"))
            .arg(bundle)
            .args([kind, &endpoint, id, topic]);
        let page = Lines::of(&mut command);
        until("the page has subscribed", || {
            let looked = Command::new(env!("CARGO_BIN_EXE_eventcast"))
                .args(["inspect", "client", id, "--endpoint", self.dev.endpoint()])
                .output()
                .unwrap();
            let shown = page.all();
            assert!(
                !shown.iter().any(|line| line.contains("error")),
                "{shown:?}"
            );
            String::from_utf8_lossy(&looked.stdout).contains(topic)
        });
        page
    }
}

/// Waits for a line with a beginning, and gives all of it.
#[track_caller]
fn told(lines: &Lines, begin: &str) -> String {
    let mut found = None;
    until(&format!("`{begin}` is told"), || {
        let all = lines.all();
        found = all.into_iter().find(|line| line.starts_with(begin));
        found.is_some()
    });
    found.unwrap()
}

/// An event that is put on the bus arrives at a client.
#[track_caller]
fn hears(shop: &Shop, client: &Lines) {
    let id = shop.place(ORDER);
    let message = told(client, &format!("message order/{ORDER} "));
    assert!(message.contains(&id), "{id}: {message}");
}

/// All ways in, for a client with a token: actions that its role grants work from end to end, and
/// no others.
fn a_role_is_what_a_client_may_do(version: &str, denied: [&str; 2]) {
    let shop = Shop::with_roles(&format!("roles-{version}"));
    let token = shop.token();
    for way in [CUSTOM_WEBSOCKET, CUSTOM_DIRECT, CERTIFICATE] {
        let (begin, _) = way.0.split_once('_').unwrap();
        let id = |what: &str| format!("{CUSTOMER}-{begin}-{what}");
        let connect = |what: &str| {
            let client = shop.client(version, way, &id(what), Some(&token));
            told(&client, "connected");
            client
        };
        let mut client = connect("granted");
        client.say(&format!("subscribe order/{ORDER}"));
        assert_eq!(told(&client, "subscribed"), "subscribed 0x01", "{way:?}");
        hears(&shop, &client);
        client.say(&format!("publish user/{CUSTOMER} to myself"));
        assert_eq!(told(&client, "published"), "published 0x00", "{way:?}");
        client.say("end");
        told(&client, "ended");
        assert!(!client.has("closed"), "{:?}", client.all());

        let what = [
            format!("subscribe order/{OTHER}"),
            format!("publish order/{ORDER} x"),
        ];
        for (what, denied) in what.iter().zip(denied) {
            let (name, _) = what.split_once(' ').unwrap();
            let mut client = connect(name);
            client.say(what);
            told(&client, denied);
            let answers = client.all();
            assert!(
                !answers
                    .iter()
                    .any(|line| line.ends_with(" 0x00") || line.ends_with(" 0x01")),
                "{answers:?}"
            );
        }
    }
}

#[test]
fn a_role_is_what_a_client_may_do_by_mqtt_5() {
    a_role_is_what_a_client_may_do("mqtt5", ["subscribed 0x87", "published 0x87"]);
}

/// MQTT 3.1.1 has no word for it: the connection closes.
#[test]
fn a_role_is_what_a_client_may_do_by_mqtt_3() {
    a_role_is_what_a_client_may_do("mqtt3", ["closed", "closed"]);
}

/// A signature or a certificate is enough where everybody may do everything.
#[test]
fn clients_without_a_token_hear_where_there_are_no_roles() {
    let shop = Shop::open("open-sdk");
    for version in ["mqtt5", "mqtt3"] {
        for way in [SIGNED, CERTIFICATE] {
            let mut client = shop.client(version, way, &format!("{version}-{}", way.0), None);
            told(&client, "connected");
            client.say(&format!("subscribe order/{ORDER}"));
            assert_eq!(told(&client, "subscribed"), "subscribed 0x01");
            hears(&shop, &client);
            client.say("publish anything x");
            assert_eq!(told(&client, "published"), "published 0x00");
            client.say("end");
            told(&client, "ended");
        }
    }
}

/// A certificate that is registered and has a policy, and no token: the policy alone decides on its
/// client's actions, with roles or without.
#[cfg(feature = "admin")]
fn the_policies_of_a_certificate_decide(version: &str, denied: [&str; 2]) {
    let arn = "arn:aws:iot:us-east-1:000000000000";
    let statement = |action: &str, resource: &str| {
        format!(r#"{{"Effect":"Allow","Action":"iot:{action}","Resource":"{arn}:{resource}"}}"#)
    };
    let statements = [
        statement("Connect", "client/device-*"),
        statement("Subscribe", &format!("topicfilter/order/{ORDER}")),
        statement("Receive", &format!("topic/order/{ORDER}")),
        statement(
            "Publish",
            "topic/status/${iot:Certificate.Subject.CommonName}",
        ),
    ];
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[{}]}}"#,
        statements.join(",")
    );
    let name = format!("certificates-{version}");
    for shop in [Shop::open(&name), Shop::with_roles(&name)] {
        let pair = shop.authority.issue("device", &[]);
        shop.register(&pair.0, &policy);
        let connect = |id: &str| {
            let client = shop.shows(version, CERTIFICATE, id, None, &pair);
            told(&client, "connected");
            client
        };
        let mut client = connect("device-1");
        client.say(&format!("subscribe order/{ORDER}"));
        assert_eq!(told(&client, "subscribed"), "subscribed 0x01");
        hears(&shop, &client);
        client.say("publish status/device here");
        assert_eq!(told(&client, "published"), "published 0x00");
        client.say("end");
        told(&client, "ended");
        for (what, denied) in ["subscribe order/1", "publish status/other x"]
            .into_iter()
            .zip(denied)
        {
            let (id, _) = what.split_once(' ').unwrap();
            let mut client = connect(&format!("device-{id}"));
            client.say(what);
            told(&client, denied);
        }
        let stranger = shop.shows(version, CERTIFICATE, "stranger", None, &pair);
        told(&stranger, "refused");
        assert!(!stranger.has("connected"), "{:?}", stranger.all());
    }
}

#[cfg(feature = "admin")]
#[test]
fn the_policies_of_a_certificate_decide_by_mqtt_5() {
    the_policies_of_a_certificate_decide("mqtt5", ["subscribed 0x87", "published 0x87"]);
}

#[cfg(feature = "admin")]
#[test]
fn the_policies_of_a_certificate_decide_by_mqtt_3() {
    the_policies_of_a_certificate_decide("mqtt3", ["closed", "closed"]);
}

#[test]
fn a_forged_token_does_not_let_in() {
    let shop = Shop::with_roles("forged");
    let forged = format!("{}x", shop.token());
    for (version, way, refusal) in [
        ("mqtt5", CUSTOM_WEBSOCKET, "refused 0x86"),
        ("mqtt5", CUSTOM_DIRECT, "refused 0x86"),
        ("mqtt5", CERTIFICATE, "refused 0x86"),
        ("mqtt3", CUSTOM_WEBSOCKET, "refused"),
        ("mqtt3", CUSTOM_DIRECT, "refused"),
    ] {
        let client = shop.client(version, way, CUSTOMER, Some(&forged));
        told(&client, refusal);
        assert!(!client.has("connected"), "{:?}", client.all());
    }
}

/// A client that does not know the authority does not speak to the broker: TLS is not for show.
#[test]
fn the_device_sdk_wants_the_authority() {
    let shop = Shop::open("authority");
    let stranger = Shop {
        authority: Authority::new(),
        ..shop
    };
    let client = stranger.client("mqtt5", SIGNED, "stranger", None);
    assert!(told(&client, "refused").contains("TLS"));
}

#[test]
fn amplify_hears_with_a_signature() {
    let shop = Shop::open("open-amplify");
    let mut page = shop.page("signed", "amplify", "", &format!("order/{ORDER}"));
    hears(&shop, &page);
    page.say(&format!(r#"order/{ORDER} {{"from":"the page"}}"#));
    until("the page hears itself", || {
        page.has(r#"{"from":"the page"}"#)
    });
}

#[test]
fn amplify_hears_with_a_token() {
    let shop = Shop::with_roles("roles-amplify");
    let query = format!("?token={}", shop.token());
    let mut page = shop.page("plain", CUSTOMER, &query, &format!("order/{ORDER}"));
    hears(&shop, &page);
    assert!(!page.has("Disrupted"), "{:?}", page.all());
    page.say(&format!(r#"order/{ORDER} {{"from":"the page"}}"#));
    until("what the page may not say ends its connection", || {
        page.has("state ConnectionDisrupted")
    });
    assert!(!page.has("from"), "{:?}", page.all());
}
