//! Each rule's samples: what it finds, what it passes by, and what a waiver covers.

use std::fmt::Write as _;

use jiff::civil::date;

use super::catalogue::rules;
use super::report::GuardReport;
use super::rule::{GuardRule, RuleSample};
use super::scan::{RepositoryScan, scan_file};
use super::waiver::{apply_waivers, read_waivers};

/// The report of files, with their waivers applied on a day of 2026.
fn report(files: &[(&str, &str)], waivers: &str) -> GuardReport {
    let mut repository = RepositoryScan::default();
    let scan = |path: &str, text: &str, repository: &RepositoryScan, is_linked| {
        let links = repository.links().clone();
        scan_file(path, text.as_bytes(), &links, is_linked, &|| false)
    };
    for (path, text) in files {
        let scanned = scan(path, text, &repository, false);
        repository.add(path, scanned);
    }
    for _ in 0..4 {
        for (path, text) in files.iter().filter(|one| super::code::is_script(one.0)) {
            let scanned = scan(path, text, &repository, true);
            repository.replace(path, scanned);
        }
    }
    let (mut report, mut inline) = repository.finish();
    inline.extend(read_waivers("realtime-waivers.toml", waivers).unwrap());
    apply_waivers(&mut report, &inline, date(2026, 1, 15), 90);
    report
}

fn of_sample(sample: &RuleSample) -> GuardReport {
    report(&[(sample.path, sample.text)], "")
}

fn lines(report: &GuardReport) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let at = finding.region.start;
        let state = if finding.is_open() { "" } else { " (waived)" };
        let (rule, message) = (&finding.rule, &finding.message);
        writeln!(out, "  {rule} {}:{} {message}{state}", at.line, at.column).unwrap();
    }
    for skipped in &report.skipped {
        writeln!(out, "  {:?} {}", skipped.reason, skipped.detail).unwrap();
    }
    if out.is_empty() {
        out.push_str("  nothing\n");
    }
    out
}

fn page(rule: &GuardRule) -> String {
    let mut out = String::new();
    let mut show = |title: &str, path: &str, text: &str, found: &str| {
        let indented: String = text.lines().map(|line| format!("    {line}\n")).collect();
        write!(out, "{title}, {path}\n{indented}{found}").unwrap();
    };
    for hit in rule.hits {
        let report = of_sample(hit);
        assert!(
            report.findings.iter().any(|one| one.rule == rule.id),
            "{} {}",
            rule.id,
            hit.text
        );
        assert!(
            report
                .findings
                .iter()
                .all(|one| one.rule == rule.id || rule.id == "RT090"),
            "{}",
            lines(&report)
        );
        show("hit", hit.path, hit.text, &lines(&report));
    }
    for miss in rule.near_misses {
        let report = of_sample(miss);
        assert!(
            report.open().next().is_none(),
            "{} {}\n{}",
            rule.id,
            miss.text,
            lines(&report)
        );
        show("near miss", miss.path, miss.text, &lines(&report));
    }
    if let Some(hit) = rule.hits.first().filter(|_| rule.id != "RT090") {
        let waiver = format!(
            "[[waiver]]\nrule = \"{}\"\npath = \"{}\"\nowner = \"orders\"\nreason = \"moves\"\nuntil = \"2026-03-31\"\n",
            rule.id, hit.path
        );
        let report = report(&[(hit.path, hit.text)], &waiver);
        assert!(report.open().next().is_none(), "{}", lines(&report));
        show("waived", hit.path, "(the first hit)", &lines(&report));
    }
    out
}

/// Rules over files; those over contracts have tests of their own.
#[test]
fn samples_of_rules() {
    for rule in rules().filter(|rule| rule.id >= "RT010".into()) {
        insta::assert_snapshot!(format!("rule_{}", rule.id), page(rule));
    }
}

#[test]
fn rules_are_in_order_and_whole() {
    let ids: Vec<&str> = rules().map(|rule| &*rule.id).collect();
    assert!(ids.is_sorted() && ids.len() >= 16, "{ids:?}");
    for rule in rules() {
        assert!(
            rule.id.len() == 5 && rule.id.starts_with("RT"),
            "{}",
            rule.id
        );
        for text in [&rule.name, &rule.summary, &rule.reason, &rule.fix] {
            assert!(!text.is_empty(), "{}", rule.id);
        }
        assert!(!rule.summary.ends_with('.'), "{}", rule.summary);
    }
}

#[track_caller]
fn check(path: &str, text: &str, expected: &[(&str, usize)]) {
    let report = report(&[(path, text)], "");
    let found: Vec<(&str, usize)> = report
        .findings
        .iter()
        .map(|finding| (&*finding.rule, finding.region.start.line))
        .collect();
    assert_eq!(found, expected, "{text}\n{}", lines(&report));
}

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

