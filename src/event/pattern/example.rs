//! An event that a pattern matches, to begin with.

use serde_json::{Map, Value, json};

use super::Pattern;
use super::operator::FieldTest;

impl Pattern {
    /// The fields of an event that the pattern's first alternative takes, as a guess: for operators
    /// that exclude values, or bound one field in several ways, it may be wrong. The caller matches
    /// it before use.
    pub fn example(&self) -> Map<String, Value> {
        let mut root = Map::new();
        let fields = self.rules.first().map(|rule| rule.fields.as_slice());
        for (path, leaf) in fields.unwrap_or_default() {
            let value = self.leaves.get(*leaf).and_then(example);
            if let Some(value) = value {
                put(&mut root, path, value);
            }
        }
        root
    }
}

fn put(root: &mut Map<String, Value>, path: &str, value: Value) {
    let (mut object, mut rest) = (root, path);
    while let Some((name, behind)) = rest.split_once('.') {
        let inner = object.entry(name).or_insert_with(|| Map::new().into());
        let Value::Object(inner) = inner else {
            return;
        };
        (object, rest) = (inner, behind);
    }
    object.insert(rest.to_owned(), value);
}

/// A value that the first of a leaf's tests takes; none where the field is to be missing.
fn example(leaf: &FieldTest) -> Option<Value> {
    let written: Value = serde_json::from_str(&leaf.written).ok()?;
    let first = match written {
        Value::Array(tests) => tests.into_iter().next()?,
        other => other,
    };
    let Value::Object(test) = first else {
        return Some(first);
    };
    let (operator, operand) = test.into_iter().next()?;
    match operator.as_str() {
        "exists" => (operand == json!(true)).then(|| json!("any")),
        "prefix" => Some(json!(text(&operand) + "x")),
        "suffix" => Some(json!("x".to_owned() + &text(&operand))),
        "wildcard" => Some(json!(unescaped(&text(&operand)))),
        "numeric" => Some(json!(number(operand.as_array()?))),
        "cidr" => Some(json!(text(&operand).split('/').next())),
        "anything-but" => Some(json!("other")),
        _ => Some(json!(text(&operand))),
    }
}

/// The text of an operand; the first one of a list, or inside another operator.
fn text(operand: &Value) -> String {
    match operand {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.first().map(text).unwrap_or_default(),
        Value::Object(inner) => inner.values().next().map(text).unwrap_or_default(),
        _ => String::new(),
    }
}

fn unescaped(wildcard: &str) -> String {
    let mut out = String::new();
    let mut chars = wildcard.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push('x'),
            '\\' => out.extend(chars.next()),
            c => out.push(c),
        }
    }
    out
}

/// A number within bounds such as `[">", 0, "<=", 5]`.
fn number(bounds: &[Value]) -> f64 {
    let bound = |wanted: [&str; 2]| {
        bounds.chunks(2).find_map(|pair| match pair {
            [Value::String(operator), number] if wanted.contains(&operator.as_str()) => {
                Some((number.as_f64()?, operator.ends_with('=')))
            }
            _ => None,
        })
    };
    match (bound([">", ">="]), bound(["<", "<="])) {
        _ if bound(["=", "="]).is_some() => bound(["=", "="]).map_or(0.0, |(number, _)| number),
        (Some((low, true)), _) => low,
        (_, Some((high, true))) => high,
        (Some((low, _)), Some((high, _))) => low + (high - low) / 2.0,
        (Some((low, _)), None) => low + 1.0,
        (None, Some((high, _))) => high - 1.0,
        (None, None) => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::explain::PatternExplainer;
    use super::*;
    use crate::event::scan::scan;

    #[track_caller]
    fn check(pattern: &str) {
        let pattern = Pattern::parse(pattern).unwrap();
        let example = Value::Object(pattern.example()).to_string();
        let explainer = PatternExplainer::new(&pattern);
        let scanned = scan(&Bytes::from(example.clone()), explainer.fields()).unwrap();
        let explained = explainer.explain(&scanned).unwrap();
        assert!(explained.matches, "{example}: {:?}", explained.mismatches);
    }

    #[test]
    fn examples_match() {
        for pattern in [
            r#"{"source": ["shop.orders"], "detail-type": ["OrderPlaced", "OrderUpdated"]}"#,
            r#"{"source": [{"prefix": "shop."}], "detail": {"a": {"b": [{"suffix": ".png"}]}}}"#,
            r#"{"detail": {"total": [{"numeric": [">=", 1000]}]}}"#,
            r#"{"detail": {"total": [{"numeric": [">", 0, "<", 0.5]}]}}"#,
            r#"{"detail": {"total": [{"numeric": ["=", 3]}, 7]}}"#,
            r#"{"detail": {"total": [{"numeric": ["<", -2]}]}}"#,
            r#"{"detail": {"file": [{"wildcard": "dir/*/\\*.png"}]}}"#,
            r#"{"detail": {"a": [{"exists": true}], "b": [{"exists": false}]}}"#,
            r#"{"detail": {"a": [{"anything-but": ["x"]}], "c": [null], "d": [true]}}"#,
            r#"{"detail": {"ip": [{"cidr": "10.0.0.0/24"}]}}"#,
            r#"{"detail": {"a": [{"equals-ignore-case": "Yes"}], "b": [{"prefix": {"equals-ignore-case": "Ab"}}]}}"#,
            r#"{"$or": [{"source": ["a"]}, {"detail": {"x": [1]}}]}"#,
        ] {
            check(pattern);
        }
    }
}
