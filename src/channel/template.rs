//! Templates of topics and channel ids: `order/{detail.orderId}` in a route, `order:{claims.orders[*]}` in a role.
//!
//! A placeholder names a field by its dotted path from the root of an event (or of a token's claims), `{$.detail.orderId}` and `{detail.orderId}` alike;
//! `{detail."order id"}` quotes a segment; `[*]` marks an array of which every element counts; `[0]` picks one element. In a
//! route a placeholder without `[*]` takes exactly one value. `{{` and `}}` are the braces themselves. Filters follow after `|`: `lower`, `encode` (percent-encode
//! what a topic level must not hold), `path` (slashes are allowed) and `default:text`.
//!
//! Values are checked before they enter a topic; nothing is ever stripped or replaced silently, since two ids would meet on
//! one topic.

use std::borrow::Cow;
use std::fmt;

use super::{ChannelKind, Kinds};

/// A template as written: literal text and placeholders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelTemplate {
    parts: Vec<Part>,
    written: Box<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Literal(Box<str>),
    RouteName,
    Placeholder(Placeholder),
}

/// A field to be filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placeholder {
    /// The dotted path from the root.
    pub(crate) path: Box<str>,
    /// The same, segment by segment: a quoted segment may hold dots.
    pub(crate) segments: Box<[Box<str>]>,
    /// Elements of arrays along the path that are meant, where the path names them.
    pub(crate) picks: Vec<Pick>,
    /// The arrays along the path that `[*]` marks.
    pub(crate) stars: Vec<ArrayStar>,
    pub(crate) filters: Filters,
    /// The placeholder as written, braces included, for messages.
    pub(crate) written: Box<str>,
}

/// `[index]` after the segment that ends at `depth`; `nth` counts arrays directly within arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub(crate) depth: u16,
    pub(crate) nth: usize,
    pub(crate) index: u32,
}

/// `[*]` after the segment that ends at `depth`; `nth` counts arrays directly within arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ArrayStar {
    pub(crate) depth: u16,
    pub(crate) nth: usize,
}

/// Filters applied to a value before it is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Filters {
    pub(crate) lower: bool,
    pub(crate) encode: bool,
    pub(crate) path: bool,
    pub(crate) default: Option<Box<str>>,
}

/// The kind and the id of text that names a channel; `None` for a topic. Text that begins with a word and a colon is a channel,
/// everything else is a topic.
///
/// # Errors
/// [`TemplateError`] when the channel is not declared.
pub(crate) fn channel<'k, 't>(
    text: &'t str,
    kinds: &'k Kinds,
) -> Result<Option<(&'k ChannelKind, &'t str)>, TemplateError> {
    let word = |name: &str| {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        !name.is_empty() && name.chars().all(fits)
    };
    let Some((name, id)) = text.split_once(':').filter(|(name, _)| word(name)) else {
        return Ok(None);
    };
    match kinds.get(name) {
        Some(kind) => Ok(Some((kind, id))),
        None => Err(undeclared(name, kinds)),
    }
}

fn undeclared(name: &str, kinds: &Kinds) -> TemplateError {
    let near = kinds
        .keys()
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    TemplateError {
        message: format!("channel `{name}` is not declared"),
        offset: 0,
        help: Some(match near {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => format!("declare it: channels: {{ {name}: {{ id: uuid }} }}"),
        }),
    }
}

impl Filters {
    /// The value as it enters the template.
    pub(crate) fn apply<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let text = if self.lower {
            Cow::Owned(text.to_lowercase())
        } else {
            Cow::Borrowed(text)
        };
        if self.encode {
            Cow::Owned(encoded(&text))
        } else {
            text
        }
    }
}

/// Percent-encodes the characters that a topic level must not hold, and `%` itself so that it can
/// be undone.
fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        let leading_dollar = c == '$' && at == 0;
        if matches!(c, '%' | '/' | '+' | '#') || c.is_control() || leading_dollar {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Fault of a template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// One line.
    pub message: String,
    /// Position in the template, in bytes from its beginning.
    pub offset: usize,
    /// Text to write instead, where it is known.
    pub help: Option<String>,
}

/// The placeholder for the route's own name, as EventBridge spells it in input transformers.
const ROUTE_NAME: &str = "aws.events.rule-name";

