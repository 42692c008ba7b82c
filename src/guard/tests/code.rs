//! Names behind names, imports and polls.

use super::{check, report};

#[test]
fn constructors_behind_other_names() {
    for code in [
        "new window.WebSocket(u)",
        "new (window as any)['WebSocket'](u)",
        "new (WebSocket as unknown as Ctor)(u)",
        "const W = globalThis.WebSocket; new W(u)",
        "const { WebSocket: W } = window; new W(u)",
        "let W; W = self.WebSocket; new W(u)",
        "class A extends WebSocket {}",
        "Reflect.construct(EventSource, [u])",
        "const W = typeof WebSocket === 'undefined' ? null : WebSocket; new W(u)",
        "class A { ctor = WebSocket; open() { return new this.ctor(u) } }",
        "function open(Ctor = WebSocket) { return new Ctor(u) }",
        "const make = WebSocket.bind(null, u); new make()",
        "const W = window.WebSocket || window.MozWebSocket; new W(u)",
        "new WebTransport(u)",
        "connect({ url, WebSocketPolyfill: WebSocket })",
        "const options = { Ctor: given ? given : window.EventSource }",
        "console.log(makeClient(WebSocket))",
    ] {
        check("src/a.ts", code, &[("RT010", 1)]);
    }
    for code in [
        "class WebSocket {} new WebSocket(u)",
        "import { WebSocket } from './mine'; new WebSocket(u)",
        "function f(WebSocket) { return new WebSocket(u) }",
        "const x = 'new WebSocket(u)'",
        "if ('WebSocket' in window) show()",
        "new WebSocketError()",
        "type A = InstanceType<typeof WebSocket>",
    ] {
        check("src/a.ts", code, &[]);
    }
}

#[test]
fn aliases_over_files() {
    let files = [
        (
            "src/lib/socket.ts",
            "export const Live = window.WebSocket;\n",
        ),
        ("src/lib/index.ts", "export * from './socket';\n"),
        (
            "src/page.ts",
            "import { Live as L } from './lib';\nnew L(url);\n",
        ),
        (
            "src/other.ts",
            "import { Live } from './elsewhere';\nnew Live(url);\n",
        ),
    ];
    let report = report(&files, "");
    let found: Vec<(&str, usize)> = report
        .findings
        .iter()
        .map(|one| (&*one.path, one.region.start.line))
        .collect();
    assert_eq!(found, [("src/page.ts", 2)]);
}

#[test]
fn packages_passed_on() {
    let files = [
        (
            "src/live.js",
            "export { io as open } from 'socket.io-client';\n",
        ),
        ("src/page.js", "import { open } from './live.js';\n"),
    ];
    let report = report(&files, "");
    let found: Vec<&str> = report.findings.iter().map(|one| &*one.path).collect();
    assert_eq!(found, ["src/live.js", "src/page.js"]);
}

#[test]
fn forms_of_imports() {
    for code in [
        "const io = require('socket.io-client')",
        "const { Server } = require(\"ws\")",
        "import ws = require('ws')",
        "export * from 'graphql-ws'",
        "const client = await import('@microsoft/signalr')",
        "import 'sockjs-client'",
        "import WS, { type RawData } from 'ws'",
        "import { webSocket } from 'rxjs/webSocket'",
        "import x from 'ws/lib/sender'",
    ] {
        check("src/a.ts", code, &[("RT012", 1)]);
    }
    for code in [
        "import type WS from 'ws'",
        "import { type RawData } from 'ws'",
        "export type { RawData } from 'ws'",
        "import ws from './ws'",
        "import ws from 'ws-types'",
        "jest.mock('ws')",
    ] {
        check("src/a.ts", code, &[]);
    }
}

#[test]
fn polls() {
    for code in [
        "setInterval(async () => { await fetch('/a') }, 5000)",
        "const t = window.setInterval(() => axios.get('/a'), ms)",
        "class A { load() { return fetch('/a') } start() { setInterval(() => this.load(), 9) } }",
        "const every = setInterval; every(() => fetch('/a'), 9)",
        "function again(f) { setInterval(() => f(), 9) } again(() => fetch('/a'))",
        "useInterval(() => { refetch() }, 1000)",
        "import { interval } from 'rxjs'; interval(9).pipe(switchMap(() => this.http.get('/a')))",
        "function poll() { fetch('/a').then(show).finally(() => setTimeout(poll, 9)) }",
        "while (true) { await fetch('/a'); await sleep(9) }",
        "import useSWR from 'swr'; useSWR('/a', get, { refreshInterval: 1000 })",
        "useGetOrdersQuery(undefined, { pollingInterval: 3000 })",
        "useQuery(QUERY, { pollInterval: 500 })",
        "new QueryClient({ defaultOptions: { queries: { refetchInterval: 5000 } } })",
    ] {
        check("src/a.ts", code, &[("RT011", 1)]);
    }
    for code in [
        "setInterval(() => setNow(Date.now()), 1000)",
        "setInterval(refreshToken, 60000); async function refreshToken() { await fetch('/token') }",
        "setTimeout(() => fetch('/a'), 1000)",
        "function go() { setTimeout(done, 9); fetch('/a') }",
        "const options = { pollInterval: 100 }; watch(options)",
        "useQuery(QUERY, { pollInterval: 0 })",
        "useQuery({ refetchInterval: options.refetchInterval })",
        "async function get(retries) { const r = await fetch('/a'); if (!r.ok) setTimeout(() => get(retries - 1), 9) }",
        "while (true) { const r = await fetch('/a'); if (r.ok) break; await sleep(9) }",
    ] {
        check("src/a.ts", code, &[]);
    }
}

#[test]
fn languages_of_services() {
    check(
        "a.py",
        "from aiohttp import web\nimport aiomqtt\n",
        &[("RT017", 2)],
    );
    check(
        "a.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import websockets\n",
        &[],
    );
    check(
        "a.py",
        "import boto3\ns = boto3.Session()\nc = s.client(service_name='iot-data')\nc.publish(topic='a')\n",
        &[("RT016", 3)],
    );
    check(
        "a.py",
        "import importlib\nm = importlib.import_module('paho.mqtt.client')\n",
        &[("RT017", 2)],
    );
    check(
        "a.go",
        "package a\n\nimport _ \"nhooyr.io/websocket/wsjson\"\n",
        &[("RT012", 3)],
    );
    check(
        "a.go",
        "package a\n\nimport \"github.com/aws/aws-sdk-go-v2/service/apigatewaymanagementapi\"\n",
        &[("RT015", 3)],
    );
    check(
        "A.java",
        "import com.hivemq.client.mqtt.MqttClient;\nimport java.net.http.HttpClient;\nclass A {}\n",
        &[("RT017", 1)],
    );
    check(
        "a.rs",
        "use axum::{extract::{ws::WebSocket, Path}, Router};\n",
        &[("RT012", 1)],
    );
    check(
        "a.rs",
        "fn a() { let c = rumqttc::MqttOptions::new(); }\n",
        &[("RT017", 1)],
    );
    check("a.rs", "mod ws;\nuse ws::Frame;\n", &[]);
}
