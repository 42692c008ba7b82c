//! Words that a file must have before it is parsed: one pass over its bytes.
//!
//! Parsing is nearly all of the time that a syntax rule takes, and most files have none of the
//! words.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::language::CodeLanguage;
use crate::guard::packages::{PackageEcosystem, packages};

/// Meaning of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WordUse {
    /// The file is parsed.
    Trigger,
    /// The file is parsed where it makes requests too.
    Timer,
    /// A sign of requests.
    Request,
}

/// Words of a family of languages.
struct WordFilter {
    words: AhoCorasick,
    uses: Vec<WordUse>,
}

impl WordFilter {
    fn new(words: Vec<(String, WordUse)>) -> Option<Self> {
        let uses = words.iter().map(|one| one.1).collect();
        let words = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(words.into_iter().map(|one| one.0))
            .ok()?;
        Some(Self { words, uses })
    }

    fn is_wanted(&self, bytes: &[u8]) -> bool {
        let (mut timer, mut request) = (false, false);
        for found in self.words.find_iter(bytes) {
            match self.uses.get(found.pattern().as_usize()) {
                Some(WordUse::Trigger) | None => return true,
                Some(WordUse::Timer) => timer = true,
                Some(WordUse::Request) => request = true,
            }
            if timer && request {
                return true;
            }
        }
        false
    }
}

static SCRIPT: LazyLock<Option<WordFilter>> = LazyLock::new(|| {
    let mut words = Vec::new();
    for package in packages(PackageEcosystem::Npm) {
        // The members are the rarer words.
        if package.members.is_empty() {
            for (open, close) in [
                ("'", "'"),
                ("\"", "\""),
                ("'", "/"),
                ("\"", "/"),
                ("`", "`"),
            ] {
                words.push((format!("{open}{}{close}", package.name), WordUse::Trigger));
            }
        } else {
            for (open, close) in [("'", "'"), ("\"", "\"")] {
                words.push((format!("{open}{}{close}", package.name), WordUse::Trigger));
            }
        }
    }
    for word in [
        "WebSocket",
        "EventSource",
        "WebTransport",
        "upgradeWebSocket",
        "sst.aws.",
        "sst.cloudflare.",
        "refetchInterval",
        "pollInterval",
        "refreshInterval",
        "pollingInterval",
        "startPolling",
        "getReader",
        "text/event-stream",
    ] {
        words.push((word.to_owned(), WordUse::Trigger));
    }
    for word in [
        "setInterval",
        "setTimeout",
        "useInterval",
        "useTimeoutPoll",
        "usePoll",
        "'rxjs",
        "\"rxjs",
        "while (true",
        "while(true",
        "while (1",
        "while(1",
        "for (;;",
        "for(;;",
        "timers/promises",
        "for await",
    ] {
        words.push((word.to_owned(), WordUse::Timer));
    }
    for word in [
        "fetch",
        "axios",
        "http.",
        "$.get",
        "$.ajax",
        "superagent",
        "XMLHttpRequest",
        "request",
        "poll",
        "invalidateQueries",
        "'ky'",
        "\"ky\"",
        "'got'",
        "\"got\"",
        "httpClient",
        "apiClient",
    ] {
        words.push((word.to_owned(), WordUse::Request));
    }
    WordFilter::new(words)
});

static OTHER: LazyLock<Option<WordFilter>> = LazyLock::new(|| {
    let words = [
        // Python: modules, and the services of boto3
        "websocket",
        "WebSocket",
        "socketio",
        "engineio",
        "wsproto",
        "signalr",
        "sseclient",
        "_sse",
        "::sse",
        "/sse",
        "SseEmitter",
        "ServerSentEvent",
        "pusher",
        "import ably",
        "from ably",
        "io.ably",
        "ably-go",
        "pubnub",
        "paho",
        "mqtt",
        "MQTT",
        "awsiot",
        "awscrt",
        "AWSIoT",
        "iot-data",
        "iotdataplane",
        "iotdata",
        "IotData",
        "IoTData",
        "apigatewaymanagement",
        "ApiGatewayManagement",
        "picows",
        "stomp",
        "autobahn",
        "channels.",
        "flask_sock",
        "import cent",
        "from cent",
        "text/event-stream",
        "EventSource",
        "ws_connect",
        // Go, Java, Rust
        "gobwas/ws",
        "lxzan/gws",
        "melody",
        "socket.io",
        "webtransport",
        "centrifug",
        "tungstenite",
        "wtransport",
        "soketto",
        "socketioxide",
        "cometd",
        "::ws",
        "_ws",
        "go-sse",
        "messaging.simp",
        "web.socket",
        "reactive.socket",
        "io.socket",
        "com.hivemq",
        "sse_starlette",
        "::Sse",
    ];
    let words = words
        .iter()
        .map(|word| ((*word).to_owned(), WordUse::Trigger))
        .collect();
    WordFilter::new(words)
});

/// Returns `true` where a file may have a finding.
pub(crate) fn may_match(language: CodeLanguage, bytes: &[u8]) -> bool {
    let filter = if language.is_script() {
        &SCRIPT
    } else {
        &OTHER
    };
    // Without a filter nothing is passed over.
    filter.as_ref().is_none_or(|filter| filter.is_wanted(bytes))
}
