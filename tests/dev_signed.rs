//! Signed addresses of WebSockets at `eventcast dev`: addresses that the daemon's own signer makes
//! are taken, and no others.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/raw.rs"]
mod raw;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use dev::Dev;
use eventcast::aws::client;
use eventcast::aws::sign::Signer;
use futures_util::{SinkExt, StreamExt};
use raw::{Raw, v5};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

/// The key that `client::stand_in` signs with.
const KEY: [&str; 4] = [
    "--aws-key",
    "stand-in:stand-in",
    "--aws-key",
    "other:secret",
];

/// A query that was signed at a time.
async fn signed(dev: &Dev, time: SystemTime) -> String {
    let config = client::stand_in(dev.endpoint(), "us-east-1").await;
    let signer = Signer::try_new(&config).unwrap();
    let host = format!("127.0.0.1:{}", dev.port("ws"));
    signer.query(&host, "/mqtt", time).await.unwrap()
}

/// Opens a WebSocket with a query, or gives HTTP's status with the reason.
async fn open(dev: &Dev, query: &str) -> Result<WebSocketStream<TcpStream>, (u16, String)> {
    let port = dev.port("ws");
    let io = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let address = format!("ws://127.0.0.1:{port}/mqtt?{query}");
    let mut request = address.into_client_request().unwrap();
    let headers = request.headers_mut();
    headers.insert("sec-websocket-protocol", "mqtt".parse().unwrap());
    match client_async(request, io).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => {
            let why = response.body().clone().unwrap_or_default();
            let why = String::from_utf8(why).unwrap();
            Err((response.status().as_u16(), why))
        }
        Err(error) => panic!("{error}"),
    }
}

/// Opens a WebSocket and says CONNECT: the answer's code.
async fn knock(dev: &Dev, query: &str) -> Result<u8, (u16, String)> {
    let mut socket = open(dev, query).await?;
    let connect = v5("a").bytes();
    socket.send(Message::binary(connect)).await.unwrap();
    let answer = timeout(raw::BOUND, socket.next()).await.unwrap();
    let answer = answer.unwrap().unwrap().into_data();
    // CONNACK: its type, its length, whether a session was there, the code.
    assert_eq!(answer[0], 0x20);
    Ok(answer[3])
}

#[tokio::test]
async fn the_daemons_signature_is_taken_and_a_tampered_one_is_not() {
    let dev = Dev::start(&[&KEY[..], &["--limit", "connects-per-second=off"]].concat());
    let now = SystemTime::now();
    let query = signed(&dev, now).await;
    assert_eq!(knock(&dev, &query).await, Ok(0));
    // The token of temporary credentials comes behind.
    let with_token = format!("{query}&X-Amz-Security-Token=a%2Fb");
    assert_eq!(knock(&dev, &with_token).await, Ok(0));
    let old = signed(&dev, now - Duration::from_secs(301)).await;
    let wrong = [
        query.replace("us-east-1", "us-east-2"),
        format!("{query}&x=1"),
        query.replace("stand-in", "other"),
        query.replace("stand-in", "unknown"),
        old,
        String::new(),
    ];
    let mut told = String::new();
    for query in wrong {
        let (status, why) = knock(&dev, &query).await.unwrap_err();
        assert_eq!(status, 403, "{why}");
        told.push_str(&why);
    }
    insta::assert_snapshot!(told);
    // Only WebSockets are signed.
    Raw::join(dev.port("mqtt"), &v5("b")).await;
}

#[tokio::test]
async fn without_a_key_nothing_is_checked() {
    let dev = Dev::start(&["--limit", "connects-per-second=off"]);
    let query = signed(&dev, SystemTime::now()).await;
    let forged = query.replace("us-east-1", "us-east-2");
    for query in ["", &query, &forged] {
        assert_eq!(knock(&dev, query).await, Ok(0), "{query}");
    }
}

/// With roles both ways lead in: a token, or a signature.
#[tokio::test]
async fn a_signature_beside_tokens() {
    let dev = Dev::assembled(&[&KEY[..], &["--limit", "connects-per-second=off"]].concat());
    let query = signed(&dev, SystemTime::now()).await;
    assert_eq!(knock(&dev, &query).await, Ok(0));
    let (status, _) = knock(&dev, &format!("{query}&x=1")).await.unwrap_err();
    assert_eq!(status, 403);
    // Unsigned, it is the token that is asked for, at the latest in CONNECT; 0x86: bad user name or
    // password.
    assert_eq!(knock(&dev, "").await, Ok(0x86));
    let (status, why) = knock(&dev, "token=none").await.unwrap_err();
    assert_eq!(status, 403, "{why}");
}

/// A key with policies may do what they say, one without may do everything.
#[tokio::test]
async fn the_policies_of_a_key_decide() {
    let arn = "arn:aws:iot:us-east-1:000000000000";
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":[
        {{"Effect":"Allow","Action":"iot:Connect","Resource":"{arn}:client/${{iot:ClientId}}"}},
        {{"Effect":"Allow","Action":"iot:Publish","Resource":"{arn}:topic/status"}},
        {{"Sid":"Quiet","Effect":"Deny","Action":"iot:Subscribe","Resource":"*"}}]}}"#
    );
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("signer.json");
    std::fs::write(&file, document).unwrap();
    let policy = format!("stand-in={}", file.display());
    let dev = Dev::start(&[&KEY[..], &["--aws-policy", &policy]].concat());
    let query = signed(&dev, SystemTime::now()).await;
    let mut socket = open(&dev, &query).await.unwrap();
    let mut ask = async |packet: Vec<u8>| {
        socket.send(Message::binary(packet)).await.unwrap();
        let answer = timeout(raw::BOUND, socket.next()).await.unwrap();
        answer.unwrap().unwrap().into_data().to_vec()
    };
    assert_eq!(ask(v5("a").bytes()).await[3], 0);
    // PUBACK: an allowed publish has no reason; 0x87: not authorized.
    let allowed = ask(raw::publish(true, "status", "x", 1, 1, false, &[])).await;
    assert_eq!(allowed, [0x40, 2, 0, 1]);
    let denied = ask(raw::publish(true, "other", "x", 1, 2, false, &[])).await;
    assert_eq!(denied[0], 0x40);
    // Behind the length, which may take two bytes.
    assert!(
        denied[2..6].windows(3).any(|part| part == [0, 2, 0x87]),
        "{denied:?}"
    );
    let denied = ask(raw::subscribe(true, 3, &[("status", 1)], &[])).await;
    assert_eq!(denied.last(), Some(&0x87), "{denied:?}");
}

/// Faults of the policies of keys are reported before anything is opened.
#[test]
fn policies_that_are_not_right() {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-policy.json");
    std::fs::write(&file, r#"{"Version":"2012-10-17"}"#).unwrap();
    let wrong = format!("stand-in={}", file.display());
    let cases = [
        (
            "unknown=x.json",
            "error: --aws-policy names the key `unknown`, and --aws-key gives `stand-in`, `other` only\nhelp: give its secret with `--aws-key unknown:SECRET`\n",
        ),
        (
            "stand-in",
            "ID=FILE is wanted, such as AKIDEVELOPMENT=policy.json",
        ),
        (
            "stand-in=none.json",
            "error: reading `none.json`: No such file",
        ),
        (&*wrong, "Statement"),
    ];
    for (policy, expected) in cases {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["dev", "--bare"])
            .args(KEY)
            .args(["--aws-policy", policy])
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_key_without_a_secret() {
    let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(["dev", "--aws-key", "AKID"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("ID:SECRET or ID:@FILE is expected"), "{told}");
}