#[test]
fn templates_that_hide() {
    let head = "AWSTemplateFormatVersion: '2010-09-09'\n";
    let api = |protocol: &str, more: &str| {
        format!(
            "{head}{more}Resources:\n  Api:\n    Type: AWS::ApiGatewayV2::Api\n    Properties:\n      ProtocolType: {protocol}\n"
        )
    };
    let parameter = "Parameters:\n  P:\n    Type: String\n    Default: WEBSOCKET\n";
    check("t.yaml", &api("!Ref P", parameter), &[("RT020", 10)]);
    check("t.yaml", &api("{Ref: P}", parameter), &[("RT020", 10)]);
    check(
        "t.yaml",
        &api("!Join ['', [WEB, SOCKET]]", ""),
        &[("RT020", 6)],
    );
    let open = report(
        &[(
            "t.yaml",
            &api("!Ref P", "Parameters:\n  P:\n    Type: String\n"),
        )],
        "",
    );
    assert!(
        open.findings.is_empty() && open.skipped.len() == 1,
        "{}",
        lines(&open)
    );
    let loops = format!(
        "{head}Transform: AWS::LanguageExtensions\nResources:\n  Fn::ForEach::Apis:\n    - Kind\n    - [HTTP, WEBSOCKET]\n    - Api${{Kind}}:\n        Type: AWS::ApiGatewayV2::Api\n        Properties:\n          ProtocolType: !Ref Kind\n"
    );
    let report_of = report(&[("t.yaml", &loops)], "");
    assert_eq!(report_of.findings.len(), 1, "{}", lines(&report_of));
    assert!(report_of.skipped.is_empty(), "{}", lines(&report_of));
    let macros = report(
        &[(
            "t.yaml",
            &format!("{head}Transform: [Mine]\nResources:\n  A:\n    Type: AWS::SQS::Queue\n"),
        )],
        "",
    );
    assert_eq!(macros.skipped.len(), 1, "{}", lines(&macros));
}

#[test]
fn terraform_in_its_forms() {
    let plan = r#"{"format_version":"1.2","planned_values":{},"resource_changes":[
{"address":"aws_apigatewayv2_api.a","mode":"managed","type":"aws_apigatewayv2_api","change":{"actions":["create"],"after":{"protocol_type":"WEBSOCKET"},"after_unknown":{}}},
{"address":"aws_apigatewayv2_api.b","mode":"managed","type":"aws_apigatewayv2_api","change":{"actions":["delete"],"after":null,"after_unknown":{}}},
{"address":"aws_lambda_function_url.c","mode":"managed","type":"aws_lambda_function_url","change":{"actions":["create"],"after":{},"after_unknown":{"invoke_mode":true}}}]}"#;
    let of_plan = report(&[("plan.json", plan)], "");
    assert_eq!(
        (of_plan.findings.len(), of_plan.skipped.len()),
        (1, 1),
        "{}",
        lines(&of_plan)
    );
    check(
        "a.tf",
        "variable \"p\" {\n  default = \"WEBSOCKET\"\n}\nresource \"aws_apigatewayv2_api\" \"a\" {\n  protocol_type = var.p\n}\n",
        &[("RT020", 5)],
    );
    check(
        "a.tf",
        "module \"api\" {\n  source        = \"terraform-aws-modules/apigateway-v2/aws\"\n  protocol_type = \"WEBSOCKET\"\n}\n",
        &[("RT020", 3)],
    );
    check(
        "a.tf.json",
        "{\"resource\": {\"aws_iot_topic_rule\": {\"a\": {\"sql\": \"SELECT 1\"}}}}",
        &[("RT024", 1)],
    );
    let open = report(
        &[(
            "a.tf",
            "resource \"aws_apigatewayv2_api\" \"a\" {\n  protocol_type = var.p\n}\n",
        )],
        "",
    );
    assert_eq!(
        (open.findings.len(), open.skipped.len()),
        (0, 1),
        "{}",
        lines(&open)
    );
    check(
        "a.tf",
        "resource \"aws_sfn_state_machine\" \"a\" {\n  definition = <<-EOT\n    {\"Resource\": \"arn:aws:states:::aws-sdk:iotdataplane:publish\"}\n  EOT\n}\n",
        &[("RT023", 2)],
    );
}

