//! Contracts for feature teams, made of the platform's own configuration: an AsyncAPI 3.0.0
//! document, and types of TypeScript.

pub mod asyncapi;
pub mod payload;
pub mod typescript;

use crate::guard::contract::served::EventKey;

/// A name of letters, digits, `-`, `_` and `.` for an event: `shop.orders.OrderPlaced`.
fn event_name(key: &EventKey, route: &str) -> String {
    let name = match (key.source.as_str(), key.detail_type.as_str()) {
        ("*", "*") => route.to_owned(),
        ("*", detail_type) => format!("{route}.{detail_type}"),
        (source, "*") => format!("{source}.{route}"),
        (source, detail_type) => format!("{source}.{detail_type}"),
    };
    slug(&name, &['-', '_', '.'])
}

/// Text with `-` in place of all but letters, digits and some signs.
fn slug(text: &str, signs: &[char]) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || signs.contains(&c) {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    let out = out.trim_end_matches('-');
    if out.is_empty() {
        "any".into()
    } else {
        out.to_owned()
    }
}

/// The name, or the first of the name with a number that is not taken.
fn unique(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !is_taken(name))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
