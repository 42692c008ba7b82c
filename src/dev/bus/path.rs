//! JSON paths as EventBridge takes them: `$.detail.items[0].sku`, `$.detail.items[*].sku`, `$.detail-type`, `$` (user guide,
//! "Input transformation"). Dots, array indices and `*`; neither filters nor names in brackets.

use std::borrow::Cow;

use crate::event::pattern::tree::{NodeValue, TreeValue};

/// One path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPath(Vec<PathStep>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum PathStep {
    Member(Box<str>),
    Element(usize),
    /// Every element of an array, or every member of an object.
    All,
}

impl JsonPath {
    /// Reads a path; `None` if the text is not a path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut rest = text.strip_prefix('$')?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            let (step, after) = match rest.strip_prefix('.') {
                Some(named) => {
                    let end = named.find(['.', '[']).unwrap_or(named.len());
                    let (name, after) = named.split_at(end);
                    let step = match name {
                        "" => return None,
                        "*" => PathStep::All,
                        name if name.contains(']') => return None,
                        name => PathStep::Member(name.into()),
                    };
                    (step, after)
                }
                None => {
                    let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
                    let step = match index {
                        "*" => PathStep::All,
                        digits => PathStep::Element(digits.parse().ok()?),
                    };
                    (step, after)
                }
            };
            steps.push(step);
            rest = after;
        }
        Some(Self(steps))
    }

    /// Returns what the path leads to: with `*` an array of all values found, without it the value
    /// there, if any.
    pub(super) fn find<'n>(&self, root: &'n TreeValue) -> Option<Cow<'n, TreeValue>> {
        let mut found = vec![root];
        for step in &self.0 {
            found = found.into_iter().flat_map(|node| step.from(node)).collect();
        }
        if self.0.contains(&PathStep::All) {
            let elements = found.into_iter().cloned().collect();
            let at = root.at;
            let value = NodeValue::Array(elements);
            return Some(Cow::Owned(TreeValue { value, at }));
        }
        found.into_iter().next().map(Cow::Borrowed)
    }
}

impl PathStep {
    fn from<'n>(&self, node: &'n TreeValue) -> Vec<&'n TreeValue> {
        match (self, &node.value) {
            // Of a name that is repeated the last counts.
            (Self::Member(name), NodeValue::Object(members)) => {
                let mut last_first = members.iter().rev();
                let member = last_first.find(|member| member.key == *name);
                member.map(|member| &member.value).into_iter().collect()
            }
            (Self::Element(index), NodeValue::Array(elements)) => {
                elements.get(*index).into_iter().collect()
            }
            (Self::All, NodeValue::Array(elements)) => elements.iter().collect(),
            (Self::All, NodeValue::Object(members)) => {
                members.iter().map(|member| &member.value).collect()
            }
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENT: &str = r#"{"detail-type":"t","detail":{"a":{"b/c":1.50},"items":[{"n":1},{"n":[2]},3],"a_b":1,"a_b":null}}"#;

    #[track_caller]
    fn check(path: &str, found: Option<&str>) {
        let node = TreeValue::parse(EVENT).unwrap();
        let path = JsonPath::parse(path).unwrap();
        let text = path.find(&node).map(|node| node.to_json());
        assert_eq!(text.as_deref(), found);
    }

    #[test]
    fn paths_lead_to_values() {
        check("$", Some(&TreeValue::parse(EVENT).unwrap().to_json()));
        check("$.detail-type", Some(r#""t""#));
        check("$.detail.a", Some(r#"{"b/c":1.50}"#));
        check("$.detail.a.b/c", Some("1.50"));
        check("$.detail.a_b", Some("null"));
        check("$.detail.items[1].n[0]", Some("2"));
        check("$.detail.items[*].n", Some("[1,[2]]"));
        check("$.detail.items.*", Some(r#"[{"n":1},{"n":[2]},3]"#));
        check("$.detail.a.*", Some("[1.50]"));
        check("$.detail.none[*]", Some("[]"));
        check("$.detail.items[3]", None);
        check("$.detail.items.n", None);
        check("$.detail.none.at.all", None);
    }

    fn any_json() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i32>().prop_map(Into::into),
            "[ -~é]{0,4}".prop_map(Into::into),
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                prop::collection::btree_map("[ab]", inner, 0..3).prop_map(|members| {
                    serde_json::Value::Object(members.into_iter().collect())
                }),
            ]
        })
    }

    proptest! {
        /// Without `*` a path leads where the JSON pointer of the same steps leads.
        #[test]
        fn paths_are_pointers(json in any_json(), steps in prop::collection::vec(prop_oneof!["[ab]", "[0-3]"], 0..5)) {
            let node = TreeValue::parse(&json.to_string()).unwrap();
            let (mut path, mut pointer) = ("$".to_owned(), String::new());
            for step in &steps {
                let is_index = step.starts_with(|c: char| c.is_ascii_digit());
                path.push_str(&if is_index { format!("[{step}]") } else { format!(".{step}") });
                pointer.push_str(&format!("/{step}"));
            }
            let found = JsonPath::parse(&path).unwrap().find(&node).map(|node| node.to_json());
            // Objects here have no names that are digits, so a pointer's digits are indices as well.
            prop_assert_eq!(found, json.pointer(&pointer).map(ToString::to_string));
        }
    }

    #[test]
    fn what_is_no_path() {
        for text in [
            "", "detail", "$detail", "$.", "$..a", "$.a[", "$.a[x]", "$.a[-1]", "$.a['b']", "$.a]",
            "$[",
        ] {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
    }
}
