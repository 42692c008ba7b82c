//! From the tree of a document to its statements, or to everything that is wrong with it.

mod conditions;

use super::arn::{ArnError, ArnPattern};
use super::document::{
    ActionPattern, DOCUMENT_CHARACTERS, Document, DocumentFault, Effect, ElementList,
    LanguageVersion, ResourcePattern, Statement,
};
use super::glob::{Glob, GlobSyntax};
use super::lint::leftover::leftover;
use crate::channel::limits::{POLICY_CHARACTERS, ROLE_POLICY_CHARACTERS};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// Help on the syntax of variables.
pub(super) const VARIABLES: &str =
    "write `${iot:ClientId}` for a variable, and `${$}` for the character `$`";

const DOCUMENT: [&str; 3] = ["Version", "Id", "Statement"];
const STATEMENT: [&str; 7] = [
    "Sid",
    "Effect",
    "Action",
    "NotAction",
    "Resource",
    "NotResource",
    "Condition",
];

/// Reads a document, or reports all its faults in the order of the text.
pub(super) fn read(node: &TreeValue) -> Result<Document, Vec<DocumentFault>> {
    let characters = characters(node);
    if characters > DOCUMENT_CHARACTERS {
        return Err(vec![too_large(characters, node.at)]);
    }
    let mut reader = DocumentReader {
        variables: false,
        faults: Vec::new(),
    };
    let document = reader.document(node);
    if reader.faults.is_empty() {
        return Ok(document);
    }
    reader
        .faults
        .sort_by_key(|fault| (fault.at.line, fault.at.column));
    Err(reader.faults)
}

/// The fault of a document that is far larger than AWS takes.
pub(super) fn too_large(characters: usize, at: TextPosition) -> DocumentFault {
    DocumentFault {
        code: "too-large",
        message: format!("the document has at least {characters} characters"),
        at,
        key: String::new(),
        accepted: format!(
            "{DOCUMENT_CHARACTERS} characters; IoT Core takes {POLICY_CHARACTERS}, IAM {ROLE_POLICY_CHARACTERS}"
        ),
        help: "divide it into documents of the size that AWS takes".into(),
    }
}

/// The characters of all texts in a tree.
fn characters(node: &TreeValue) -> usize {
    match &node.value {
        NodeValue::String(text) => text.len(),
        NodeValue::Array(elements) => elements.iter().map(characters).sum(),
        NodeValue::Object(members) => members
            .iter()
            .map(|member| member.key.len() + characters(&member.value))
            .sum(),
        NodeValue::Number(_) | NodeValue::Bool(_) | NodeValue::Null => 1,
    }
}

struct DocumentReader {
    /// Indicates that `${…}` is a variable in this document.
    variables: bool,
    faults: Vec<DocumentFault>,
}

impl DocumentReader {
    fn fault(
        &mut self,
        code: &'static str,
        key: &str,
        at: TextPosition,
        message: String,
        accepted: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.faults.push(DocumentFault {
            code,
            message,
            at,
            key: key.to_owned(),
            accepted: accepted.into(),
            help: help.into(),
        });
    }

    fn wrong_type(&mut self, key: &str, node: &TreeValue, accepted: &str, help: &str) {
        let message = if key.is_empty() {
            format!("the document is {}", described(node))
        } else {
            format!("`{key}` is {}", described(node))
        };
        self.fault("wrong-type", key, node.at, message, accepted, help);
    }

    fn document(&mut self, node: &TreeValue) -> Document {
        let mut document = Document {
            version: LanguageVersion::default(),
            statements: Vec::new(),
        };
        let NodeValue::Object(members) = &node.value else {
            self.wrong_type(
                "",
                node,
                "an object with Version and Statement",
                "write {\"Version\": \"2012-10-17\", \"Statement\": [ … ]}",
            );
            return document;
        };
        self.members(members, "", &DOCUMENT);
        if let Some(member) = find(members, "Version") {
            document.version = self.version(&member.value);
        }
        self.variables = document.version == LanguageVersion::Of2012;
        match find(members, "Statement").map(|member| &member.value) {
            None => self.fault(
                "missing-key",
                "Statement",
                node.at,
                "the document has no `Statement`".into(),
                "a statement, or a list of them",
                "add what the policy grants: Effect, Action, Resource",
            ),
            Some(TreeValue {
                value: NodeValue::Array(elements),
                ..
            }) => {
                for (index, element) in elements.iter().enumerate() {
                    let statement = self.statement(element, &format!("Statement[{index}]"));
                    document.statements.extend(statement);
                }
            }
            Some(single) => {
                let statement = self.statement(single, "Statement");
                document.statements.extend(statement);
            }
        }
        document
    }

