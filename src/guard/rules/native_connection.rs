//! RT010: a connection is opened beside the real-time layer.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT010",
    "native-connection",
    GuardSeverity::Error,
    "a connection is opened beside the real-time layer",
    "WebSocket, EventSource and WebTransport are a second way to live updates: their \
     connections are not authorized by the platform's policies, not counted in its \
     quotas, not seen in its traces, and have no fallback where a proxy blocks them.",
    "declare the channel in the feature's manifest and subscribe with the platform's \
     client",
    &[
        RuleSample::new(
            "src/orders.ts",
            r##"const socket = new WebSocket(`wss://${host}/orders`);
"##,
        ),
        RuleSample::new(
            "src/alias.ts",
            r##"const Socket = (window as any).WebSocket ?? require('isomorphic-fetch');
class Orders extends Socket {}
export const open = (url: string) => Reflect.construct(Socket, [url]);
"##,
        ),
        RuleSample::new(
            "src/feed.jsx",
            r##"const { EventSource: Source } = globalThis;
export const feed = () => new Source('/feed');
"##,
        ),
    ],
    &[RuleSample::new(
        "src/orders.ts",
        r##"// new WebSocket(url) is not allowed here
class WebSocket {}
export const isOld = !('WebSocket' in window);
const local = new WebSocket();
type Socket = typeof globalThis.WebSocket;
"##,
    )],
);
