//! Polling: timers and loops around a request, and options of query libraries.

use tree_sitter::Node;

use super::bindings::{field, is_function};
use super::origin::{CodeOrigin, OriginRoot};
use super::script::ScriptReader;
use super::source::{above, has, named, walk};
use crate::guard::finding::GuardFix;
use crate::guard::rules::polling_loop::RULE;

/// Options that make a query library poll.
const OPTIONS: [&str; 4] = [
    "refetchInterval",
    "pollInterval",
    "refreshInterval",
    "pollingInterval",
];

/// Packages whose options those are.
const QUERY_PACKAGES: [&str; 16] = [
    "@tanstack/",
    "react-query",
    "vue-query",
    "swr",
    "swrv",
    "@apollo/client",
    "apollo-",
    "@trpc/",
    "urql",
    "@urql/",
    "@reduxjs/toolkit",
    "ahooks",
    "vue-request",
    "alova",
    "@vue/apollo",
    "react-apollo",
];

/// Hooks that call a function at an interval.
const INTERVAL_HOOKS: [&str; 7] = [
    "useInterval",
    "useIntervalFn",
    "useTimeoutPoll",
    "usePolling",
    "usePoll",
    "useIntervalWhen",
    "useHarmonicIntervalFn",
];

/// Packages that make requests.
const REQUEST_PACKAGES: [&str; 16] = [
    "axios",
    "ky",
    "got",
    "superagent",
    "node-fetch",
    "cross-fetch",
    "isomorphic-fetch",
    "undici",
    "ofetch",
    "wretch",
    "redaxios",
    "request",
    "needle",
    "jquery",
    "graphql-request",
    "unfetch",
];

/// Longest chain of calls in a file that is followed.
const MAX_CALLS: usize = 4;

/// `refetchInterval: 5000` within the arguments of a call.
pub(super) fn option(reader: &mut ScriptReader<'_>, node: Node<'_>) {
    let (Some(key), Some(value)) = (field(node, "key"), field(node, "value")) else {
        return;
    };
    let key = reader.source.text(key).trim_matches(['"', '\'']);
    if !OPTIONS.contains(&key) || is_off(reader, value, key) {
        return;
    }
    let is_argument = above(node)
        .take_while(|one| !one.kind().ends_with("statement"))
        .any(|one| one.kind() == "arguments");
    let text = reader.source.text;
    let is_query = QUERY_PACKAGES
        .iter()
        .any(|name| text.contains(&format!("'{name}")) || text.contains(&format!("\"{name}")));
    let is_known =
        is_argument && (is_query || key == "refetchInterval" || is_query_call(reader, node));
    // Options that a constant holds, in a file that imports such a library.
    if is_known || is_query && !is_argument {
        let message = format!("`{key}` makes a query library poll");
        reader.found(&RULE, node, message);
        let literal = value.kind() == "number";
        if literal && let Some(finding) = reader.findings.last_mut() {
            finding.fixes.push(GuardFix {
                description: format!("switch `{key}` off"),
                region: reader.source.region(value),
                replacement: "false".to_owned(),
            });
        }
    }
}

/// `useOrders({ pollInterval: 500 })`: a hook of a query.
fn is_query_call(reader: &ScriptReader<'_>, node: Node<'_>) -> bool {
    let call = above(node).find(|one| one.kind() == "call_expression");
    let name = call.and_then(|call| field(call, "function"));
    let name = name.map(|name| last_name(reader.source.text(name)));
    name.is_some_and(|name| {
        name.starts_with("use") && (name.contains("Query") || name.contains("SWR"))
    })
}

/// Values that switch polling off, or pass on a caller's value.
fn is_off(reader: &ScriptReader<'_>, value: Node<'_>, key: &str) -> bool {
    match value.kind() {
        "false" | "null" | "undefined" => true,
        "number" => reader
            .source
            .text(value)
            .trim_matches(['0', '_', '.'])
            .is_empty(),
        "identifier" | "member_expression" => last_name(reader.source.text(value)) == key,
        "binary_expression" => {
            // `options.refetchInterval ?? 0`
            let left = field(value, "left").is_some_and(|one| is_off(reader, one, key));
            left && field(value, "right").is_some_and(|one| is_off(reader, one, key))
        }
        "string" | "object" | "predefined_type" => true,
        _ => false,
    }
}

