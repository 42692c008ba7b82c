//! Clients, channels and routes in words, as a running `eventcast dev` reports them.

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::Value;

use crate::escape::write_line;

/// Longest list that is written; JSON has all entries.
const SHOWN: usize = 20;

/// A member's text; nothing where it has none.
fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name)?.as_str()
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn is_true(value: &Value, name: &str) -> Option<bool> {
    value.get(name)?.as_bool()
}

/// A time that is given in microseconds since 1970.
fn time(value: &Value, name: &str) -> Option<String> {
    let micros = value.get(name)?.as_i64()?;
    Timestamp::from_microsecond(micros)
        .ok()
        .map(|time| time.to_string())
}

/// Writes up to some lines, and how many more there are.
fn some<'v>(
    values: impl ExactSizeIterator<Item = &'v Value>,
    out: &mut dyn Write,
    line: impl Fn(&'v Value) -> String,
) -> io::Result<()> {
    let rest = values.len().saturating_sub(SHOWN);
    for value in values.take(SHOWN) {
        write_line(out, format_args!("  {}", line(value)))?;
    }
    match rest {
        0 => Ok(()),
        rest => write_line(out, format_args!("  and {rest} more")),
    }
}

/// One line about what was denied or done.
fn doing(value: &Value) -> String {
    let at = time(value, "at").unwrap_or_default();
    let what = text(value, "filter")
        .or(text(value, "topic"))
        .unwrap_or_default();
    let why = text(value, "why").unwrap_or_default();
    let act = match text(value, "event").unwrap_or_default() {
        "refused" => return format!("{at}  may not connect: {why}"),
        "disconnected" => {
            let reason = text(value, "reason").unwrap_or_default();
            return format!("{at}  {reason}: {why}");
        }
        "subscribe_denied" => "may not subscribe to",
        "publish_denied" => "may not publish to",
        "dropped" => "did not get",
        other => other,
    };
    format!("{at}  {act} `{what}`: {why}")
}

/// Returns `true` where an entry is the end of a connection that the broker closed.
fn is_closed(value: &Value) -> bool {
    let reason = text(value, "reason").unwrap_or_default();
    text(value, "event") == Some("disconnected")
        && !matches!(reason, "CLIENT_INITIATED_DISCONNECT" | "CONNECTION_LOST")
}

/// Writes a client; yes when it is connected.
pub(super) fn write(client: &Value, out: &mut dyn Write) -> io::Result<bool> {
    let id = text(client, "id").unwrap_or_default();
    let connected = is_true(client, "connected").unwrap_or(false);
    if connected {
        let principal = text(client, "principal").unwrap_or_default();
        let role = text(client, "role").map_or_else(String::new, |role| format!(", role `{role}`"));
        let line = format_args!("client `{id}` is connected as `{principal}`{role}");
        write_line(out, line)?;
    } else {
        let reason = text(client, "disconnect_reason");
        let reason = reason.map_or_else(String::new, |reason| format!(": {reason}"));
        let why = text(client, "disconnect_why");
        let why = why.map_or_else(String::new, |why| format!(", {why}"));
        write_line(
            out,
            format_args!("client `{id}` is not connected{reason}{why}"),
        )?;
    }
    if let Some(since) = time(client, "since") {
        let source =
            text(client, "source").map_or_else(String::new, |source| format!(" from {source}"));
        write_line(out, format_args!("  since {since}{source}"))?;
    }
    if let Some(clean) = is_true(client, "clean").filter(|_| connected) {
        let session = match number(client, "session_expiry") {
            Some(seconds) if !clean => format!("outlives the connection by {seconds} s"),
            _ => "ends with the connection".to_owned(),
        };
        let keep_alive = number(client, "keep_alive").unwrap_or_default();
        write_line(
            out,
            format_args!("  keep alive {keep_alive} s; its session {session}"),
        )?;
    }
    let subscriptions = list(client, "subscriptions");
    write_line(out, format_args!("subscriptions: {}", subscriptions.len()))?;
    some(subscriptions.iter(), out, |one| {
        let filter = text(one, "filter").unwrap_or_default();
        format!("{filter}  QoS {}", number(one, "qos").unwrap_or_default())
    })?;
    let policies = list(client, "policies");
    if !policies.is_empty() {
        write_line(
            out,
            format_args!(
                "policy documents: {} (--format json shows them)",
                policies.len()
            ),
        )?;
    }
    let denials = list(client, "denials");
    if !denials.is_empty() {
        write_line(
            out,
            format_args!("denied, the latest first: {}", denials.len()),
        )?;
        some(denials.iter(), out, doing)?;
    }
    let doings = list(client, "doings").iter();
    let closed: Vec<&Value> = doings.filter(|one| is_closed(one)).collect();
    if !closed.is_empty() {
        write_line(
            out,
            format_args!(
                "connections that the broker closed, the latest first: {}",
                closed.len()
            ),
        )?;
        some(closed.into_iter(), out, doing)?;
    }
    Ok(connected)
}

