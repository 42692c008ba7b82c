//! The context of a request: the client, and the facts known about the connection.
//!
//! It gives for every context key the values that it has in this request. Thing variables exist
//! only for a thing that is attached to the principal and whose name is the client id (or that is
//! attached exclusively): developer guide, "Thing policy variables". Certificate variables count
//! from 0, arrays end at five values: "X.509 Certificate AWS IoT Core policy variables".

use serde::Deserialize;

use super::facts::ContextFacts;
use super::variable::{CertificateValue, ContextFact, ContextKey};

/// The most values of one certificate field; IoT Core ignores the others.
const CERTIFICATE_VALUES: usize = 5;

/// A name in lower case, and its values.
type NamedValues = (Box<str>, Box<[Box<str>]>);

/// The client that asks, and its connection. It can be read from JSON, whose shape is described in
/// [`facts`](super::facts).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(try_from = "ContextFacts")]
pub struct Context {
    /// The MQTT client id.
    pub client_id: Option<Box<str>>,
    /// Way in which the client proved its identity; `None` where it is not known, and then
    /// everything else here counts.
    pub principal: Option<ClientPrincipal>,
    /// The thing of the registry that belongs to the client.
    pub thing: Option<ClientThing>,
    /// The client's X.509 certificate.
    pub certificate: Option<ClientCertificate>,
    /// Values of other keys, names in lower case.
    conditions: Vec<NamedValues>,
}

/// Ways in which a client proves its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPrincipal {
    /// An X.509 certificate.
    Certificate,
    /// A Cognito identity that has signed in.
    CognitoAuthenticated,
    /// A Cognito identity that has not.
    CognitoUnauthenticated,
    /// Credentials of an IAM role or user.
    Iam,
    /// A token that a custom authorizer accepted.
    CustomAuthorizer,
}

impl ClientPrincipal {
    /// All kinds, with their names in files and on the command line.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("certificate", Self::Certificate),
        ("cognito-authenticated", Self::CognitoAuthenticated),
        ("cognito-unauthenticated", Self::CognitoUnauthenticated),
        ("iam", Self::Iam),
        ("custom-authorizer", Self::CustomAuthorizer),
    ];

    /// The kind of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMES
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, kind)| kind)
    }

    fn has_things(self) -> bool {
        matches!(self, Self::Certificate | Self::CognitoAuthenticated)
    }
}

/// A thing of the registry.
#[derive(Clone, Debug, Default)]
pub struct ClientThing {
    /// Its name.
    pub name: Box<str>,
    /// Its type's name.
    pub type_name: Option<Box<str>>,
    /// Its attributes.
    pub attributes: Vec<(Box<str>, Box<str>)>,
    /// Attachment of the client's principal to the thing.
    pub attachment: ThingAttachment,
}

/// Attachment of a principal to a thing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ThingAttachment {
    /// Not at all.
    #[default]
    None,
    /// As one of several, so that the client id has to name the thing.
    NonExclusive,
    /// As the principal's only thing, whatever the client id.
    Exclusive,
}

/// Values of a certificate that policies may ask for.
#[derive(Clone, Debug, Default)]
pub struct ClientCertificate {
    /// The id that IoT Core gave it.
    pub id: Option<Box<str>>,
    /// Values by field, names in lower case such as `subject.commonname`.
    fields: Vec<NamedValues>,
    /// The fields' variables as AWS writes them.
    available: Vec<Box<str>>,
}

impl ClientCertificate {
    /// Adds a field such as `Subject.CommonName`. Values after the fifth do not count.
    pub fn set<V: Into<Box<str>>>(&mut self, field: &str, values: impl IntoIterator<Item = V>) {
        let values: Box<[Box<str>]> = values
            .into_iter()
            .take(CERTIFICATE_VALUES)
            .map(Into::into)
            .collect();
        if !values.is_empty() {
            self.available
                .push(format!("iot:Certificate.{field}").into());
            self.fields
                .push((field.to_ascii_lowercase().into(), values));
        }
    }