    fn version(&mut self, node: &TreeValue) -> LanguageVersion {
        let text = text(node);
        let known = LanguageVersion::NAMES
            .into_iter()
            .find(|(name, _)| Some(*name) == text);
        match known {
            Some((_, version)) => version,
            None => {
                let message = format!("`Version` is {}", described(node));
                self.fault(
                    "unknown-word",
                    "Version",
                    node.at,
                    message,
                    "`2012-10-17` or `2008-10-17`",
                    "write `2012-10-17`: variables need it",
                );
                // So that variables are checked all the same.
                LanguageVersion::Of2012
            }
        }
    }

    /// Unknown and repeated names.
    fn members(&mut self, members: &[ObjectMember], path: &str, known: &[&str]) {
        for (index, member) in members.iter().enumerate() {
            let key = join(path, &member.key);
            let before = members.iter().take(index);
            if let Some(first) = before.clone().find(|first| first.key == member.key) {
                let message = format!("the key `{}` stands twice", member.key);
                let help = format!("the first is in line {}; keep one", first.key_at.line);
                self.fault(
                    "repeated-key",
                    &key,
                    member.key_at,
                    message,
                    "each key once",
                    help,
                );
            }
            if !known.is_empty() && !known.contains(&&*member.key) {
                let message = format!("there is no element `{}` here", member.key);
                let help = match &*member.key {
                    "Principal" | "NotPrincipal" => {
                        "leave it out: whom a policy concerns is said by attaching it".into()
                    }
                    other => nearest(other, known.iter().copied()).unwrap_or("leave it out".into()),
                };
                self.fault(
                    "unknown-key",
                    &key,
                    member.key_at,
                    message,
                    known.join(", "),
                    help,
                );
            }
        }
    }

    fn statement(&mut self, node: &TreeValue, path: &str) -> Option<Statement> {
        let NodeValue::Object(members) = &node.value else {
            self.wrong_type(
                path,
                node,
                "an object with Effect, Action and Resource",
                "write {\"Effect\": \"Allow\", \"Action\": …, \"Resource\": …}",
            );
            return None;
        };
        self.members(members, path, &STATEMENT);
        let sid = find(members, "Sid").and_then(|member| {
            let sid = text(&member.value);
            if sid.is_none() {
                self.wrong_type(
                    &join(path, "Sid"),
                    &member.value,
                    "text",
                    "give it a name in quotes, or leave it out",
                );
            }
            sid.map(Box::from)
        });
        let effect = self.effect(node, members, path);
        let actions = self.list(node, members, path, "Action", Self::action);
        let resources = self.list(node, members, path, "Resource", Self::resource);
        let conditions = match find(members, "Condition") {
            Some(member) => self.conditions(&member.value, &join(path, "Condition")),
            None => Vec::new(),
        };
        Some(Statement {
            sid,
            effect: effect?,
            actions: actions?,
            resources: resources?,
            conditions,
            at: node.at,
        })
    }

    fn effect(
        &mut self,
        statement: &TreeValue,
        members: &[ObjectMember],
        path: &str,
    ) -> Option<Effect> {
        let key = join(path, "Effect");
        let accepted = "`Allow` or `Deny`";
        let Some(member) = find(members, "Effect") else {
            let message = format!("`{path}` has no `Effect`");
            let help = "say what it does: \"Effect\": \"Allow\"";
            self.fault("missing-key", &key, statement.at, message, accepted, help);
            return None;
        };
        match text(&member.value) {
            Some("Allow") => Some(Effect::Allow),
            Some("Deny") => Some(Effect::Deny),
            word => {
                let message = format!("`{key}` is {}", described(&member.value));
                let help = word
                    .and_then(|word| nearest(word, ["Allow", "Deny"].into_iter()))
                    .unwrap_or("what no statement allows is denied anyway".into());
                let at = member.value.at;
                self.fault("unknown-word", &key, at, message, accepted, help);
                None
            }
        }
    }

