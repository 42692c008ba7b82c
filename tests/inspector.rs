//! The inspector of `eventcast dev` before a real browser, the demo, and the commands that ask it:
//! trace and inspect.

#![allow(
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that fails should say where; real processes run on the real clock"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/moto.rs"]
mod moto;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use dev::Dev;
use serde_json::{Value, json};

/// Lets a person with a browser go through a scenario; fails with the steps that they missed.
#[track_caller]
fn browse(dev: &Dev, scenario: &str) {
    let modules = moto::cache().join("browser").join("node_modules");
    let root = env!("CARGO_MANIFEST_DIR");
    let output = Command::new("node")
        .arg(format!("{root}/tests/browser/inspector.cjs"))
        .arg(modules)
        .arg(dev.told()["page"].as_str().unwrap())
        .arg(format!("{root}/target/screenshots"))
        .arg(scenario)
        .arg(dev.id().to_string())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    assert!(said.ends_with("done\n"), "{said}");
}

#[test]
fn the_demo_is_seen_in_a_browser() {
    browse(&Dev::assembled(&["--demo"]), "demo");
}

#[test]
fn an_event_put_by_the_form_arrives_in_the_pages_own_subscription() {
    browse(&Dev::assembled(&[]), "form");
}

#[test]
fn a_subscription_that_is_not_allowed_is_explained() {
    browse(&Dev::assembled(&[]), "denied");
}

#[test]
fn the_keyboard_is_enough() {
    browse(&Dev::assembled(&[]), "keyboard");
}

#[test]
fn a_phone_is_wide_enough() {
    browse(&Dev::assembled(&["--demo"]), "phone");
}

#[test]
fn names_of_events_can_be_read_at_each_width() {
    browse(&Dev::assembled(&["--demo"]), "widths");
}

#[test]
fn lists_go_by_arrow_keys_and_escape() {
    browse(&Dev::assembled(&[]), "keys");
}

#[test]
fn events_are_found_by_their_outcome() {
    browse(&Dev::assembled(&[]), "outcomes");
}

#[test]
fn the_code_for_mqtt_js_works_as_pasted() {
    browse(&Dev::assembled(&[]), "snippet");
}

#[test]
fn numbers_of_a_platform_that_is_gone_are_marked() {
    browse(&Dev::assembled(&["--demo"]), "stale");
}

#[test]
fn what_events_bring_is_text() {
    browse(&Dev::assembled(&[]), "text");
}

/// One question over HTTP; its status and body.
fn ask(
    dev: &Dev,
    host: &str,
    method: &str,
    path: &str,
    headers: &str,
    body: &str,
) -> (u16, String) {
    let headers = format!("host: {host}\r\n{headers}");
    let answer = dev.request(&format!("{method} {path}"), &headers, body);
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").unwrap().1;
    (status, body.to_owned())
}