    fn values(&self, field: &str, which: CertificateValue) -> KeyValues<'_> {
        let Some((_, values)) = self.fields.iter().find(|(name, _)| **name == *field) else {
            return KeyValues::Absent;
        };
        match which {
            CertificateValue::All => KeyValues::Many(values),
            CertificateValue::At(index) => values.get(index).into(),
        }
    }
}

/// The values of a key in one request.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyValues<'c> {
    /// The request does not have the key.
    Absent,
    /// One value.
    One(&'c str),
    /// Any number of values, none included.
    Many(&'c [Box<str>]),
}

impl<'c> KeyValues<'c> {
    pub(super) fn iter(self) -> impl Iterator<Item = &'c str> {
        let (one, many): (_, &[Box<str>]) = match self {
            Self::Absent => (None, &[]),
            Self::One(value) => (Some(value), &[]),
            Self::Many(values) => (None, values),
        };
        one.into_iter().chain(many.iter().map(|value| &**value))
    }

    pub(super) fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }
}

impl<'c> From<Option<&'c Box<str>>> for KeyValues<'c> {
    fn from(value: Option<&'c Box<str>>) -> Self {
        value.map_or(Self::Absent, |value| Self::One(value))
    }
}

impl Context {
    /// The context of a client of which nothing but its id is known.
    pub fn of_client(client_id: &str) -> Self {
        Self {
            client_id: Some(client_id.into()),
            ..Self::default()
        }
    }

    /// Gives a key its values, in place of those it had; no values make an empty set, which is not
    /// the same as an absent key for `missing`. It takes precedence over the fields of this type.
    pub fn set<V: Into<Box<str>>>(&mut self, key: &str, values: impl IntoIterator<Item = V>) {
        let key: Box<str> = key.to_ascii_lowercase().into();
        let values = values.into_iter().map(Into::into).collect();
        match self.conditions.iter_mut().find(|(name, _)| *name == key) {
            Some((_, known)) => *known = values,
            None => self.conditions.push((key, values)),
        }
    }

    /// Adds a value to those of a key with several.
    pub fn add(&mut self, key: &str, value: &str) {
        let known = ContextKey::new(key);
        let mut values: Vec<Box<str>> = self.values(&known).iter().map(Into::into).collect();
        if !values.iter().any(|known| **known == *value) {
            values.push(value.into());
        }
        self.set(key, values);
    }

    /// Takes over the values of keys that were set in another context.
    pub fn extend(&mut self, other: Self) {
        for (key, values) in other.conditions {
            self.set(&key, values);
        }
    }

