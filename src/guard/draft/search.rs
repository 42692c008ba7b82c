//! Events that sources put on a bus, and topics that they subscribe to, found as text.
//!
//! A value that is no literal in its place (a constant of another file, text that is put together)
//! is counted and named, never guessed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::guard::manifest::address::ChannelAddress;

/// Everything that was found in the sources of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFindings {
    /// Events that are put, with the first place of each.
    pub events: BTreeMap<(String, String), FoundPlace>,
    /// Channels that clients subscribe to, with the first place of each.
    pub channels: BTreeMap<String, FoundPlace>,
    /// Places whose values are no literals.
    pub unknown: Vec<FoundPlace>,
}

/// A line of a file, and the thing found there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundPlace {
    /// Path from the root of the repository.
    pub path: String,
    /// Line, counted from 1.
    pub line: usize,
    /// The thing that is there, in a few words.
    pub what: &'static str,
}

/// The most lines between an event's source and its detail type.
const WINDOW_LINES: usize = 12;

/// The longest line that is searched: longer ones are of generated files.
const MAX_LINE_BYTES: usize = 2_000;

/// The most places without a verdict that are kept.
const MAX_UNKNOWN: usize = 50;

/// A name and its value in the syntaxes of sources: `Source: 'x'`, `"Source" = "x"`,
/// `.source("x")`, `Source: aws.String("x")`.
fn assigned(name: &str) -> Option<Regex> {
    Regex::new(&format!(
        r#"(?:^|[^A-Za-z0-9_.$-]|\.(?:set|with)?)["'`]?(?:{name})["'`]?\s*(?:=>|:=|[:=(])\s*(?P<value>(?:aws\.String\(|Some\(|&?String::from\()?["'`](?P<text>[^"'`\n]*)["'`]|[A-Za-z_$][A-Za-z0-9_$.]*)?"#
    ))
    .ok()
}

static DETAIL_TYPE: LazyLock<Option<Regex>> =
    LazyLock::new(|| assigned("DetailType|detailType|detail_type|detail-type"));
static SOURCE: LazyLock<Option<Regex>> = LazyLock::new(|| assigned("Source|source"));
static SUBSCRIBE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"\b[sS]ubscribe(?:Async|_async)?\(\s*\[?\s*(?P<value>(?:new\s+\w+\()?[rf]?["'`](?P<text>[^"'`\n]+)["'`]\s*(?P<more>\+)?|[A-Za-z_$][\w$.]*)"#).ok()
});

/// Words of which a file has one where it puts events.
const PUTS: [&str; 4] = ["PutEvents", "putEvents", "put_events", "put-events"];

impl SourceFindings {
    /// Searches a source file.
    pub fn search(&mut self, path: &str, text: &str) {
        let lines: Vec<&str> = text
            .lines()
            .map(|line| {
                if line.len() > MAX_LINE_BYTES {
                    ""
                } else {
                    line
                }
            })
            .collect();
        if PUTS.iter().any(|word| text.contains(word)) {
            self.search_events(path, &lines);
        }
        if text.contains("ubscribe") {
            self.search_topics(path, &lines);
        }
    }

    fn unknown(&mut self, path: &str, line: usize, what: &'static str) {
        if self.unknown.len() < MAX_UNKNOWN {
            self.unknown.push(FoundPlace {
                path: path.to_owned(),
                line,
                what,
            });
        }
    }

    fn search_events(&mut self, path: &str, lines: &[&str]) {
        let (Some(detail_type), Some(source)) = (&*DETAIL_TYPE, &*SOURCE) else {
            return;
        };
        for (index, line) in lines.iter().enumerate() {
            for found in detail_type.captures_iter(line) {
                let Some(name) = literal(&found) else {
                    if found.name("value").is_some() {
                        self.unknown(path, index + 1, "a detail type that is no literal");
                    }
                    continue;
                };
                // The nearest line has the source of the same entry.
                let near = (0..=WINDOW_LINES)
                    .flat_map(|distance| [index.checked_sub(distance), index.checked_add(distance)])
                    .flatten()
                    .filter_map(|at| lines.get(at))
                    .flat_map(|line| source.captures_iter(line))
                    .find_map(|found| literal(&found));
                match near {
                    Some(source) => {
                        let place = FoundPlace {
                            path: path.to_owned(),
                            line: index + 1,
                            what: "an event that is put",
                        };
                        self.events.entry((source, name)).or_insert(place);
                    }
                    None => self.unknown(
                        path,
                        index + 1,
                        "an event whose source is no literal near it",
                    ),
                }
            }
        }
    }

    fn search_topics(&mut self, path: &str, lines: &[&str]) {
        let Some(subscribe) = &*SUBSCRIBE else { return };
        for (index, line) in lines.iter().enumerate() {
            for found in subscribe.captures_iter(line) {
                let address = found
                    .name("text")
                    .filter(|_| found.name("more").is_none())
                    .and_then(|text| channel_of(text.as_str()));
                match address {
                    Some(address) => {
                        let place = FoundPlace {
                            path: path.to_owned(),
                            line: index + 1,
                            what: "a subscription",
                        };
                        self.channels.entry(address).or_insert(place);
                    }
                    // Text without a separator, and names of functions, are other libraries'
                    // subscriptions.
                    None if is_topic_like(&found) => {
                        self.unknown(
                            path,
                            index + 1,
                            "a subscription whose topic is not a literal or has wildcards",
                        );
                    }
                    None => {}
                }
            }
        }
    }
}

/// The literal of a match, unless it is put together.
fn literal(found: &regex::Captures<'_>) -> Option<String> {
    let text = found.name("text")?.as_str();
    let is_plain = !text.is_empty() && !text.contains(['$', '{', '}', '%']);
    is_plain.then(|| text.to_owned())
}

fn is_topic_like(found: &regex::Captures<'_>) -> bool {
    let text = found.name("text").map_or("", |text| text.as_str());
    text.contains('/')
        || found
            .name("value")
            .is_some_and(|value| value.as_str().to_lowercase().contains("topic"))
}

/// The address of text with placeholders as sources write them: `order/${order.id}`,
/// `order/{order_id}`.
fn channel_of(text: &str) -> Option<String> {
    if !text.contains(['/', ':']) || text.contains("://") {
        return None;
    }
    let mut address = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('{') {
        let (inside, after) = behind.split_once('}')?;
        let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
        let last = inside.rsplit('.').next().unwrap_or_default();
        let name: String = last.chars().take_while(|c| fits(c)).collect();
        address.push_str(before.strip_suffix('$').unwrap_or(before));
        address.push_str(&format!(
            "{{{}}}",
            if name.is_empty() { "id" } else { &name }
        ));
        rest = after;
    }
    address.push_str(rest);
    ChannelAddress::parse(&address)
        .ok()
        .map(|address| address.to_string())
}
