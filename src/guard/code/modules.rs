//! Modules of Python, Go, Java and Rust that are real-time layers of their own.
//!
//! Registries and languages name the same thing differently: `websocket-client` of PyPI is
//! `import websocket`.

use super::language::CodeLanguage;
use crate::guard::packages::{PackageEcosystem, PackagePurpose, packages};

use PackagePurpose::{ConnectionManagement, IotData, Mqtt, Service, Transport};

/// Modules of Python, with the names that count; none where all of it does.
const PYTHON: &[(&str, PackagePurpose, &[&str])] = &[
    ("websockets", Transport, &[]),
    ("websocket", Transport, &[]),
    ("websocket_server", Transport, &[]),
    ("wsproto", Transport, &[]),
    ("socketio", Transport, &[]),
    ("engineio", Transport, &[]),
    ("flask_socketio", Transport, &[]),
    ("flask_sock", Transport, &[]),
    ("channels.generic", Transport, &[]),
    ("channels.layers", Transport, &[]),
    ("channels.routing", Transport, &[]),
    ("channels.consumer", Transport, &[]),
    ("signalrcore", Transport, &[]),
    ("sse_starlette", Transport, &[]),
    ("sseclient", Transport, &[]),
    ("aiohttp_sse", Transport, &[]),
    ("aiohttp_sse_client", Transport, &[]),
    ("httpx_sse", Transport, &[]),
    ("httpx_ws", Transport, &[]),
    ("picows", Transport, &[]),
    ("stomp", Transport, &[]),
    ("autobahn", Transport, &[]),
    ("tornado.websocket", Transport, &[]),
    ("starlette.websockets", Transport, &[]),
    ("fastapi.websockets", Transport, &[]),
    ("starlette.endpoints", Transport, &["WebSocketEndpoint"]),
    ("starlette.routing", Transport, &["WebSocketRoute"]),
    ("fastapi", Transport, &["WebSocket"]),
    ("quart", Transport, &["websocket"]),
    ("aiohttp.web", Transport, &["WebSocketResponse"]),
    ("aiohttp", Transport, &["ClientWebSocketResponse"]),
    ("pusher", Service, &[]),
    ("ably", Service, &[]),
    ("pubnub", Service, &[]),
    ("cent", Service, &[]),
    ("paho.mqtt", Mqtt, &[]),
    ("aiomqtt", Mqtt, &[]),
    ("asyncio_mqtt", Mqtt, &[]),
    ("gmqtt", Mqtt, &[]),
    ("hbmqtt", Mqtt, &[]),
    ("amqtt", Mqtt, &[]),
    ("umqtt", Mqtt, &[]),
    ("adafruit_minimqtt", Mqtt, &[]),
    ("AWSIoTPythonSDK", Mqtt, &[]),
    ("awsiot", Mqtt, &[]),
    ("awscrt.mqtt", Mqtt, &[]),
    ("awscrt.mqtt5", Mqtt, &[]),
    ("awscrt", Mqtt, &["mqtt", "mqtt5"]),
    ("paho", Mqtt, &["mqtt"]),
];

/// Packages of Java.
const JAVA: &[(&str, PackagePurpose)] = &[
    ("org.java_websocket", Transport),
    ("jakarta.websocket", Transport),
    ("javax.websocket", Transport),
    ("org.springframework.web.socket", Transport),
    ("org.springframework.messaging.simp", Transport),
    ("org.springframework.web.reactive.socket", Transport),
    (
        "org.springframework.web.servlet.mvc.method.annotation.SseEmitter",
        Transport,
    ),
    ("org.springframework.http.codec.ServerSentEvent", Transport),
    ("org.glassfish.tyrus", Transport),
    ("org.eclipse.jetty.websocket", Transport),
    ("io.netty.handler.codec.http.websocketx", Transport),
    ("io.socket", Transport),
    ("com.corundumstudio.socketio", Transport),
    ("com.microsoft.signalr", Transport),
    ("okhttp3.WebSocket", Transport),
    ("okhttp3.WebSocketListener", Transport),
    ("okhttp3.sse", Transport),
    ("com.launchdarkly.eventsource", Transport),
    ("com.neovisionaries.ws", Transport),
    ("org.cometd", Transport),
    ("java.net.http.WebSocket", Transport),
    ("com.pusher", Service),
    ("io.ably", Service),
    ("com.pubnub", Service),
    ("org.eclipse.paho", Mqtt),
    ("com.hivemq.client", Mqtt),
    ("org.springframework.integration.mqtt", Mqtt),
    ("software.amazon.awssdk.crt.mqtt", Mqtt),
    ("software.amazon.awssdk.crt.mqtt5", Mqtt),
    ("software.amazon.awssdk.iot", Mqtt),
    ("com.amazonaws.services.iot.client", Mqtt),
    (
        "software.amazon.awssdk.services.apigatewaymanagementapi",
        ConnectionManagement,
    ),
    (
        "com.amazonaws.services.apigatewaymanagementapi",
        ConnectionManagement,
    ),
    ("software.amazon.awssdk.services.iotdataplane", IotData),
    ("com.amazonaws.services.iotdata", IotData),
];

/// Parts of crates of Rust, beside the crates that are real-time layers as a whole.
const RUST: &[(&str, PackagePurpose)] = &[
    ("axum::extract::ws", Transport),
    ("axum::response::sse", Transport),
    ("axum::response::Sse", Transport),
    ("actix_web_actors::ws", Transport),
    ("actix_web_lab::sse", Transport),
    ("warp::ws", Transport),
    ("warp::sse", Transport),
    ("rocket_ws", Transport),
    ("gloo_net::websocket", Transport),
    ("gloo_net::eventsource", Transport),
    ("web_sys::WebSocket", Transport),
    ("web_sys::EventSource", Transport),
    ("reqwest_websocket", Transport),
];

/// Crates whose names are common names of a crate's own modules: their dependency is found, and
/// not their use.
const COMMON: [&str; 3] = ["ws", "websocket", "mqtt5"];

/// The purpose of a module's name; `member` is the name that is taken from it.
pub(super) fn purpose(
    language: CodeLanguage,
    module: &str,
    member: Option<&str>,
) -> Option<PackagePurpose> {
    match language {
        CodeLanguage::Python => {
            let found = PYTHON.iter().find(|(known, _, members)| match members {
                [] => is_part(known, module, "."),
                members => {
                    *known == module && member.is_some_and(|member| members.contains(&member))
                }
            });
            found.map(|one| one.1)
        }
        CodeLanguage::Java => {
            let found = JAVA.iter().find(|(known, _)| is_part(known, module, "."));
            found.map(|one| one.1)
        }
        CodeLanguage::Go => {
            let found = packages(PackageEcosystem::Go).find(|one| is_part(one.name, module, "/"));
            found.map(|one| one.purpose)
        }
        CodeLanguage::Rust => {
            let part = RUST.iter().find(|(known, _)| is_part(known, module, "::"));
            part.map(|one| one.1).or_else(|| {
                let first = module.split("::").next().unwrap_or(module);
                let mut crates = packages(PackageEcosystem::Cargo);
                let found = crates.find(|one| one.name.replace('-', "_") == first);
                found
                    .filter(|_| !COMMON.contains(&first))
                    .map(|one| one.purpose)
            })
        }
        CodeLanguage::JavaScript | CodeLanguage::TypeScript | CodeLanguage::Tsx => None,
    }
}

/// Returns `true` where a module is a known one or within it.
fn is_part(known: &str, module: &str, separator: &str) -> bool {
    module
        .strip_prefix(known)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
}
