//! Reads the argument of `anything-but`: values, or an operator with its own values.

use super::PatternError;
use super::compile::fault;
use super::expression::too_many_elements;
use super::operator::{FieldTest, NumberRange, ValueTest};
use super::text::FoldedText;
use super::tree::{NodeValue, ObjectMember, TreeValue};

impl FieldTest {
    pub(super) fn anything_but(
        &mut self,
        node: &TreeValue,
        path: &str,
    ) -> Result<Vec<ValueTest>, PatternError> {
        match &node.value {
            NodeValue::String(text) => Ok(vec![ValueTest::Exact(text.clone())]),
            NodeValue::Number(_) => Ok(vec![self.compared(node, path)?]),
            NodeValue::Array(values) => self.anything_but_list(node, values, path),
            NodeValue::Object(members) => self.anything_but_operator(node, members, path),
            _ => Err(anything_but_type(node, path)),
        }
    }

    fn anything_but_list(
        &mut self,
        node: &TreeValue,
        values: &[TreeValue],
        path: &str,
    ) -> Result<Vec<ValueTest>, PatternError> {
        let mut tests = Vec::with_capacity(values.len());
        for value in values {
            tests.push(match &value.value {
                NodeValue::String(text) => ValueTest::Exact(text.clone()),
                NodeValue::Number(_) => self.compared(value, path)?,
                _ => {
                    let reason = "Inside anything but list, start|null|boolean is not supported.";
                    return Err(fault(value, path, reason));
                }
            });
        }
        let strings = tests
            .iter()
            .filter(|test| matches!(test, ValueTest::Exact(_)))
            .count();
        if tests.is_empty() || (strings != 0 && strings != tests.len()) {
            let reason = "Inside anything but list, either all values are number or string, \
                          mixed type is not supported";
            return Err(fault(node, path, reason));
        }
        Ok(tests)
    }

    fn anything_but_operator(
        &mut self,
        node: &TreeValue,
        members: &[ObjectMember],
        path: &str,
    ) -> Result<Vec<ValueTest>, PatternError> {
        let Some((member, more)) = members.split_first() else {
            return Err(fault(node, path, "Anything-But expression name not found"));
        };
        let argument = &member.value;
        let operator = &*member.key;
        if !matches!(
            operator,
            "prefix" | "suffix" | "equals-ignore-case" | "wildcard"
        ) {
            return Err(PatternError {
                help: Some("anything-but takes values, or one of prefix, suffix, equals-ignore-case, wildcard".into()),
                ..fault(argument, path, format!("Unsupported anything-but pattern: {operator}"))
            });
        }
        let texts: Vec<&TreeValue> = match &argument.value {
            NodeValue::Array(values) => values.iter().collect(),
            NodeValue::Object(_) | NodeValue::Bool(_) | NodeValue::Null
                if operator == "equals-ignore-case" =>
            {
                return Err(anything_but_type(argument, path));
            }
            _ => vec![argument],
        };
        if texts.is_empty() {
            return Err(fault(argument, path, "Empty arrays are not allowed"));
        }
        let tests = texts
            .into_iter()
            .map(|node| self.anything_but_text(operator, node, path))
            .collect::<Result<_, _>>()?;
        too_many_elements(more, path)?;
        Ok(tests)
    }

    fn anything_but_text(
        &mut self,
        operator: &str,
        node: &TreeValue,
        path: &str,
    ) -> Result<ValueTest, PatternError> {
        let NodeValue::String(text) = &node.value else {
            return Err(fault(
                node,
                path,
                match operator {
                    "prefix" | "suffix" if matches!(node.value, NodeValue::Object(_)) => {
                        "Value of anything-but must be an array or single string/number value."
                    }
                    "wildcard" => "wildcard match pattern must be a string",
                    "equals-ignore-case" => {
                        "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
                    }
                    _ => "prefix/suffix match pattern must be a string",
                },
            ));
        };
        Ok(match operator {
            "wildcard" => ValueTest::Wildcard(self.wildcard(node, text, path)?),
            "equals-ignore-case" => ValueTest::EqualsFold(FoldedText::new(text)),
            _ if text.is_empty() => {
                return Err(fault(node, path, "Null prefix/suffix not allowed"));
            }
            "prefix" => ValueTest::Prefix(text.clone()),
            _ => ValueTest::Suffix(text.clone()),
        })
    }

    /// A number of `anything-but`, which must be comparable.
    fn compared(&mut self, node: &TreeValue, path: &str) -> Result<ValueTest, PatternError> {
        let value = self.number(node, path, "anything-but")?;
        Ok(ValueTest::Numeric(NumberRange {
            low: Some((value, true)),
            high: Some((value, true)),
        }))
    }
}

fn anything_but_type(node: &TreeValue, path: &str) -> PatternError {
    let reason = "Value of anything-but must be an array or single string/number value.";
    fault(node, path, reason)
}
