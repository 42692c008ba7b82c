//! The claims of a token as an object whose members are counted, at every depth.
//!
//! RFC 7519 (section 4) wants claim names to be unique, and leaves parsers the choice to refuse a
//! repeated one or to take the last. Two readers that choose differently read two tokens, so here
//! it is known. Members of nested objects count too, since roles read them
//! (`{claims.orders[*].id}`).

use std::cell::RefCell;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// The claims, and the first name that occurs more than once in its object.
pub(super) struct ClaimSet {
    pub(super) claims: Map<String, Value>,
    pub(super) repeated: Option<String>,
}

impl<'de> Deserialize<'de> for ClaimSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let repeated = RefCell::new(None);
        match CountedValue(&repeated).deserialize(deserializer)? {
            Value::Object(claims) => Ok(Self {
                claims,
                repeated: repeated.into_inner(),
            }),
            _ => Err(D::Error::custom("claims are an object")),
        }
    }
}

/// Reads a value, and notes the first repeated name.
#[derive(Clone, Copy)]
struct CountedValue<'r>(&'r RefCell<Option<String>>);

impl<'de> DeserializeSeed<'de> for CountedValue<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for CountedValue<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(element) = elements.next_element_seed(self)? {
            all.push(element);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self)?;
            if all.insert(name.clone(), value).is_some() {
                self.0.borrow_mut().get_or_insert(name);
            }
        }
        Ok(Value::Object(all))
    }
}
