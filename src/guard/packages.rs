//! Packages that are real-time layers of their own, by ecosystem.
//!
//! Names are those of the registries (npm, PyPI, the Rust registry, Go modules, Maven Central) as
//! their documentation spells them. A package that does more than one thing has the members that
//! count.

/// Registry of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PackageEcosystem {
    /// npm: JavaScript and TypeScript.
    Npm,
    /// PyPI: Python.
    Python,
    /// Go modules.
    Go,
    /// Maven Central: Java.
    Maven,
    /// The Rust registry.
    Cargo,
}

/// Use of a package: the rule that speaks of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PackagePurpose {
    /// WebSockets, server-sent events and the protocols over them.
    Transport,
    /// Event streams read out of a response by hand.
    StreamReader,
    /// Real-time services, hosted or by AWS.
    Service,
    /// MQTT.
    Mqtt,
    /// Management of connections of an API Gateway.
    ConnectionManagement,
    /// The data plane of AWS IoT.
    IotData,
}

/// A package that the guard knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownPackage {
    /// Registry.
    pub ecosystem: PackageEcosystem,
    /// Name as it is declared.
    pub name: &'static str,
    /// Use.
    pub purpose: PackagePurpose,
    /// Exports that count; none where the whole package does.
    pub members: &'static [&'static str],
}

impl KnownPackage {
    /// Returns `true` where a dependency on the package is a finding by itself: it does nothing
    /// else.
    pub fn is_whole(&self) -> bool {
        self.members.is_empty()
            && !matches!(
                self.purpose,
                PackagePurpose::IotData | PackagePurpose::ConnectionManagement
            )
    }
}

const fn whole(
    ecosystem: PackageEcosystem,
    purpose: PackagePurpose,
    name: &'static str,
) -> KnownPackage {
    KnownPackage {
        ecosystem,
        name,
        purpose,
        members: &[],
    }
}

const fn part(
    ecosystem: PackageEcosystem,
    purpose: PackagePurpose,
    name: &'static str,
    members: &'static [&'static str],
) -> KnownPackage {
    KnownPackage {
        ecosystem,
        name,
        purpose,
        members,
    }
}

use PackageEcosystem::{Cargo, Go, Maven, Npm, Python};
use PackagePurpose::{ConnectionManagement, IotData, Mqtt, Service, StreamReader, Transport};

