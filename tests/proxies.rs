//! Real proxies from Debian in front of `eventcast dev`, with their default configuration and with
//! the one that `docs/proxies.md` recommends: the streams, polls and WebSockets that come through,
//! and the effects of the proxy on them.

#![cfg(all(feature = "dev", feature = "gateway"))]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where; real processes run on the real clock"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/proxies.rs"]
mod support;

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use dev::Dev;
use serde_json::{Value, json};
use support::{Kind, Proxy, Setting, Upstreams};

/// Longer than anything here waits.
const BOUND: Duration = Duration::from_secs(20);

const IDLE: Duration = Duration::from_secs(30);

fn port_of(endpoint: &str) -> u16 {
    endpoint.rsplit(':').next().unwrap().parse().unwrap()
}

fn upstreams(dev: &Dev) -> Upstreams {
    Upstreams {
        http: port_of(dev.endpoint()),
        websocket: dev.port("ws"),
    }
}

/// Runs one check on every proxy, all at once; a failure names its proxy.
fn each(kinds: &[Kind], check: impl Fn(Kind) + Sync) {
    std::thread::scope(|scope| {
        let runs: Vec<_> = kinds
            .iter()
            .map(|kind| (*kind, scope.spawn(|| check(*kind))))
            .collect();
        let failed: Vec<Kind> = runs
            .into_iter()
            .filter_map(|(kind, run)| run.join().is_err().then_some(kind))
            .collect();
        assert!(failed.is_empty(), "{failed:?}: see above");
    });
}

fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(BOUND)).unwrap();
    stream
}

/// The status and the body of a GET.
fn get(port: u16, path: &str) -> (u16, String) {
    let mut stream = connect(port);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, body.to_owned())
}

/// A WebSocket on which a client has connected by MQTT, or the status that came instead.
fn websocket(port: u16) -> Result<TcpStream, u16> {
    let mut stream = connect(port);
    write!(
        stream,
        "GET /mqtt HTTP/1.1\r\nhost: localhost:{port}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-protocol: mqtt\r\n\r\n"
    )
    .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    if status != 101 {
        return Err(status);
    }
    assert!(
        head.to_lowercase()
            .contains("sec-websocket-protocol: mqtt\r\n"),
        "{head}"
    );
    // CONNECT of MQTT 5: clean start, keep alive 120 s, a client id of its own; one binary frame,
    // masked with zeros.
    let id = format!("p{port}");
    let length = |bytes: usize| u8::try_from(bytes).unwrap();
    let mut packet = vec![0x10, length(13 + id.len())];
    packet.extend(b"\x00\x04MQTT\x05\x02\x00\x78\x00\x00");
    packet.push(length(id.len()));
    packet.extend(id.as_bytes());
    let mut frame = vec![0x82, 0x80 | length(packet.len()), 0, 0, 0, 0];
    frame.extend(packet);
    stream.write_all(&frame).unwrap();
    // A frame's type and length, CONNACK's type and length, its flags, its reason code.
    let mut answer = [0; 6];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(
        (answer[0], answer[2], answer[5]),
        (0x82, 0x20, 0),
        "{answer:?}"
    );
    Ok(stream)
}

/// haproxy and caddy alone support WebSockets by default.
#[test]
fn websockets_come_through() {
    let dev = Dev::start(&[]);
    let upstreams = upstreams(&dev);
    each(&Kind::ALL, |kind| {
        for setting in [Setting::Default, Setting::Best] {
            let proxy = Proxy::start(kind, setting, upstreams, IDLE);
            assert_eq!(get(proxy.port(), "/health"), (200, "ok\n".to_owned()));
            let opened = websocket(proxy.port());
            let is_expected =
                setting == Setting::Best || matches!(kind, Kind::Haproxy | Kind::Caddy);
            assert_eq!(
                opened.is_ok(),
                is_expected,
                "{kind:?} {setting:?}: {opened:?}\n{}",
                proxy.log()
            );
        }
    });
}

