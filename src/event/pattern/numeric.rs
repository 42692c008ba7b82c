//! Reads the argument of `numeric`: one comparison, or a lower and an upper bound.

use super::PatternError;
use super::compile::fault;
use super::number;
use super::operator::{FieldTest, NumberRange};
use super::tree::{NodeValue, TreeValue};

impl FieldTest {
    pub(super) fn numeric(
        &mut self,
        node: &TreeValue,
        path: &str,
    ) -> Result<NumberRange, PatternError> {
        let NodeValue::Array(terms) = &node.value else {
            return Err(fault(node, path, "Value of numeric must be an array."));
        };
        let mut terms = terms.iter();
        let Some(first) = terms.next() else {
            return Err(fault(node, path, "Invalid member in numeric match: ]"));
        };
        let NodeValue::String(operator) = &first.value else {
            let reason = format!("Invalid member in numeric match: {}", first.to_json());
            return Err(fault(first, path, reason));
        };
        let operator = String::from_utf8_lossy(operator).into_owned();
        let name = if operator == "=" { "equals" } else { &operator };
        if !matches!(&*operator, "=" | "<" | "<=" | ">" | ">=") {
            let reason = format!("Unrecognized numeric range operator: {operator}");
            return Err(fault(first, path, reason));
        }
        let value = self.number(terms.next().unwrap_or(node), path, name)?;
        let inclusive = operator.ends_with('=');
        let end = Some((value, inclusive));
        let lower = matches!(&*operator, ">" | ">=");
        match (terms.next(), lower) {
            (None, true) => Ok(NumberRange {
                low: end,
                high: None,
            }),
            (None, false) => Ok(NumberRange {
                low: end.filter(|_| operator == "="),
                high: end,
            }),
            (Some(extra), false) => Err(fault(
                extra,
                path,
                "Too many elements in numeric expression",
            )),
            (Some(second), true) => {
                let high = self.upper_bound(node, second, &mut terms, path)?;
                if value >= high.0 {
                    return Err(PatternError {
                        help: Some("the first number is the lower bound".into()),
                        ..fault(node, path, "Bottom must be less than top")
                    });
                }
                Ok(NumberRange {
                    low: end,
                    high: Some(high),
                })
            }
        }
    }

    fn upper_bound<'n>(
        &mut self,
        node: &'n TreeValue,
        operator: &TreeValue,
        terms: &mut impl Iterator<Item = &'n TreeValue>,
        path: &str,
    ) -> Result<(f64, bool), PatternError> {
        let name = match &operator.value {
            NodeValue::String(name) => String::from_utf8_lossy(name).into_owned(),
            _ => {
                let reason = format!("Bad value in numeric range: {}", operator.to_json());
                return Err(fault(operator, path, reason));
            }
        };
        if !matches!(&*name, "<" | "<=") {
            let reason = format!("Bad numeric range operator: {name}");
            return Err(fault(operator, path, reason));
        }
        let high = self.number(terms.next().unwrap_or(node), path, &name)?;
        match terms.next() {
            Some(extra) => Err(fault(
                extra,
                path,
                "Too many terms in numeric range expression",
            )),
            None => Ok((high, name == "<=")),
        }
    }

    /// A number that can be compared; `operator` asks for it.
    pub(super) fn number(
        &mut self,
        node: &TreeValue,
        path: &str,
        operator: &str,
    ) -> Result<f64, PatternError> {
        let NodeValue::Number(text) = &node.value else {
            return Err(fault(
                node,
                path,
                format!("Value of {operator} must be numeric"),
            ));
        };
        self.numbers.push((text.clone(), node.at));
        number::comparable(text).ok_or_else(|| PatternError {
            help: Some(
                "the number has more digits than binary64 holds; compare it as an exact value"
                    .into(),
            ),
            ..fault(node, path, format!("Cannot compare number : {text}"))
        })
    }
}
