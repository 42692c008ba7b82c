//! The claims of a token as an object whose members are counted.
//!
//! RFC 7519 (section 4) wants claim names to be unique, and leaves parsers the choice to refuse a repeated one or to take the
//! last. Two readers that choose differently read two tokens, so here it is known.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The claims, and the first name that occurs more than once.
pub(super) struct ClaimSet {
    pub(super) claims: Map<String, Value>,
    pub(super) repeated: Option<String>,
}

impl<'de> Deserialize<'de> for ClaimSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = ClaimSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<ClaimSet, A::Error> {
                let mut set = ClaimSet {
                    claims: Map::new(),
                    repeated: None,
                };
                while let Some((name, value)) = members.next_entry::<String, Value>()? {
                    if set.claims.insert(name.clone(), value).is_some() && set.repeated.is_none() {
                        set.repeated = Some(name);
                    }
                }
                Ok(set)
            }
        }

        deserializer.deserialize_map(Members)
    }
}