fn last_name(text: &str) -> &str {
    text.rsplit(['.', '?']).next().unwrap_or(text)
}

/// Timers.
pub(super) fn call<'t>(reader: &mut ScriptReader<'t>, node: Node<'t>) {
    let Some(function) = field(node, "function") else {
        return;
    };
    let arguments = field(node, "arguments").map(named).unwrap_or_default();
    let Some(first) = arguments.first().copied() else {
        return;
    };
    let origin = reader.origin(function);
    let name = last_name(reader.source.text(function));
    if is_timer(origin.as_ref(), "setInterval") || INTERVAL_HOOKS.contains(&name) {
        if requests(reader, first, 0) {
            let message = format!("`{name}` asks again and again for what an event could say");
            reader.found(&RULE, node, message);
        }
        return;
    }
    if is_timer(origin.as_ref(), "setTimeout") {
        return again(reader, node, first);
    }
    if name == "startPolling" && first.kind() == "number" {
        let message = "`startPolling` makes a query library poll".to_owned();
        return reader.found(&RULE, node, message);
    }
    if origin
        .as_ref()
        .and_then(CodeOrigin::package)
        .is_some_and(|name| name == "rxjs")
        && matches!(name, "interval" | "timer")
    {
        return stream(reader, node, name, arguments.len());
    }
    wrapped(reader, node, function, &arguments);
}

/// `interval(5000).pipe(switchMap(() => http.get(url)))`
fn stream<'t>(reader: &mut ScriptReader<'t>, node: Node<'t>, name: &str, count: usize) {
    if name == "timer" && count < 2 {
        return;
    }
    let chained = above(node)
        .take_while(|one| matches!(one.kind(), "member_expression" | "call_expression"))
        .last();
    if chained.is_some_and(|chained| requests(reader, chained, 0)) {
        let message = format!("`{name}` asks again and again for what an event could say");
        reader.found(&RULE, node, message);
    }
}

/// A call of a function of the file that gives its parameter to a timer.
fn wrapped<'t>(
    reader: &mut ScriptReader<'t>,
    node: Node<'t>,
    function: Node<'t>,
    arguments: &[Node<'t>],
) {
    if !arguments
        .iter()
        .any(|one| is_function(one.kind()) || one.kind() == "identifier")
    {
        return;
    }
    let Some(target) = reader.bindings.function(function) else {
        return;
    };
    let text = reader.source.text(target);
    if !text.contains("setInterval") {
        return;
    }
    let parameters: Vec<&str> = match (field(target, "parameters"), field(target, "parameter")) {
        (Some(list), _) => named(list)
            .into_iter()
            .map(|one| reader.source.text(field(one, "pattern").unwrap_or(one)))
            .collect(),
        (None, Some(one)) => vec![reader.source.text(one)],
        (None, None) => return,
    };
    let mut given = None;
    walk(target, |one, _| {
        if one.kind() != "call_expression" || given.is_some() {
            return;
        }
        let callee = field(one, "function");
        let is_interval = callee
            .and_then(|callee| reader.origin(callee))
            .is_some_and(|origin| is_timer(Some(&origin), "setInterval"));
        let first = field(one, "arguments").and_then(|list| named(list).into_iter().next());
        if let Some(first) = first.filter(|_| is_interval) {
            given = parameters.iter().position(|name| {
                has(first, |part| {
                    part.kind() == "identifier" && reader.source.text(part) == *name
                })
            });
        }
    });
    if let Some(argument) = given.and_then(|at| arguments.get(at))
        && requests(reader, *argument, 0)
    {
        let name = last_name(reader.source.text(function));
        let message = format!("`{name}` asks again and again for what an event could say");
        reader.found(&RULE, node, message);
    }
}

fn is_timer(origin: Option<&CodeOrigin>, name: &str) -> bool {
    let Some(origin) = origin else {
        return false;
    };
    origin.sole_global() == Some(name)
        || (origin
            .package()
            .is_some_and(|package| package.starts_with("timers"))
            && origin.path.first().is_some_and(|first| first == name))
}

