//! Names of policies and targets that they are attached to (IoT API reference, CreatePolicy and
//! AttachPolicy; lengths and characters by the API's model).

use std::fmt;

/// The longest name of a policy.
const NAME_CHARACTERS: usize = 128;

/// The longest name of a thing group (IoT API reference, CreateThingGroup).
const GROUP_CHARACTERS: usize = 128;

/// A certificate's id: a SHA-256 digest in hexadecimal.
const CERTIFICATE_CHARACTERS: usize = 64;

/// The longest id of a Cognito identity (Cognito federated identities API reference, IdentityId).
const IDENTITY_CHARACTERS: usize = 55;

/// Reason why a name or a target is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct BadText {
    /// The fault, with the value.
    pub what: String,
    /// Accepted values.
    pub help: &'static str,
}

/// A policy's name, as IoT Core takes it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Box<str>);

impl PolicyName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`BadText`] where it is empty, too long, or has a character that names do not have.
    pub fn parse(text: &str) -> Result<Self, BadText> {
        let bad = |what: String| {
            Err(BadText {
                what,
                help: "a policy's name has 1 to 128 of the characters A-Z a-z 0-9 _ + = , . @ -",
            })
        };
        let allowed = |c: &char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(*c);
        if text.is_empty() {
            return bad("a policy's name is empty".into());
        }
        if let Some(other) = text.chars().find(|c| !allowed(c)) {
            return bad(format!("the policy's name `{text}` has a `{other}`"));
        }
        if text.len() > NAME_CHARACTERS {
            let length = text.len();
            return bad(format!(
                "the policy's name `{text}` has {length} characters"
            ));
        }
        Ok(Self(text.into()))
    }

    /// The name itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Target of a policy's attachment: a certificate or a thing group by its ARN, a Cognito identity
/// by its id. Shown and compared as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttachmentTarget(Box<str>);

const TARGET: &str = "a target is a certificate (arn:aws:iot:REGION:ACCOUNT:cert/ID), a thing group (arn:aws:iot:REGION:ACCOUNT:thinggroup/NAME), or a Cognito identity (REGION:UUID)";

impl AttachmentTarget {
    /// Checks a target's form; whether it exists is not known here.
    ///
    /// # Errors
    /// [`BadText`] where it is none of the three things that policies are attached to.
    pub fn parse(text: &str) -> Result<Self, BadText> {
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let what = match *parts {
            ["arn", partition, "iot", region, account, resource] => {
                wrong_arn(partition, region, account, resource)
            }
            ["arn", _, service, ..] => Some(format!("is of the service `{service}`")),
            [region, id] if is_identity(region, id) => None,
            _ => Some("is neither an ARN nor the id of a Cognito identity".into()),
        };
        match what {
            None => Ok(Self(text.into())),
            Some(what) => Err(BadText {
                what: format!("the target `{text}` {what}"),
                help: TARGET,
            }),
        }
    }

    /// The target as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Region it is in: policies are attached within one.
    pub fn region(&self) -> &str {
        let at = if self.0.starts_with("arn:") { 3 } else { 0 };
        self.0.split(':').nth(at).unwrap_or_default()
    }
}

impl fmt::Display for AttachmentTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn wrong_arn(partition: &str, region: &str, account: &str, resource: &str) -> Option<String> {
    if !matches!(partition, "aws" | "aws-cn" | "aws-us-gov") {
        return Some(format!("is of the partition `{partition}`"));
    }
    if !is_region(region) {
        return Some(format!("names the Region `{region}`"));
    }
    if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(format!(
            "names the account `{account}`, which has not 12 digits"
        ));
    }
    match resource.split_once('/') {
        Some(("cert", id)) => {
            let good = id.len() == CERTIFICATE_CHARACTERS
                && id.bytes().all(|byte| byte.is_ascii_hexdigit());
            (!good).then(|| "has a certificate's id that is not 64 hexadecimal digits".into())
        }
        Some(("thinggroup", name)) => {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b":_-".contains(&byte);
            let good = (1..=GROUP_CHARACTERS).contains(&name.len()) && name.bytes().all(allowed);
            (!good).then(|| "has a name that is no thing group's".into())
        }
        Some((other, _)) => Some(format!("is a `{other}`")),
        None => Some(format!("names the resource `{resource}`")),
    }
}

fn is_region(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    text.contains('-') && text.bytes().all(allowed)
}

fn is_identity(region: &str, id: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
    is_region(region)
        && !id.is_empty()
        && id.bytes().all(allowed)
        && region.len() + 1 + id.len() <= IDENTITY_CHARACTERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(outcome: Result<impl fmt::Debug, BadText>, what: &str) {
        assert_eq!(outcome.unwrap_err().what, what);
    }

    #[test]
    fn names() {
        for name in ["a", "order-customer_1", "a+b=c,d.e@f", &"x".repeat(128)] {
            assert_eq!(PolicyName::parse(name).unwrap().as_str(), name);
        }
        refused(PolicyName::parse(""), "a policy's name is empty");
        for name in ["a b", "a/b", "a:b", "ä"] {
            let other = name.chars().find(|c| !c.is_ascii_alphanumeric()).unwrap();
            refused(
                PolicyName::parse(name),
                &format!("the policy's name `{name}` has a `{other}`"),
            );
        }
        let long = "x".repeat(129);
        refused(
            PolicyName::parse(&long),
            &format!("the policy's name `{long}` has 129 characters"),
        );
    }

    #[test]
    fn targets() {
        let certificate = format!(
            "arn:aws:iot:eu-west-1:123456789012:cert/{}",
            "0aF".repeat(22).split_at(64).0
        );
        for (target, region) in [
            (&*certificate, "eu-west-1"),
            (
                "arn:aws-cn:iot:cn-north-1:123456789012:thinggroup/a:b_c-D",
                "cn-north-1",
            ),
            (
                "us-east-1:5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11",
                "us-east-1",
            ),
        ] {
            let parsed = AttachmentTarget::parse(target).unwrap();
            assert_eq!((parsed.as_str(), parsed.region()), (target, region));
        }
    }

    #[test]
    fn what_is_no_target() {
        for (target, what) in [
            ("", "is neither an ARN nor the id of a Cognito identity"),
            (
                "my-thing",
                "is neither an ARN nor the id of a Cognito identity",
            ),
            (
                "us-east-1:5B0C",
                "is neither an ARN nor the id of a Cognito identity",
            ),
            ("arn:aws:iot:eu-west-1:123456789012:thing/t", "is a `thing`"),
            (
                "arn:aws:iot:eu-west-1:123456789012:cert/abc",
                "has a certificate's id that is not 64 hexadecimal digits",
            ),
            (
                "arn:aws:iot:eu-west-1:123456789012:thinggroup/",
                "has a name that is no thing group's",
            ),
            (
                "arn:aws:iot::123456789012:thinggroup/g",
                "names the Region ``",
            ),
            (
                "arn:aws:iot:eu-west-1:12345678901:thinggroup/g",
                "names the account `12345678901`, which has not 12 digits",
            ),
            (
                "arn:aws:iam::123456789012:role/r",
                "is of the service `iam`",
            ),
            (
                "arn:amazon:iot:eu-west-1:123456789012:thinggroup/g",
                "is of the partition `amazon`",
            ),
        ] {
            refused(
                AttachmentTarget::parse(target),
                &format!("the target `{target}` {what}"),
            );
        }
    }
}