fn get(dev: &Dev, path: &str) -> Value {
    let (status, body) = ask(dev, "localhost", "GET", path, "", "");
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// Puts an event on the bus; its id.
fn put(dev: &Dev, source: &str, detail: &Value) -> String {
    let entry =
        json!({ "Source": source, "DetailType": "OrderPlaced", "Detail": detail.to_string() });
    let headers =
        "x-amz-target: AWSEvents.PutEvents\r\ncontent-type: application/x-amz-json-1.1\r\n";
    let body = json!({ "Entries": [entry] }).to_string();
    let (status, answer) = ask(dev, "localhost", "POST", "/", headers, &body);
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["Entries"][0]["EventId"].as_str().unwrap().to_owned()
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "never: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn eventcast(dev: &Dev, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(arguments)
        .env("AWS_ENDPOINT_URL", dev.endpoint())
        .output()
        .unwrap()
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

const ORDER: &str = "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11";

fn order() -> Value {
    json!({ "orderId": ORDER, "tenantId": ORDER, "customerId": ORDER })
}

#[test]
fn an_event_is_traced_from_the_command_line() {
    let dev = Dev::assembled(&[]);
    let id = put(&dev, "shop.orders", &order());
    until("it left the queue", || {
        get(&dev, &format!("/_dev/event?id={id}"))["done"] == true
    });
    let (status, told, errors) = said(&eventcast(&dev, &["trace", &id]));
    assert_eq!((status, errors.as_str()), (0, ""), "{told}");
    for part in [
        "OrderPlaced from shop.orders",
        "by rule `to-eventcast`",
        "route `order-updates`",
        "3 messages",
        "deleted it from",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (status, told, _) = said(&eventcast(&dev, &["trace", &id, "--format", "json"]));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((status, &told["published"]), (0, &json!(3)));
    let steps: Vec<&str> = told["hops"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hop| hop["step"].as_str().unwrap())
        .collect();
    assert_eq!(
        steps,
        [
            "put",
            "queued",
            "received",
            "published",
            "published",
            "published",
            "deleted"
        ]
    );

    let lost = put(&dev, "somebody.else", &order());
    until("it left the queue", || {
        get(&dev, &format!("/_dev/event?id={lost}"))["done"] == true
    });
    let (status, told, _) = said(&eventcast(&dev, &["trace", &lost]));
    assert_eq!(status, 1);
    assert!(
        told.contains("no route publishes it") && told.contains("wanted [\"shop.orders\"]"),
        "{told}"
    );

    let bad = put(
        &dev,
        "shop.orders",
        &json!({ "orderId": "a/b", "tenantId": ORDER, "customerId": ORDER }),
    );
    until("it is a dead letter", || {
        get(&dev, &format!("/_dev/event?id={bad}"))["dead"] == true
    });
    let (status, told, _) = said(&eventcast(&dev, &["trace", &bad]));
    assert_eq!(status, 1);
    assert!(told.contains("as a dead letter"), "{told}");

    let (status, _, errors) = said(&eventcast(&dev, &["trace", "no-such-event"]));
    assert!(
        status == 1 && errors.contains("no event `no-such-event`"),
        "{errors}"
    );
    let (status, _, errors) = said(&eventcast(&dev, &["trace", &id, "--aws"]));
    assert!(
        status == 2 && errors.contains("AWS keeps no record"),
        "{errors}"
    );
    let nowhere = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(["trace", &id, "--endpoint", "http://127.0.0.1:1"])
        .output()
        .unwrap();
    let (status, _, errors) = said(&nowhere);
    assert!(
        status == 3 && errors.contains("start `eventcast dev`"),
        "{errors}"
    );
}

#[test]
fn clients_channels_and_routes_are_inspected_from_the_command_line() {
    let dev = Dev::assembled(&["--demo"]);
    let clients = || get(&dev, "/_dev/clients?q=-phone");
    until("customers are there", || {
        let told = clients();
        let first = &told["clients"][0];
        first["connected"] == true && !first["subscriptions"].as_array().unwrap().is_empty()
    });
    let client = clients()["clients"][0]["id"].as_str().unwrap().to_owned();
    let (status, told, errors) = said(&eventcast(&dev, &["inspect", "client", &client]));
    assert_eq!((status, errors.as_str()), (0, ""), "{told}");
    assert!(
        told.contains("role `customer`") && told.contains("announcements  QoS 1"),
        "{told}"
    );

    let (user, _) = client.rsplit_once('-').unwrap();
    let channel = format!("user:{user}");
    let (status, told, errors) = said(&eventcast(&dev, &["inspect", "channel", &channel]));
    assert_eq!((status, errors.as_str()), (0, ""), "{told}");
    assert!(
        told.contains(&format!("{client}  by `user/{user}`")),
        "{told}"
    );

    let (status, told, _) = said(&eventcast(&dev, &["inspect", "route", "order-updates"]));
    assert!(
        status == 0 && told.contains("to order:{detail.orderId}"),
        "{told}"
    );
    let (status, told, _) = said(&eventcast(
        &dev,
        &["inspect", "route", "order-updates", "--format", "json"],
    ));
    let told: Value = serde_json::from_str(&told).unwrap();
    assert!(
        status == 0 && told["published"].as_u64().is_some(),
        "{told}"
    );

    for (arguments, part) in [
        (["inspect", "client", "nobody"], "no client `nobody`"),
        (["inspect", "route", "none"], "there are `order-updates`"),
    ] {
        let (status, _, errors) = said(&eventcast(&dev, &arguments));
        assert!(status == 1 && errors.contains(part), "{errors}");
    }
    let (status, _, errors) = said(&eventcast(&dev, &["inspect", "channel", "order:1"]));
    assert!(
        status == 2 && errors.contains("(expected: uuid)"),
        "{errors}"
    );
}

#[test]
fn the_demo_tells_how_it_goes_and_ends_by_itself() {
    let mut dev = Dev::assembled(&["--demo", "--duration", "5s", "--rate", "50"]);
    for name in ["endpoint", "mqtt", "ws", "page", "queue", "bus"] {
        assert!(dev.told()[name].is_string(), "{name}: {}", dev.told());
    }
    let mut last = Value::Null;
    let mut lines = 0;
    while let Some(line) = dev.next() {
        lines += 1;
        last = line;
    }
    assert_eq!(dev.ended(), Some(0));
    assert!(lines >= 3, "{lines} lines");
    assert_eq!(last["last"], true);
    let count = |name: &str| last[name]["total"].as_u64().unwrap();
    assert!(count("events") > 50, "{last}");
    assert!(count("messages") > count("events"), "{last}");
    assert!(
        count("deliveries") > 50 && last["heard"].as_u64().unwrap() > 50,
        "{last}"
    );
    assert!(count("denied") >= 1, "{last}");
    assert!(last["latency"]["p50_ms"].as_f64().unwrap() > 0.0, "{last}");
}

#[test]
fn it_ends_cleanly_when_it_is_told_to() {
    for arguments in [&["--demo"][..], &[], &["--bare"]] {
        let mut dev = Dev::assembled(arguments);
        let begin = Instant::now();
        assert_eq!(dev.interrupt(), Some(0), "{arguments:?}");
        let took = begin.elapsed();
        assert!(took < Duration::from_secs(3), "{arguments:?}: {took:?}");
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_its_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for flag in ["--port", "--mqtt-port", "--websocket-port"] {
        let mut arguments = vec!["dev"];
        for other in ["--port", "--mqtt-port", "--websocket-port"] {
            arguments.extend([other, if other == flag { &port } else { "0" }]);
        }
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(arguments)
            .output()
            .unwrap();
        let (status, _, errors) = said(&output);
        assert!(
            status == 3 && errors.contains(&format!("another port with {flag}")),
            "{errors}"
        );
    }
}

#[test]
fn a_configuration_of_ones_own_is_served() {
    let folder = std::env::temp_dir().join(format!("eventcast-inspector-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("eventcast.yaml");
    let config = "\
channels: { room: { id: { pattern: '[a-z]+' } } }
routes:
  - { name: chat, match: { source: [chat] }, to: ['room:{detail.room}'] }
bridge: { queue: 'https://sqs.eu-central-1.amazonaws.com/123456789012/chat.fifo' }
";
    std::fs::write(&file, config).unwrap();
    let dev = Dev::assembled(&["--config", file.to_str().unwrap()]);
    assert!(
        dev.told()["queue"]
            .as_str()
            .unwrap()
            .ends_with("/chat.fifo")
    );
    let platform = get(&dev, "/_dev/platform");
    assert_eq!(
        (&platform["tokens"], &platform["routes"][0]["name"]),
        (&json!(false), &json!("chat"))
    );
    let id = put(&dev, "chat", &json!({ "room": "kitchen" }));
    until("it is published", || {
        get(&dev, &format!("/_dev/event?id={id}"))["published"] == 1
    });
    let heard = get(&dev, "/_dev/hear?client=nobody&topic=room:kitchen");
    assert_eq!(
        (&heard["topic"], &heard["heard"]),
        (&json!("room/kitchen"), &json!(false))
    );

    std::fs::write(&file, config.replace("routes:", "rotes:")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args(["dev", "--port", "0", "--config", file.to_str().unwrap()])
        .output()
        .unwrap();
    let (status, _, errors) = said(&output);
    assert!(status == 2 && errors.contains("rotes"), "{errors}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn pages_of_the_web_are_not_answered() {
    let dev = Dev::assembled(&[]);
    let ask = |host: &str, path: &str| ask(&dev, host, "GET", path, "", "").0;
    assert_eq!(ask("localhost:4566", "/"), 200);
    assert_eq!(ask("evil.example", "/"), 421);
    assert_eq!(ask("evil.example", "/_dev/clients"), 421);
    assert_eq!(ask("127.0.0.1", "/_dev/nothing"), 404);
}

/// An IoT Core data plane that knows one client and one retained message; it answers a few calls,
/// then ends.
fn data_plane() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let mut request = Vec::new();
            let mut part = [0; 4_096];
            while !request.windows(4).any(|end| end == b"\r\n\r\n") {
                let count = stream.read(&mut part).unwrap();
                request.extend_from_slice(&part[..count]);
            }
            let request = String::from_utf8(request).unwrap();
            let path = request.split(' ').nth(1).unwrap();
            let (status, body) = answer_of(path);
            let kind = if status == 404 {
                "x-amzn-errortype: ResourceNotFoundException\r\n"
            } else {
                ""
            };
            write!(
                stream,
                "HTTP/1.1 {status} x\r\n{kind}content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
    });
    address
}

fn answer_of(path: &str) -> (u16, String) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let answer = match path {
        "/connections/phone" => {
            assert!(query.contains("includeSocketInformation=true"), "{query}");
            json!({ "connected": true, "cleanSession": false, "sourceIp": "203.0.113.7", "sourcePort": 443, "keepAliveDuration": 60,
                "connectedSince": 1_795_622_790_000_i64, "sessionExpiry": 3600, "clientId": "phone", "thingName": "phone-thing" })
        }
        "/connections/phone/subscriptions" if query.contains("nextToken=more") => {
            json!({ "subscriptions": [{ "topicFilter": "user/1", "qos": 0 }] })
        }
        "/connections/phone/subscriptions" => {
            json!({ "subscriptions": [{ "topicFilter": "order/+", "qos": 1 }], "nextToken": "more" })
        }
        "/retainedMessage/prod%2Fannouncements" => {
            json!({ "topic": "prod/announcements", "payload": "eyJhIjoxfQ==", "qos": 1, "lastModifiedTime": 1_795_622_790_000_i64 })
        }
        _ => return (404, json!({ "message": "no such thing" }).to_string()),
    };
    (200, answer.to_string())
}

#[test]
fn aws_is_asked_for_what_it_tells() {
    let address = data_plane();
    let ask = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .arg("inspect")
            .args(arguments)
            .args(["--aws", "--data-plane", &address])
            .env("AWS_ACCESS_KEY_ID", "testing")
            .env("AWS_SECRET_ACCESS_KEY", "testing")
            .env("AWS_REGION", "us-east-1")
            .output()
            .unwrap();
        said(&output)
    };
    let (status, told, errors) = ask(&["client", "phone"]);
    assert_eq!((status, errors.as_str()), (0, ""), "{told}");
    for part in [
        "connected as `phone-thing`",
        "203.0.113.7:443",
        "outlives the connection by 3600 s",
        "order/+  QoS 1",
        "user/1  QoS 0",
        "not told by AWS",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let (status, _, errors) = ask(&["client", "nobody"]);
    assert!(
        status == 1 && errors.contains("knows no connection"),
        "{errors}"
    );
    let shop = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/eventcast.yaml");
    let (status, told, _) = ask(&[
        "channel",
        "prod/announcements",
        "--config",
        shop,
        "--format",
        "json",
    ]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (status, &told["retained"]["text"]),
        (0, &json!("{\"a\":1}"))
    );
    let channel = format!("order:{ORDER}");
    let (status, told, _) = ask(&["channel", &channel, "--config", shop]);
    assert!(
        status == 1 && told.contains(&format!("topic `prod/order/{ORDER}`")),
        "{told}"
    );
    let (status, told, _) = ask(&["route", "order-updates", "--config", shop]);
    assert!(
        status == 0 && told.contains("to order:{detail.orderId}"),
        "{told}"
    );
}

#[test]
fn a_configuration_of_the_environment_does_not_keep_the_demo_from_playing() {
    let run = |arguments: &[&str]| {
        let ports = ["--port", "0", "--mqtt-port", "0", "--websocket-port", "0"];
        let output = Command::new(env!("CARGO_BIN_EXE_eventcast"))
            .args(["dev", "--duration", "1s"])
            .args(ports)
            .args(arguments)
            .env("EVENTCAST_CONFIG", "/nowhere/eventcast.yaml")
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), told)
    };
    for flag in ["--demo", "--bare"] {
        let (status, told) = run(&[flag]);
        assert_eq!(status, Some(0), "{told}");
        let (status, told) = run(&[flag, "--config", "other.yaml"]);
        assert_eq!(status, Some(2), "{told}");
        assert!(told.contains("leave one of the two out"), "{told}");
    }
}

/// The page links to the plan of its own configuration, whose load is the session's.
#[test]
fn the_plan_of_its_own_configuration() {
    let dev = Dev::assembled(&["--demo"]);
    let host = "localhost";
    let get = |path: &str| ask(&dev, host, "GET", path, "", "");
    let (_, index) = get("/");
    assert!(index.contains("<a href=\"/_dev/plan\">"), "{index}");
    let until = Instant::now() + Duration::from_secs(20);
    let values = loop {
        let (status, body) = get("/_dev/load");
        assert_eq!(status, 200, "{body}");
        let body: Value = serde_json::from_str(&body).unwrap();
        let values: Vec<String> = body["values"]
            .as_array()
            .unwrap()
            .iter()
            .map(|value| value.as_str().unwrap().to_owned())
            .collect();
        let is_idle = |value: &String| {
            value.starts_with("routes.order-updates.events=0/")
                || value == "routes.order-updates.subscribers=0"
        };
        if values.iter().any(|value| value.starts_with("routes.")) && !values.iter().any(is_idle) {
            break values;
        }
        assert!(
            Instant::now() < until,
            "the demo's events are counted: {values:?}"
        );
        thread::sleep(Duration::from_millis(100));
    };
    assert!(
        values.iter().any(|value| value.starts_with("clients=")),
        "{values:?}"
    );
    let (status, page) = get("/_dev/plan?clients=100000");
    assert_eq!(status, 200);
    for part in [
        "Plan of this configuration",
        "100,000 clients a day",
        "aria-current=\"page\">100 k clients</a>",
        "order-updates",
    ] {
        assert!(page.contains(part), "{part}\n{page}");
    }
    let (status, picture) = get("/_dev/plan?clients=100000&picture=cost.svg");
    assert_eq!(status, 200);
    assert!(picture.starts_with("<svg "), "{picture}");
    assert_eq!(get("/_dev/plan?clients=0").0, 400);
    assert_eq!(get("/_dev/plan?picture=none").0, 404);
    let learned = Command::new(env!("CARGO_BIN_EXE_eventcast"))
        .args([
            "plan",
            "--print-load",
            "--config",
            "policies/eventcast.yaml",
            "--learn",
        ])
        .arg(dev.endpoint())
        .output()
        .unwrap();
    let load = String::from_utf8(learned.stdout).unwrap();
    let errors = String::from_utf8_lossy(&learned.stderr);
    assert_eq!(learned.status.code(), Some(0), "{errors}");
    assert!(
        load.contains("/d per client") || load.contains("/s per client"),
        "{load}"
    );
}
