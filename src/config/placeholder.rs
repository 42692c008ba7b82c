//! Placeholders of other tools, which eventcast leaves as they are: `${x}`, `{{x}}`, `<x>`, `$.x`, `:x` and their kin.
//!
//! All of them are legal text of a topic, so that evidence is asked for. A `$` or `#` before a placeholder, a JSONPath and a
//! shell's substitution are evidence by themselves. Braces, angle brackets and colons are evidence when the name inside is a
//! field that events have, or when the text has no placeholder of eventcast's own: then every event would go to one topic.

use std::sync::LazyLock;

use regex::Regex;

use super::check::nearest;
use super::envelope::{MemberType, member_type, missing};
use crate::channel::template::ChannelTemplate;

/// A placeholder of another tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ForeignPlaceholder {
    /// As written.
    pub(super) written: String,
    /// The tools that know it.
    pub(super) tools: &'static str,
    /// Advice on the fix.
    pub(super) help: String,
    /// Indicates that it names a known field.
    pub(super) is_field: bool,
}

/// Names that the first segment of a field's path may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roots {
    /// The members of EventBridge's envelope.
    Event,
    /// The members of a body of which nothing is known.
    Body,
    /// The claims of a token.
    Claims,
}

/// Proof that a spelling gives by itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Evidence {
    /// Nobody writes it for its own sake.
    Spelling,
    /// It counts with a known field, or without a placeholder of our own beside it.
    Field,
}

struct Style {
    /// The first group is the placeholder, the second the name inside.
    pattern: Regex,
    tools: &'static str,
    evidence: Evidence,
}

/// A name, or a dotted path with the marks that JSONPath, Go templates and transformers have.
const NAME: &str = r"[$.]{0,2}[A-Za-z_][\w.:\-\[\]*]*";

static STYLES: LazyLock<Vec<Style>> = LazyLock::new(|| {
    let style = |pattern: &str, tools, evidence| {
        // The patterns are constants; the test below compiles each.
        let pattern = Regex::new(&pattern.replace("NAME", NAME)).ok()?;
        Some(Style {
            pattern,
            tools,
            evidence,
        })
    };
    use Evidence::{Field, Spelling};
    [
        style(
            r"(\$+\{\s*([^{}]*?)\s*\})",
            "shells, JavaScript, Serverless and IoT SQL",
            Spelling,
        ),
        style(r"(#\{\s*([^{}]*?)\s*\})", "Ruby and Spring", Spelling),
        style(
            r"(\{\{\{\s*(NAME)\s*\}\}\})",
            "Mustache and Handlebars",
            Field,
        ),
        style(
            r"(\{\{[-~]?\s*(NAME)\s*(?:\|[^{}]*)?[-~]?\}\})",
            "Mustache, Handlebars, Jinja and Helm",
            Field,
        ),
        style(r"(<%[=-]?\s*(NAME)\s*-?%>)", "ERB and EJS", Spelling),
        style(
            r"(<\s*(NAME)\s*>)",
            "EventBridge's input transformers",
            Field,
        ),
        style(
            r"(?:^|[/:])(\$(\.[A-Za-z_][\w.\-\[\]*]*))",
            "JSONPath",
            Spelling,
        ),
        style(r"(\$\(\s*(NAME)\s*\))", "shells and make", Spelling),
        style(r"(%\(\s*(NAME)\s*\)[sd])", "Python", Spelling),
        style(r"(?:^|/)(\$([A-Za-z_]\w*))(?:/|$)", "shells and VTL", Field),
        style(r"(?:^|[/:])(%([A-Za-z_][\w.]*)%)(?:/|$)", "Windows", Field),
        style(r"(?:^|/)(:([A-Za-z_][\w.]*))(?:/|$)", "web routers", Field),
        style(r"(?:^|[/:])(%([sdv]))(?:/|$)", "printf", Field),
    ]
    .into_iter()
    .flatten()
    .collect()
});

