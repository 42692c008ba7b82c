//! From a template and a token's claims to texts: values are chosen, filtered and checked.
//!
//! An array gives one text for each element. Placeholders under the same array take the same
//! element; under different arrays every combination counts. A value that must not enter a policy
//! is refused, never repaired: a value with a wildcard of MQTT or of policies, with a slash, or
//! with the `$` of policy variables would grant more than the role says.

use serde_json::Value;

use crate::channel::template::{ChannelTemplate, Part, Pick, Placeholder};
use crate::channel::topic::{ValueError, check_value};

/// The most texts that one entry of a role may become. It bounds the work on hostile claims; quotas are far lower.
pub const MAX_TEXTS: usize = 1_000;

/// The most values that may be looked at to make them.
const STEPS: u32 = 20_000;

/// Reason why a claim's value grants nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// The token does not have the claim.
    #[error("the claim {0} is missing")]
    Missing(Box<str>),
    /// `null`, an object, or a number whose spelling is not stable.
    #[error("the claim {0} is {1}; a grant takes text, whole numbers and booleans")]
    Type(Box<str>, &'static str),
    /// The value would change the extent of the grant.
    #[error("the claim {claim} is `{value}`: {error}")]
    Value {
        /// The placeholder as written.
        claim: Box<str>,
        /// The value.
        value: Box<str>,
        /// Reason why the value is refused.
        error: ForbiddenError,
    },
    /// The claims' arrays make too many texts.
    #[error("the claims make more than {MAX_TEXTS} of it")]
    TooMany,
}

/// Text that must not enter a policy's resource.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenError {
    /// Text that must not enter a topic either.
    #[error(transparent)]
    Topic(#[from] ValueError),
    /// A wildcard of policies, or the beginning of a variable.
    #[error("the value has `{0}`, which means more than itself in a policy")]
    Character(char),
}

/// Checks a value before it becomes part of a policy's resource.
///
/// # Errors
/// [`ForbiddenError`] names the first character that may not be there.
pub fn check_literal(value: &str) -> Result<(), ForbiddenError> {
    check_value(value)?;
    match value.chars().find(|c| matches!(c, '*' | '?' | '$')) {
        Some(c) => Err(ForbiddenError::Character(c)),
        None => Ok(()),
    }
}

/// The texts that a template becomes, each once, in the order of the claims' arrays. An empty array gives none.
pub(super) fn texts(template: &ChannelTemplate, claims: &Value) -> Result<Vec<String>, ClaimError> {
    let mut slots: Vec<PlaceholderSlot<'_>> = Vec::new();
    for part in template.parts() {
        if let Part::Placeholder(placeholder) = part
            && !slots.iter().any(|slot| slot.placeholder == placeholder)
        {
            slots.push(PlaceholderSlot {
                placeholder,
                candidates: candidates(placeholder, claims)?,
            });
        }
    }
    let mut search = ClaimSearch {
        template,
        slots: &slots,
        taken: Vec::new(),
        chosen: Vec::new(),
        steps: STEPS,
        out: Vec::new(),
    };
    search.fill()?;
    Ok(search.out)
}

/// An array and which of its elements was taken.
type ElementChoice = (*const Value, usize);

/// One value of a placeholder, and the array elements it came through.
struct PlaceholderValue {
    choices: Vec<ElementChoice>,
    text: String,
}

struct PlaceholderSlot<'t> {
    placeholder: &'t Placeholder,
    candidates: Vec<PlaceholderValue>,
}

/// All values of one placeholder.
fn candidates(
    placeholder: &Placeholder,
    claims: &Value,
) -> Result<Vec<PlaceholderValue>, ClaimError> {
    let mut walk = ClaimWalk {
        placeholder,
        choices: Vec::new(),
        found: Vec::new(),
        empty_array: false,
    };
    // The first segment only says that claims are meant.
    walk.enter(claims, 1, 0)?;
    if walk.found.is_empty() && !walk.empty_array {
        match &placeholder.filters.default {
            Some(default) => {
                let text = checked(placeholder, default)?;
                walk.take(text);
            }
            None => return Err(ClaimError::Missing(placeholder.written.clone())),
        }
    }
    Ok(walk.found)
}

