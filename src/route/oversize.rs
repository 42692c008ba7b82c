//! Events too large for a message, and the smaller payloads that a route sends in their place.
//!
//! EventBridge takes events of 1 MB, IoT Core payloads of 128 KB. The replacement keeps the shape
//! of the route's payload, with another `detail`, so that clients parse both alike; the user
//! property `eb-oversize` distinguishes them.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Treatment of an event whose payload is too large for a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Oversize {
    /// It goes to the dead-letter queue.
    #[default]
    DeadLetter,
    /// `detail` is cut to some fields.
    Project(Projection),
    /// `detail` says that there is something to fetch.
    Pointer,
}

/// The fields of `detail` that are kept, as dotted paths below it. Arrays are transparent, as in patterns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Projection(Vec<Vec<Box<str>>>);

impl Projection {
    /// Reads paths such as `detail.order.id`. The error is the path that is none.
    ///
    /// # Errors
    /// Fails when a path does not begin with `detail.`, or has an empty part.
    pub fn parse<'p>(paths: impl IntoIterator<Item = &'p str>) -> Result<Self, &'p str> {
        let parsed = paths.into_iter().map(|path| {
            let below = path.strip_prefix("detail.").ok_or(path)?;
            let parts: Vec<Box<str>> = below.split('.').map(Box::from).collect();
            let whole = parts.iter().all(|part| !part.is_empty());
            whole.then_some(parts).ok_or(path)
        });
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// The kept fields of a `detail`, in its order and spelling.
    fn of(&self, detail: &RawValue) -> Option<Vec<u8>> {
        let paths: Vec<&[Box<str>]> = self.0.iter().map(Vec::as_slice).collect();
        let mut out = Vec::new();
        project(detail, &paths, &mut out).then_some(out)
    }
}

impl Oversize {
    /// Returns the `detail` to send in place of one, and the value of `eb-oversize`. `None` if
    /// nothing can replace it.
    pub(super) fn replace(
        &self,
        id: &str,
        detail: &[u8],
        bytes: usize,
    ) -> Option<SubstituteDetail> {
        match self {
            Self::DeadLetter => None,
            Self::Project(projection) => {
                let detail: &RawValue = serde_json::from_slice(detail).ok()?;
                Some(SubstituteDetail {
                    detail: projection.of(detail)?,
                    how: "project",
                })
            }
            Self::Pointer => {
                let pointer = serde_json::json!({ "oversize": { "id": id, "bytes": bytes } });
                Some(SubstituteDetail {
                    detail: pointer.to_string().into_bytes(),
                    how: "pointer",
                })
            }
        }
    }
}

/// Replacement for a `detail`.
pub(super) struct SubstituteDetail {
    pub(super) detail: Vec<u8>,
    /// For the user property `eb-oversize`.
    pub(super) how: &'static str,
}

/// An object's members in their order, values as they are spelled.
struct ObjectMembers<'j>(Vec<(Cow<'j, str>, &'j RawValue)>);

impl<'de> Deserialize<'de> for ObjectMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = ObjectMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((key, value)) = map.next_entry()? {
                    members.push((key, value));
                }
                Ok(ObjectMembers(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

/// Writes what the paths keep of a value; false where they keep nothing because it is neither object nor array.
fn project(value: &RawValue, paths: &[&[Box<str>]], out: &mut Vec<u8>) -> bool {
    if let Ok(ObjectMembers(members)) = serde_json::from_str(value.get()) {
        out.push(b'{');
        let begin = out.len();
        for (key, value) in members {
            let before = out.len();
            let below: Vec<&[Box<str>]> = paths
                .iter()
                .filter_map(|path| match path.split_first() {
                    Some((first, rest)) if **first == *key => Some(rest),
                    _ => None,
                })
                .collect();
            if below.is_empty() {
                continue;
            }
            if before > begin {
                out.push(b',');
            }
            // Writing into a vector does not fail, and text is always JSON.
            let _ = serde_json::to_writer(&mut *out, &key);
            out.push(b':');
            if below.iter().any(|path| path.is_empty()) {
                out.extend_from_slice(value.get().as_bytes());
            } else if !project(value, &below, out) {
                out.truncate(before);
            }
        }
        out.push(b'}');
        true
    } else if let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(value.get()) {
        out.push(b'[');
        let begin = out.len();
        for element in elements {
            let before = out.len();
            if before > begin {
                out.push(b',');
            }
            if !project(element, paths, out) {
                out.truncate(before);
            }
        }
        out.push(b']');
        true
    } else {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(paths: &[&str], detail: &str, expected: &str) {
        let projection = Projection::parse(paths.iter().copied()).unwrap();
        let oversize = Oversize::Project(projection);
        let stand = oversize.replace("e1", detail.as_bytes(), 1).unwrap();
        assert_eq!(String::from_utf8(stand.detail).unwrap(), expected);
    }

    #[test]
    fn projections() {
        let detail =
            r#"{"b":1.50,"a":{"x":[1,2],"y":"é\n"},"list":[{"k":1,"l":2},3,{"k":4}],"b2":null}"#;
        check(&["detail.b"], detail, r#"{"b":1.50}"#);
        check(
            &["detail.a.y", "detail.b2"],
            detail,
            r#"{"a":{"y":"é\n"},"b2":null}"#,
        );
        check(
            &["detail.a", "detail.a.x"],
            detail,
            r#"{"a":{"x":[1,2],"y":"é\n"}}"#,
        );
        check(&["detail.list.k"], detail, r#"{"list":[{"k":1},{"k":4}]}"#);
        check(&["detail.b.c", "detail.none"], detail, "{}");
    }

    #[test]
    fn paths_that_are_none() {
        for bad in ["detail", "source", "detail.", "detail.a..b", ""] {
            assert_eq!(Projection::parse([bad]), Err(bad));
        }
    }

    #[test]
    fn what_has_no_fields_has_no_projection() {
        let oversize = Oversize::Project(Projection::parse(["detail.a"]).unwrap());
        assert!(oversize.replace("e1", b"\"text\"", 1).is_none());
    }
}
