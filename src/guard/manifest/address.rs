//! Addresses of channels in contracts: `order:{orderId}`, `tenant/{tenantId}/alerts`.
//!
//! An address is a topic with parameters. `kind:{id}` means `kind/{id}`, as in the platform's
//! configuration. Two addresses whose parameters are named differently are the same channels.

use std::fmt;

use regex::Regex;

use crate::channel::topic::Topic;
use crate::route::target::{TargetPart, TopicTarget};

/// An address of channels.
#[derive(Clone, Debug)]
pub struct ChannelAddress {
    written: Box<str>,
    pieces: Vec<AddressPiece>,
    matcher: Regex,
}

/// A part of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddressPiece {
    /// This text.
    Text(Box<str>),
    /// Any text without a slash, under a name.
    Parameter(Box<str>),
}

/// Reason why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AddressError {
    /// One line.
    pub message: String,
    /// The way to write it instead.
    pub help: &'static str,
}

fn fail(message: impl Into<String>, help: &'static str) -> AddressError {
    AddressError {
        message: message.into(),
        help,
    }
}

impl ChannelAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// [`AddressError`] when no topic that IoT Core takes is of this form.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if text.contains(['+', '#', '*']) {
            return Err(fail(
                "it has a wildcard",
                "name the channel with parameters, such as order:{orderId}; who hears every one is said by `audience`",
            ));
        }
        let mut pieces = Vec::new();
        let word = |kind: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            !kind.is_empty() && kind.chars().all(fits)
        };
        let rest = match text.split_once(':').filter(|(kind, _)| word(kind)) {
            Some((kind, "")) => {
                return Err(fail(
                    format!("channel `{kind}` has no id"),
                    "write a parameter for the id, such as order:{orderId}",
                ));
            }
            Some((kind, id)) if id.contains('/') => {
                return Err(fail(
                    format!("the id of channel `{kind}` has a slash"),
                    "a channel is a kind and one id; write longer topics out, such as tenant/{tenantId}/alerts",
                ));
            }
            Some((kind, id)) => {
                pieces.push(AddressPiece::Text(format!("{kind}/").into()));
                id
            }
            None => text,
        };
        split(rest, &mut pieces)?;
        if !matches!(pieces.first(), Some(AddressPiece::Text(first)) if first.contains('/') || pieces.len() == 1)
        {
            return Err(fail(
                "its first level is no literal text",
                "begin with a word and a slash, such as status/{region}, or with a channel, such as order:{orderId}",
            ));
        }
        let address = Self::of_pieces(text, pieces)?;
        Topic::parse(&address.topic(None, |_| "x")).map_err(|error| {
            fail(
                error.to_string(),
                "a topic has at most 256 bytes and 7 slashes",
            )
        })?;
        Ok(address)
    }

    /// The address that a route sends to. Parameters of channels are named after their kind, those
    /// of topics after the fields.
    pub fn of_target(target: &TopicTarget, route: &str) -> Option<Self> {
        let mut pieces: Vec<AddressPiece> = Vec::new();
        let has_gap = target.pieces(route).any(|piece| piece == TargetPart::Gap);
        if let Some(kind) = target.kind().filter(|_| has_gap) {
            pieces.push(AddressPiece::Text(format!("{}/", kind.name()).into()));
            pieces.push(AddressPiece::Parameter(format!("{}Id", kind.name()).into()));
            let written = format!("{0}:{{{0}Id}}", kind.name());
            return Self::of_pieces(&written, pieces).ok();
        }
        let mut fields = target.template().paths();
        for piece in target.pieces(route) {
            match (piece, pieces.last_mut()) {
                (TargetPart::Text(text), Some(AddressPiece::Text(before))) => {
                    *before = format!("{before}{text}").into();
                }
                (TargetPart::Text(text), _) => pieces.push(AddressPiece::Text(text.into())),
                (TargetPart::Gap, last) => {
                    let field = fields.next().unwrap_or_default();
                    // Two fields side by side are one text of the topic.
                    if !matches!(last, Some(AddressPiece::Parameter(_))) {
                        let name = parameter_name(field, &pieces);
                        pieces.push(AddressPiece::Parameter(name));
                    }
                }
            }
        }
        let written = written(&pieces);
        Self::of_pieces(&written, pieces).ok()
    }

    fn of_pieces(written: &str, pieces: Vec<AddressPiece>) -> Result<Self, AddressError> {
        let expression: String = pieces
            .iter()
            .map(|piece| match piece {
                AddressPiece::Text(text) => regex::escape(text),
                AddressPiece::Parameter(_) => "([^/]+)".into(),
            })
            .collect();
        let matcher = Regex::new(&format!("^{expression}$"))
            .map_err(|_| fail("it is too long", "a topic has at most 256 bytes"))?;
        Ok(Self {
            written: written.into(),
            pieces,
            matcher,
        })
    }

    /// The parts of the topic.
    pub fn pieces(&self) -> &[AddressPiece] {
        &self.pieces
    }

    /// The names of the parameters, in their order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            AddressPiece::Parameter(name) => Some(&**name),
            AddressPiece::Text(_) => None,
        })
    }

    /// The first level of its topics, which is the kind of a channel.
    pub fn first_level(&self) -> &str {
        match self.pieces.first() {
            Some(AddressPiece::Text(text)) => text.split('/').next().unwrap_or_default(),
            _ => "",
        }
    }

    /// Returns `true` for `kind/{id}`, the form that channels of the configuration have.
    pub fn is_kind(&self) -> bool {
        match self.pieces.as_slice() {
            [AddressPiece::Text(text), AddressPiece::Parameter(_)] => text
                .strip_suffix('/')
                .is_some_and(|kind| !kind.contains('/')),
            _ => false,
        }
    }

    /// The topic with `{}` for each parameter: equal for two addresses of the same channels.
    pub fn shape(&self) -> String {
        self.topic(None, |_| "{}")
    }

    /// The topic with the parameters' names, as AsyncAPI has addresses.
    pub fn template(&self, environment: Option<&str>) -> String {
        let mut topic = prefix(environment);
        for piece in &self.pieces {
            match piece {
                AddressPiece::Text(text) => topic.push_str(text),
                AddressPiece::Parameter(name) => topic.push_str(&format!("{{{name}}}")),
            }
        }
        topic
    }

    /// The topic whose parameters have some values, by their places.
    pub fn topic<'v>(
        &self,
        environment: Option<&str>,
        mut value: impl FnMut(usize) -> &'v str,
    ) -> String {
        let mut topic = prefix(environment);
        let mut index = 0;
        for piece in &self.pieces {
            match piece {
                AddressPiece::Text(text) => topic.push_str(text),
                AddressPiece::Parameter(_) => {
                    topic.push_str(value(index));
                    index += 1;
                }
            }
        }
        topic
    }

    /// The values of the parameters in a topic; `None` when the topic is of another address.
    pub fn values<'t>(&self, environment: Option<&str>, topic: &'t str) -> Option<Vec<&'t str>> {
        let topic = match environment {
            Some(environment) => topic.strip_prefix(environment)?.strip_prefix('/')?,
            None => topic,
        };
        let captures = self.matcher.captures(topic)?;
        let values = captures.iter().skip(1).flatten();
        Some(values.map(|value| value.as_str()).collect())
    }
}

