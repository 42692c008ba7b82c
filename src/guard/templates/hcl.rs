//! Terraform sources: HCL, evaluated as far as a file alone allows.
//!
//! Texts are taken as the parser decodes them, since escapes differ between quoted texts and
//! heredocs. Variables have their defaults and locals their values where the file declares them;
//! everything else is known only to a plan.

use std::collections::HashMap;
use std::ops::Range;

use hcl_edit::Span as _;
use hcl_edit::expr::{Expression, ObjectKey, TraversalOperator};
use hcl_edit::structure::{Block, Body};
use hcl_edit::template::{Element, Template};

use super::{InfraFile, InfraResource, ReadOutcome, unknown};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};

/// The most nested expressions that are followed.
const MAX_DEPTH: usize = 32;

struct HclReader<'t> {
    text: &'t str,
    /// Byte at which each line begins.
    lines: Vec<usize>,
    /// `var.name` and `local.name`.
    values: HashMap<String, TreeValue>,
}

/// Reads a file.
pub(super) fn read(text: &str) -> ReadOutcome {
    let body = hcl_edit::parser::parse_body(text).map_err(|error| {
        let at = error.location();
        format!("line {}: {}", at.line(), error.message())
    })?;
    let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
    let mut reader = HclReader {
        text,
        lines: std::iter::once(0).chain(breaks).collect(),
        values: HashMap::new(),
    };
    reader.declare(&body);
    let mut out = InfraFile::default();
    for block in body.blocks() {
        let labels: Vec<&str> = block.labels.iter().map(|label| label.as_str()).collect();
        let (id, kind) = match (block.ident.as_str(), &*labels) {
            ("resource", [kind, name]) => (format!("{kind}.{name}"), (*kind).to_owned()),
            ("module", [name]) => ((*name).to_owned(), "module".to_owned()),
            _ => continue,
        };
        out.resources.push(InfraResource {
            id,
            kind,
            at: reader.position(block.span()),
            properties: reader.block(block, 0),
        });
    }
    Ok(out)
}