/// Writes a channel; yes when somebody or something is there.
pub(super) fn write_channel(channel: &Value, out: &mut dyn Write) -> io::Result<bool> {
    let topic = text(channel, "topic").unwrap_or_default();
    match text(channel, "channel") {
        Some(name) => write_line(out, format_args!("channel `{name}`, topic `{topic}`"))?,
        None => write_line(out, format_args!("topic `{topic}`"))?,
    }
    let published = number(channel, "published").unwrap_or_default();
    let delivered = number(channel, "delivered").unwrap_or_default();
    write_line(
        out,
        format_args!("  {published} messages published, {delivered} delivered"),
    )?;
    let subscribers = list(channel, "subscribers");
    let count = number(channel, "subscriber_count").unwrap_or_default();
    write_line(out, format_args!("subscribers: {count}"))?;
    some(subscribers.iter(), out, |one| {
        let may = match (is_true(one, "connected"), is_true(one, "may_receive")) {
            (_, Some(false)) => ", but may not receive messages there",
            (Some(false), _) => ", which is away",
            _ => "",
        };
        let client = text(one, "client").unwrap_or_default();
        let filter = text(one, "filter").unwrap_or_default();
        format!(
            "{client}  by `{filter}`, QoS {}{may}",
            number(one, "qos").unwrap_or_default()
        )
    })?;
    let retained = channel
        .get("retained")
        .filter(|retained| !retained.is_null());
    write_retained(retained, out)?;
    Ok(count > 0 || published > 0 || retained.is_some())
}

/// Writes a retained message, or that there is none.
pub(super) fn write_retained(retained: Option<&Value>, out: &mut dyn Write) -> io::Result<()> {
    let Some(message) = retained else {
        return writeln!(out, "no message is retained");
    };
    let bytes = number(message, "size_bytes").unwrap_or_default();
    let qos = number(message, "qos").unwrap_or_default();
    let at = time(message, "at").unwrap_or_default();
    write_line(
        out,
        format_args!("retained: {bytes} bytes, QoS {qos}, since {at}"),
    )?;
    match text(message, "text") {
        Some(text) => write_line(out, format_args!("  {text}")),
        None => writeln!(out, "  (not text)"),
    }
}

