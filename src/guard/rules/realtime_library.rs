//! RT012: code imports a real-time library beside the platform's client.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT012",
    "realtime-library",
    GuardSeverity::Error,
    "code imports a real-time library beside the platform's client",
    "A library for WebSockets, server-sent events or a protocol over them is a second \
     real-time layer, with its own servers, its own reconnects and no policies.",
    "remove the import, declare the channel in the manifest, and subscribe with the \
     platform's client",
    &[
        RuleSample::new(
            "src/orders.ts",
            r##"import { io as connect } from 'socket.io-client';
const lazy = () => import('graphql-ws');
"##,
        ),
        RuleSample::new(
            "src/push.py",
            r##"import websockets as ws
"##,
        ),
        RuleSample::new(
            "push.go",
            r##"package push

import (
	"net/http"

	socket "github.com/gorilla/websocket"
)
"##,
        ),
        RuleSample::new(
            "src/Push.java",
            r##"import org.springframework.web.socket.TextMessage;

class Push {}
"##,
        ),
        RuleSample::new(
            "src/push.rs",
            r##"use tokio_tungstenite::{connect_async, tungstenite::Message};
"##,
        ),
    ],
    &[
        RuleSample::new(
            "src/orders.ts",
            r##"import type { Socket } from 'socket.io-client';
import { ws } from './ws';
import { shadows } from 'wsx';
"##,
        ),
        RuleSample::new(
            "src/push.py",
            r##"from .websockets import send
import websocketsx
"##,
        ),
    ],
);
