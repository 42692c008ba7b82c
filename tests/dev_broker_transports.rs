//! Ways to reach the broker of `eventcast dev`: WebSocket, TLS, certificates, application
//! protocols; and the facts that its authorizer sees.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/authority.rs"]
mod authority;
#[path = "support/broker.rs"]
mod broker;
#[path = "support/raw.rs"]
mod raw;
#[path = "support/secure.rs"]
mod secure;

use std::fs;
use std::sync::Arc;

use authority::Authority;
use broker::{Book, Running, listen, unhurried};
use eventcast::dev::broker::Broker;
use eventcast::dev::broker::door::ListenerProtocol;
use eventcast::dev::broker::door::tls::{ListenerTls, ListenerTlsError, TlsTexts};
use eventcast::dev::broker::limits::BrokerRules;
use futures_util::{SinkExt, StreamExt};
use raw::{Connect, Got, Raw, subscribe, v3, v5};
use rumqttc::mqttbytes::v5::Packet;
use rumqttc::{AsyncClient, Event, MqttOptions, PublishOptions, QoS, TlsConfiguration, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async};

fn book() -> Book {
    let all = ["connect *", "subscribe *", "receive *", "publish *"];
    Book::default().with("ann", &all)
}

async fn websocket(book: &Book) -> Running {
    let broker = Broker::start(unhurried(), BrokerRules::iot_core(), Arc::new(book.clone()));
    listen(broker, ListenerProtocol::WebSocket, None).await
}

async fn open(
    port: u16,
    path: &str,
    protocol: Option<&str>,
) -> Result<WebSocketStream<TcpStream>, Error> {
    let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let address = format!("ws://localhost:{port}{path}");
    let mut request = address.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("x-extra", "something".parse().unwrap());
    if let Some(protocol) = protocol {
        headers.insert("sec-websocket-protocol", protocol.parse().unwrap());
    }
    let (socket, response) = client_async(request, io).await?;
    let spoken = response.headers()["sec-websocket-protocol"]
        .to_str()
        .unwrap();
    assert!(
        protocol
            .unwrap()
            .split(", ")
            .any(|offered| offered == spoken)
    );
    Ok(socket)
}

async fn refused(port: u16, path: &str, protocol: Option<&str>) -> (u16, String) {
    match open(port, path, protocol).await {
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8(body).unwrap())
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was let in"),
    }
}