struct ClaimWalk<'p> {
    placeholder: &'p Placeholder,
    choices: Vec<ElementChoice>,
    found: Vec<PlaceholderValue>,
    empty_array: bool,
}

impl ClaimWalk<'_> {
    /// Looks at a value after `depth` segments of the path, within `nth` arrays there.
    fn enter(&mut self, value: &Value, depth: usize, nth: usize) -> Result<(), ClaimError> {
        match (value, self.placeholder.segments.get(depth)) {
            (Value::Array(elements), _) => self.elements(value, elements, depth, nth),
            (Value::Object(members), Some(name)) => match members.get(&**name) {
                Some(member) => self.enter(member, depth + 1, 0),
                None => Ok(()),
            },
            // A scalar or null where the path goes on: the claim is not there.
            (_, Some(_)) => Ok(()),
            (_, None) => self.scalar(value),
        }
    }

    fn elements(
        &mut self,
        array: &Value,
        elements: &[Value],
        depth: usize,
        nth: usize,
    ) -> Result<(), ClaimError> {
        self.empty_array |= elements.is_empty();
        let pick = |pick: &&Pick| usize::from(pick.depth) == depth && pick.nth == nth;
        if let Some(pick) = self.placeholder.picks.iter().find(pick) {
            // A picked element is the same for all: it binds no other placeholder.
            let picked = usize::try_from(pick.index).ok();
            return match picked.and_then(|index| elements.get(index)) {
                Some(element) => self.enter(element, depth, nth + 1),
                None => Ok(()),
            };
        }
        for (index, element) in elements.iter().enumerate() {
            self.choices.push((std::ptr::from_ref(array), index));
            self.enter(element, depth, nth + 1)?;
            self.choices.pop();
        }
        Ok(())
    }

    fn scalar(&mut self, value: &Value) -> Result<(), ClaimError> {
        let written = || self.placeholder.written.clone();
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) if number.is_i64() || number.is_u64() => number.to_string(),
            _ if self.placeholder.filters.default.is_some() => return Ok(()),
            Value::Number(_) => {
                return Err(ClaimError::Type(written(), "a number with a fraction"));
            }
            Value::Null => return Err(ClaimError::Type(written(), "null")),
            Value::Object(_) | Value::Array(_) => {
                return Err(ClaimError::Type(written(), "an object"));
            }
        };
        let text = checked(self.placeholder, &text)?;
        self.take(text);
        if self.found.len() > MAX_TEXTS {
            return Err(ClaimError::TooMany);
        }
        Ok(())
    }

    fn take(&mut self, text: String) {
        self.found.push(PlaceholderValue {
            choices: self.choices.clone(),
            text,
        });
    }
}

/// A value as it enters a template.
fn checked(placeholder: &Placeholder, value: &str) -> Result<String, ClaimError> {
    let text = placeholder.filters.apply(value);
    match check_literal(&text) {
        Ok(()) => Ok(text.into_owned()),
        Err(error) => Err(ClaimError::Value {
            claim: placeholder.written.clone(),
            value: value.into(),
            error,
        }),
    }
}

struct ClaimSearch<'s> {
    template: &'s ChannelTemplate,
    slots: &'s [PlaceholderSlot<'s>],
    /// Values of the slots filled so far.
    taken: Vec<&'s str>,
    chosen: Vec<ElementChoice>,
    steps: u32,
    out: Vec<String>,
}