/// The packages.
static PACKAGES: &[KnownPackage] = &[
    whole(Npm, Transport, "ws"),
    whole(Npm, Transport, "isows"),
    whole(Npm, Transport, "isomorphic-ws"),
    whole(Npm, Transport, "websocket"),
    whole(Npm, Transport, "websocket-as-promised"),
    whole(Npm, Transport, "websocket-ts"),
    whole(Npm, Transport, "faye-websocket"),
    whole(Npm, Transport, "reconnecting-websocket"),
    whole(Npm, Transport, "partysocket"),
    whole(Npm, Transport, "partykit"),
    whole(Npm, Transport, "sockette"),
    whole(Npm, Transport, "robust-websocket"),
    whole(Npm, Transport, "react-use-websocket"),
    whole(Npm, Transport, "vue-native-websocket"),
    whole(Npm, Transport, "rpc-websockets"),
    whole(Npm, Transport, "express-ws"),
    whole(Npm, Transport, "koa-websocket"),
    whole(Npm, Transport, "@fastify/websocket"),
    whole(Npm, Transport, "fastify-socket.io"),
    whole(Npm, Transport, "uWebSockets.js"),
    whole(Npm, Transport, "uws"),
    whole(Npm, Transport, "@nestjs/websockets"),
    whole(Npm, Transport, "@nestjs/platform-ws"),
    whole(Npm, Transport, "@nestjs/platform-socket.io"),
    whole(Npm, Transport, "socket.io"),
    whole(Npm, Transport, "socket.io-client"),
    whole(Npm, Transport, "vue-socket.io"),
    whole(Npm, Transport, "ngx-socket-io"),
    whole(Npm, Transport, "engine.io"),
    whole(Npm, Transport, "engine.io-client"),
    whole(Npm, Transport, "sockjs"),
    whole(Npm, Transport, "sockjs-client"),
    whole(Npm, Transport, "socketcluster-client"),
    whole(Npm, Transport, "socketcluster-server"),
    whole(Npm, Transport, "primus"),
    whole(Npm, Transport, "primus-client"),
    whole(Npm, Transport, "faye"),
    whole(Npm, Transport, "cometd"),
    whole(Npm, Transport, "@microsoft/signalr"),
    whole(Npm, Transport, "@microsoft/signalr-protocol-msgpack"),
    whole(Npm, Transport, "@aspnet/signalr"),
    whole(Npm, Transport, "signalr"),
    whole(Npm, Transport, "graphql-ws"),
    whole(Npm, Transport, "graphql-sse"),
    whole(Npm, Transport, "subscriptions-transport-ws"),
    whole(Npm, Transport, "phoenix"),
    whole(Npm, Transport, "@rails/actioncable"),
    whole(Npm, Transport, "actioncable"),
    whole(Npm, Transport, "@stomp/stompjs"),
    whole(Npm, Transport, "@stomp/ng2-stompjs"),
    whole(Npm, Transport, "@stomp/rx-stomp"),
    whole(Npm, Transport, "stompjs"),
    whole(Npm, Transport, "webstomp-client"),
    whole(Npm, Transport, "nats.ws"),
    whole(Npm, Transport, "@nats-io/nats-core"),
    whole(Npm, Transport, "autobahn"),
    whole(Npm, Transport, "y-websocket"),
    whole(Npm, Transport, "@hocuspocus/provider"),
    whole(Npm, Transport, "rxjs/webSocket"),
    whole(Npm, Transport, "rxjs/websocket"),
    whole(Npm, Transport, "better-sse"),
    whole(Npm, Transport, "eventsource"),
    whole(Npm, Transport, "event-source-polyfill"),
    whole(Npm, Transport, "eventsource-polyfill"),
    whole(Npm, Transport, "reconnecting-eventsource"),
    whole(Npm, Transport, "extended-eventsource"),
    whole(Npm, Transport, "react-native-sse"),
    whole(Npm, Transport, "sse.js"),
    whole(Npm, Transport, "@fails-components/webtransport"),
    part(
        Npm,
        Transport,
        "@vueuse/core",
        &["useWebSocket", "useEventSource"],
    ),
    part(Npm, Transport, "ahooks", &["useWebSocket"]),
    part(Npm, Transport, "undici", &["WebSocket", "EventSource"]),
    part(
        Npm,
        Transport,
        "@apollo/client/link/subscriptions",
        &["GraphQLWsLink"],
    ),
    part(Npm, Transport, "@apollo/client/link/ws", &["WebSocketLink"]),
    part(Npm, Transport, "apollo-link-ws", &["WebSocketLink"]),
    part(
        Npm,
        Transport,
        "@trpc/client",
        &[
            "wsLink",
            "createWSClient",
            "httpSubscriptionLink",
            "unstable_httpSubscriptionLink",
        ],
    ),
    whole(Npm, StreamReader, "@microsoft/fetch-event-source"),
    whole(Npm, StreamReader, "eventsource-parser"),
    whole(Npm, StreamReader, "eventsource-client"),
    whole(Npm, StreamReader, "eventsource-stream"),
    whole(Npm, StreamReader, "fetch-event-stream"),
    whole(Npm, StreamReader, "@sentool/fetch-event-source"),
    whole(Npm, StreamReader, "@fortaine/fetch-event-source"),
    whole(Npm, StreamReader, "parse-sse"),
    whole(Npm, Service, "pusher"),
    whole(Npm, Service, "pusher-js"),
    whole(Npm, Service, "laravel-echo"),
    whole(Npm, Service, "soketi"),
    whole(Npm, Service, "ably"),
    whole(Npm, Service, "ably-js"),
    whole(Npm, Service, "pubnub"),
    whole(Npm, Service, "centrifuge"),
    whole(Npm, Service, "getstream"),
    whole(Npm, Service, "stream-chat"),
    whole(Npm, Service, "@liveblocks/client"),
    whole(Npm, Service, "@liveblocks/react"),
    whole(Npm, Service, "@supabase/realtime-js"),
    whole(Npm, Service, "@azure/web-pubsub"),
    whole(Npm, Service, "@azure/web-pubsub-client"),
    whole(Npm, Service, "@deepstream/client"),
    whole(Npm, Service, "cometchat-pro"),
    whole(Npm, Service, "firebase/database"),
    whole(Npm, Service, "@firebase/database"),
    part(Npm, Service, "firebase/firestore", &["onSnapshot"]),
    part(Npm, Service, "@firebase/firestore", &["onSnapshot"]),
    whole(Npm, Service, "@aws-amplify/pubsub"),
    whole(Npm, Service, "aws-appsync-subscription-link"),
    whole(Npm, Service, "sst/aws/realtime"),
    part(Npm, Service, "aws-amplify", &["PubSub"]),
    whole(Npm, Service, "aws-amplify/data-events"),
    part(Npm, Service, "aws-amplify/api", &["events"]),
    part(Npm, Service, "aws-amplify/data", &["events"]),
    part(Npm, Service, "@aws-amplify/api", &["events"]),
    part(Npm, Service, "@aws-amplify/api-graphql", &["events"]),
    part(Npm, Service, "sst", &["realtime"]),
    whole(Npm, Mqtt, "mqtt"),
    whole(Npm, Mqtt, "async-mqtt"),
    whole(Npm, Mqtt, "mqtt-browser"),
    whole(Npm, Mqtt, "precompiled-mqtt"),
    whole(Npm, Mqtt, "paho-mqtt"),
    whole(Npm, Mqtt, "react-native-mqtt"),
    whole(Npm, Mqtt, "mqtt-react-hooks"),
    whole(Npm, Mqtt, "ngx-mqtt"),
    whole(Npm, Mqtt, "u8-mqtt"),
    whole(Npm, Mqtt, "aedes"),
    whole(Npm, Mqtt, "mosca"),
    whole(Npm, Mqtt, "aws-iot-device-sdk"),
    whole(Npm, Mqtt, "aws-iot-device-sdk-v2"),
    part(Npm, Mqtt, "aws-crt", &["mqtt", "mqtt5", "iot"]),
    whole(
        Npm,
        ConnectionManagement,
        "@aws-sdk/client-apigatewaymanagementapi",
    ),
    whole(
        Npm,
        ConnectionManagement,
        "aws-sdk/clients/apigatewaymanagementapi",
    ),
    part(
        Npm,
        ConnectionManagement,
        "aws-sdk",
        &["ApiGatewayManagementApi"],
    ),
    whole(Npm, IotData, "@aws-sdk/client-iot-data-plane"),
    whole(Npm, IotData, "aws-sdk/clients/iotdata"),
    part(Npm, IotData, "aws-sdk", &["IotData"]),
    whole(Python, Transport, "websockets"),
    whole(Python, Transport, "websocket-client"),
    whole(Python, Transport, "websocket-server"),
    whole(Python, Transport, "wsproto"),
    whole(Python, Transport, "python-socketio"),
    whole(Python, Transport, "python-engineio"),
    whole(Python, Transport, "Flask-SocketIO"),
    whole(Python, Transport, "flask-sock"),
    whole(Python, Transport, "channels"),
    whole(Python, Transport, "signalrcore"),
    whole(Python, Transport, "sse-starlette"),
    whole(Python, Transport, "sseclient"),
    whole(Python, Transport, "sseclient-py"),
    whole(Python, Transport, "aiohttp-sse"),
    whole(Python, Transport, "aiohttp-sse-client"),
    whole(Python, Transport, "httpx-sse"),
    whole(Python, Transport, "httpx-ws"),
    whole(Python, Transport, "picows"),
    whole(Python, Transport, "stomp.py"),
    whole(Python, Transport, "autobahn"),
    whole(Python, Service, "pusher"),
    whole(Python, Service, "ably"),
    whole(Python, Service, "pubnub"),
    whole(Python, Service, "cent"),
    whole(Python, Mqtt, "paho-mqtt"),
    whole(Python, Mqtt, "aiomqtt"),
    whole(Python, Mqtt, "asyncio-mqtt"),
    whole(Python, Mqtt, "gmqtt"),
    whole(Python, Mqtt, "hbmqtt"),
    whole(Python, Mqtt, "amqtt"),
    whole(Python, Mqtt, "umqtt.simple"),
    whole(Python, Mqtt, "adafruit-circuitpython-minimqtt"),
    whole(Python, Mqtt, "AWSIoTPythonSDK"),
    whole(Python, Mqtt, "awsiotsdk"),
    whole(Go, Transport, "github.com/gorilla/websocket"),
    whole(Go, Transport, "github.com/coder/websocket"),
    whole(Go, Transport, "nhooyr.io/websocket"),
    whole(Go, Transport, "github.com/gobwas/ws"),
    whole(Go, Transport, "github.com/fasthttp/websocket"),
    whole(Go, Transport, "github.com/gofiber/websocket"),
    whole(Go, Transport, "github.com/gofiber/contrib/websocket"),
    whole(Go, Transport, "golang.org/x/net/websocket"),
    whole(Go, Transport, "github.com/lxzan/gws"),
    whole(Go, Transport, "github.com/olahol/melody"),
    whole(Go, Transport, "github.com/r3labs/sse"),
    whole(Go, Transport, "github.com/tmaxmax/go-sse"),
    whole(Go, Transport, "github.com/googollee/go-socket.io"),
    whole(Go, Transport, "github.com/zishang520/socket.io"),
    whole(Go, Transport, "github.com/philippseith/signalr"),
    whole(Go, Transport, "github.com/quic-go/webtransport-go"),
    whole(Go, Service, "github.com/centrifugal/centrifuge"),
    whole(Go, Service, "github.com/centrifugal/centrifuge-go"),
    whole(Go, Service, "github.com/centrifugal/gocent"),
    whole(Go, Service, "github.com/pusher/pusher-http-go"),
    whole(Go, Service, "github.com/ably/ably-go"),
    whole(Go, Service, "github.com/pubnub/go"),
    whole(Go, Mqtt, "github.com/eclipse/paho.mqtt.golang"),
    whole(Go, Mqtt, "github.com/eclipse/paho.golang"),
    whole(Go, Mqtt, "github.com/mochi-mqtt/server"),
    whole(Go, Mqtt, "github.com/at-wat/mqtt-go"),
    whole(
        Go,
        ConnectionManagement,
        "github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi",
    ),
    whole(
        Go,
        ConnectionManagement,
        "github.com/aws/aws-sdk-go/service/apigatewaymanagementapi",
    ),
    whole(
        Go,
        IotData,
        "github.com/aws/aws-sdk-go-v2/service/iotdataplane",
    ),
    whole(
        Go,
        IotData,
        "github.com/aws/aws-sdk-go/service/iotdataplane",
    ),
    whole(Maven, Transport, "org.java-websocket:Java-WebSocket"),
    whole(
        Maven,
        Transport,
        "org.springframework.boot:spring-boot-starter-websocket",
    ),
    whole(Maven, Transport, "org.springframework:spring-websocket"),
    whole(Maven, Transport, "jakarta.websocket:jakarta.websocket-api"),
    whole(
        Maven,
        Transport,
        "jakarta.websocket:jakarta.websocket-client-api",
    ),
    whole(Maven, Transport, "javax.websocket:javax.websocket-api"),
    whole(Maven, Transport, "org.glassfish.tyrus:tyrus-client"),
    whole(Maven, Transport, "org.glassfish.tyrus:tyrus-server"),
    whole(Maven, Transport, "io.socket:socket.io-client"),
    whole(
        Maven,
        Transport,
        "com.corundumstudio.socketio:netty-socketio",
    ),
    whole(Maven, Transport, "com.microsoft.signalr:signalr"),
    whole(Maven, Transport, "com.squareup.okhttp3:okhttp-sse"),
    whole(Maven, Transport, "com.launchdarkly:okhttp-eventsource"),
    whole(Maven, Transport, "com.neovisionaries:nv-websocket-client"),
    whole(Maven, Transport, "org.cometd.java:cometd-java-client"),
    whole(Maven, Service, "com.pusher:pusher-java-client"),
    whole(Maven, Service, "com.pusher:pusher-http-java"),
    whole(Maven, Service, "io.ably:ably-java"),
    whole(Maven, Service, "com.pubnub:pubnub-gson"),
    whole(
        Maven,
        Mqtt,
        "org.eclipse.paho:org.eclipse.paho.client.mqttv3",
    ),
    whole(
        Maven,
        Mqtt,
        "org.eclipse.paho:org.eclipse.paho.mqttv5.client",
    ),
    whole(Maven, Mqtt, "com.hivemq:hivemq-mqtt-client"),
    whole(
        Maven,
        Mqtt,
        "org.springframework.integration:spring-integration-mqtt",
    ),
    whole(
        Maven,
        Mqtt,
        "software.amazon.awssdk.iotdevicesdk:aws-iot-device-sdk",
    ),
    whole(Maven, Mqtt, "com.amazonaws:aws-iot-device-sdk-java"),
    whole(
        Maven,
        ConnectionManagement,
        "software.amazon.awssdk:apigatewaymanagementapi",
    ),
    whole(
        Maven,
        ConnectionManagement,
        "com.amazonaws:aws-java-sdk-apigatewaymanagementapi",
    ),
    whole(Maven, IotData, "software.amazon.awssdk:iotdataplane"),
    whole(Cargo, Transport, "tungstenite"),
    whole(Cargo, Transport, "tokio-tungstenite"),
    whole(Cargo, Transport, "async-tungstenite"),
    whole(Cargo, Transport, "fastwebsockets"),
    whole(Cargo, Transport, "tokio-websockets"),
    whole(Cargo, Transport, "websocket"),
    whole(Cargo, Transport, "ws"),
    whole(Cargo, Transport, "ewebsock"),
    whole(Cargo, Transport, "actix-ws"),
    whole(Cargo, Transport, "soketto"),
    whole(Cargo, Transport, "socketioxide"),
    whole(Cargo, Transport, "rust_socketio"),
    whole(Cargo, Transport, "reqwest-eventsource"),
    whole(Cargo, Transport, "eventsource-client"),
    whole(Cargo, Transport, "eventsource-stream"),
    whole(Cargo, Transport, "wtransport"),
    whole(Cargo, Transport, "graphql-ws-client"),
    whole(Cargo, Mqtt, "rumqttc"),
    whole(Cargo, Mqtt, "rumqttc-v5-next"),
    whole(Cargo, Mqtt, "paho-mqtt"),
    whole(Cargo, Mqtt, "mqtt5"),
    whole(Cargo, Mqtt, "ntex-mqtt"),
    whole(Cargo, Mqtt, "rust-mqtt"),
    whole(Cargo, ConnectionManagement, "aws-sdk-apigatewaymanagement"),
    whole(Cargo, IotData, "aws-sdk-iotdataplane"),
];