    /// `name` or `Not` + `name`: text or a list of it, one of the two.
    fn list<T>(
        &mut self,
        statement: &TreeValue,
        members: &[ObjectMember],
        path: &str,
        name: &str,
        read: fn(&mut Self, &str, &TreeValue, &str) -> Option<T>,
    ) -> Option<ElementList<T>> {
        let negated = format!("Not{name}");
        let (member, is_negated) = match (find(members, name), find(members, &negated)) {
            (Some(member), None) => (member, false),
            (None, Some(member)) => (member, true),
            (Some(_), Some(member)) => {
                let message = format!("`{path}` has both `{name}` and `{negated}`");
                let accepted = "one of the two";
                let help = "write two statements";
                let key = join(path, &negated);
                self.fault("does-not-fit", &key, member.key_at, message, accepted, help);
                return None;
            }
            (None, None) => {
                let message = format!("`{path}` has no `{name}`");
                let accepted = format!("`{name}` or `{negated}`: text or a list of it");
                let example = match name {
                    "Action" => "iot:Connect",
                    _ => "arn:aws:iot:us-east-1:123456789012:client/a",
                };
                let help = format!("say what it is about, such as \"{name}\": \"{example}\"");
                let key = join(path, name);
                self.fault("missing-key", &key, statement.at, message, accepted, help);
                return None;
            }
        };
        let key = join(path, &member.key);
        let elements = match &member.value.value {
            NodeValue::Array(elements) => elements.as_slice(),
            _ => std::slice::from_ref(&member.value),
        };
        let is_list = matches!(member.value.value, NodeValue::Array(_));
        if elements.is_empty() {
            let message = format!("`{key}` is empty");
            let help = "add an entry, or take the statement out";
            let at = member.value.at;
            self.fault("empty-list", &key, at, message, "at least one entry", help);
            return None;
        }
        let mut listed = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            let key = if is_list {
                format!("{key}[{index}]")
            } else {
                key.clone()
            };
            match text(element) {
                Some(text) => listed.extend(read(self, text, element, &key)),
                None => self.wrong_type(&key, element, "text", "put it in quotes"),
            }
        }
        Some(if is_negated {
            ElementList::AllBut(listed)
        } else {
            ElementList::Only(listed)
        })
    }

    fn action(&mut self, text: &str, node: &TreeValue, key: &str) -> Option<ActionPattern> {
        let syntax = GlobSyntax {
            wildcards: true,
            variables: false,
        };
        let pattern = Glob::parse(&text.to_ascii_lowercase(), syntax).ok()?;
        let has_name = text
            .split_once(':')
            .is_some_and(|(service, name)| !service.is_empty() && !name.is_empty());
        if !has_name && !pattern.ends_in_run() {
            let message = format!("action `{text}` does not name a service");
            let accepted = "`*`, or `service:Name` such as `iot:Publish`";
            let help = match text.trim_matches(':') {
                "" => "name an action of AWS IoT".into(),
                "iot" => "did you mean `iot:*`?".into(),
                name => format!("did you mean `iot:{name}`?"),
            };
            self.fault("bad-action", key, node.at, message, accepted, help);
            return None;
        }
        Some(ActionPattern {
            text: text.into(),
            at: node.at,
            pattern,
        })
    }

    fn resource(&mut self, text: &str, node: &TreeValue, key: &str) -> Option<ResourcePattern> {
        let error = match ArnPattern::parse(text, self.variables) {
            Ok(pattern) => {
                return Some(ResourcePattern {
                    text: text.into(),
                    at: node.at,
                    pattern,
                });
            }
            Err(error) => error,
        };
        let help = match error {
            _ if leftover(text).is_some() => {
                let (placeholder, why) = leftover(text).unwrap_or_default();
                format!("`{placeholder}` was left behind: {why}")
            }
            ArnError::NotArn if text.trim().is_empty() => "name a resource, or `*` for all".into(),
            ArnError::NotArn if text != text.trim() => "leave out the blanks around it".into(),
            ArnError::NotArn => format!("put `arn:aws:iot:REGION:ACCOUNT:` before `{text}`"),
            ArnError::Short(_) => "say region and account, or `*` for each".into(),
            ArnError::EarlyVariable => "write the part out, or `*`".into(),
            ArnError::Glob(_) => VARIABLES.into(),
        };
        let message = format!("resource `{text}`: {error}");
        let accepted = "`*`, or an ARN of six parts such as \
                        `arn:aws:iot:us-east-1:123456789012:topic/a`, with variables after the fifth colon";
        self.fault("bad-resource", key, node.at, message, accepted, help);
        None
    }
}

/// The first member of a name; repeated ones are reported.
fn find<'m>(members: &'m [ObjectMember], name: &str) -> Option<&'m ObjectMember> {
    members.iter().find(|member| *member.key == *name)
}

/// A node's text. JSON can escape lone surrogates, which are no text.
fn text(node: &TreeValue) -> Option<&str> {
    match &node.value {
        NodeValue::String(text) => std::str::from_utf8(text).ok(),
        _ => None,
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// The nearest of some words, if one is near enough to be meant.
fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<String> {
    let word = word.to_lowercase();
    known
        .map(|known| (strsim::jaro_winkler(&word, &known.to_lowercase()), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, known)| format!("did you mean `{known}`?"))
}

/// A value in few words.
fn described(node: &TreeValue) -> String {
    match &node.value {
        NodeValue::Object(_) => "an object".into(),
        NodeValue::Array(_) => "a list".into(),
        NodeValue::Null => "null".into(),
        NodeValue::String(text) if text.is_empty() => "empty text".into(),
        NodeValue::String(text) => match std::str::from_utf8(text) {
            Ok(text) => format!("`{text}`"),
            Err(_) => "text that is not Unicode".into(),
        },
        NodeValue::Number(number) => format!("the number {number}"),
        NodeValue::Bool(value) => value.to_string(),
    }
}
