//! The ways to a broker: TLS with a local authority, mutual TLS, WebSocket, and the signed
//! WebSocket of IoT Core, against mosquitto.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/moto.rs"]
mod moto;
#[path = "support/publications.rs"]
mod publications;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use authority::Authority;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials as Keys;
use aws_credential_types::provider::SharedCredentialsProvider;
use eventcast::aws::sign::Signer;
use eventcast::broker::BrokerAddress;
use eventcast::mqtt::auth::{BrokerAccess, ConnectCredentials, Pem, TlsConfig, TlsFiles, Token};
use eventcast::mqtt::{MqttSettings, pool::Pool};
use eventcast::port::Publisher;
use mosquitto::{Files, Mosquitto};
use publications::publication;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const BOUND: Duration = Duration::from_secs(20);

fn secure_broker(authority: &Authority) -> Mosquitto {
    let (certificate, key) = authority.issue("broker", &["localhost"]);
    Mosquitto::start_secure(&Files {
        ca: authority.certificate(),
        certificate,
        key,
    })
}

fn pem(path: &Path) -> Pem {
    Pem {
        name: path.display().to_string(),
        text: std::fs::read(path).unwrap(),
    }
}

fn pool(url: &str, tls: Option<TlsFiles>, credentials: ConnectCredentials) -> Pool {
    Pool::start(MqttSettings {
        access: BrokerAccess {
            broker: BrokerAddress::parse(url).unwrap(),
            tls: tls.map(|files| TlsConfig::try_new(&files).unwrap()),
            credentials,
        },
        connections: (1, 1),
        back_off: (Duration::from_millis(100), Duration::from_millis(400)),
        ..MqttSettings::default()
    })
}

/// Publishes one message until it is acknowledged: a connection may be lost at first.
async fn publishes(pool: &Pool) {
    let acknowledged = async {
        loop {
            pool.ready().await;
            if let Ok(pending) = pool.publish(publication("a/b", "{}"))
                && pending.await.is_ok()
            {
                break;
            }
        }
    };
    if timeout(BOUND, acknowledged).await.is_err() {
        panic!("not published: {:?}", pool.last_error());
    }
}

/// Reason why a pool never becomes ready.
async fn refused(pool: &Pool) -> String {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(error) = pool.last_error() {
            return error;
        }
        assert!(Instant::now() < end, "no error and no connection");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn mutual_tls() {
    let authority = Authority::new();
    let broker = secure_broker(&authority);
    let (port, _) = broker.secure_ports();
    let url = format!("mqtts://localhost:{port}");
    let (certificate, key) = authority.issue("bridge", &[]);
    let files = TlsFiles {
        authorities: Some(pem(&authority.certificate())),
        identity: Some((pem(&certificate), pem(&key))),
        protocol: Some("x-amzn-mqtt-ca".into()),
    };
    publishes(&pool(&url, Some(files.clone()), ConnectCredentials::None)).await;
    // The broker knows the client by its certificate.
    assert!(broker.log().contains("u'bridge'"), "{}", broker.log());
    let nobody = TlsFiles {
        identity: None,
        ..files
    };
    let told = refused(&pool(&url, Some(nobody), ConnectCredentials::None)).await;
    assert!(told.contains("CertificateRequired"), "{told}");
}

#[tokio::test]
async fn a_websocket_over_tls() {
    let authority = Authority::new();
    let broker = secure_broker(&authority);
    let (_, port) = broker.secure_ports();
    let url = format!("wss://localhost:{port}/mqtt");
    let files = |authority: &Authority| TlsFiles {
        authorities: Some(pem(&authority.certificate())),
        ..TlsFiles::default()
    };
    publishes(&pool(
        &url,
        Some(files(&authority)),
        ConnectCredentials::None,
    ))
    .await;
    let other = Authority::new();
    let told = refused(&pool(&url, Some(files(&other)), ConnectCredentials::None)).await;
    assert!(told.contains("invalid peer certificate"), "{told}");
}

/// Listens before a broker's WebSocket and notes the request of each upgrade.
struct Front {
    port: u16,
    asked: Arc<Mutex<Vec<Vec<String>>>>,
    _forwarding: JoinSet<()>,
}

impl Front {
    async fn to(target: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::<Mutex<Vec<Vec<String>>>>::default();
        let notes = Arc::clone(&asked);
        let mut forwarding = JoinSet::new();
        forwarding.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let notes = Arc::clone(&notes);
                connections.spawn(async move {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        head.push(client.read_u8().await.unwrap());
                    }
                    let text = String::from_utf8(head.clone()).unwrap();
                    let lines = text.lines().map(str::to_owned).collect();
                    notes.lock().unwrap().push(lines);
                    let mut server = TcpStream::connect(("127.0.0.1", target)).await.unwrap();
                    server.write_all(&head).await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                });
            }
        });
        Self {
            port,
            asked,
            _forwarding: forwarding,
        }
    }

    fn asked(&self) -> Vec<Vec<String>> {
        self.asked.lock().unwrap().clone()
    }
}