/// All packages of a registry.
pub fn packages(ecosystem: PackageEcosystem) -> impl Iterator<Item = &'static KnownPackage> {
    PACKAGES
        .iter()
        .filter(move |package| package.ecosystem == ecosystem)
}

/// The package of a dependency's name, compared as its registry does.
pub fn dependency(ecosystem: PackageEcosystem, name: &str) -> Option<&'static KnownPackage> {
    packages(ecosystem).find(|package| match ecosystem {
        // PEP 503, "Normalized Names".
        Python => normalized(package.name) == normalized(name),
        Cargo => package.name.replace('_', "-") == name.replace('_', "-"),
        // A module's major version is the last part of its path (Go modules reference, "Major
        // version suffixes").
        Go => is_below(package.name, name),
        Npm | Maven => package.name == name,
    })
}

/// Returns `true` where a path is that of a module or below it.
pub fn is_below(module: &str, path: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn normalized(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_registries_do() {
        let purpose = |ecosystem, name| dependency(ecosystem, name).map(|found| found.purpose);
        assert_eq!(purpose(Python, "flask_socketio"), Some(Transport));
        assert_eq!(purpose(Python, "Paho.MQTT"), Some(Mqtt));
        assert_eq!(purpose(Go, "github.com/r3labs/sse/v2"), Some(Transport));
        assert_eq!(purpose(Go, "github.com/r3labs/ssex"), None);
        assert_eq!(purpose(Cargo, "tokio_tungstenite"), Some(Transport));
        assert_eq!(purpose(Npm, "WS"), None);
        assert_eq!(purpose(Npm, "mqtt-packet"), None);
    }

    #[test]
    fn no_package_is_there_twice() {
        for (at, package) in PACKAGES.iter().enumerate() {
            let twice = PACKAGES.iter().skip(at + 1).any(|other| {
                (other.ecosystem, other.name) == (package.ecosystem, package.name)
                    && other.purpose == package.purpose
            });
            assert!(!twice, "{package:?}");
        }
    }
}
