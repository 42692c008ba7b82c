//! The gateway's connections to the broker by TLS: the credentials that the broker sees.

use std::fs;
use std::sync::Arc;

use eventcast::dev::broker::Broker;
use eventcast::dev::broker::door::ListenerProtocol;
use eventcast::dev::broker::door::tls::{ListenerTls as BrokerTls, TlsTexts};
use eventcast::dev::broker::limits::BrokerRules;
use eventcast::gateway::link::BrokerSettings;
use eventcast::mqtt::auth::{Pem, TlsConfig, TlsFiles};
use serde_json::json;

use crate::authority::Authority;
use crate::broker::{Book, listen, unhurried};
use crate::gateway::{Task, config, directory, settings};
use crate::grants::{EVERYTHING, ROLES, token};
use crate::scenarios::channel;
use crate::shop::configuration;

/// IoT Core takes MQTT on port 443 by its ALPN name alone, and hands the password to the
/// authorizer.
#[tokio::test]
async fn the_broker_is_shown_the_protocol_and_the_clients_token() {
    let authority = Authority::new();
    let (certificate, key) = authority.issue("localhost", &["localhost", "127.0.0.1"]);
    let offered = BrokerTls::try_new(&TlsTexts {
        certificate: &fs::read(certificate).unwrap(),
        key: &fs::read(key).unwrap(),
        client_authority: None,
        client_certificate_required: false,
    });
    let named = "?x-amz-customauthorizer-name=platform";
    let book = Book::default().with(named, &EVERYTHING);
    let broker = Broker::start(unhurried(), BrokerRules::iot_core(), Arc::new(book.clone()));
    let running = listen(broker, ListenerProtocol::Plain, Some(offered.unwrap())).await;
    let tls = TlsConfig::try_new(&TlsFiles {
        authorities: Some(Pem {
            name: "ca".into(),
            text: fs::read(authority.certificate()).unwrap(),
        }),
        identity: None,
        protocol: Some("mqtt".into()),
    });
    let settings = BrokerSettings {
        tls: Some(tls.unwrap().config()),
        authorizer: Some("platform".into()),
        ..settings(running.port)
    };
    let task = Task::start(settings, directory(&config(&configuration(ROLES)))).await;
    let token = token();
    let mut client = task.client(Some(&token));
    let answer = client.open(&[&channel()]).await;
    assert_eq!(answer.body["granted"], json!([channel()]), "{answer:?}");
    let seen = book.seen.lock().unwrap().pop().unwrap();
    assert_eq!(seen.tls.unwrap().protocol.as_deref(), Some("mqtt"));
    let login = seen.login.unwrap();
    assert_eq!(login.user_name.as_deref(), Some(named));
    assert_eq!(login.password.as_deref(), Some(token.as_bytes()));
}