/// `setTimeout` of a function around it.
fn again<'t>(reader: &mut ScriptReader<'t>, node: Node<'t>, callback: Node<'t>) {
    for function in above(node).filter(|one| is_function(one.kind())) {
        let Some(name) = function_name(reader, function) else {
            continue;
        };
        let calls_it = |one: Node<'t>| {
            matches!(
                one.kind(),
                "identifier" | "property_identifier" | "private_property_identifier"
            ) && reader.source.text(one) == name
        };
        if has(callback, calls_it) && !is_retry(reader, node, function) {
            if requests(reader, function, 0) {
                let message =
                    format!("`{name}` starts itself again to ask for what an event could say");
                reader.found(&RULE, node, message);
            }
            return;
        }
    }
}

fn function_name<'t>(reader: &ScriptReader<'t>, function: Node<'t>) -> Option<&'t str> {
    if let Some(name) = field(function, "name") {
        return Some(reader.source.text(name));
    }
    // `const poll = async () => {}`, `poll: () => {}`, `const poll = useCallback(() => {})`
    let holder = above(function).take(3).find(|one| {
        matches!(
            one.kind(),
            "variable_declarator"
                | "pair"
                | "assignment_expression"
                | "public_field_definition"
                | "field_definition"
        )
    })?;
    let name = ["name", "key", "left", "property"]
        .into_iter()
        .find_map(|name| field(holder, name))?;
    Some(last_name(reader.source.text(name)))
}

/// A timer that tries a failed request again, and ends.
fn is_retry<'t>(reader: &ScriptReader<'t>, timer: Node<'t>, function: Node<'t>) -> bool {
    const WORDS: [&str; 7] = [
        "retr",
        "attempt",
        "tries",
        "backoff",
        "maxtries",
        "delay *",
        "reconnect",
    ];
    let speaks = |text: &str| {
        let text = text.to_ascii_lowercase();
        WORDS.iter().any(|word| text.contains(word))
    };
    let inside = above(timer).take_while(|one| one.id() != function.id());
    for one in inside {
        let is_handler = match one.kind() {
            "catch_clause" => true,
            "call_expression" => field(one, "function")
                .is_some_and(|callee| reader.source.text(callee).ends_with(".catch")),
            "if_statement" => {
                field(one, "condition").is_some_and(|text| speaks(reader.source.text(text)))
            }
            _ => false,
        };
        if is_handler {
            return true;
        }
    }
    let parameters = field(function, "parameters").map(|one| reader.source.text(one));
    parameters.is_some_and(speaks) || speaks(reader.source.text(timer))
}

/// `while (true) { await fetch(url); await sleep(1000) }` without an end.
pub(super) fn endless_loop<'t>(reader: &mut ScriptReader<'t>, node: Node<'t>) {
    let condition = field(node, "condition").map(|one| reader.source.text(one));
    let is_endless = match condition.map(|text| text.trim_matches(['(', ')', ';', ' '])) {
        None | Some("" | "true" | "1") => true,
        Some(_) => false,
    };
    let Some(body) = field(node, "body").filter(|_| is_endless) else {
        return;
    };
    let waits = has(body, |one| {
        one.kind() == "await_expression" && {
            let text = reader.source.text(one);
            ["setTimeout", "sleep(", "delay(", "wait(", "pause("]
                .iter()
                .any(|word| text.contains(word))
                && !above(one)
                    .take_while(|up| up.id() != node.id())
                    .any(|up| up.kind() == "catch_clause")
        }
    });
    let ends = has(body, |one| {
        matches!(one.kind(), "return_statement" | "break_statement")
    });
    if waits && !ends && requests(reader, body, 0) {
        let message = "a loop asks again and again for what an event could say";
        reader.found(&RULE, node, message.to_owned());
    }
}

/// `for await (const _ of setInterval(1000)) { await fetch(url) }`
pub(super) fn timer_loop<'t>(reader: &mut ScriptReader<'t>, node: Node<'t>) {
    let (Some(right), Some(body)) = (field(node, "right"), field(node, "body")) else {
        return;
    };
    let origin = field(right, "function").and_then(|function| reader.origin(function));
    if is_timer(origin.as_ref(), "setInterval") && requests(reader, body, 0) {
        let message = "a loop asks again and again for what an event could say";
        reader.found(&RULE, node, message.to_owned());
    }
}

