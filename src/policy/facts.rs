//! A context as JSON: the form in which test files, the line protocol and conformance vectors
//! describe the client.
//!
//! ```json
//! {
//!   "clientId": "lamp1",
//!   "principal": "certificate",
//!   "thing": {"name": "lamp1", "type": "Lamp", "attributes": {"room": "hall"}, "attachedToPrincipal": true},
//!   "certificate": {"id": "f1c0…", "Subject": {"CommonName": ["Lamp", "Example"]}, "SerialNumber": "42"},
//!   "conditions": {"aws:SourceIp": "203.0.113.7", "iot:ConnectAttributes": ["PersistentConnect"]}
//! }
//! ```
//!
//! Every part may be left out or null. `thing.exclusive` says that the thing is the principal's only one, `principal` how the client
//! proved who it is. Unknown names are errors: a misspelled fact would silently be a missing one.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::context::{ClientCertificate, ClientPrincipal, ClientThing, Context, ThingAttachment};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ContextFacts {
    client_id: Option<String>,
    principal: Option<String>,
    thing: Option<ThingFacts>,
    certificate: Option<Map<String, Value>>,
    conditions: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ThingFacts {
    #[serde(default)]
    name: String,
    #[serde(rename = "type")]
    type_name: Option<String>,
    attributes: Option<Map<String, Value>>,
    #[serde(default)]
    attached_to_principal: bool,
    #[serde(default)]
    exclusive: bool,
}

/// Fact that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// The kind of principal has another name.
    #[error(
        "the principal `{0}` is none of certificate, cognito-authenticated, cognito-unauthenticated, iam, custom-authorizer"
    )]
    Principal(String),
    /// A value that is neither text, a number, true or false, nor a list of them.
    #[error("`{0}` must be text, a number, true or false, or a list of them")]
    Value(String),
    /// Several values where there can be one.
    #[error("`{0}` must have one value")]
    Single(String),
}

impl TryFrom<ContextFacts> for Context {
    type Error = FactError;

    fn try_from(facts: ContextFacts) -> Result<Self, FactError> {
        let mut context = Self::default();
        context.client_id = facts.client_id.map(Into::into);
        context.principal = facts.principal.map(principal).transpose()?;
        context.thing = facts.thing.map(thing).transpose()?;
        context.certificate = facts.certificate.as_ref().map(certificate).transpose()?;
        for (key, value) in facts.conditions.iter().flatten() {
            context.set(key, texts(key, value)?);
        }
        Ok(context)
    }
}

fn principal(word: String) -> Result<ClientPrincipal, FactError> {
    ClientPrincipal::parse(&word).ok_or(FactError::Principal(word))
}

fn thing(facts: ThingFacts) -> Result<ClientThing, FactError> {
    let attributes = facts.attributes.iter().flatten().map(|(name, value)| {
        let value = scalar(value).ok_or_else(|| FactError::Single(name.clone()))?;
        Ok((name.as_str().into(), value))
    });
    Ok(ClientThing {
        name: facts.name.into(),
        type_name: facts.type_name.map(Into::into),
        attributes: attributes.collect::<Result<_, _>>()?,
        attachment: match (facts.attached_to_principal, facts.exclusive) {
            (false, _) => ThingAttachment::None,
            (true, false) => ThingAttachment::NonExclusive,
            (true, true) => ThingAttachment::Exclusive,
        },
    })
}

fn certificate(facts: &Map<String, Value>) -> Result<ClientCertificate, FactError> {
    let mut certificate = ClientCertificate::default();
    fields(facts, "", &mut certificate)?;
    Ok(certificate)
}

/// Nested objects make dotted names: `{"Subject": {"CommonName": …}}`.
fn fields(
    facts: &Map<String, Value>,
    path: &str,
    certificate: &mut ClientCertificate,
) -> Result<(), FactError> {
    for (name, value) in facts {
        match value {
            Value::Object(inner) => fields(inner, &format!("{path}{name}."), certificate)?,
            value if path.is_empty() && name == "id" => {
                let id = scalar(value).ok_or_else(|| FactError::Single(name.clone()))?;
                certificate.id = Some(id);
            }
            value => {
                let name = format!("{path}{name}");
                certificate.set(&name, texts(&name, value)?);
            }
        }
    }
    Ok(())
}

/// A value, or a list of them.
fn texts(key: &str, value: &Value) -> Result<Vec<Box<str>>, FactError> {
    let values = match value {
        Value::Array(values) => values.as_slice(),
        value => std::slice::from_ref(value),
    };
    values
        .iter()
        .map(|value| scalar(value).ok_or_else(|| FactError::Value(key.to_owned())))
        .collect()
}

fn scalar(value: &Value) -> Option<Box<str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(number) => Some(number.to_string().into()),
        Value::Bool(value) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::variable::ContextKey;

    #[test]
    fn everything_is_read() {
        let context: Context = serde_json::from_str(
            r#"{"clientId":"lamp1","principal":"certificate",
                "thing":{"name":"lamp1","type":"Lamp","attributes":{"room":"hall"},"attachedToPrincipal":true},
                "certificate":{"id":"c1","Subject":{"CommonName":["a","b"],"AlternativeName":{"DNSName":"x"}},"SerialNumber":42},
                "conditions":{"iot:LastWillTopic":"t","iot:ConnectAttributes":[]}}"#,
        )
        .unwrap();
        let value = |key| {
            let values: Vec<_> = context.values(&ContextKey::new(key)).iter().collect();
            values.join(",")
        };
        assert_eq!(value("iot:ClientId"), "lamp1");
        assert_eq!(value("iot:Connection.Thing.Attributes[room]"), "hall");
        assert_eq!(value("iot:CertificateId"), "c1");
        assert_eq!(value("iot:Certificate.Subject.CommonName.List"), "a,b");
        assert_eq!(
            value("iot:Certificate.Subject.AlternativeName.DNSName"),
            "x"
        );
        assert_eq!(value("iot:Certificate.SerialNumber"), "42");
        assert_eq!(value("iot:lastwilltopic"), "t");
        assert_eq!(value("iot:ConnectAttributes"), "");
    }

    #[test]
    fn faults() {
        let error = |text| {
            serde_json::from_str::<Context>(text)
                .unwrap_err()
                .to_string()
        };
        insta::assert_snapshot!(
            [
                r#"{"principal":"nobody"}"#,
                r#"{"conditions":{"k":{}}}"#,
                r#"{"conditions":{"k":[null]}}"#,
                r#"{"thing":{"name":"t","attributes":{"a":[]}}}"#,
                r#"{"clientID":"c"}"#,
            ]
            .map(error)
            .join("\n")
        );
    }
}
