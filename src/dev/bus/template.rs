//! Input transformers: a template with `<name>` in it, and its output for an event (EventBridge
//! user guide, "Input transformation").
//!
//! A template is JSON with placeholders, or text: strings in quotes, one a line. A placeholder
//! outside of quotes is replaced by a JSON value. A placeholder inside of quotes is replaced by
//! text, which is not escaped. An output that has to be JSON and is not is sent nowhere. A path
//! that leads nowhere gives an empty string. Objects and arrays inside of quotes lose their own
//! quotes in a text (`{a:b}`, `[x,y]`). In JSON they keep them, and the output is then no longer
//! JSON. All of this was recorded from the service but for one case, which AWS leaves open: `null`
//! outside of quotes stays `null`.

use std::collections::BTreeMap;

use super::event::BusEvent;
use super::path::JsonPath;
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue, quoted};

/// A checked template.
#[derive(Clone, Debug)]
pub(super) struct InputTemplate {
    pieces: Vec<TemplatePiece>,
    form: TemplateForm,
}

/// Form of a template as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TemplateForm {
    Json,
    /// Strings in quotes.
    Text,
}

#[derive(Clone, Debug)]
enum TemplatePiece {
    Literal(String),
    Placeholder {
        variable: TemplateVariable,
        /// `true` if the placeholder is inside of a string.
        inside: bool,
    },
}

#[derive(Clone, Debug)]
enum TemplateVariable {
    Path(JsonPath),
    RuleArn,
    RuleName,
    IngestionTime,
    /// The event without its detail.
    Event,
    EventJson,
}

/// Stand-in for placeholders inside of strings while a template is checked: a character of no
/// meaning.
const STAND_IN: char = '\u{e000}';

/// Reason why a template is not valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InputTemplateError {
    /// A placeholder that names neither a path nor a reserved variable.
    Placeholder(String),
    /// A name whose path is none.
    Path(String),
    /// Neither JSON nor strings.
    Form(TextPosition),
}

impl InputTemplate {
    /// Reads a template with the paths that its placeholders name.
    pub(super) fn parse(
        text: &str,
        paths: &BTreeMap<String, String>,
    ) -> Result<Self, InputTemplateError> {
        let mut variables = BTreeMap::new();
        for (name, path) in paths {
            let path =
                JsonPath::parse(path).ok_or_else(|| InputTemplateError::Path(name.clone()))?;
            variables.insert(name.as_str(), path);
        }
        let pieces = split(text, &variables)?;
        let form = form(&pieces).map_err(InputTemplateError::Form)?;
        Ok(Self { pieces, form })
    }

    /// Returns the template's output for an event; `None` if it has to be JSON and is not.
    pub(super) fn write(
        &self,
        event: &BusEvent,
        rule_arn: &str,
        rule_name: &str,
    ) -> Option<String> {
        let mut out = String::new();
        for piece in &self.pieces {
            let (variable, inside) = match piece {
                TemplatePiece::Literal(text) => {
                    out.push_str(text);
                    continue;
                }
                TemplatePiece::Placeholder { variable, inside } => (variable, *inside),
            };
            let text = |out: &mut String, text: &str| match inside {
                true => out.push_str(text),
                false => out.push_str(&quoted(text.as_bytes())),
            };
            match variable {
                TemplateVariable::RuleArn => text(&mut out, rule_arn),
                TemplateVariable::RuleName => text(&mut out, rule_name),
                TemplateVariable::IngestionTime => text(&mut out, &event.ingested),
                TemplateVariable::Event => out.push_str(&event.without_detail),
                TemplateVariable::EventJson => out.push_str(&event.text),
                TemplateVariable::Path(path) => match event.tree().and_then(|tree| path.find(tree))
                {
                    None => text(&mut out, ""),
                    Some(found) => match &found.value {
                        NodeValue::String(found) => text(&mut out, &String::from_utf8_lossy(found)),
                        _ if inside && self.form == TemplateForm::Text => {
                            write_plain(&mut out, &found)
                        }
                        _ => out.push_str(&found.to_json()),
                    },
                },
            }
        }
        match self.form {
            TemplateForm::Text => Some(out),
            TemplateForm::Json => TreeValue::parse(&out).ok().map(|node| node.to_json()),
        }
    }
}

