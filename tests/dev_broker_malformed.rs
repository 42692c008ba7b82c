//! Bytes that are not MQTT, on the broker of `eventcast dev`: they end the connection that they
//! came on, as the specification has it, and nothing else.

#![cfg(feature = "dev")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/broker.rs"]
mod broker;
#[path = "support/panics.rs"]
mod panics;
#[path = "support/raw.rs"]
mod raw;

use broker::{Running, general};
use raw::{BOUND, Connect, Got, Raw, Will, number2, number4, packet, publish, string, subscribe};
use raw::{text, unsubscribe, v3, v5};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The broker serves others as if nothing had happened, and nothing is left of the clients that
/// broke a rule.
async fn check_health(running: &Running) {
    running.until(|broker| broker.connections() == 0).await;
    let mut client = Raw::join(running.port, &v5("healthy")).await;
    assert_eq!(client.subscribe("t").await, 1);
    client.fire("t", "x").await;
    assert_eq!(client.message().await.payload, "x");
    assert_eq!(panics::counted(), 0);
}

/// CONNECT with a byte changed: the one at `at`, counted from the protocol's level.
fn altered(connect: &Connect, at: usize, change: impl Fn(u8) -> u8) -> Vec<u8> {
    let mut bytes = connect.bytes();
    bytes[8 + at] = change(bytes[8 + at]);
    bytes
}

fn will() -> Will {
    Will {
        topic: "w".to_owned(),
        payload: "x".to_owned(),
        ..Will::default()
    }
}