/// The longest text that is searched, in bytes.
const LONGEST: usize = 4_096;

/// The placeholders of other tools in a template, in the order of their styles.
pub(super) fn foreign(text: &str, roots: Roots) -> Vec<ForeignPlaceholder> {
    // A topic has 256 bytes; most templates have none of these, so that no pattern is compiled. The
    // colon of a channel is within a segment.
    let is_router = text.starts_with(':') || text.contains("/:");
    let is_plain = !text.contains(['$', '#', '<', '%']) && !text.contains("{{") && !is_router;
    if text.len() > LONGEST || is_plain {
        return Vec::new();
    }
    let mut rest = text.to_owned();
    let mut found = Vec::new();
    for style in STYLES.iter() {
        // Text that one style has taken is blank for the next.
        while let Some(captures) = style.pattern.captures(&rest) {
            let (Some(whole), Some(name)) = (captures.get(1), captures.get(2)) else {
                break;
            };
            let is_field = field(name.as_str(), roots).is_some_and(|field| field.is_certain);
            let is_foreign = style.evidence == Evidence::Spelling || is_field || !has_own(text);
            let range = whole.range();
            if is_foreign {
                found.push(ForeignPlaceholder {
                    written: whole.as_str().to_owned(),
                    tools: style.tools,
                    help: help(name.as_str(), roots),
                    is_field,
                });
            }
            let blank = " ".repeat(range.len());
            rest.replace_range(range, &blank);
        }
    }
    found
}

/// Returns `true` where a template has a placeholder of eventcast's own.
fn has_own(text: &str) -> bool {
    ChannelTemplate::parse(text).is_ok_and(|template| template.paths().next().is_some())
}

/// A name inside of a placeholder, as a field.
struct Field {
    path: String,
    /// Indicates that the path begins with a known member.
    is_certain: bool,
}

fn field(name: &str, roots: Roots) -> Option<Field> {
    let path = name.trim_start_matches(['$', '.', '=']).trim();
    let begins_right = path.starts_with(|c: char| c.is_alphabetic() || c == '_');
    if !begins_right || path.contains(|c: char| c.is_whitespace()) {
        return None;
    }
    let segments: Vec<&str> = path.split('.').collect();
    let first = segments.first()?.split('[').next()?;
    let is_certain = match roots {
        Roots::Event => {
            path.starts_with("aws.events.")
                || (member_type(first).is_some()
                    && (segments.len() == 1) != (member_type(first) == Some(MemberType::Any)))
        }
        Roots::Body => false,
        Roots::Claims => first == "claims",
    };
    Some(Field {
        path: path.to_owned(),
        is_certain,
    })
}

/// Roots of values that are known when a service is deployed.
const DEPLOYMENT: [&str; 12] = [
    "env",
    "self",
    "opt",
    "var",
    "local",
    "param",
    "ssm",
    "cf",
    "aws",
    "process",
    "stage",
    "environment",
];