/// Writes why messages of a topic come to a client or do not; yes when they do.
pub(super) fn write_hearing(told: &Value, out: &mut dyn Write) -> io::Result<bool> {
    let says = text(told, "says").unwrap_or_default();
    write_line(out, format_args!("{says}"))?;
    for check in list(told, "checks") {
        let holds = match is_true(check, "holds") {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let what = text(check, "what").unwrap_or_default();
        write_line(out, format_args!("  {holds:<4} {what}"))?;
        for words in list(check, "words").iter().filter_map(Value::as_str) {
            write_line(out, format_args!("       {words}"))?;
        }
    }
    for advice in list(told, "advice").iter().filter_map(Value::as_str) {
        write_line(out, format_args!("help: {advice}"))?;
    }
    Ok(is_true(told, "heard") == Some(true))
}

/// Writes a route.
pub(super) fn write_route(told: &Value, out: &mut dyn Write) -> io::Result<bool> {
    let nothing = Value::Null;
    let route = told.get("route").unwrap_or(&nothing);
    let name = text(route, "name").unwrap_or_default();
    write_line(out, format_args!("route `{name}`"))?;
    for target in list(route, "to").iter().filter_map(Value::as_str) {
        write_line(out, format_args!("  to {target}"))?;
    }
    let retain = if is_true(route, "retain") == Some(true) {
        ", retained"
    } else {
        ""
    };
    let expires = number(route, "expires_seconds");
    let expires = expires.map_or_else(String::new, |seconds| {
        format!(", expires after {seconds} s")
    });
    let qos = number(route, "qos").unwrap_or_default();
    write_line(out, format_args!("  QoS {qos}{retain}{expires}"))?;
    if let Some(example) = route.get("example") {
        let takes = if is_true(route, "example_matches") == Some(true) {
            "it takes, for example"
        } else {
            "no event that it takes could be made up; nearest"
        };
        write_line(out, format_args!("  {takes}: {example}"))?;
    }
    if let Some(published) = number(told, "published") {
        write_line(out, format_args!("  {published} messages published"))?;
    }
    for held in list(told, "held_back") {
        let count = number(held, "count").unwrap_or_default();
        let limit = text(held, "limit").unwrap_or_default();
        write_line(out, format_args!("  {count} had to wait: {limit}"))?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn words(value: &Value, write: fn(&Value, &mut dyn Write) -> io::Result<bool>) -> String {
        let mut out = Vec::new();
        let yes = write(value, &mut out).unwrap();
        format!("{}=> {yes}", String::from_utf8(out).unwrap())
    }

    #[test]
    fn clients() {
        let client = json!({
            "id": "u1-phone", "connected": true, "principal": "u1", "role": "customer", "since": 1_795_622_790_000_000_i64,
            "source": "127.0.0.1:5", "clean": false, "session_expiry": 3600, "keep_alive": 60,
            "subscriptions": [{ "filter": "order/1", "qos": 1 }], "policies": [{ "name": "policy 1", "text": "{}" }],
            "denials": [
                { "at": 1_795_622_791_000_000_i64, "event": "subscribe_denied", "filter": "order/2", "why": "no policy allows it" },
                { "at": 1_795_622_790_000_000_i64, "event": "refused", "why": "bad token" },
            ],
        });
        insta::assert_snapshot!(words(&client, write));
        let gone = json!({ "id": "u2", "connected": false, "disconnect_reason": "CONNECTION_LOST", "subscriptions": [] });
        insta::assert_snapshot!(words(&gone, write));
    }

    /// A client whose broker closes its connection again and again, and one that sends what a
    /// terminal would act on.
    #[test]
    fn closed_connections() {
        let why = "SUBSCRIBE with 9 filters; the limit filters-per-subscribe is 8";
        let closed = |at: i64| json!({ "at": at, "event": "disconnected", "reason": "CLIENT_ERROR", "why": why });
        let looping = json!({
            "id": "u1-phone", "connected": false, "disconnect_reason": "CLIENT_ERROR", "disconnect_why": why,
            "subscriptions": [], "doings": [
                closed(1_795_622_791_000_000),
                { "at": 1_795_622_790_500_000_i64, "event": "connected", "principal": "u1" },
                { "at": 1_795_622_790_400_000_i64, "event": "disconnected", "reason": "CONNECTION_LOST", "why": "the connection was lost" },
                closed(1_795_622_790_000_000),
            ],
        });
        insta::assert_snapshot!(words(&looping, write));
        let hostile = json!({
            "id": "\u{1b}[2J", "connected": true, "principal": "a\nclient `root` is connected", "source": "\u{7}",
            "subscriptions": [{ "filter": "a\u{202e}/b", "qos": 0 }],
            "denials": [{ "at": 0, "event": "publish_denied", "topic": "\u{9b}31m", "why": "x\ry" }],
        });
        insta::assert_snapshot!(words(&hostile, write));
    }

    #[test]
    fn hearings() {
        let told = json!({
            "says": "`c1` does not receive `order/1`: it may not subscribe to it", "heard": false,
            "checks": [
                { "what": "is it connected?", "holds": true, "words": ["it is connected as `u1`"] },
                { "what": "may it subscribe?", "holds": false, "words": ["no statement allows it", "  nearest: \u{1b}c"] },
                { "what": "may it receive?", "holds": null, "words": [] },
            ],
            "advice": ["subscribe to `order/1`"],
        });
        insta::assert_snapshot!(words(&told, write_hearing));
        let heard =
            json!({ "says": "`c1` receives `order/1`", "heard": true, "checks": [], "advice": [] });
        insta::assert_snapshot!(words(&heard, write_hearing));
    }

    #[test]
    fn channels() {
        let channel = json!({
            "topic": "order/1", "channel": "order:1", "published": 3, "delivered": 5, "subscriber_count": 2,
            "subscribers": [
                { "client": "c1", "filter": "order/+", "qos": 1, "connected": true, "may_receive": false },
                { "client": "c2", "filter": "order/1", "qos": 0, "connected": false, "may_receive": null },
            ],
            "retained": { "at": 1_795_622_790_000_000_i64, "qos": 1, "size_bytes": 2, "text": "{}" },
        });
        insta::assert_snapshot!(words(&channel, write_channel));
        let quiet = json!({ "topic": "a", "channel": null, "published": 0, "delivered": 0, "subscriber_count": 0, "subscribers": [], "retained": null });
        insta::assert_snapshot!(words(&quiet, write_channel));
    }

    #[test]
    fn routes() {
        let route = json!({
            "route": { "name": "orders", "to": ["order:{detail.orderId}"], "qos": 1, "retain": true, "expires_seconds": 300,
                "example": { "source": "shop" }, "example_matches": true },
            "published": 7,
        });
        insta::assert_snapshot!(words(&route, write_route));
    }
}