impl ChannelTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] with the offset of the text that cannot be read.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parser = TemplateParser { text, at: 0 };
        let mut parts = Vec::new();
        let mut literal = String::new();
        while let Some(c) = parser.next() {
            match c {
                '{' | '}' if parser.eat(c) => literal.push(c),
                '{' => {
                    if !literal.is_empty() {
                        parts.push(Part::Literal(std::mem::take(&mut literal).into()));
                    }
                    parts.push(parser.placeholder()?);
                }
                '}' => {
                    return Err(parser.fail(
                        parser.at - 1,
                        "`}` without `{`",
                        Some("write `}}` for the character itself"),
                    ));
                }
                c => literal.push(c),
            }
        }
        if !literal.is_empty() {
            parts.push(Part::Literal(literal.into()));
        }
        Ok(Self {
            parts,
            written: text.into(),
        })
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The paths of the fields that the template needs.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Placeholder(placeholder) => Some(&*placeholder.path),
            _ => None,
        })
    }

    /// The text before the first placeholder.
    pub fn leading_literal(&self) -> &str {
        match self.parts.first() {
            Some(Part::Literal(text)) => text,
            _ => "",
        }
    }
}

impl fmt::Display for ChannelTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

struct TemplateParser<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> TemplateParser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest().chars().next()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.at += wanted.len_utf8();
        }
        found
    }

    fn fail(&self, offset: usize, message: &str, help: Option<&str>) -> TemplateError {
        TemplateError {
            message: message.to_owned(),
            offset,
            help: help.map(str::to_owned),
        }
    }

    /// The rest of a placeholder, whose `{` was read.
    fn placeholder(&mut self) -> Result<Part, TemplateError> {
        let start = self.at - 1;
        if self.rest().starts_with("$.") {
            self.at += 2;
        }
        let mut segments = Vec::new();
        let (mut picks, mut stars) = (Vec::new(), Vec::new());
        loop {
            segments.push(self.segment(start)?);
            self.brackets(segments.len(), &mut picks, &mut stars)?;
            if !self.eat('.') {
                break;
            }
        }
        let filters = self.filters(start)?;
        let path = segments.join(".");
        if path == ROUTE_NAME {
            return Ok(Part::RouteName);
        }
        Ok(Part::Placeholder(Placeholder {
            path: path.into(),
            segments: segments.into_iter().map(Into::into).collect(),
            picks,
            stars,
            filters,
            written: self.text.get(start..self.at).unwrap_or_default().into(),
        }))
    }

    fn segment(&mut self, start: usize) -> Result<String, TemplateError> {
        let begin = self.at;
        if self.eat('"') {
            let Some(end) = self.rest().find('"') else {
                return Err(self.fail(
                    begin,
                    "the quoted segment has no end",
                    Some("close it with `\"`"),
                ));
            };
            let segment = self.rest().get(..end).unwrap_or_default().to_owned();
            self.at += end + 1;
            return Ok(segment);
        }
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | ':' | '@');
        let length = self.rest().find(|c| !fits(c)).unwrap_or(self.rest().len());
        if length == 0 {
            return Err(if self.rest().is_empty() {
                self.fail(
                    start,
                    "`{` without `}`",
                    Some("write `{{` for the character itself"),
                )
            } else {
                self.fail(
                    begin,
                    "a placeholder names a field by its path",
                    Some("write it like {detail.orderId}, and odd names in quotes: {detail.\"order id\"}"),
                )
            });
        }
        self.at += length;
        Ok(self.text.get(begin..self.at).unwrap_or_default().to_owned())
    }

    /// `[*]` and `[n]` after a segment.
    fn brackets(
        &mut self,
        depth: usize,
        picks: &mut Vec<Pick>,
        stars: &mut Vec<ArrayStar>,
    ) -> Result<(), TemplateError> {
        let depth = u16::try_from(depth).unwrap_or(u16::MAX);
        let mut nth = 0;
        while self.rest().starts_with('[') {
            let begin = self.at;
            let inside = self.rest().get(1..).and_then(|rest| rest.split_once(']'));
            let Some((inside, _)) = inside else {
                return Err(self.fail(begin, "`[` without `]`", None));
            };
            if inside == "*" {
                stars.push(ArrayStar { depth, nth });
            } else {
                let index = inside.parse().map_err(|_| {
                    self.fail(
                        begin,
                        &format!("`[{inside}]` picks no element"),
                        Some("write [*] for all elements, or [0] for the first"),
                    )
                })?;
                picks.push(Pick { depth, nth, index });
            }
            nth += 1;
            self.at += inside.len() + 2;
        }
        Ok(())
    }

    /// Filters up to the closing brace.
    fn filters(&mut self, start: usize) -> Result<Filters, TemplateError> {
        let mut filters = Filters::default();
        loop {
            if self.eat('}') {
                return Ok(filters);
            }
            let begin = self.at;
            if !self.eat('|') {
                return Err(match self.next() {
                    None => self.fail(
                        start,
                        "`{` without `}`",
                        Some("write `{{` for the character itself"),
                    ),
                    Some(c) => self.fail(
                        begin,
                        &format!("`{c}` cannot stand in a placeholder"),
                        Some("odd names go in quotes: {detail.\"order id\"}"),
                    ),
                });
            }
            let end = self.rest().find(['|', '}']).unwrap_or(self.rest().len());
            let filter = self.rest().get(..end).unwrap_or_default();
            match filter.split_once(':') {
                None if filter == "lower" => filters.lower = true,
                None if filter == "encode" => filters.encode = true,
                None if filter == "path" => filters.path = true,
                Some(("default", text)) => filters.default = Some(text.into()),
                _ => {
                    return Err(self.fail(
                        begin + 1,
                        &format!("there is no filter `{filter}`"),
                        Some("filters are lower, encode, path and default:text"),
                    ));
                }
            }
            self.at += end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn paths(text: &str) -> Vec<String> {
        let template = ChannelTemplate::parse(text).unwrap();
        template.paths().map(str::to_owned).collect()
    }

    #[test]
    fn placeholders() {
        assert_eq!(paths("order/{detail.orderId}"), ["detail.orderId"]);
        assert_eq!(paths("{$.detail.a}/{source}"), ["detail.a", "source"]);
        assert_eq!(paths(r#"x/{detail."order id".y}"#), ["detail.order id.y"]);
        assert_eq!(paths("x/{detail.items[*].sku}"), ["detail.items.sku"]);
        assert_eq!(paths("{{x}}"), [""; 0]);
        assert_eq!(
            ChannelTemplate::parse("{{x}}").unwrap().leading_literal(),
            "{x}"
        );
        assert_eq!(paths("x/{aws.events.rule-name}"), [""; 0]);
        assert_eq!(paths("x/{detail-type|lower|default:none}"), ["detail-type"]);
    }

    #[test]
    fn picks() {
        let template = ChannelTemplate::parse("x/{detail.items[0].tags[*][2]}").unwrap();
        let Some(Part::Placeholder(placeholder)) = template.parts().last() else {
            panic!("a placeholder")
        };
        let pick = |depth, nth, index| Pick { depth, nth, index };
        assert_eq!(placeholder.picks, [pick(2, 0, 0), pick(3, 1, 2)]);
        assert_eq!(placeholder.stars, [ArrayStar { depth: 3, nth: 0 }]);
    }

    #[test]
    fn faults() {
        let fault = |text: &str| {
            let error = ChannelTemplate::parse(text).unwrap_err();
            format!(
                "{} at {}; {}",
                error.message,
                error.offset,
                error.help.unwrap_or_default()
            )
        };
        insta::assert_snapshot!(fault("a/{b"), @"`{` without `}` at 2; write `{{` for the character itself");
        insta::assert_snapshot!(fault("a/{"), @"`{` without `}` at 2; write `{{` for the character itself");
        insta::assert_snapshot!(fault("a}b"), @"`}` without `{` at 1; write `}}` for the character itself");
        insta::assert_snapshot!(fault("a/{}"), @r#"a placeholder names a field by its path at 3; write it like {detail.orderId}, and odd names in quotes: {detail."order id"}"#);
        insta::assert_snapshot!(fault("a/{b c}"), @r#"` ` cannot stand in a placeholder at 4; odd names go in quotes: {detail."order id"}"#);
        insta::assert_snapshot!(fault("a/{b[x]}"), @"`[x]` picks no element at 4; write [*] for all elements, or [0] for the first");
        insta::assert_snapshot!(fault("a/{b|upper}"), @"there is no filter `upper` at 5; filters are lower, encode, path and default:text");
        insta::assert_snapshot!(fault(r#"a/{b."c}"#), @r#"the quoted segment has no end at 5; close it with `"`"#);
    }
}
