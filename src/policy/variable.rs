//! Context keys: facts about a request that policies may ask for, as `${iot:ClientId}` in a
//! resource or as the key of a condition.
//!
//! Names are read once, when a document is compiled, and do not depend on case (IAM user guide,
//! "Variables and tags"). The values of a key in a request are decided in
//! [`context`](super::context). Follows the developer guide of AWS IoT Core, "AWS IoT Core policy
//! variables".

use std::fmt;

/// Prefix of the names of thing variables.
const THING: &str = "iot:connection.thing.";
const ATTRIBUTES: &str = "iot:connection.thing.attributes[";
const CERTIFICATE: &str = "iot:certificate.";

/// A context key: which fact about the request is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextKey {
    written: Box<str>,
    lower: Box<str>,
    pub(super) fact: ContextFact,
}

/// The facts that keys refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ContextFact {
    ClientId,
    ThingName,
    ThingTypeName,
    /// The attribute's name, as written: the registry's names are case-sensitive.
    ThingAttribute(Box<str>),
    ThingIsAttached,
    CertificateId,
    /// The names of all certificate variables that have a value.
    CertificateKeys,
    Certificate {
        /// Such as `subject.commonname`.
        field: Box<str>,
        which: CertificateValue,
    },
    /// Anything else, such as `aws:SourceIp` or `iot:LastWillTopic`: only what the request itself brings.
    Other,
}

/// Selection among a certificate field's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CertificateValue {
    /// One by its place, counted from 0. A name without a number means the first.
    At(usize),
    /// All of them: `.List`.
    All,
}

impl ContextKey {
    /// Reads a key's name. Any name is one: an unknown key is absent from every request.
    pub fn new(name: &str) -> Self {
        let lower = name.to_ascii_lowercase();
        Self {
            written: name.into(),
            fact: fact(name, &lower),
            lower: lower.into(),
        }
    }

    /// The name as written in the policy.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The name in lower case, by which keys are compared.
    pub(super) fn lower(&self) -> &str {
        &self.lower
    }

    /// Returns `true` where its values come from the client's certificate, so that some of them are
    /// not put in a policy's place.
    pub fn is_of_certificate(&self) -> bool {
        self.lower.starts_with(CERTIFICATE)
    }

    /// Returns `true` where it asks about the thing that the client is attached to.
    pub fn is_of_thing(&self) -> bool {
        self.lower.starts_with(THING)
    }
}

impl fmt::Display for ContextKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn fact(name: &str, lower: &str) -> ContextFact {
    match lower {
        "iot:clientid" => return ContextFact::ClientId,
        "iot:connection.thing.thingname" => return ContextFact::ThingName,
        "iot:connection.thing.thingtypename" => return ContextFact::ThingTypeName,
        "iot:connection.thing.isattached" => return ContextFact::ThingIsAttached,
        "iot:certificateid" => return ContextFact::CertificateId,
        "iot:certificate.availablekeys" => return ContextFact::CertificateKeys,
        _ => {}
    }
    if lower.starts_with(ATTRIBUTES)
        && let Some(attribute) = name.get(ATTRIBUTES.len()..)
        && let Some(attribute) = attribute.strip_suffix(']')
    {
        return ContextFact::ThingAttribute(attribute.into());
    }
    match lower.strip_prefix(CERTIFICATE) {
        Some(path) => certificate(path),
        None => ContextFact::Other,
    }
}

fn certificate(path: &str) -> ContextFact {
    let (field, which) = match path.rsplit_once('.') {
        Some((field, "list")) => (field, CertificateValue::All),
        Some((field, index)) => match index.parse() {
            Ok(index) => (field, CertificateValue::At(index)),
            Err(_) => (path, CertificateValue::At(0)),
        },
        None => (path, CertificateValue::At(0)),
    };
    ContextFact::Certificate {
        field: field.into(),
        which,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expected: &ContextFact) {
        assert_eq!(&ContextKey::new(name).fact, expected, "{name}");
    }

    #[test]
    fn names() {
        check("IOT:clientid", &ContextFact::ClientId);
        check("iot:Connection.Thing.thingName", &ContextFact::ThingName);
        check(
            "iot:connection.Thing.Attributes[siteName]",
            &ContextFact::ThingAttribute("siteName".into()),
        );
        let common_name = |which| ContextFact::Certificate {
            field: "subject.commonname".into(),
            which,
        };
        check(
            "iot:Certificate.Subject.CommonName",
            &common_name(CertificateValue::At(0)),
        );
        check(
            "iot:Certificate.Subject.CommonName.2",
            &common_name(CertificateValue::At(2)),
        );
        check(
            "iot:Certificate.Subject.CommonName.List",
            &common_name(CertificateValue::All),
        );
        check("iot:LastWillTopic", &ContextFact::Other);
        check("iot:Connection.Thing.Attributes[x", &ContextFact::Other);
    }
}