    /// The values of a key.
    pub(super) fn values(&self, key: &ContextKey) -> KeyValues<'_> {
        if let Some((_, values)) = self
            .conditions
            .iter()
            .find(|(name, _)| **name == *key.lower())
        {
            return KeyValues::Many(values);
        }
        match &key.fact {
            ContextFact::ClientId => self.client_id.as_ref().into(),
            ContextFact::ThingName => self.attached().map(|thing| &thing.name).into(),
            ContextFact::ThingTypeName => self
                .attached()
                .and_then(|thing| thing.type_name.as_ref())
                .into(),
            ContextFact::ThingAttribute(name) => self
                .attached()
                .and_then(|thing| thing.attributes.iter().find(|(known, _)| known == name))
                .map(|(_, value)| value)
                .into(),
            ContextFact::ThingIsAttached => match self.attached() {
                Some(_) => KeyValues::One("true"),
                None => KeyValues::Absent,
            },
            ContextFact::CertificateId => self
                .certificate()
                .and_then(|known| known.id.as_ref())
                .into(),
            ContextFact::CertificateKeys => match self.certificate() {
                Some(certificate) => KeyValues::Many(&certificate.available),
                None => KeyValues::Absent,
            },
            ContextFact::Certificate { field, which } => match self.certificate() {
                Some(certificate) => certificate.values(field, *which),
                None => KeyValues::Absent,
            },
            ContextFact::Other => KeyValues::Absent,
        }
    }

    /// The thing, if its variables exist in this request.
    fn attached(&self) -> Option<&ClientThing> {
        let thing = self.thing.as_ref()?;
        if !self.principal.is_none_or(ClientPrincipal::has_things) {
            return None;
        }
        let attached = match thing.attachment {
            ThingAttachment::None => false,
            ThingAttachment::NonExclusive => self.client_id.as_ref() == Some(&thing.name),
            ThingAttachment::Exclusive => true,
        };
        attached.then_some(thing)
    }

    fn certificate(&self) -> Option<&ClientCertificate> {
        self.certificate.as_ref().filter(|_| {
            self.principal
                .is_none_or(|kind| kind == ClientPrincipal::Certificate)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(context: &Context, key: &str, expected: &[&str]) {
        let values: Vec<&str> = context.values(&ContextKey::new(key)).iter().collect();
        assert_eq!(values, expected, "{key}");
    }

    fn with_thing(client_id: &str, attachment: ThingAttachment) -> Context {
        Context {
            thing: Some(ClientThing {
                name: "lamp".into(),
                type_name: Some("Lamp".into()),
                attributes: vec![("room".into(), "hall".into())],
                attachment,
            }),
            ..Context::of_client(client_id)
        }
    }

    #[test]
    fn thing_variables_exist_for_an_attached_thing_only() {
        let name = "iot:Connection.Thing.ThingName";
        check(
            &with_thing("lamp", ThingAttachment::NonExclusive),
            name,
            &["lamp"],
        );
        check(
            &with_thing("other", ThingAttachment::NonExclusive),
            name,
            &[],
        );
        check(
            &with_thing("other", ThingAttachment::Exclusive),
            name,
            &["lamp"],
        );
        check(&with_thing("lamp", ThingAttachment::None), name, &[]);
        let attached = with_thing("lamp", ThingAttachment::NonExclusive);
        check(&attached, "iot:Connection.Thing.IsAttached", &["true"]);
        check(&attached, "iot:Connection.Thing.ThingTypeName", &["Lamp"]);
        check(
            &attached,
            "iot:connection.thing.attributes[room]",
            &["hall"],
        );
        check(&attached, "iot:Connection.Thing.Attributes[Room]", &[]);
        for (principal, expected) in [
            (ClientPrincipal::CognitoAuthenticated, &["lamp"][..]),
            (ClientPrincipal::Iam, &[]),
            (ClientPrincipal::CustomAuthorizer, &[]),
        ] {
            let context = Context {
                principal: Some(principal),
                ..attached.clone()
            };
            check(&context, name, expected);
        }
    }

    #[test]
    fn certificate_fields_count_from_zero_and_end_at_five() {
        let mut certificate = ClientCertificate {
            id: Some("c1".into()),
            ..ClientCertificate::default()
        };
        certificate.set("Subject.CommonName", ["a", "b", "c", "d", "e", "f"]);
        certificate.set("SerialNumber", ["9"]);
        let context = Context {
            certificate: Some(certificate),
            ..Context::default()
        };
        check(&context, "iot:CertificateId", &["c1"]);
        check(&context, "iot:Certificate.Subject.CommonName", &["a"]);
        check(&context, "iot:Certificate.Subject.CommonName.1", &["b"]);
        check(&context, "iot:Certificate.Subject.CommonName.5", &[]);
        check(
            &context,
            "iot:Certificate.Subject.CommonName.List",
            &["a", "b", "c", "d", "e"],
        );
        check(
            &context,
            "iot:Certificate.AvailableKeys",
            &[
                "iot:Certificate.Subject.CommonName",
                "iot:Certificate.SerialNumber",
            ],
        );
    }

    #[test]
    fn what_is_set_stands_first() {
        let mut context = Context::of_client("c");
        context.set("aws:SourceIp", ["10.0.0.1"]);
        context.set("AWS:sourceip", ["10.0.0.2"]);
        check(&context, "aws:SourceIp", &["10.0.0.2"]);
        context.set("iot:ClientId", ["d"]);
        check(&context, "iot:ClientId", &["d"]);
        context.set("iot:ConnectAttributes", Vec::<Box<str>>::new());
        assert!(matches!(
            context.values(&ContextKey::new("iot:ConnectAttributes")),
            KeyValues::Many([])
        ));
    }
}
