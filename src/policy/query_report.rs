//! Answers about a client as JSON and in words, for the command line and for the inspector of `eventcast dev`.

use std::io::{self, Write};

use serde::Serialize;

use super::ask::{Ask, PolicyAnswer, PolicyCheck};
use super::document::Document;
use super::evaluate::{StatementRef, Verdict};
use super::explain::NearMiss;
use super::simulate::FilterPath;
use crate::escape::write_line;

/// Number of near misses and wide filters that are shown in words; JSON has all.
const SHOWN: usize = 3;

/// Policy documents, and their names for a person.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    /// The documents.
    pub documents: Vec<Document>,
    /// Names for a person: those of the files, with a number where a file has several documents.
    pub names: Vec<String>,
    /// Their texts, at their places in the files; empty for documents inside other files.
    pub texts: Vec<String>,
}

impl Policies {
    /// Adds a document.
    pub fn push(&mut self, name: String, text: String, document: Document) {
        self.names.push(name);
        self.texts.push(text);
        self.documents.push(document);
    }
}

/// An answer with its question.
#[derive(Serialize)]
pub struct QueryReport {
    ask: &'static str,
    /// The filter, topic or resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<String>,
    /// Indicates that the client may do what was asked.
    pub allowed: bool,
    /// The verdict in AWS's word.
    pub decision: Verdict,
    checks: Vec<CheckReport>,
    /// The filters by which the client receives a topic.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    filters: Vec<WayView>,
    /// Further remarks on the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notes: Vec<String>,
}

#[derive(Serialize)]
struct CheckReport {
    action: String,
    resource: String,
    decision: Verdict,
    statements: Vec<StatementPlace>,
    missing: Vec<Box<str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    near_misses: Vec<MissReport>,
}

#[derive(Serialize)]
struct MissReport {
    statement: StatementPlace,
    reasons: Vec<String>,
}

#[derive(Serialize)]
struct WayView {
    filter: String,
    statements: Vec<StatementPlace>,
    /// Another topic that the client would receive by this filter.
    #[serde(skip_serializing_if = "Option::is_none")]
    also: Option<String>,
}

/// Position of a statement, for a person.
#[derive(Clone, Serialize)]
pub struct StatementPlace {
    document: String,
    /// Its place among the document's statements, counted from 0.
    statement: usize,
    sid: Option<Box<str>>,
    line: usize,
    column: usize,
}

impl StatementPlace {
    /// The place of a statement.
    pub fn of(at: StatementRef, policies: &Policies) -> Self {
        let statement = policies
            .documents
            .get(at.document)
            .and_then(|document| document.statements.get(at.statement));
        Self {
            document: policies.names.get(at.document).cloned().unwrap_or_default(),
            statement: at.statement,
            sid: statement.and_then(|statement| statement.sid.clone()),
            line: statement.map_or(0, |statement| statement.at.line),
            column: statement.map_or(0, |statement| statement.at.column),
        }
    }

    fn words(&self) -> String {
        let Self {
            document,
            line,
            column,
            ..
        } = self;
        match &self.sid {
            Some(sid) => format!("{document}:{line}:{column} `{sid}`"),
            None => format!("{document}:{line}:{column}"),
        }
    }
}

fn places(statements: &[StatementRef], policies: &Policies) -> Vec<StatementPlace> {
    let place = |&at| StatementPlace::of(at, policies);
    statements.iter().map(place).collect()
}

impl QueryReport {
    /// Puts an answer into words.
    pub fn new(ask: &Ask, answer: PolicyAnswer, policies: &Policies) -> Self {
        let (word, of) = match ask {
            Ask::Connect => ("connect", None),
            Ask::Subscribe(filter) => ("subscribe", Some(filter.to_string())),
            Ask::Publish(topic) => ("publish", Some(topic.to_string())),
            Ask::Retain(topic) => ("retain", Some(topic.to_string())),
            Ask::Will {
                topic,
                retain: false,
            } => ("will", Some(topic.to_string())),
            Ask::Will { topic, .. } => ("retained-will", Some(topic.to_string())),
            Ask::Receive(topic) => ("delivery", Some(topic.to_string())),
            Ask::Hear(topic) => ("receive", Some(topic.to_string())),
            Ask::Action { resource, .. } => ("action", Some(resource.clone())),
        };
        let check = |check: PolicyCheck| CheckReport {
            statements: places(&check.decision.statements, policies),
            decision: check.decision.verdict,
            missing: check.decision.missing,
            near_misses: check
                .near_misses
                .into_iter()
                .map(|miss| told_miss(miss, policies))
                .collect(),
            action: check.action,
            resource: check.resource,
        };
        let way = |way: FilterPath| WayView {
            filter: way.filter.to_string(),
            statements: places(&way.decision.statements, policies),
            also: way.also,
        };
        Self {
            ask: word,
            of,
            allowed: answer.is_allowed(),
            decision: answer.verdict,
            checks: answer.checks.into_iter().map(check).collect(),
            filters: answer.ways.into_iter().map(way).collect(),
            notes: answer.notes,
        }
    }

