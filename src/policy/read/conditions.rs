//! The Condition element of a statement, read.

use super::{DocumentReader, join, nearest, text};
use crate::event::pattern::tree::{NodeValue, ObjectMember, TextPosition, TreeValue};
use crate::policy::condition::{BadValue, PolicyCondition};
use crate::policy::operator::ConditionOperator;
use crate::policy::variable::ContextKey;

impl DocumentReader {
    pub(super) fn conditions(&mut self, node: &TreeValue, path: &str) -> Vec<PolicyCondition> {
        let NodeValue::Object(operators) = &node.value else {
            self.wrong_type(
                path,
                node,
                "an object of operators",
                "write {\"StringEquals\": {\"iot:ClientId\": \"…\"}}",
            );
            return Vec::new();
        };
        self.members(operators, path, &[]);
        let mut conditions = Vec::new();
        for member in operators {
            let path = join(path, &member.key);
            let operator = ConditionOperator::parse(&member.key);
            if operator.is_none() {
                self.unknown_operator(member, &path);
            }
            let NodeValue::Object(keys) = &member.value.value else {
                self.wrong_type(
                    &path,
                    &member.value,
                    "an object of context keys",
                    "say which key has to have the value, such as {\"iot:ClientId\": \"…\"}",
                );
                continue;
            };
            self.members(keys, &path, &[]);
            for asked in keys {
                let key = join(&path, &asked.key);
                let values = self.values(&asked.value, &key);
                if let Some(operator) = operator {
                    let compiled = self.condition(&member.key, operator, asked, values, &key);
                    conditions.extend(compiled);
                }
            }
        }
        conditions
    }

    fn unknown_operator(&mut self, member: &ObjectMember, path: &str) {
        let name = &*member.key;
        let base = name
            .trim_start_matches("ForAllValues:")
            .trim_start_matches("ForAnyValue:")
            .trim_end_matches("IfExists");
        let message = format!("there is no condition operator `{name}`");
        let accepted = format!(
            "{}; all but Null also with `IfExists` behind and `ForAllValues:` or `ForAnyValue:` before",
            ConditionOperator::names().collect::<Vec<_>>().join(", ")
        );
        let help = match base {
            "Null" => "write `Null` alone: it asks whether the key is there".into(),
            base => nearest(base, ConditionOperator::names())
                .unwrap_or("operators are written as in IAM, such as `StringLike`".into()),
        };
        self.fault("unknown-word", path, member.key_at, message, accepted, help);
    }

    fn condition(
        &mut self,
        name: &str,
        operator: ConditionOperator,
        asked: &ObjectMember,
        values: Vec<(Box<str>, TextPosition)>,
        key: &str,
    ) -> Option<PolicyCondition> {
        let (texts, places): (Vec<Box<str>>, Vec<TextPosition>) = values.into_iter().unzip();
        let compiled = PolicyCondition::compile(
            name,
            operator,
            ContextKey::new(&asked.key),
            texts.clone(),
            asked.key_at,
            self.variables,
        );
        let bad = match compiled {
            Ok(condition) => return Some(condition),
            Err(bad) => bad,
        };
        for BadValue {
            index,
            reason,
            help,
        } in bad
        {
            let at = places.get(index).copied().unwrap_or(asked.key_at);
            let value = texts.get(index).map_or("", |value| value);
            let message = match reason {
                Some(reason) => format!("value `{value}` of `{}`: {reason}", asked.key),
                None => format!("value `{value}` of `{}` does not fit `{name}`", asked.key),
            };
            self.fault("bad-value", key, at, message, operator.accepts(), help);
        }
        None
    }

    /// The values of a key: text, numbers and truth values, one or a list.
    fn values(&mut self, node: &TreeValue, key: &str) -> Vec<(Box<str>, TextPosition)> {
        let elements = match &node.value {
            NodeValue::Array(elements) => elements.as_slice(),
            _ => std::slice::from_ref(node),
        };
        let mut values = Vec::new();
        for element in elements {
            let value: Box<str> = match &element.value {
                NodeValue::Number(number) => number.clone(),
                NodeValue::Bool(value) => value.to_string().into(),
                _ => match text(element) {
                    Some(text) => text.into(),
                    None => {
                        self.wrong_type(
                            key,
                            element,
                            "text, or a list of it",
                            "to ask whether the key is there at all, use the operator Null",
                        );
                        continue;
                    }
                },
            };
            values.push((value, element.at));
        }
        values
    }
}