impl ClaimSearch<'_> {
    fn fill(&mut self) -> Result<(), ClaimError> {
        let Some(slot) = self.slots.get(self.taken.len()) else {
            let text = self.join();
            if !self.out.contains(&text) {
                self.out.push(text);
            }
            return match self.out.len() > MAX_TEXTS {
                true => Err(ClaimError::TooMany),
                false => Ok(()),
            };
        };
        for candidate in &slot.candidates {
            self.steps = self.steps.checked_sub(1).ok_or(ClaimError::TooMany)?;
            let other = |(array, index): &ElementChoice| {
                let clash = |(known, at): &ElementChoice| known == array && at != index;
                self.chosen.iter().any(clash)
            };
            if candidate.choices.iter().any(other) {
                continue;
            }
            let before = self.chosen.len();
            self.chosen.extend(&candidate.choices);
            self.taken.push(&candidate.text);
            self.fill()?;
            self.taken.pop();
            self.chosen.truncate(before);
        }
        Ok(())
    }

    fn join(&self) -> String {
        let mut text = String::with_capacity(64);
        for part in self.template.parts() {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                // Refused where roles are read.
                Part::RouteName => {}
                Part::Placeholder(placeholder) => {
                    let slot = self
                        .slots
                        .iter()
                        .position(|slot| slot.placeholder == placeholder);
                    let value = slot.and_then(|slot| self.taken.get(slot));
                    text.push_str(value.copied().unwrap_or_default());
                }
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(template: &str, claims: &Value, expected: &[&str]) {
        let template = ChannelTemplate::parse(template).unwrap();
        assert_eq!(texts(&template, claims).unwrap(), expected, "{template}");
    }

    #[track_caller]
    fn fault(template: &str, claims: &Value) -> String {
        let template = ChannelTemplate::parse(template).unwrap();
        texts(&template, claims).unwrap_err().to_string()
    }

    #[test]
    fn values_become_texts() {
        let claims = json!({
            "sub": "u1", "n": 7, "admin": true, "none": null,
            "orders": ["a", "b", "a"], "empty": [],
            "https://shop.example/tenant": "t1",
            "deep": [{"id": "x", "state": "open"}, {"id": "y", "state": "done"}, {"state": "new"}],
            "grid": [["a", "b"], ["c"]],
        });
        check("{claims.sub}", &claims, &["u1"]);
        check("{claims.n}-{claims.admin}", &claims, &["7-true"]);
        check("{claims.orders[*]}", &claims, &["a", "b"]);
        check("{claims.orders}", &claims, &["a", "b"]);
        check("{claims.orders[1]}", &claims, &["b"]);
        check("{claims.empty[*]}", &claims, &[]);
        check("{claims.empty[*]}/{claims.sub}", &claims, &[]);
        check("{claims.\"https://shop.example/tenant\"}", &claims, &["t1"]);
        check(
            "{claims.deep[*].id}/{claims.deep[*].state}",
            &claims,
            &["x/open", "y/done"],
        );
        check("{claims.grid[*][*]}", &claims, &["a", "b", "c"]);
        check("{claims.grid[0]}", &claims, &["a", "b"]);
        check("{claims.orders}/{claims.grid[1]}", &claims, &["a/c", "b/c"]);
        check("{claims.none|default:x}", &claims, &["x"]);
        check("{claims.nobody|default:x}", &claims, &["x"]);
        check("{claims.sub|lower}{{}}", &claims, &["u1{}"]);
    }

    #[test]
    fn what_grants_nothing() {
        let claims = json!({
            "null": null, "object": {"a": "b"}, "half": 0.5, "text": "x",
            "plus": "+", "star": "a*", "any": "?", "variable": "${iot:ClientId}", "dollar": "a$",
            "slash": "a/b", "hash": "#", "empty": "", "orders": ["a", "*"],
        });
        let of = |claim: &str| fault(&format!("x/{{claims.{claim}}}"), &claims);
        let told: Vec<String> = [
            "nobody",
            "null",
            "object",
            "half",
            "text.more",
            "plus",
            "star",
            "any",
            "variable",
            "dollar",
            "slash",
            "hash",
            "empty",
            "orders[*]",
            "orders[7]",
            "star|encode",
            "nobody|default:*",
        ]
        .into_iter()
        .map(of)
        .collect();
        insta::assert_snapshot!(told.join("\n"));
        check("{claims.slash|encode}", &claims, &["a%2Fb"]);
    }

    #[test]
    fn work_is_bounded() {
        let many: Vec<String> = (0..200).map(|n| n.to_string()).collect();
        let claims = json!({"a": many, "b": many, "same": vec!["x"; 300]});
        assert_eq!(
            fault("{claims.a}/{claims.b}", &claims),
            "the claims make more than 1000 of it"
        );
        assert_eq!(
            fault("{claims.same}/{claims.same[*]}/{claims.a}", &claims),
            "the claims make more than 1000 of it"
        );
        check("{claims.same}", &claims, &["x"]);
    }
}