/// A value as text has it: JSON without the quotes of its names and strings.
fn write_plain(out: &mut String, node: &TreeValue) {
    match &node.value {
        NodeValue::Object(members) => {
            out.push('{');
            for (index, member) in members.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                out.push_str(&member.key);
                out.push(':');
                write_plain(out, &member.value);
            }
            out.push('}');
        }
        NodeValue::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                write_plain(out, element);
            }
            out.push(']');
        }
        NodeValue::String(text) => out.push_str(&String::from_utf8_lossy(text)),
        _ => out.push_str(&node.to_json()),
    }
}

fn variable(name: &str, paths: &BTreeMap<&str, JsonPath>) -> Option<TemplateVariable> {
    match name {
        "aws.events.rule-arn" => Some(TemplateVariable::RuleArn),
        "aws.events.rule-name" => Some(TemplateVariable::RuleName),
        "aws.events.event.ingestion-time" => Some(TemplateVariable::IngestionTime),
        "aws.events.event" => Some(TemplateVariable::Event),
        "aws.events.event.json" => Some(TemplateVariable::EventJson),
        name => paths.get(name).cloned().map(TemplateVariable::Path),
    }
}

/// Splits a template at its placeholders, and marks the placeholders inside of strings.
fn split(
    text: &str,
    paths: &BTreeMap<&str, JsonPath>,
) -> Result<Vec<TemplatePiece>, InputTemplateError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut inside = false;
    let mut escaped = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some((name, after)) = placeholder(rest) {
            let variable = variable(name, paths)
                .ok_or_else(|| InputTemplateError::Placeholder(name.to_owned()))?;
            pieces.push(TemplatePiece::Literal(std::mem::take(&mut literal)));
            pieces.push(TemplatePiece::Placeholder { variable, inside });
            rest = after;
            escaped = false;
            continue;
        }
        if c == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && c == '\\' && !escaped;
        literal.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    pieces.push(TemplatePiece::Literal(literal));
    Ok(pieces)
}

/// A placeholder at the beginning of a text: its name, and the text after it.
fn placeholder(text: &str) -> Option<(&str, &str)> {
    let (name, after) = text.strip_prefix('<')?.split_once('>')?;
    let named = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (!name.is_empty() && name.chars().all(named)).then_some((name, after))
}

/// Determines the form of a template, JSON or strings, whatever its placeholders become.
fn form(pieces: &[TemplatePiece]) -> Result<TemplateForm, TextPosition> {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            TemplatePiece::Literal(literal) => text.push_str(literal),
            TemplatePiece::Placeholder { inside: true, .. } => text.push(STAND_IN),
            TemplatePiece::Placeholder { inside: false, .. } => text.push('0'),
        }
    }
    if text.trim_start().starts_with('"') {
        let strings = serde_json::Deserializer::from_str(&text).into_iter::<String>();
        for string in strings {
            string.map_err(|error| TextPosition {
                line: error.line(),
                column: error.column(),
            })?;
        }
        return Ok(TemplateForm::Text);
    }
    let node = TreeValue::parse(&text).map_err(|error| error.at)?;
    match stood_in_for_a_name(&node) {
        Some(at) => Err(at),
        None => Ok(TemplateForm::Json),
    }
}