#[test]
fn manifests_and_locks() {
    check(
        "package.json",
        r#"{"dependencies": {"a": "npm:socket.io-client@4"}}"#,
        &[("RT030", 1)],
    );
    check(
        "package-lock.json",
        r#"{"packages": {"": {"dependencies": {"ws": "8"}}, "node_modules/x": {"dependencies": {"ws": "8"}}}}"#,
        &[("RT030", 1)],
    );
    check(
        "pnpm-lock.yaml",
        "lockfileVersion: '9.0'\nimporters:\n  apps/web:\n    dependencies:\n      mqtt:\n        specifier: ^5\n        version: 5.1.0\npackages:\n  ws@8: {}\n",
        &[("RT030", 5)],
    );
    check(
        "yarn.lock",
        "\"web@workspace:.\":\n  version: 0\n  dependencies:\n    ws: \"npm:^8\"\n\n\"ws@npm:^8\":\n  version: 8\n",
        &[("RT030", 4)],
    );
    check(
        "Cargo.toml",
        "[dependencies]\nsocket = { package = \"tokio-tungstenite\", version = \"1\" }\n[dev-dependencies]\nrumqttc = \"1\"\n",
        &[("RT030", 2)],
    );
    check(
        "requirements.txt",
        "# real time\nflask==3\nFlask_SocketIO>=5 ; python_version > '3'\n",
        &[("RT030", 3)],
    );
    check(
        "pyproject.toml",
        "[project]\ndependencies = [\n  \"paho-mqtt>=2\",\n]\n[project.optional-dependencies]\ndev = [\"websockets\"]\n",
        &[("RT030", 3)],
    );
    check(
        "uv.lock",
        "[[package]]\nname = \"a\"\nsource = { virtual = \".\" }\ndependencies = [\n  { name = \"websockets\" },\n]\n[[package]]\nname = \"b\"\nsource = { registry = \"x\" }\ndependencies = [{ name = \"wsproto\" }]\n",
        &[("RT030", 5)],
    );
    check(
        "go.mod",
        "module a\n\nrequire (\n\tgithub.com/gorilla/websocket v1.5.3\n\tgithub.com/coder/websocket v1.8.0 // indirect\n)\n",
        &[("RT030", 4)],
    );
    check(
        "pom.xml",
        "<project>\n<!-- <dependency> -->\n<dependency><groupId>org.java-websocket</groupId><artifactId>Java-WebSocket</artifactId></dependency>\n</project>\n",
        &[("RT030", 3)],
    );
    check(
        "build.gradle.kts",
        "dependencies {\n    implementation(\"io.socket:socket.io-client:2.1.1\")\n    testImplementation(\"io.ably:ably-java:1\")\n}\n",
        &[("RT030", 2)],
    );
    let both = report(
        &[
            ("package.json", r#"{"dependencies": {"ws": "8"}}"#),
            (
                "package-lock.json",
                r#"{"packages": {"": {"dependencies": {"ws": "8"}}}}"#,
            ),
        ],
        "",
    );
    assert_eq!(both.findings.len(), 1, "{}", lines(&both));
}

#[test]
fn waivers_and_their_faults() {
    let code = "const a = new WebSocket(u);\n";
    let good = "// rt-allow: RT010 until=2026-03-01 owner=orders reason=\"moves in spring\"\n";
    let of = |text: &str| report(&[("src/a.ts", text)], "");
    assert_eq!(of(&format!("{good}{code}")).open().count(), 0);
    assert_eq!(
        of(&format!("{}  {good}", code.trim_end())).open().count(),
        0
    );
    // A statement of several lines, and no other.
    let long = "const a = build(\n  1,\n  new WebSocket(u),\n);\nnew WebSocket(u);\n";
    let report_of = of(&format!("{good}{long}"));
    let open: Vec<usize> = report_of.open().map(|one| one.region.start.line).collect();
    assert_eq!(open, [6]);
    for (waiver, fault) in [
        (
            "// rt-allow: RT010 until=2026-03-01 reason=\"x\"\n",
            "an owner",
        ),
        ("// rt-allow: RT010 until=2026-03-01 owner=x\n", "a reason"),
        ("// rt-allow: RT010 owner=x reason=\"x\"\n", "an end"),
        (
            "// rt-allow: RT010 until=soon owner=x reason=\"x\"\n",
            "no day",
        ),
        (
            "// rt-allow: RT010 until=2025-12-31 owner=x reason=\"x\"\n",
            "expired",
        ),
        (
            "// rt-allow: RT010 until=2027-12-31 owner=x reason=\"x\"\n",
            "longest life",
        ),
        (
            "// rt-allow: RT999 until=2026-03-01 owner=x reason=\"x\"\n",
            "no rule",
        ),
    ] {
        let report = of(&format!("{waiver}{code}"));
        assert_eq!(report.open().count(), 2, "{waiver}{}", lines(&report));
        assert!(
            report.open().any(|one| one.message.contains(fault)),
            "{}",
            lines(&report)
        );
    }
    let unused = of(&format!("{good}const b = 1;\n"));
    assert!(
        unused
            .open()
            .all(|one| one.message.contains("covers nothing"))
    );
    assert_eq!(unused.open().count(), 1);
}

#[test]
fn code_that_is_not_understood_has_no_verdict() {
    let broken = report(
        &[("src/a.ts", "const a = new WebSocket(;\nlet = = 3 }}}\n")],
        "",
    );
    assert!(!broken.skipped.is_empty());
    let binary = scan_file(
        "a.ts",
        b"WebSocket \xff\xfe",
        &Default::default(),
        false,
        &|| false,
    );
    assert_eq!(binary.skipped.len(), 1);
    let late = scan_file(
        "a.ts",
        "new WebSocket(u);".repeat(20_000).as_bytes(),
        &Default::default(),
        false,
        &|| true,
    );
    assert_eq!(late.skipped.len(), 1);
    let deep = format!(
        "const WebSocket = {}1{};",
        "[".repeat(3000),
        "]".repeat(3000)
    );
    let deep = scan_file("a.ts", deep.as_bytes(), &Default::default(), false, &|| {
        false
    });
    assert_eq!(deep.skipped.len(), 1);
}
