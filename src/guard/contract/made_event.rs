//! Events made up from a platform's routes: one that every route which takes it can publish.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::served::{EventKey, event_keys};
use crate::config::Config;
use crate::event::envelope::Envelope;
use crate::route::explain::explain;
use crate::route::table::Route;

/// The value that examples have for a field of which nothing is known.
const MADE_UP: &str = "any";

/// The routes that take events of a kind.
pub fn routes_of(
    config: &Config,
    is_meant: impl Fn(&EventKey) -> bool + Copy,
) -> impl Iterator<Item = &Route> {
    let routes = config.routes.iter();
    routes.filter(move |route| event_keys(route).iter().any(is_meant))
}

/// Makes up an event of a kind: the fields that all its routes name. `None` where the platform
/// would not publish it, so that nothing is shown as an example that is none.
pub fn made_event(
    config: &Config,
    source: &str,
    detail_type: &str,
    is_meant: impl Fn(&EventKey) -> bool + Copy,
) -> Option<Map<String, Value>> {
    let mut fields: Option<Map<String, Value>> = None;
    for route in routes_of(config, is_meant) {
        let example = route.example().fields;
        match &mut fields {
            None => fields = Some(example),
            Some(fields) => merge(fields, example),
        }
    }
    let mut fields = fields?;
    for (name, given) in [("source", source), ("detail-type", detail_type)] {
        if given != "*" {
            fields.insert(name.to_owned(), given.into());
        } else if config.envelope != Envelope::Raw {
            // Every event of a bus has both.
            fields
                .entry(name)
                .or_insert_with(|| Value::from("AnyDetail"));
        }
    }
    fields
        .entry("detail")
        .or_insert_with(|| Value::Object(Map::new()));
    let body = Bytes::from(whole(&fields).to_string());
    let explanation = explain(&config.route_table(), &body, "example", None).ok()?;
    explanation.publishes().then_some(fields)
}

/// The event with the envelope's members that it leaves out.
fn whole(fields: &Map<String, Value>) -> Value {
    let mut whole = json!({
        "version": "0",
        "id": "example",
        "account": "123456789012",
        "time": "2026-11-27T10:00:00Z",
        "region": "eu-central-1",
        "resources": [],
    });
    if let Value::Object(whole) = &mut whole {
        for (name, value) in fields {
            whole.insert(name.clone(), value.clone());
        }
    }
    whole
}

/// Adds the members of another example. A value that is made up gives way to an id of a channel.
fn merge(fields: &mut Map<String, Value>, other: Map<String, Value>) {
    for (name, value) in other {
        match fields.get_mut(&name) {
            None => {
                fields.insert(name, value);
            }
            Some(known) => merge_value(known, value),
        }
    }
}

fn merge_value(known: &mut Value, other: Value) {
    match (known, other) {
        (Value::Object(known), Value::Object(other)) => merge(known, other),
        (Value::Array(known), Value::Array(other)) => {
            if let (Some(known), Some(other)) = (known.first_mut(), other.into_iter().next()) {
                merge_value(known, other);
            }
        }
        (known, other) if *known == MADE_UP => *known = other,
        _ => {}
    }
}