impl fmt::Display for ChannelAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn prefix(environment: Option<&str>) -> String {
    environment.map_or_else(String::new, |environment| format!("{environment}/"))
}

fn written(pieces: &[AddressPiece]) -> String {
    let piece = |piece: &AddressPiece| match piece {
        AddressPiece::Text(text) => text.to_string(),
        AddressPiece::Parameter(name) => format!("{{{name}}}"),
    };
    pieces.iter().map(piece).collect()
}

/// The last name of a field's path, made of the characters that AsyncAPI takes in names, with a
/// number where it is taken.
fn parameter_name(field: &str, pieces: &[AddressPiece]) -> Box<str> {
    let last = field.rsplit('.').next().unwrap_or_default();
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let plain: String = last.chars().filter(|c| fits(*c)).collect();
    let plain = if plain.is_empty() {
        "value".to_owned()
    } else {
        plain
    };
    let is_taken = |name: &str| {
        pieces
            .iter()
            .any(|piece| matches!(piece, AddressPiece::Parameter(known) if **known == *name))
    };
    let numbered = (2..).map(|number| format!("{plain}{number}"));
    std::iter::once(plain.clone())
        .chain(numbered)
        .find(|name| !is_taken(name))
        .unwrap_or_default()
        .into()
}

/// Splits text at its parameters.
fn split(text: &str, pieces: &mut Vec<AddressPiece>) -> Result<(), AddressError> {
    const BRACES: &str = "a parameter is a name between braces, such as {orderId}";
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        if before.contains('}') {
            return Err(fail("`}` without `{`", BRACES));
        }
        let Some((name, after)) = behind.split_once('}') else {
            return Err(fail("`{` without `}`", BRACES));
        };
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || !name.chars().all(fits) {
            return Err(fail(
                format!("`{{{name}}}` is no parameter"),
                "a parameter has a name of its own, of letters, digits, `-` and `_`: {orderId}, not {detail.orderId}",
            ));
        }
        if !before.is_empty() {
            push_text(before, pieces);
        } else if matches!(pieces.last(), Some(AddressPiece::Parameter(_))) {
            return Err(fail(
                format!("`{{{name}}}` follows another parameter without text between them"),
                "put a slash or a word between two parameters",
            ));
        }
        let repeated = pieces
            .iter()
            .any(|piece| matches!(piece, AddressPiece::Parameter(known) if **known == *name));
        if repeated {
            return Err(fail(
                format!("the parameter `{name}` is repeated"),
                "give each parameter a name of its own",
            ));
        }
        pieces.push(AddressPiece::Parameter(name.into()));
        rest = after;
    }
    if rest.contains('}') {
        return Err(fail("`}` without `{`", BRACES));
    }
    if !rest.is_empty() {
        push_text(rest, pieces);
    }
    Ok(())
}

