//! The place of a claim in a token: `role`, `cognito:groups`, `realm_access.roles`,
//! `"https://shop.example/roles"`.
//!
//! Dots lead into objects; a name with dots of its own is in quotation marks, as in the
//! placeholders of roles (`{claims."https://shop.example/tenant"}`). One text has one reading: a
//! claim that is literally named `realm_access.roles` is not what `realm_access.roles` names.

use std::fmt;

use serde_json::{Map, Value};

/// The deepest path.
const MAX_SEGMENTS: usize = 16;

/// A path to a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPath {
    first: Box<str>,
    rest: Box<[Box<str>]>,
    written: Box<str>,
}

/// Reason why a text is no path to a claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimPathError {
    /// There is a name without a character.
    #[error("`{0}` has an empty name")]
    Empty(String),
    /// A quotation mark has no second one, or text follows it.
    #[error("`{0}` has a quotation mark without its second one, or text beside it")]
    Quotes(String),
    /// An address outside quotation marks: its dots would lead into objects.
    #[error("`{0}` is an address with dots, which is a name only in quotation marks")]
    Address(String),
    /// It is too deep.
    #[error("`{0}` has more than {MAX_SEGMENTS} names")]
    Deep(String),
}

impl ClaimPath {
    /// The path of a claim that is a member of the token itself, whatever its name.
    pub fn of_name(name: &str) -> Self {
        let written = if name.contains(['.', '"']) {
            format!("\"{name}\"")
        } else {
            name.to_owned()
        };
        Self {
            first: name.into(),
            rest: Box::default(),
            written: written.into(),
        }
    }

    /// Reads a path.
    ///
    /// # Errors
    /// [`ClaimPathError`] names the fault.
    pub fn parse(text: &str) -> Result<Self, ClaimPathError> {
        let mut segments: Vec<Box<str>> = Vec::new();
        let mut left = text;
        loop {
            let (segment, after) = match left.strip_prefix('"') {
                Some(quoted) => {
                    let (segment, after) = quoted
                        .split_once('"')
                        .ok_or_else(|| ClaimPathError::Quotes(text.to_owned()))?;
                    (segment, after)
                }
                None => left.split_at(left.find('.').unwrap_or(left.len())),
            };
            let is_quoted = left.starts_with('"');
            if segment.is_empty() {
                return Err(ClaimPathError::Empty(text.to_owned()));
            }
            if !is_quoted && segment.contains('"') {
                return Err(ClaimPathError::Quotes(text.to_owned()));
            }
            if !is_quoted && segment.contains("://") && after.starts_with('.') {
                return Err(ClaimPathError::Address(text.to_owned()));
            }
            segments.push(segment.into());
            if segments.len() > MAX_SEGMENTS {
                return Err(ClaimPathError::Deep(text.to_owned()));
            }
            left = match after.strip_prefix('.') {
                Some(next) => next,
                None if after.is_empty() => break,
                None => return Err(ClaimPathError::Quotes(text.to_owned())),
            };
        }
        let mut segments = segments.into_iter();
        let first = segments.next().unwrap_or_default();
        Ok(Self {
            first,
            rest: segments.collect(),
            written: text.into(),
        })
    }

    /// The claim's value, where a token has it.
    pub fn find<'c>(&self, claims: &'c Map<String, Value>) -> Option<&'c Value> {
        let first = claims.get(&*self.first)?;
        self.rest
            .iter()
            .try_fold(first, |value, name| value.as_object()?.get(&**name))
    }

    /// Sets the claim; objects on the way to it are made, and what else is there is replaced.
    pub fn set(&self, claims: &mut Map<String, Value>, value: Value) {
        let mut names = std::iter::once(&self.first).chain(&self.rest).peekable();
        let mut place = claims;
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                place.insert(name.to_string(), value);
                return;
            }
            let below = place
                .entry(name.to_string())
                .or_insert_with(|| Value::Object(Map::new()));
            if !below.is_object() {
                *below = Value::Object(Map::new());
            }
            let Value::Object(below) = below else { return };
            place = below;
        }
    }

    /// The path as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn found(path: &str, expected: Option<Value>) {
        let claims = json!({
            "role": "a",
            "cognito:groups": ["b"],
            "realm_access": { "roles": ["c"], "x.y": { "z": "d" } },
            "realm_access.roles": "literal",
            "https://shop.example/roles": "e",
        });
        let path = ClaimPath::parse(path).unwrap();
        let claims = claims.as_object().unwrap();
        assert_eq!(path.find(claims).cloned(), expected, "{path}");
        let mut made = claims.clone();
        path.set(&mut made, "new".into());
        assert_eq!(path.find(&made), Some(&json!("new")), "{path}");
    }

    #[test]
    fn claims_are_found_at_their_path() {
        found("role", Some(json!("a")));
        found("cognito:groups", Some(json!(["b"])));
        found("realm_access.roles", Some(json!(["c"])));
        found("\"realm_access.roles\"", Some(json!("literal")));
        found("realm_access.\"x.y\".z", Some(json!("d")));
        found("\"https://shop.example/roles\"", Some(json!("e")));
        found("https://shop/role", None);
        found("role.x", None);
        found("realm_access.none.deeper", None);
    }

    #[test]
    fn what_is_no_path() {
        let told = |text: &str| ClaimPath::parse(text).unwrap_err().to_string();
        insta::assert_snapshot!(told(""), @"`` has an empty name");
        insta::assert_snapshot!(told("a..b"), @"`a..b` has an empty name");
        insta::assert_snapshot!(told("a."), @"`a.` has an empty name");
        insta::assert_snapshot!(told("\"\".b"), @r#"`"".b` has an empty name"#);
        insta::assert_snapshot!(told("\"a"), @r#"`"a` has a quotation mark without its second one, or text beside it"#);
        insta::assert_snapshot!(told("a\"b\""), @r#"`a"b"` has a quotation mark without its second one, or text beside it"#);
        insta::assert_snapshot!(told("\"a\"b"), @r#"`"a"b` has a quotation mark without its second one, or text beside it"#);
        insta::assert_snapshot!(told("https://shop.example/roles"), @"`https://shop.example/roles` is an address with dots, which is a name only in quotation marks");
        assert!(told(&["a"; 17].join(".")).contains("more than 16"));
    }

    #[test]
    fn names_are_quoted_where_they_must_be() {
        for name in ["role", "a.b", "https://shop.example/roles"] {
            let path = ClaimPath::of_name(name);
            assert_eq!(ClaimPath::parse(path.as_str()).unwrap(), path);
        }
    }
}