fn help(name: &str, roots: Roots) -> String {
    let example = match roots {
        Roots::Event | Roots::Body => "detail.orderId",
        Roots::Claims => "claims.sub",
    };
    let Some(Field { path, is_certain }) = field(name, roots) else {
        return format!("here it is written {{{example}}}");
    };
    if is_certain {
        return format!("here it is {{{path}}}");
    }
    let root = path.split(['.', ':', '[']).next().unwrap_or_default();
    let root = root.to_ascii_lowercase();
    if DEPLOYMENT.contains(&&*root) {
        return format!(
            "fill it in before eventcast reads the file, or set the value with an EVENTCAST_… variable; a field is {{{example}}}"
        );
    }
    let meant = match roots {
        Roots::Body => path,
        Roots::Claims if nearest(&root, std::iter::once("claims")).is_some() => {
            let rest = path.split_once('.').map_or("sub", |(_, rest)| rest);
            format!("claims.{rest}")
        }
        Roots::Claims => format!("claims.{path}"),
        Roots::Event => {
            let segments: Vec<&str> = path.split('.').collect();
            missing(&segments)
                .and_then(|missing| missing.meant)
                .unwrap_or_else(|| match path.as_str() {
                    "detail" => "detail.orderId".into(),
                    _ if member_type(&root).is_some() => path.clone(),
                    _ => format!("detail.{path}"),
                })
        }
    };
    format!("here it is {{{meant}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, roots: Roots, expected: &[(&str, &str)]) {
        let found = foreign(text, roots);
        let found: Vec<(&str, &str)> = found
            .iter()
            .map(|found| (&*found.written, &*found.help))
            .collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_style_compiles() {
        assert_eq!(STYLES.len(), 13);
    }

    #[test]
    fn placeholders_of_other_tools() {
        let here = "here it is {detail.orderId}";
        for (text, written) in [
            ("orders/${detail.orderId}", "${detail.orderId}"),
            ("orders/$${detail.orderId}", "$${detail.orderId}"),
            ("orders/${orderId}", "${orderId}"),
            ("orders/{{detail.orderId}}", "{{detail.orderId}}"),
            ("orders/{{ detail.orderId }}", "{{ detail.orderId }}"),
            ("orders/{{{detail.orderId}}}", "{{{detail.orderId}}}"),
            ("orders/{{.detail.orderId}}", "{{.detail.orderId}}"),
            ("orders/{{orderId}}", "{{orderId}}"),
            ("orders/<detail.orderId>", "<detail.orderId>"),
            ("orders/<$.detail.orderId>", "<$.detail.orderId>"),
            ("orders/<orderId>", "<orderId>"),
            ("orders/<%= detail.orderId %>", "<%= detail.orderId %>"),
            ("orders/$.detail.orderId", "$.detail.orderId"),
            ("orders/$(orderId)", "$(orderId)"),
            ("orders/$orderId", "$orderId"),
            ("orders/%orderId%", "%orderId%"),
            ("orders/%(orderId)s", "%(orderId)s"),
            ("orders/:orderId", ":orderId"),
            ("orders/#{detail.orderId}", "#{detail.orderId}"),
            ("order:$.detail.orderId", "$.detail.orderId"),
            ("{detail.x}/<detail.orderId>", "<detail.orderId>"),
        ] {
            check(text, Roots::Event, &[(written, here)]);
        }
        check(
            "a/${detail.x}/{{detail.y}}",
            Roots::Event,
            &[
                ("${detail.x}", "here it is {detail.x}"),
                ("{{detail.y}}", "here it is {detail.y}"),
            ],
        );
        check(
            "a/${detial.x}",
            Roots::Event,
            &[("${detial.x}", "here it is {detail.x}")],
        );
        check(
            "a/<aws.events.rule-name>",
            Roots::Event,
            &[(
                "<aws.events.rule-name>",
                "here it is {aws.events.rule-name}",
            )],
        );
        check(
            "user:{{claims.sub}}",
            Roots::Claims,
            &[("{{claims.sub}}", "here it is {claims.sub}")],
        );
        check(
            "a/{{ name }}",
            Roots::Body,
            &[("{{ name }}", "here it is {name}")],
        );
        let found = foreign("a/${env:STAGE}/{detail.x}", Roots::Event);
        assert!(found[0].help.starts_with("fill it in before"), "{found:?}");
    }

    #[test]
    fn text_that_is_meant() {
        for text in [
            "orders/{detail.orderId}",
            "order:{$.detail.orderId}",
            "menu/{{today}}/{detail.item}",
            "menu/{{}}/x",
            "price/<none>/{detail.item}",
            "price/5%/{detail.item}",
            "a%20b%2Fc",
            "user/@{detail.name}",
            "cost-in-$",
            "time/12:30",
            "x/{detail.a|default:none}",
            "x/{detail.a|default:$5}",
            "x/{detail.\"order:id\"}",
        ] {
            check(text, Roots::Event, &[]);
        }
    }
}