    /// Returns `true` where the question was about connecting.
    pub fn is_about_connecting(&self) -> bool {
        matches!(self.ask, "connect" | "will" | "retained-will")
    }

    /// The question and its answer in one line, such as "may not subscribe to `a/#`".
    pub fn headline(&self) -> String {
        let may = if self.allowed { "may" } else { "may not" };
        format!("{may} {}", self.question())
    }

    /// The question alone, such as "subscribe to `a/#`".
    pub fn question(&self) -> String {
        let of = self.of.as_deref().unwrap_or_default();
        match self.ask {
            "connect" => "connect".to_owned(),
            "subscribe" => format!("subscribe to `{of}`"),
            "publish" => format!("publish to `{of}`"),
            "retain" => format!("publish a retained message to `{of}`"),
            "will" => format!("connect and leave a will on `{of}`"),
            "retained-will" => format!("connect and leave a retained will on `{of}`"),
            "delivery" => format!("be delivered messages on `{of}`"),
            "receive" => format!("receive messages on `{of}`"),
            _ => {
                let action = self.checks.first().map_or("", |check| &check.action);
                format!("call {action} on `{of}`")
            }
        }
    }

    /// The grounds, each line indented by `indent`.
    pub fn write_grounds(&self, indent: &str, out: &mut impl Write) -> io::Result<()> {
        for (index, check) in self.checks.iter().enumerate() {
            // That the topic's own filter is refused does not matter when another one is not.
            let by_another = self.ask == "receive" && index == 0 && !self.filters.is_empty();
            if by_another {
                self.write_ways(indent, out)?;
            } else {
                check.write(indent, out)?;
            }
        }
        for note in &self.notes {
            writeln!(out, "{indent}note: {note}")?;
        }
        Ok(())
    }

    fn write_ways(&self, indent: &str, out: &mut impl Write) -> io::Result<()> {
        let topic = self.of.as_deref().unwrap_or_default();
        let wide = self
            .filters
            .iter()
            .filter(|way| way.filter != topic)
            .count();
        let shown = self.filters.len().min(SHOWN + self.filters.len() - wide);
        for way in self.filters.iter().take(shown) {
            let by = list(&way.statements);
            let reach = match (&way.also, way.filter == topic) {
                (_, true) => String::new(),
                (Some(also), false) => format!(", and hears `{also}` by it as well"),
                (None, false) => {
                    ", which covers more; nothing else was found that it would hear".into()
                }
            };
            write_line(
                out,
                format_args!(
                    "{indent}it may subscribe to `{}` by {by}{reach}",
                    way.filter
                ),
            )?;
        }
        if shown < self.filters.len() {
            let rest = self.filters.len() - shown;
            writeln!(
                out,
                "{indent}and to {rest} more filters that match the topic"
            )?;
        }
        Ok(())
    }
}

fn told_miss(miss: NearMiss, policies: &Policies) -> MissReport {
    MissReport {
        statement: StatementPlace::of(miss.statement, policies),
        reasons: miss.reasons,
    }
}

fn list(places: &[StatementPlace]) -> String {
    let words: Vec<String> = places.iter().map(StatementPlace::words).collect();
    words.join(" and ")
}

impl CheckReport {
    fn write(&self, indent: &str, out: &mut impl Write) -> io::Result<()> {
        let Self {
            action, resource, ..
        } = self;
        let by = list(&self.statements);
        match self.decision {
            Verdict::Allowed => {
                write_line(
                    out,
                    format_args!("{indent}{action} on `{resource}` is allowed by {by}"),
                )?;
            }
            Verdict::ExplicitDeny => {
                write_line(
                    out,
                    format_args!("{indent}{action} on `{resource}` is denied by {by}"),
                )?;
            }
            Verdict::ImplicitDeny => {
                write_line(
                    out,
                    format_args!("{indent}no statement allows {action} on `{resource}`"),
                )?;
                self.write_near_misses(indent, out)?;
            }
        }
        if !self.missing.is_empty() {
            let missing = self.missing.join("`, `");
            write_line(
                out,
                format_args!("{indent}asked for, but not known of this client: `{missing}`"),
            )?;
        }
        Ok(())
    }

    fn write_near_misses(&self, indent: &str, out: &mut impl Write) -> io::Result<()> {
        for miss in self.near_misses.iter().take(SHOWN) {
            let place = miss.statement.words();
            for reason in &miss.reasons {
                write_line(out, format_args!("{indent}  not {place}: {reason}"))?;
            }
        }
        match self.near_misses.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            rest => writeln!(
                out,
                "{indent}  nor {rest} more statements about this action"
            ),
        }
    }
}