/// The path and query of an upgrade's first line.
fn target(upgrade: &[String]) -> &str {
    upgrade[0].split(' ').nth(1).unwrap()
}

fn pairs(query: &str) -> BTreeMap<&str, &str> {
    query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap())
        .collect()
}

#[tokio::test]
async fn a_signed_websocket() {
    let mut broker = Mosquitto::start();
    let front = Front::to(broker.websocket_port()).await;
    let keys = Keys::new(
        "AKIDEXAMPLE",
        "a/secret+key",
        Some("to/ken=".into()),
        None,
        "test",
    );
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(SharedCredentialsProvider::new(keys))
        .build();
    let signer = Arc::new(Signer::try_new(&config).unwrap());
    let signatures = Arc::<Mutex<u64>>::default();
    let count = Arc::clone(&signatures);
    let signed = ConnectCredentials::Signed(Arc::new(move |host, path| {
        let (signer, count) = (Arc::clone(&signer), Arc::clone(&count));
        Box::pin(async move {
            // Each signature a minute after the one before, so that one used twice is seen.
            let time = {
                let mut count = count.lock().unwrap();
                *count += 1;
                SystemTime::now() + Duration::from_secs(60 * *count)
            };
            Ok(signer.query(&host, &path, time).await.unwrap())
        })
    }));
    let pool = pool(&format!("ws://127.0.0.1:{}/mqtt", front.port), None, signed);
    publishes(&pool).await;
    broker.restart();
    publishes(&pool).await;

    let asked = front.asked();
    assert!(asked.len() >= 2, "{asked:?}");
    let mut dates = Vec::new();
    for upgrade in &asked {
        let header = |name: &str| {
            let of = |line: &String| {
                let (key, value) = line.split_once(": ")?;
                key.eq_ignore_ascii_case(name).then(|| value.to_owned())
            };
            upgrade.iter().find_map(of).unwrap()
        };
        assert_eq!(header("sec-websocket-protocol"), "mqtt");
        let (path, query) = target(upgrade).split_once('?').unwrap();
        let (signed, token) = query.split_once("&X-Amz-Security-Token=").unwrap();
        assert_eq!((path, token), ("/mqtt", "to%2Fken%3D"));
        let ours = pairs(signed);
        let theirs = moto::python("sigv4.py")
            .args([&header("host"), path, ours["X-Amz-Date"]])
            .envs([
                ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
                ("AWS_SECRET_ACCESS_KEY", "a/secret+key"),
                ("AWS_REGION", "eu-central-1"),
            ])
            .output()
            .unwrap();
        let theirs = String::from_utf8(theirs.stdout).unwrap();
        assert_eq!(ours, pairs(theirs.trim()));
        dates.push(ours["X-Amz-Date"].to_owned());
    }
    dates.dedup();
    assert_eq!(dates.len(), asked.len(), "an address was used twice");
}

#[tokio::test]
async fn credentials_that_cannot_be_had_are_told_and_asked_for_again() {
    let broker = Mosquitto::start();
    let front = Front::to(broker.websocket_port()).await;
    let calls = Arc::<Mutex<u32>>::default();
    let count = Arc::clone(&calls);
    let signed = ConnectCredentials::Signed(Arc::new(move |_, _| {
        let first = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count == 1
        };
        Box::pin(async move {
            if first {
                Err("the profile's session has expired".into())
            } else {
                Ok("X-Amz-Signature=1".into())
            }
        })
    }));
    let pool = pool(&format!("ws://127.0.0.1:{}", front.port), None, signed);
    assert!(
        refused(&pool)
            .await
            .contains("the profile's session has expired")
    );
    publishes(&pool).await;
}

#[tokio::test]
async fn a_token_for_an_authorizer() {
    let broker = Mosquitto::start();
    let front = Front::to(broker.websocket_port()).await;
    let token = || {
        ConnectCredentials::Token(Token {
            authorizer: Some("platform".into()),
            key: "token".into(),
            token: "a.b".into(),
            signature: None,
        })
    };
    publishes(&pool(
        &format!("ws://127.0.0.1:{}", front.port),
        None,
        token(),
    ))
    .await;
    assert_eq!(
        target(&front.asked()[0]),
        "/mqtt?x-amz-customauthorizer-name=platform&token=a%2Eb"
    );
    publishes(&pool(
        &format!("mqtt://127.0.0.1:{}", broker.mqtt_port()),
        None,
        token(),
    ))
    .await;
    let user = "u'?x-amz-customauthorizer-name=platform&token=a%2Eb'";
    assert!(broker.log().contains(user), "{}", broker.log());
}