fn push_text(text: &str, pieces: &mut Vec<AddressPiece>) {
    match pieces.last_mut() {
        Some(AddressPiece::Text(before)) => *before = format!("{before}{text}").into(),
        _ => pieces.push(AddressPiece::Text(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shape: &str, topic: &str, values: Option<&[&str]>) {
        let address = ChannelAddress::parse(text).unwrap();
        assert_eq!(address.shape(), shape);
        assert_eq!(
            address.values(None, topic).as_deref(),
            values,
            "{text} {topic}"
        );
    }

    #[test]
    fn topics_of_addresses() {
        check("order:{orderId}", "order/{}", "order/1", Some(&["1"]));
        check("order:{id}", "order/{}", "order/1/x", None);
        check("order/{id}", "order/{}", "order/1", Some(&["1"]));
        check("depot:north", "depot/north", "depot/north", Some(&[]));
        check(
            "tenant/{t}/area/{a}",
            "tenant/{}/area/{}",
            "tenant/1/area/2",
            Some(&["1", "2"]),
        );
        check(
            "status/{a}-{b}",
            "status/{}-{}",
            "status/x-y",
            Some(&["x", "y"]),
        );
        check("announcements", "announcements", "announcements", Some(&[]));
        check("a.b/{x}", "a.b/{}", "aXb/1", None);
        let address = ChannelAddress::parse("order:{id}").unwrap();
        assert_eq!(
            address.values(Some("prod"), "prod/order/1"),
            Some(vec!["1"])
        );
        assert_eq!(address.values(Some("prod"), "order/1"), None);
        assert_eq!(address.template(Some("prod")), "prod/order/{id}");
        assert!(address.is_kind());
    }

    #[test]
    fn what_is_no_address() {
        let told = [
            "",
            "order:",
            "order:{",
            "order:{}",
            "order:{a.b}",
            "order:a}",
            "a/{x}{y}",
            "a/{x}/{x}",
            "{x}/a",
            "x{y}/a",
            "order/+",
            "order:*",
            "$aws/things",
            "a//b",
            "order:{a}/b",
            "1/2/3/4/5/6/7/8/9",
        ]
        .map(|text| match ChannelAddress::parse(text) {
            Err(error) => format!("{text:?}: {error}; {}", error.help),
            Ok(address) => format!("{text:?} is taken as {}", address.shape()),
        });
        insta::assert_snapshot!(told.join("\n"));
    }
}