/// Returns `true` where a node, or a function of the file that it calls, makes a request that asks
/// for something.
fn requests<'t>(reader: &ScriptReader<'t>, node: Node<'t>, depth: usize) -> bool {
    if depth > MAX_CALLS {
        return false;
    }
    // A function that is named and not called here: `setInterval(load, 1000)`.
    if matches!(node.kind(), "identifier" | "member_expression") {
        if asks_by_name(last_name(reader.source.text(node))) {
            return true;
        }
        let function = reader.bindings.function(node);
        return function.is_some_and(|function| requests(reader, function, depth + 1));
    }
    has(node, |one| match one.kind() {
        "call_expression" => {
            let Some(function) = field(one, "function") else {
                return false;
            };
            let arguments = field(one, "arguments").map_or("", |list| reader.source.text(list));
            if is_request(reader, function) {
                return !is_push(reader, function, arguments);
            }
            // Timers of its own are looked at by themselves.
            let target = reader.bindings.function(function);
            target.is_some_and(|target| {
                target.id() != node.id()
                    && !target.byte_range().contains(&node.start_byte())
                    && requests(reader, target, depth + 1)
            })
        }
        "new_expression" => {
            let constructor = field(one, "constructor").and_then(|one| reader.bindings.origin(one));
            constructor.is_some_and(|origin| origin.sole_global() == Some("XMLHttpRequest"))
        }
        _ => false,
    })
}

fn is_request<'t>(reader: &ScriptReader<'t>, function: Node<'t>) -> bool {
    let text = reader.source.text(function);
    if asks_by_name(last_name(text)) {
        return true;
    }
    if let Some(origin) = reader.bindings.origin(function) {
        let package = origin
            .package()
            .is_some_and(|name| REQUEST_PACKAGES.contains(&name));
        let dotted = origin.dotted();
        let global = origin.root == OriginRoot::Global
            && (matches!(&*dotted, "fetch" | "axios" | "$fetch")
                || [
                    "axios.",
                    "$.get",
                    "$.ajax",
                    "$.post",
                    "jQuery.get",
                    "jQuery.ajax",
                    "ky.",
                ]
                .iter()
                .any(|start| dotted.starts_with(start)));
        if package || global {
            return true;
        }
    }
    // Angular's and AngularJS's services: `this.http.get(url)`, `$http.get(url)`.
    let owner = text
        .rsplit_once('.')
        .map_or("", |(owner, _)| last_name(owner));
    matches!(
        owner,
        "http" | "httpClient" | "$http" | "axios" | "axiosInstance" | "apiClient"
    ) && matches!(
        last_name(text),
        "get" | "request" | "post" | "put" | "patch" | "delete"
    ) || text == "$http"
}

/// Names of functions that ask: `fetchOrders`, `refetch`, `pollStatus`.
fn asks_by_name(name: &str) -> bool {
    const STARTS: [&str; 3] = ["fetch", "refetch", "poll"];
    let is_start = |start: &&str| {
        name.strip_prefix(*start).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase() || c == '_')
        })
    };
    let lower = name.to_ascii_lowercase();
    let is_upkeep = ["token", "session", "heartbeat", "keepalive", "config"]
        .iter()
        .any(|word| lower.contains(word));
    !is_upkeep
        && (STARTS.iter().any(is_start) || matches!(name, "invalidateQueries" | "refetchQueries"))
}

/// A request that brings something and asks for nothing: metrics, heartbeats.
fn is_push(reader: &ScriptReader<'_>, function: Node<'_>, arguments: &str) -> bool {
    let last = last_name(reader.source.text(function));
    let compact: String = arguments.chars().filter(|c| !c.is_whitespace()).collect();
    let compact = compact.to_ascii_lowercase();
    let method = ["post", "put", "patch", "delete"];
    let lower = compact.as_str();
    method.contains(&last)
        || method.iter().any(|name| {
            lower.contains(&format!("method:'{name}'"))
                || lower.contains(&format!("method:\"{name}\""))
        })
        || [
            "token",
            "heartbeat",
            "keepalive",
            "keep-alive",
            "/ping",
            "metrics",
            "telemetry",
        ]
        .iter()
        .any(|word| lower.contains(word))
}