/// The rules of the gateway's protocol that do not hold through a proxy.
fn broken(proxy: &Proxy, only: &[&str]) -> BTreeSet<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
    command
        .args(["gateway", "conformance", &proxy.url(), "--dev", "--quick"])
        .args(["--format", "json"])
        .env_remove("EVENTCAST_GATEWAY_TOKEN");
    for rules in only {
        command.args(["--only", rules]);
    }
    let output = command.output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        matches!(output.status.code(), Some(0 | 1)),
        "{report}{errors}{}",
        proxy.log()
    );
    let report: Value = serde_json::from_str(&report).unwrap();
    assert!(report["held"].as_u64().unwrap() > 0, "{report:#}");
    let rules = report["rules"].as_array().unwrap().iter();
    rules
        .filter(|rule| rule["verdict"] == "broken")
        .map(|rule| format!("{}: {}", rule["rule"], rule["why"]))
        .collect()
}

/// Polls need nothing of a proxy but that it waits for longer than they do.
#[test]
fn polls_come_through() {
    each(&Kind::ALL, |kind| {
        // Each has a platform of its own: the suite's channel is to be nobody else's.
        let dev = Dev::assembled(&[]);
        for setting in [Setting::Default, Setting::Best] {
            let proxy = Proxy::start(kind, setting, upstreams(&dev), IDLE);
            let found = broken(&proxy, &["session.created", "poll", "always.no-store"]);
            assert!(found.is_empty(), "{kind:?} {setting:?}: {found:#?}");
        }
    });
}

/// Streams need nothing of a proxy but that it passes on bytes as they come; lighttpd holds answers
/// back until their end by default.
#[test]
fn streams_come_through() {
    each(&Kind::ALL, |kind| {
        let dev = Dev::assembled(&[]);
        for setting in [Setting::Default, Setting::Best] {
            let proxy = Proxy::start(kind, setting, upstreams(&dev), IDLE);
            if (kind, setting) == (Kind::Lighttpd, Setting::Default) {
                let found = broken(&proxy, &["session.created", "stream.opens"]);
                assert_eq!(found.len(), 1, "{found:#?}");
                assert!(found.iter().all(|one| one.contains("stream.opens")));
                continue;
            }
            let found = broken(&proxy, &["session.created", "stream", "always.no-store"]);
            assert!(found.is_empty(), "{kind:?} {setting:?}: {found:#?}");
        }
    });
}

/// A POST of JSON; `None` where the proxy cut it.
fn post(port: u16, path: &str, token: &str, body: &Value) -> Option<(u16, Value)> {
    let mut stream = connect(port);
    let body = body.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: localhost:{port}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split(' ').nth(1)?.parse().ok()?;
    let body = answer.split_once("\r\n\r\n")?.1;
    Some((status, serde_json::from_str(body).unwrap_or_default()))
}

/// A token of the shop's customer, and a topic that it grants.
fn customer(dev: &Dev) -> (String, String) {
    let (_, platform) = get(port_of(dev.endpoint()), "/_dev/platform");
    let platform: Value = serde_json::from_str(&platform).unwrap();
    let mut roles = platform["roles"].as_array().unwrap().iter();
    let role = roles.find(|role| role["name"] == "customer").unwrap();
    let asked = json!({ "role": "customer", "claims": role["example"] });
    let (status, minted) = post(port_of(dev.endpoint()), "/_dev/tokens", "", &asked).unwrap();
    assert_eq!(status, 200, "{minted}");
    let topics = minted["subscribe"].as_array().unwrap().iter();
    let mut topics = topics.map(|topic| topic.as_str().unwrap());
    let topic = topics.find(|topic| topic.contains("order/")).unwrap();
    (minted["token"].as_str().unwrap().into(), topic.into())
}