async fn binary(socket: &mut WebSocketStream<TcpStream>) -> Vec<u8> {
    loop {
        match socket.next().await.unwrap().unwrap() {
            Frame::Binary(bytes) => return bytes.to_vec(),
            Frame::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn websockets_that_are_refused() {
    let running = websocket(&book()).await;
    let refusals = [
        refused(running.port, "/", Some("mqtt")).await,
        refused(running.port, "/mqtt", None).await,
        refused(running.port, "/mqtt", Some("graphql-ws")).await,
        refused(running.port, "/mqtt?user=eve", Some("mqtt")).await,
    ];
    insta::assert_debug_snapshot!(refusals);
    // A request that is not HTTP at all.
    let mut stream = TcpStream::connect(("127.0.0.1", running.port))
        .await
        .unwrap();
    stream.write_all(&v5("a").bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(running.broker.connections(), 0);
}

#[tokio::test]
async fn frames_are_a_stream_of_bytes() {
    let book = book();
    let running = websocket(&book).await;
    let mut socket = open(
        running.port,
        "/mqtt?user=ann",
        Some("other, mqttv3.1, mqtt"),
    )
    .await
    .unwrap();
    let bytes = [v5("a").bytes(), subscribe(true, 1, &[("t", 1)], &[])].concat();
    // Several packets in one frame, and one packet in several, with a ping in between.
    let (first, second) = bytes.split_at(bytes.len() - 3);
    socket.send(Frame::binary(first.to_vec())).await.unwrap();
    socket.send(Frame::Ping(vec![1].into())).await.unwrap();
    socket.send(Frame::binary(second.to_vec())).await.unwrap();
    let mut arrived = Vec::new();
    while !arrived.ends_with(&[0x90, 4, 0, 1, 0, 1]) {
        arrived.extend(binary(&mut socket).await);
    }
    let seen = book.seen.lock().unwrap().clone();
    // The address decided at the upgrade: the authorizer is not asked again at CONNECT.
    assert_eq!(seen.len(), 1);
    let upgrade = seen[0].upgrade.as_ref().unwrap();
    assert_eq!(
        (&*upgrade.path, upgrade.query.as_deref()),
        ("/mqtt", Some("user=ann"))
    );
    let extra = ("x-extra".to_owned(), "something".to_owned());
    assert!(upgrade.headers.contains(&extra));
    assert!(seen[0].login.is_none());
    // Text is a mistake.
    socket.send(Frame::text("hello")).await.unwrap();
    running.until(|broker| broker.connections() == 0).await;
}

#[tokio::test]
async fn a_login_in_connect_will_do_as_well() {
    let book = book();
    let running = websocket(&book).await;
    let mut socket = open(running.port, "/mqtt", Some("mqtt")).await.unwrap();
    let connect = Connect {
        user_name: Some("ann".into()),
        password: Some("secret".into()),
        ..v3("a")
    };
    socket.send(Frame::binary(connect.bytes())).await.unwrap();
    assert_eq!(binary(&mut socket).await, [0x20, 2, 0, 0]);
    let seen = book.seen.lock().unwrap().clone();
    let told: Vec<bool> = seen
        .iter()
        .map(|presented| presented.login.is_some())
        .collect();
    assert_eq!(told, [false, true]);
    let login = seen[1].login.as_ref().unwrap();
    assert_eq!(login.client_id, "a");
    assert_eq!(login.password.as_deref(), Some(&b"secret"[..]));
    // A WebSocket that closes is a connection that is lost.
    socket.close(None).await.unwrap();
    running.until(|broker| broker.connections() == 0).await;
    let facts = running.broker.connection("a").unwrap();
    assert_eq!(facts.disconnect_reason, Some("CONNECTION_LOST"));
}

/// A listener with TLS, and the settings that a client needs to reach it.
struct Secure {
    running: Running,
    authority: Authority,
}

async fn secure(book: &Book, carrier: ListenerProtocol, required: bool) -> Secure {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost", &["localhost", "127.0.0.1"]);
    let tls = ListenerTls::try_new(&TlsTexts {
        certificate: &fs::read(certificate).unwrap(),
        key: &fs::read(key).unwrap(),
        client_authority: Some(&fs::read(authority.certificate()).unwrap()),
        client_certificate_required: required,
    });
    let broker = Broker::start(unhurried(), BrokerRules::iot_core(), Arc::new(book.clone()));
    let running = listen(broker, carrier, Some(tls.unwrap())).await;
    Secure { running, authority }
}

impl Secure {
    fn client(&self, name: Option<&str>, protocol: Option<&str>) -> ClientConfig {
        self.config(name.map(|name| (&self.authority, name)), protocol)
    }

    /// With a certificate that an authority signs for a name, where one is given.
    fn config(&self, identity: Option<(&Authority, &str)>, protocol: Option<&str>) -> ClientConfig {
        let identity = identity.map(|(issuer, name)| issuer.issue(name, &[]));
        let identity = identity.as_ref();
        let identity = identity.map(|(certificate, key)| (&**certificate, &**key));
        secure::config(&self.authority.certificate(), identity, protocol)
    }

    async fn dial(&self, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        secure::dial(self.running.port, config).await
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_authorizer() {
    let book = book();
    let secure = secure(&book, ListenerProtocol::Plain, false).await;
    let connect = Connect {
        user_name: Some("ann".into()),
        ..v5("a")
    };
    for (name, protocol) in [(Some("device"), Some("x-amzn-mqtt-ca")), (None, None)] {
        let stream = secure.dial(secure.client(name, protocol)).await.unwrap();
        book.seen.lock().unwrap().clear();
        let mut client = Raw::new(stream);
        client.login(&connect).await;
        assert_eq!(client.subscribe("t").await, 1);
        // A client with a certificate is authorized once more when it is in: a change in between
        // would have missed it.
        let times = if name.is_some() { 2 } else { 1 };
        assert_eq!(book.seen.lock().unwrap().len(), times);
        let seen = book.seen.lock().unwrap().last().unwrap().clone();
        let tls = seen.tls.unwrap();
        assert_eq!(tls.server_name.as_deref(), Some("localhost"));
        assert_eq!(tls.protocol.as_deref(), protocol);
        assert_eq!(tls.certificate.is_some(), name.is_some());
        if let Some(certificate) = tls.certificate {
            // DER begins with a sequence.
            assert_eq!(certificate[0], 0x30);
        }
    }
    // One that another authority has signed is not taken.
    let stranger = Authority::new();
    let config = secure.config(Some((&stranger, "device")), None);
    if let Ok(stream) = secure.dial(config).await {
        // With TLS 1.3 the client notices with its first read.
        let mut client = Raw::new(stream);
        assert_eq!(client.knock(&connect).await, Got::End);
    }
}

#[tokio::test]
async fn a_certificate_can_be_asked_for() {
    let secure = secure(&book(), ListenerProtocol::Plain, true).await;
    let connect = Connect {
        user_name: Some("ann".into()),
        ..v5("a")
    };
    if let Ok(stream) = secure.dial(secure.client(None, None)).await {
        assert_eq!(Raw::new(stream).knock(&connect).await, Got::End);
    }
    let stream = secure
        .dial(secure.client(Some("device"), None))
        .await
        .unwrap();
    Raw::new(stream).login(&connect).await;
}

/// Browsers give up where they are asked for a certificate, so that a client that does not announce
/// one is not asked.
#[tokio::test]
async fn a_websocket_port_asks_for_certificates_by_application_protocol() {
    let book = book();
    let secure = secure(&book, ListenerProtocol::WebSocket, true).await;
    let connect = Connect {
        user_name: Some("ann".into()),
        ..v5("a")
    };
    for (protocol, is_asked) in [("mqtt", false), ("x-amzn-mqtt-ca", true)] {
        let config = secure.client(Some("device"), Some(protocol));
        let stream = secure.dial(config).await.unwrap();
        Raw::new(stream).login(&connect).await;
        let seen = book.seen.lock().unwrap().last().unwrap().clone();
        let shown = seen.tls.unwrap().certificate;
        assert_eq!(shown.is_some(), is_asked, "{protocol}");
    }
}

#[tokio::test]
async fn the_application_protocol_decides_on_a_websocket_port() {
    let secure = secure(&book(), ListenerProtocol::WebSocket, false).await;
    let connect = Connect {
        user_name: Some("ann".into()),
        ..v5("a")
    };
    let stream = secure
        .dial(secure.client(None, Some("mqtt")))
        .await
        .unwrap();
    Raw::new(stream).login(&connect).await;
    for protocol in [None, Some("http/1.1")] {
        let stream = secure.dial(secure.client(None, protocol)).await.unwrap();
        let mut request = "wss://localhost/mqtt".into_client_request().unwrap();
        let header = "sec-websocket-protocol";
        request
            .headers_mut()
            .insert(header, "mqtt".parse().unwrap());
        let (mut socket, _) = client_async(request, stream).await.unwrap();
        socket.send(Frame::binary(connect.bytes())).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert_eq!(answer.into_data()[0], 0x20);
    }
}

/// The client library that the daemon uses, on every way to the broker.
#[tokio::test]
async fn a_library_reaches_it_on_every_way() {
    let book = book();
    let plain = {
        let broker = Broker::start(unhurried(), BrokerRules::iot_core(), Arc::new(book.clone()));
        listen(broker, ListenerProtocol::Plain, None).await
    };
    let websocket = websocket(&book).await;
    let mqtts = secure(&book, ListenerProtocol::Plain, false).await;
    let wss = secure(&book, ListenerProtocol::WebSocket, false).await;
    let tls = |secure: &Secure| TlsConfiguration::Rustls(Arc::new(secure.client(None, None)));
    let host = |port: u16| MqttOptions::new("client", ("localhost", port));
    let mut over_tls = host(mqtts.running.port);
    over_tls.set_transport(Transport::tls_with_config(tls(&mqtts)));
    let url = |scheme: &str, port: u16| format!("{scheme}://localhost:{port}/mqtt?user=ann");
    let address = rumqttc::Broker::websocket(url("ws", websocket.port)).unwrap();
    let ways = [
        host(plain.port),
        MqttOptions::new("client", address),
        over_tls,
        MqttOptions::websocket_with_tls_config("client", url("wss", wss.running.port), tls(&wss))
            .unwrap(),
    ];
    for mut options in ways {
        options.set_credentials("ann", "");
        options.set_max_packet_size(Some(150_000));
        let (client, mut events) = AsyncClient::builder(options)
            .capacity(10)
            .try_build()
            .unwrap();
        client.subscribe("t/#", QoS::AtLeastOnce).await.unwrap();
        let large = "x".repeat(100_000);
        let mut received = 0;
        while received < 2 {
            match events.poll().await.unwrap() {
                Event::Incoming(Packet::SubAck(_)) => {
                    for payload in ["small", &large] {
                        let options = PublishOptions::at_least_once();
                        client
                            .publish("t/1", payload.to_owned(), options)
                            .await
                            .unwrap();
                    }
                }
                Event::Incoming(Packet::Publish(publish)) => {
                    let expected = [5, 100_000][received];
                    assert_eq!(publish.payload.len(), expected);
                    received += 1;
                }
                _ => {}
            }
        }
    }
}

#[test]
fn texts_that_make_no_tls() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("a", &["a"]);
    let (certificate, key) = (fs::read(certificate).unwrap(), fs::read(key).unwrap());
    let (_, other) = authority.issue("b", &["b"]);
    let other = fs::read(other).unwrap();
    let error =
        |certificate: &[u8], key: &[u8], client_authority: Option<&[u8]>| -> ListenerTlsError {
            let texts = TlsTexts {
                certificate,
                key,
                client_authority,
                client_certificate_required: false,
            };
            ListenerTls::try_new(&texts).unwrap_err()
        };
    assert!(matches!(
        error(b"", &key, None),
        ListenerTlsError::Pem("certificate")
    ));
    assert!(matches!(
        error(&certificate, b"x", None),
        ListenerTlsError::Pem("key")
    ));
    assert!(matches!(
        error(&certificate, &other, None),
        ListenerTlsError::Together(_)
    ));
    let none = error(&certificate, &key, Some(b""));
    assert_eq!(
        none.to_string(),
        "the client authority is no PEM text, or holds none"
    );
}