/// Returns the position of a placeholder in a member's name, where none may be.
fn stood_in_for_a_name(node: &TreeValue) -> Option<TextPosition> {
    match &node.value {
        NodeValue::Object(members) => members.iter().find_map(|member| {
            let named = member.key.contains(STAND_IN).then_some(member.key_at);
            named.or_else(|| stood_in_for_a_name(&member.value))
        }),
        NodeValue::Array(elements) => elements.iter().find_map(stood_in_for_a_name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::wire::PutEventsEntry;
    use super::*;

    const ARN: &str = "arn:aws:events:us-east-1:000000000000:rule/shop/orders";

    fn paths() -> BTreeMap<String, String> {
        let paths = [
            ("instance", "$.detail.instance-id"),
            ("state", "$.detail.state"),
            ("all", "$.detail"),
            ("numbers", "$.detail.numbers[*]"),
            ("null", "$.detail.null"),
            ("quote", "$.detail.quote"),
            ("none", "$.detail.none"),
        ];
        paths
            .map(|(name, path)| (name.to_owned(), path.to_owned()))
            .into()
    }

    fn event() -> BusEvent {
        let entry = PutEventsEntry {
            source: Some("shop".into()),
            detail_type: Some("t".into()),
            detail: Some(
                r#"{"instance-id":"i-01","state":"RUNNING","numbers":[1,2.50],"null":null,"quote":"a \"b\""}"#
                    .into(),
            ),
            ..PutEventsEntry::default()
        };
        BusEvent::try_new(&entry, "us-east-1", "2026-11-25T15:17:06Z".parse().unwrap()).unwrap()
    }

    #[track_caller]
    fn check(template: &str, written: Option<&str>) {
        let template = InputTemplate::parse(template, &paths()).unwrap();
        let event = event();
        let out = template.write(&event, ARN, "orders");
        let out = out.map(|out| out.replace(&event.id, "ID"));
        assert_eq!(out.as_deref(), written);
    }

    /// The examples of the user guide.
    #[test]
    fn documented_templates() {
        check(
            r#""instance <instance> is in <state>""#,
            Some(r#""instance i-01 is in RUNNING""#),
        );
        check(
            r#""instance \"<instance>\" is in <state>""#,
            Some(r#""instance \"i-01\" is in RUNNING""#),
        );
        check(
            "{\n  \"instance\" : <instance>,\n  \"state\": <state>\n}",
            Some(r#"{"instance":"i-01","state":"RUNNING"}"#),
        );
        check(
            r#"{"instance" : <instance>, "state": "<state>", "instanceStatus": "instance \"<instance>\" is in <state>"}"#,
            Some(
                r#"{"instance":"i-01","state":"RUNNING","instanceStatus":"instance \"i-01\" is in RUNNING"}"#,
            ),
        );
        check(
            r#"{"state": [ 9, <state>, true ], "Transformed" : "Yes"}"#,
            Some(r#"{"state":[9,"RUNNING",true],"Transformed":"Yes"}"#),
        );
        check(
            r#"{"ruleArn" : <aws.events.rule-arn>, "ruleName" : <aws.events.rule-name>, "at": <aws.events.event.ingestion-time>}"#,
            Some(&format!(
                r#"{{"ruleArn":"{ARN}","ruleName":"orders","at":"2026-11-25T15:17:06Z"}}"#
            )),
        );
        check(
            r#""<aws.events.rule-name> triggered""#,
            Some(r#""orders triggered""#),
        );
    }

    #[test]
    fn whole_events() {
        let text = r#"{"event": <aws.events.event>, "json": <aws.events.event.json>}"#;
        let event = event();
        let out = InputTemplate::parse(text, &paths())
            .unwrap()
            .write(&event, ARN, "orders");
        let wanted = format!(
            r#"{{"event":{},"json":{}}}"#,
            event.without_detail, event.text
        );
        assert_eq!(out, Some(wanted));
    }

    #[test]
    fn values_of_every_kind() {
        check(
            r#"{"all": <all>}"#,
            Some(
                r#"{"all":{"instance-id":"i-01","state":"RUNNING","numbers":[1,2.50],"null":null,"quote":"a \"b\""}}"#,
            ),
        );
        check("<numbers>", Some("[1,2.50]"));
        check("[<null>, <none>]", Some(r#"[null,""]"#));
        check(r#""numbers <numbers>""#, Some(r#""numbers [1,2.50]""#));
        check(
            "\"first <numbers>\"\n\"then <all>\"",
            Some(
                "\"first [1,2.50]\"\n\"then {instance-id:i-01,state:RUNNING,numbers:[1,2.50],null:null,quote:a \"b\"}\"",
            ),
        );
        // In JSON they keep their quotes, which ends the string around them.
        check(r#"{"all": "<all>"}"#, None);
        check(
            r#"{"numbers": "of <numbers>"}"#,
            Some(r#"{"numbers":"of [1,2.50]"}"#),
        );
        check(r#"{"none": "<none>"}"#, Some(r#"{"none":""}"#));
        check("\"one\"\n\"<state>\"", Some("\"one\"\n\"RUNNING\""));
        // A value in value position is escaped, one inside of a string is not.
        check(r#"{"quote": <quote>}"#, Some(r#"{"quote":"a \"b\""}"#));
        check(r#"{"quote": "<quote>"}"#, None);
        check(r#""<quote>""#, Some(r#""a "b"""#));
        // No placeholders: comparisons and the like.
        check(
            r#"{"a": "1 < 2 > 1", "b": "<>"}"#,
            Some(r#"{"a":"1 < 2 > 1","b":"<>"}"#),
        );
    }

    proptest! {
        /// A value outside of quotes arrives unchanged, with any content.
        #[test]
        fn values_arrive_as_they_are(text in r#"[ -~é\n\t]{0,12}"#, number: i64, list in prop::collection::vec("[ -~]{0,4}", 0..3)) {
            let value = serde_json::json!({ "text": text, "number": number, "list": list });
            let entry = PutEventsEntry {
                source: Some("shop".into()),
                detail_type: Some("t".into()),
                detail: Some(serde_json::json!({ "instance-id": value, "state": text }).to_string()),
                ..PutEventsEntry::default()
            };
            let event = BusEvent::try_new(&entry, "r", jiff::Timestamp::UNIX_EPOCH).unwrap();
            let template = r#"{ "whole": <instance>, "text": [<state>], "fixed": "<> é" }"#;
            let out = InputTemplate::parse(template, &paths()).unwrap().write(&event, ARN, "orders").unwrap();
            let out: serde_json::Value = serde_json::from_str(&out).unwrap();
            let wanted = serde_json::json!({ "whole": value, "text": [text], "fixed": "<> é" });
            prop_assert_eq!(out, wanted);
        }

        /// No text makes the reading of templates panic, and what is read can be written.
        #[test]
        fn any_text_is_read_or_refused(text in r#"[<>{}\[\]":,a-z0-9 \\]{0,24}"#) {
            if let Ok(template) = InputTemplate::parse(&text, &paths()) {
                let _ = template.write(&event(), ARN, "orders");
            }
        }
    }

    #[test]
    fn what_is_no_template() {
        let fault = |text: &str| InputTemplate::parse(text, &paths()).unwrap_err();
        assert_eq!(
            fault(r#""<unknown>""#),
            InputTemplateError::Placeholder("unknown".into())
        );
        assert_eq!(
            fault("<aws.events.x>"),
            InputTemplateError::Placeholder("aws.events.x".into())
        );
        for text in [
            "instance <instance> is in <state>",
            "",
            "{",
            r#"{"a": <state>"#,
            r#"{<state>: 1}"#,
            r#"{"a": [{"<state>": 1}]}"#,
            r#""a" <state>"#,
            r#""a"#,
        ] {
            assert!(matches!(fault(text), InputTemplateError::Form(_)), "{text}");
        }
        let mut bad = paths();
        bad.insert("bad".into(), "detail".into());
        assert_eq!(
            InputTemplate::parse("<bad>", &bad).unwrap_err(),
            InputTemplateError::Path("bad".into())
        );
    }
}
