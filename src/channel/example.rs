//! Examples to begin with: an id for each kind of channel, put where a template looks for it.
//!
//! The same kind has the same example everywhere, so that an example event goes to a channel that example claims are granted.

use serde_json::{Map, Value};

use super::template::Placeholder;
use super::{ChannelKind, IdFormat};

/// Ids that common formats take, tried in turn.
const WORDS: [&str; 9] = [
    "ada",
    "a-1",
    "1",
    "1001",
    "A1",
    "north",
    "2026-11-25",
    "0123456789abcdef",
    "01ARZ3NDEKTSV4RRFFQ69G5FAV",
];

impl ChannelKind {
    /// An id of this kind, always the same. For a format that takes none of the common ids it is one that the format refuses.
    pub fn example(&self) -> String {
        let mine = format!("{}-1", self.name());
        let accepted = |word: &&str| self.id().accepts(word);
        match self.id() {
            IdFormat::Uuid => uuid_of(self.name()),
            IdFormat::Pattern(_) if accepted(&mine.as_str()) => mine,
            IdFormat::Pattern(_) => WORDS.into_iter().find(accepted).unwrap_or("id").to_owned(),
        }
    }
}

/// A UUID that is made of a name (FNV-1a, twice).
fn uuid_of(name: &str) -> String {
    let hash = |seed: u64| {
        name.bytes()
            .fold(0xcbf2_9ce4_8422_2325 ^ seed, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            })
    };
    let bits = (u128::from(hash(0)) << 64) | u128::from(hash(1));
    uuid_of_bits(bits)
}

/// The UUID of some bits, in lower case with hyphens; those of version and variant are set (RFC 9562, version 4).
pub(crate) fn uuid_of_bits(bits: u128) -> String {
    let bits = (bits & !(0xf000 << 64) & !(0xc000 << 48)) | (0x4000 << 64) | (0x8000 << 48);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

/// Puts a value where a placeholder looks for it, its first `skip` segments left out; existing
/// values stay.
pub(crate) fn place(
    root: &mut Map<String, Value>,
    placeholder: &Placeholder,
    skip: usize,
    value: &str,
) {
    let segments = placeholder.segments.get(skip..).unwrap_or_default();
    let Some((last, before)) = segments.split_last() else {
        return;
    };
    let is_array = |segment: &str| {
        let all = format!("{segment}[*]");
        let first = format!("{segment}[0]");
        placeholder.written.contains(&all) || placeholder.written.contains(&first)
    };
    let mut object = root;
    for segment in before {
        let inner = object.entry(&**segment).or_insert_with(|| {
            let object = Value::Object(Map::new());
            if is_array(segment) {
                Value::Array(vec![object])
            } else {
                object
            }
        });
        let inner = match inner {
            Value::Array(elements) => elements.first_mut(),
            other => Some(other),
        };
        match inner {
            Some(Value::Object(inner)) => object = inner,
            _ => return,
        }
    }
    let leaf = Value::from(value);
    object.entry(&**last).or_insert_with(|| {
        if is_array(last) {
            Value::Array(vec![leaf])
        } else {
            leaf
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::template::{ChannelTemplate, Part};

    #[test]
    fn examples_are_ids() {
        for (name, format) in [
            ("order", IdFormat::Uuid),
            ("user", IdFormat::pattern("[a-z0-9-]{1,40}").unwrap()),
            ("day", IdFormat::pattern(r"\d{4}-\d\d-\d\d").unwrap()),
            ("number", IdFormat::pattern(r"\d+").unwrap()),
        ] {
            let kind = ChannelKind::try_new(name, format).unwrap();
            assert!(kind.id().accepts(&kind.example()), "{name}");
        }
    }

    #[test]
    fn values_stand_where_templates_look() {
        let mut root = Map::new();
        for (template, value) in [
            ("{detail.orderId}", "o"),
            ("{detail.watchers[*].userId}", "u"),
            ("{detail.watchers[*].name}", "n"),
            ("{detail.tags[0]}", "t"),
            ("{region}", "r"),
            ("{region.of.text}", "x"),
            ("{detail.orderId}", "other"),
        ] {
            for part in ChannelTemplate::parse(template).unwrap().parts() {
                if let Part::Placeholder(placeholder) = part {
                    place(&mut root, placeholder, 0, value);
                }
            }
        }
        // The first value of `region` stays; text has nothing inside.
        let wanted = serde_json::json!({
            "detail": { "orderId": "o", "watchers": [{ "userId": "u", "name": "n" }], "tags": ["t"] },
            "region": "r",
        });
        assert_eq!(Value::Object(root), wanted);
    }
}