/// A proxy that is less patient than a poll gives it up, or cuts it: the same cursor returns
/// messages that came meanwhile.
#[test]
fn polls_that_proxies_give_up_lose_nothing() {
    each(&Kind::ALL, |kind| {
        let dev = Dev::assembled(&[]);
        let (token, topic) = customer(&dev);
        for setting in [Setting::Default, Setting::Best] {
            let proxy = Proxy::start(kind, setting, upstreams(&dev), Duration::from_secs(1));
            let poll = |session: &Value, wait: u64| {
                let asked = json!({
                    "session": session["session"], "cursor": session["cursor"], "timeout_s": wait,
                });
                post(proxy.port(), "/rt/v1/poll?n=1", &token, &asked)
            };
            let asked = json!({ "channels": [topic] });
            let made = post(proxy.port(), "/rt/v1/session", &token, &asked);
            let (status, mut session) = made.unwrap();
            assert_eq!(status, 201, "{kind:?}: {session}");
            assert_eq!(session["granted"], json!([topic]), "{kind:?}: {session}");
            // Caddy waits for ever, and lighttpd has no such time-out for answers.
            let given_up = poll(&session, 4);
            let is_patient = matches!(kind, Kind::Caddy | Kind::Lighttpd);
            match given_up {
                Some((200, polled)) if is_patient => session["cursor"] = polled["cursor"].clone(),
                Some((502..=504, _)) | None if !is_patient => {}
                other => panic!("{kind:?} {setting:?}: {other:?}"),
            }
            let id = format!("{kind:?}-{setting:?}");
            let path = format!("/topics/{topic}?qos=1");
            let published = post(port_of(dev.endpoint()), &path, "", &json!({ "probe": id }));
            assert_eq!(published.unwrap().0, 200);
            let until = std::time::Instant::now() + BOUND;
            loop {
                assert!(std::time::Instant::now() < until, "{kind:?}: lost");
                let Some((200, polled)) = poll(&session, 0) else {
                    continue;
                };
                if polled["messages"].to_string().contains(&id) {
                    break;
                }
                session["cursor"] = polled["cursor"].clone();
            }
        }
    });
}

/// Text of a stream until some words have come, or its end.
fn until(stream: &mut TcpStream, words: Option<&str>) -> String {
    let mut text = Vec::new();
    let mut bytes = [0; 4_096];
    loop {
        let read = String::from_utf8_lossy(&text).into_owned();
        if words.is_some_and(|words| read.contains(words)) {
            return read;
        }
        match stream.read(&mut bytes) {
            Ok(0) => return read,
            Ok(count) => text.extend_from_slice(&bytes[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return read,
            Err(error) => panic!("{error}: {read}"),
        }
    }
}

/// A stream that a proxy cuts, or that it holds back, has confirmed nothing: the same cursor
/// returns messages that were written on it.
#[test]
fn streams_that_proxies_cut_lose_nothing() {
    each(&Kind::ALL, |kind| {
        let dev = Dev::assembled(&[]);
        let (token, topic) = customer(&dev);
        for setting in [Setting::Default, Setting::Best] {
            let proxy = Proxy::start(kind, setting, upstreams(&dev), Duration::from_secs(1));
            let asked = json!({ "channels": [topic] });
            let (status, session) = post(proxy.port(), "/rt/v1/session", &token, &asked).unwrap();
            assert_eq!(status, 201, "{kind:?}: {session}");
            let place = json!({ "session": session["session"], "cursor": session["cursor"] });
            let mut stream = connect(proxy.port());
            let body = place.to_string();
            write!(
                stream,
                "POST /rt/v1/stream HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\
                 content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
            let is_held = (kind, setting) == (Kind::Lighttpd, Setting::Default);
            if !is_held {
                until(&mut stream, Some("retry: "));
            }
            let id = format!("{kind:?}-{setting:?}");
            let path = format!("/topics/{topic}?qos=1");
            let published = post(port_of(dev.endpoint()), &path, "", &json!({ "probe": id }));
            assert_eq!(published.unwrap().0, 200);
            if !is_held {
                let read = until(&mut stream, Some(&id));
                assert!(read.contains(&id), "{kind:?} {setting:?}: {read}");
            }
            // Caddy waits for ever, and lighttpd has no such time-out for answers.
            if !matches!(kind, Kind::Caddy | Kind::Lighttpd) {
                until(&mut stream, None);
            }
            drop(stream);
            let asked = json!({
                "session": session["session"], "cursor": session["cursor"], "timeout_s": 0,
            });
            let deadline = std::time::Instant::now() + BOUND;
            loop {
                assert!(std::time::Instant::now() < deadline, "{kind:?}: lost");
                let polled = post(proxy.port(), "/rt/v1/poll?n=1", &token, &asked);
                if polled.is_some_and(|(_, polled)| polled.to_string().contains(&id)) {
                    break;
                }
            }
        }
    });
}