impl HclReader<'_> {
    fn declare(&mut self, body: &Body) {
        for block in body.blocks() {
            match block.ident.as_str() {
                "variable" => {
                    let name = block.labels.first().map(|label| label.as_str().to_owned());
                    let default = block.body.get_attribute("default");
                    if let (Some(name), Some(default)) = (name, default) {
                        let value = self.expression(&default.value, 0);
                        self.values.insert(format!("var.{name}"), value);
                    }
                }
                "locals" => {
                    for attribute in block.body.attributes() {
                        let value = self.expression(&attribute.value, 0);
                        let name = attribute.key.as_str();
                        self.values.insert(format!("local.{name}"), value);
                    }
                }
                _ => {}
            }
        }
    }

    fn position(&self, span: Option<Range<usize>>) -> TextPosition {
        let byte = span.map_or(0, |span| span.start);
        let line = self.lines.partition_point(|start| *start <= byte);
        let start = line.checked_sub(1).and_then(|at| self.lines.get(at));
        let before = self
            .text
            .get(*start.unwrap_or(&0)..byte)
            .unwrap_or_default();
        TextPosition {
            line: line.max(1),
            column: before.chars().count() + 1,
        }
    }

    fn block(&self, block: &Block, depth: usize) -> TreeValue {
        let at = self.position(block.span());
        if depth > MAX_DEPTH {
            return unknown(at);
        }
        let mut members = Vec::new();
        for attribute in block.body.attributes() {
            members.push(ObjectMember {
                key: attribute.key.as_str().into(),
                key_at: self.position(attribute.span()),
                value: self.expression(&attribute.value, depth + 1),
            });
        }
        for inner in block.body.blocks() {
            // `dynamic "x" { content { } }` makes blocks `x`.
            let label = inner.labels.first().map(|label| label.as_str());
            let key = match (inner.ident.as_str(), label) {
                ("dynamic", Some(label)) => label,
                (ident, _) => ident,
            };
            members.push(ObjectMember {
                key: key.into(),
                key_at: self.position(inner.span()),
                value: self.block(inner, depth + 1),
            });
        }
        TreeValue {
            value: NodeValue::Object(members),
            at,
        }
    }

    fn expression(&self, expression: &Expression, depth: usize) -> TreeValue {
        let at = self.position(expression.span());
        let text = |text: &str| TreeValue {
            value: NodeValue::String(text.as_bytes().into()),
            at,
        };
        if depth > MAX_DEPTH {
            return unknown(at);
        }
        match expression {
            Expression::Null(_) => TreeValue {
                value: NodeValue::Null,
                at,
            },
            Expression::Bool(value) => TreeValue {
                value: NodeValue::Bool(*value.value()),
                at,
            },
            Expression::Number(value) => TreeValue {
                value: NodeValue::Number(value.value().to_string().into()),
                at,
            },
            Expression::String(value) => text(value.as_str()),
            Expression::StringTemplate(template) => text(&self.elements(template.iter(), depth)),
            Expression::HeredocTemplate(heredoc) => text(&self.template(&heredoc.template, depth)),
            Expression::Array(array) => TreeValue {
                value: NodeValue::Array(
                    array
                        .iter()
                        .map(|one| self.expression(one, depth + 1))
                        .collect(),
                ),
                at,
            },
            Expression::Object(object) => {
                let members = object.iter().map(|(key, value)| ObjectMember {
                    key: match key {
                        ObjectKey::Ident(ident) => ident.as_str().into(),
                        ObjectKey::Expression(Expression::String(key)) => key.as_str().into(),
                        ObjectKey::Expression(_) => "".into(),
                    },
                    key_at: at,
                    value: self.expression(value.expr(), depth + 1),
                });
                TreeValue {
                    value: NodeValue::Object(members.collect()),
                    at,
                }
            }
            Expression::Parenthesis(inner) => self.expression(inner.inner(), depth + 1),
            Expression::Traversal(traversal) => {
                let root = match &traversal.expr {
                    Expression::Variable(name) => name.as_str(),
                    _ => return unknown(at),
                };
                let first = traversal.operators.first().map(|operator| operator.value());
                match first {
                    Some(TraversalOperator::GetAttr(name)) if traversal.operators.len() == 1 => {
                        let found = self.values.get(&format!("{root}.{}", name.as_str()));
                        found.map_or_else(
                            || unknown(at),
                            |found| TreeValue {
                                value: found.value.clone(),
                                at,
                            },
                        )
                    }
                    _ => unknown(at),
                }
            }
            // The arguments are of use to a search for a text anywhere in a value.
            Expression::FuncCall(call) => {
                let arguments = call.args.iter().map(|one| self.expression(one, depth + 1));
                let arguments = TreeValue {
                    value: NodeValue::Array(arguments.collect()),
                    at,
                };
                TreeValue::object_of("Fn::Call", arguments, at)
            }
            Expression::Conditional(choice) => {
                let choices = [&choice.true_expr, &choice.false_expr];
                let choices = choices.map(|one| self.expression(one, depth + 1));
                let choices = TreeValue {
                    value: NodeValue::Array(choices.into()),
                    at,
                };
                TreeValue::object_of("Fn::If", choices, at)
            }
            _ => unknown(at),
        }
    }

    fn template(&self, template: &Template, depth: usize) -> String {
        self.elements(template.iter(), depth)
    }

    /// Text of a template; an unknown part stays as `${...}`.
    fn elements<'e>(&self, elements: impl Iterator<Item = &'e Element>, depth: usize) -> String {
        let mut out = String::new();
        for element in elements {
            match element {
                Element::Literal(text) => out.push_str(text.as_str()),
                Element::Interpolation(inner) => {
                    let value = self.expression(&inner.expr, depth + 1);
                    match super::text(&value) {
                        Some(text) => out.push_str(text),
                        None => out.push_str("${...}"),
                    }
                }
                Element::Directive(_) => out.push_str("${...}"),
            }
        }
        out
    }
}