fn bad_connects() -> Vec<(&'static str, Vec<u8>)> {
    let flags = 1;
    let five = |property: &[u8]| v5("a").with(property).bytes();
    let with_will = |properties: &[u8]| {
        let properties = properties.to_vec();
        v5("a")
            .will(Will {
                properties,
                ..will()
            })
            .bytes()
    };
    let mut header = v3("a").bytes();
    header[0] = 0x11;
    let mut longer = v3("a").bytes();
    longer[1] += 1;
    longer.push(0);
    let twice = [number2(0x21, 1), number2(0x21, 2)].concat();
    vec![
        ("flags of the packet", header),
        ("a byte behind its end", longer),
        (
            "a length of five bytes",
            vec![0x10, 0x80, 0x80, 0x80, 0x80, 1],
        ),
        (
            "a length that is not as short as it can be",
            vec![0x10, 0x80, 0],
        ),
        (
            "another protocol",
            packet(0x10, &[text("MQTX"), vec![4, 2, 0, 0, 0, 0]].concat()),
        ),
        (
            "the reserved flag, 3.1.1",
            altered(&v3("a"), flags, |byte| byte | 1),
        ),
        (
            "the reserved flag, 5",
            altered(&v5("a"), flags, |byte| byte | 1),
        ),
        (
            "a password without a user name",
            altered(&v3("a"), flags, |byte| byte | 0x40),
        ),
        (
            "a user name that is not there",
            altered(&v3("a"), flags, |byte| byte | 0x80),
        ),
        (
            "a will's QoS without a will",
            altered(&v3("a"), flags, |byte| byte | 0x08),
        ),
        (
            "a will's retain without a will",
            altered(&v3("a"), flags, |byte| byte | 0x20),
        ),
        (
            "a will with QoS 3",
            altered(&v3("a").will(will()), flags, |byte| byte | 0x18),
        ),
        (
            "a will that is not there",
            altered(&v3("a"), flags, |byte| byte | 0x04),
        ),
        (
            "a will to wildcards",
            v3("a")
                .will(Will {
                    topic: "w/#".into(),
                    ..will()
                })
                .bytes(),
        ),
        (
            "a will to nowhere",
            v3("a")
                .will(Will {
                    topic: String::new(),
                    ..will()
                })
                .bytes(),
        ),
        (
            "an id that is not UTF-8",
            packet(0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01\xFF"),
        ),
        (
            "an id with a surrogate",
            packet(0x10, b"\0\x04MQTT\x04\x02\0\0\0\x03\xED\xA0\x80"),
        ),
        (
            "an id with the null character",
            packet(0x10, b"\0\x04MQTT\x04\x02\0\0\0\x01\0"),
        ),
        ("a property of PUBLISH", five(&number2(0x23, 1))),
        ("a property that does not exist", five(&[0x7E, 0])),
        ("a property twice", five(&twice)),
        ("a receive maximum of zero", five(&number2(0x21, 0))),
        ("a maximum packet size of zero", five(&number4(0x27, 0))),
        ("a yes or no that is neither", five(&[0x17, 2])),
        ("authentication data alone", five(&string(0x16, "x"))),
        ("a property that is cut", five(&[0x11, 0, 0])),
        (
            "a will with a property of CONNECT",
            with_will(&number4(0x11, 1)),
        ),
        ("a will with a property twice", with_will(&[1, 0, 1, 0])),
        ("a will with a topic alias", with_will(&number2(0x23, 1))),
    ]
}

#[tokio::test]
async fn a_connect_that_is_none_is_not_answered() {
    panics::count();
    let running = general().await;
    for (what, bytes) in bad_connects() {
        let mut client = Raw::open(running.port).await;
        client.send(&bytes).await;
        assert_eq!(client.next().await, Got::End, "{what}");
    }
    // Any other packet comes too early, and one of a type that does not exist is none.
    for kind in (0..16_u8).filter(|kind| *kind != 1) {
        let mut client = Raw::open(running.port).await;
        client.send(&[kind << 4, 2, 0, 1]).await;
        assert_eq!(client.next().await, Got::End, "type {kind}");
    }
    check_health(&running).await;
}

/// Packets after CONNECT, with the reason code of MQTT 5; `None` where they are no mistake in MQTT
/// 3.
fn bad_packets(is_v5: bool) -> Vec<(&'static str, Vec<u8>, u8)> {
    let either = |three: &[u8], five: &[u8]| if is_v5 { five.to_vec() } else { three.to_vec() };
    let ends = [0x20, 0x90, 0xB0, 0xD0].map(|header| ("a broker's packet", vec![header, 0], 0x82));
    let exchange = [0x50, 0x62, 0x70].map(|header| ("QoS 2", vec![header, 2, 0, 1], 0x82));
    let mut all = vec![
        ("type 0", vec![0, 0], 0x81),
        ("AUTH", vec![0xF0, 0], if is_v5 { 0x82 } else { 0x81 }),
        (
            "a second CONNECT",
            if is_v5 { v5("a") } else { v3("a") }.bytes(),
            0x82,
        ),
        ("flags of PUBREL", vec![0x60, 2, 0, 1], 0x81),
        (
            "a length of five bytes",
            vec![0x30, 0xFF, 0xFF, 0xFF, 0xFF, 1],
            0x81,
        ),
        ("a length that is too long", vec![0x30, 0x80, 0], 0x81),
        (
            "more than the broker takes",
            vec![0x30, 0xFF, 0xFF, 0xFF, 0x7F],
            0x95,
        ),
        (
            "QoS 3",
            either(
                &[0x36, 5, 0, 1, b'a', 0, 1],
                &[0x36, 6, 0, 1, b'a', 0, 1, 0],
            ),
            0x81,
        ),
        ("a duplicate with QoS 0", publish_with(0x38, is_v5), 0x81),
        (
            "PUBLISH without an identifier",
            vec![0x32, 3, 0, 1, b'a'],
            0x81,
        ),
        (
            "PUBLISH with identifier 0",
            publish(is_v5, "t", "x", 1, 0, false, &[]),
            0x82,
        ),
        (
            "PUBLISH to wildcards",
            publish(is_v5, "t/+", "x", 0, 0, false, &[]),
            0x82,
        ),
        (
            "PUBLISH with a topic that is cut",
            vec![0x30, 3, 0, 9, b'a'],
            0x81,
        ),
        (
            "PUBLISH with QoS 2",
            publish(is_v5, "t", "x", 2, 1, false, &[]),
            0x9B,
        ),
        ("PUBACK that is cut", vec![0x40, 1, 0], 0x81),
        ("PUBACK with identifier 0", vec![0x40, 2, 0, 0], 0x82),
        ("PUBACK with flags", vec![0x41, 2, 0, 1], 0x81),
        (
            "SUBSCRIBE without its flag",
            altered_header(subscribe(is_v5, 1, &[("t", 1)], &[])),
            0x81,
        ),
        (
            "SUBSCRIBE with identifier 0",
            subscribe(is_v5, 0, &[("t", 1)], &[]),
            0x82,
        ),
        ("SUBSCRIBE to nothing", subscribe(is_v5, 1, &[], &[]), 0x82),
        (
            "SUBSCRIBE to an empty filter",
            subscribe(is_v5, 1, &[("", 1)], &[]),
            0x81,
        ),
        (
            "SUBSCRIBE with QoS 3",
            subscribe(is_v5, 1, &[("t", 3)], &[]),
            0x81,
        ),
        (
            "SUBSCRIBE with reserved options",
            subscribe(is_v5, 1, &[("t", 0xC1)], &[]),
            0x81,
        ),
        (
            "SUBSCRIBE with `#` within",
            subscribe(is_v5, 1, &[("a/#/b", 1)], &[]),
            0x81,
        ),
        (
            "SUBSCRIBE without options",
            either(
                &[0x82, 5, 0, 1, 0, 1, b't'],
                &[0x82, 6, 0, 1, 0, 0, 1, b't'],
            ),
            0x81,
        ),
        (
            "UNSUBSCRIBE without its flag",
            altered_header(unsubscribe(is_v5, 1, &["t"])),
            0x81,
        ),
        ("UNSUBSCRIBE from nothing", unsubscribe(is_v5, 1, &[]), 0x82),
        (
            "UNSUBSCRIBE from an empty filter",
            unsubscribe(is_v5, 1, &[""]),
            0x81,
        ),
        ("PINGREQ with flags", vec![0xC2, 0], 0x81),
        ("PINGREQ with a body", vec![0xC0, 1, 0], 0x81),
        ("DISCONNECT with flags", vec![0xE1, 0], 0x81),
    ];
    all.extend(ends);
    all.extend(exchange);
    all
}

fn publish_with(header: u8, is_v5: bool) -> Vec<u8> {
    let mut bytes = publish(is_v5, "t", "x", 0, 0, false, &[]);
    bytes[0] = header;
    bytes
}

fn altered_header(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[0] &= 0xF0;
    bytes
}

/// Mistakes that only MQTT 5 can have.
fn bad_properties() -> Vec<(&'static str, Vec<u8>, u8)> {
    let message = |properties: &[u8]| publish(true, "t", "x", 0, 0, false, properties);
    let twice = |property: &[u8]| message(&[property, property].concat());
    vec![
        ("a property of CONNECT", message(&number4(0x11, 1)), 0x82),
        (
            "a subscription identifier from a client",
            message(&[0x0B, 1]),
            0x82,
        ),
        ("a property that does not exist", message(&[0x7E, 0]), 0x81),
        (
            "a payload that is neither text nor not",
            message(&[1, 2]),
            0x82,
        ),
        ("an expiry twice", twice(&number4(2, 9)), 0x82),
        ("a content type twice", twice(&string(3, "x")), 0x82),
        ("a topic alias twice", twice(&number2(0x23, 1)), 0x82),
        ("an expiry that is cut", message(&[2, 0, 0]), 0x81),
        (
            "a user property without a value",
            message(&[0x26, 0, 1, b'a']),
            0x81,
        ),
        (
            "a response topic with wildcards",
            message(&string(8, "a/+")),
            0x82,
        ),
        (
            "more properties than the packet has",
            vec![0x30, 4, 0, 1, b't', 9],
            0x81,
        ),
        (
            "a length of properties that is too long",
            vec![0x30, 5, 0, 1, b't', 0x80, 0],
            0x81,
        ),
        (
            "PUBLISH without properties",
            vec![0x30, 3, 0, 1, b't'],
            0x81,
        ),
        ("SUBSCRIBE that ends early", vec![0x82, 2, 0, 1], 0x82),
        (
            "subscription identifier 0",
            subscribe(true, 1, &[("t", 1)], &[0x0B, 0]),
            0x82,
        ),
        (
            "two subscription identifiers",
            subscribe(true, 1, &[("t", 1)], &[11, 1, 11, 2]),
            0x82,
        ),
        (
            "an expiry in SUBSCRIBE",
            subscribe(true, 1, &[("t", 1)], &number4(2, 1)),
            0x82,
        ),
        (
            "retain handling 3",
            subscribe(true, 1, &[("t", 0x31)], &[]),
            0x82,
        ),
        (
            "no-local in a group",
            subscribe(true, 1, &[("$share/g/t", 5)], &[]),
            0x82,
        ),
        (
            "a group without a filter",
            subscribe(true, 1, &[("$share/g/", 1)], &[]),
            0x81,
        ),
        (
            "a group with a wildcard",
            subscribe(true, 1, &[("$share/+/t", 1)], &[]),
            0x81,
        ),
        (
            "PUBACK with a property of PUBLISH",
            vec![0x40, 6, 0, 1, 0, 2, 1, 0],
            0x82,
        ),
        ("PUBACK that goes on", vec![0x40, 5, 0, 1, 0, 0, 0], 0x81),
        ("DISCONNECT that goes on", vec![0xE0, 3, 0, 0, 0], 0x81),
        (
            "DISCONNECT with a property of CONNECT",
            vec![0xE0, 5, 0, 3, 0x21, 0, 1],
            0x82,
        ),
        (
            "DISCONNECT with an expiry after none",
            vec![0xE0, 7, 0, 5, 0x11, 0, 0, 0, 1],
            0x82,
        ),
    ]
}

#[tokio::test]
async fn a_packet_that_is_none_ends_the_connection_with_its_reason() {
    panics::count();
    let running = general().await;
    for (what, bytes, reason) in bad_packets(true).into_iter().chain(bad_properties()) {
        let mut client = Raw::join(running.port, &v5("a")).await;
        client.send(&bytes).await;
        assert_eq!(client.next().await, Got::Disconnect(reason), "{what}");
        assert_eq!(client.next().await, Got::End, "{what}");
    }
    for (what, bytes, _) in bad_packets(false) {
        let mut client = Raw::join(running.port, &v3("a")).await;
        client.send(&bytes).await;
        assert_eq!(client.next().await, Got::End, "{what}");
    }
    check_health(&running).await;
}

/// Everything that a client says, in one go.
fn session(is_v5: bool) -> Vec<u8> {
    let connect = if is_v5 { v5("a") } else { v3("a") };
    let all: &[u8] = if is_v5 {
        &[
            1, 1, 2, 0, 0, 0, 9, 3, 0, 1, b'c', 8, 0, 1, b'r', 9, 0, 1, 0xFF, 0x26, 0, 1, b'k', 0,
            1, b'v',
        ]
    } else {
        &[]
    };
    [
        connect.will(will()).bytes(),
        subscribe(is_v5, 1, &[("t/#", 1), ("+", 0)], &[]),
        publish(is_v5, "t/1", "payload", 1, 7, true, all),
        raw::puback(1),
        unsubscribe(is_v5, 2, &["t/#"]),
        vec![0xC0, 0, 0xE0, 0],
    ]
    .concat()
}

/// Sends something, reads all answers, and expects the end.
async fn say(port: u16, bytes: &[u8]) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    // The broker may have closed before it has read all.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let end = timeout(BOUND, stream.read_to_end(&mut Vec::new())).await;
    assert!(end.is_ok(), "the connection stays open: {bytes:02x?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_byte_of_a_session_is_another_only_its_connection_ends() {
    panics::count();
    let running = general().await;
    for is_v5 in [false, true] {
        let good = session(is_v5);
        say(running.port, &good).await;
        for at in 0..good.len() {
            say(running.port, &good[..at]).await;
            for other in [0, 0xFF, good[at] ^ 1, good[at] ^ 0x80] {
                let mut bytes = good.clone();
                bytes[at] = other;
                say(running.port, &bytes).await;
            }
        }
    }
    running.until(|broker| broker.connections() == 0).await;
    assert_eq!(panics::counted(), 0);
}
