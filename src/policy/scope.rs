//! Scope of topics and clients: the partition, region and account that make an ARN of a topic's
//! name.
//!
//! People ask about topics, policies about ARNs. The scope is taken from the documents when they name one only.

use super::document::Document;
use super::misfit::doubled;

/// The partition, region and account of an IoT endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Such as `aws`, `aws-cn`, `aws-us-gov`.
    pub partition: Box<str>,
    /// Such as `eu-central-1`.
    pub region: Box<str>,
    /// Twelve digits.
    pub account: Box<str>,
}

/// The kinds of resources that clients ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResourceKind {
    /// `client/<client id>`
    Client,
    /// `topic/<topic>`
    Topic,
    /// `topicfilter/<filter as sent>`
    TopicFilter,
}

impl ResourceKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Topic => "topic",
            Self::TopicFilter => "topicfilter",
        }
    }
}

impl Default for Scope {
    /// The account and region that AWS's own examples use, for documents that name none.
    fn default() -> Self {
        Self {
            partition: "aws".into(),
            region: "us-east-1".into(),
            account: "123456789012".into(),
        }
    }
}

/// Documents name several scopes, so that it has to be said which is meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the documents name several regions or accounts: `{0}` and `{1}`")]
pub struct SeveralScopes(String, String);

impl Scope {
    /// The one scope that the documents' resources name; the default when all leave it open.
    ///
    /// # Errors
    /// [`SeveralScopes`] when they name more than one.
    pub fn of<'d>(
        documents: impl IntoIterator<Item = &'d Document>,
    ) -> Result<Self, SeveralScopes> {
        let mut found: Option<Self> = None;
        for statement in documents
            .into_iter()
            .flat_map(|document| &document.statements)
        {
            for scope in statement
                .resources
                .listed()
                .iter()
                .filter_map(|resource| named(&resource.text))
            {
                match &found {
                    Some(known) if *known != scope => {
                        return Err(SeveralScopes(known.prefix(), scope.prefix()));
                    }
                    _ => found = Some(scope),
                }
            }
        }
        Ok(found.unwrap_or_default())
    }

    /// The ARN of a topic, filter or client.
    pub fn arn(&self, kind: ResourceKind, name: &str) -> String {
        format!("{}:{}/{name}", self.prefix(), kind.as_str())
    }

    /// The ARN of a resource such as `topic/order/1`.
    pub fn arn_of(&self, resource: &str) -> String {
        format!("{}:{resource}", self.prefix())
    }

    /// Prefix of all ARNs of the scope, without the fifth colon.
    pub fn prefix(&self) -> String {
        let Self {
            partition,
            region,
            account,
        } = self;
        format!("arn:{partition}:iot:{region}:{account}")
    }
}

/// The scope of one pattern, if it leaves nothing open.
fn named(pattern: &str) -> Option<Scope> {
    if let Some((_, mended)) = doubled(pattern) {
        return named(&mended);
    }
    let mut parts = pattern.splitn(6, ':');
    let (_arn, partition, _service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account) = (parts.next()?, parts.next()?);
    parts.next()?;
    let open = |part: &str| part.is_empty() || part.contains(['*', '?']);
    if [partition, region, account].into_iter().any(open) {
        return None;
    }
    // A slip in one ARN is no other scope.
    if !account.bytes().all(|byte| byte.is_ascii_digit()) || region.contains(' ') {
        return None;
    }
    Some(Scope {
        partition: partition.into(),
        region: region.into(),
        account: account.into(),
    })
}

/// Scopes as somebody names them, checked.
impl Scope {
    /// The scope of a Region and an account. The partition follows from the Region.
    ///
    /// # Errors
    /// [`ScopeError`] when one of them does not have its form. That the Region exists is not
    /// checked: there are new ones every year.
    pub fn try_new(region: &str, account: &str) -> Result<Self, ScopeError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let parts = region.split('-').collect::<Vec<_>>();
        let ends_in_number = parts
            .last()
            .is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
        let whole = parts.iter().all(|part| !part.is_empty());
        if parts.len() < 3 || !whole || !ends_in_number || !region.chars().all(fits) {
            return Err(ScopeError::Region(region.into()));
        }
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(ScopeError::Account(account.into()));
        }
        Ok(Self {
            partition: partition(region).into(),
            region: region.into(),
            account: account.into(),
        })
    }

    /// The ARN of a resource of any service, such as `arn:aws:sqs:eu-central-1:123456789012:events` for `sqs` and `events`.
    pub fn arn_in(&self, service: &str, resource: &str) -> String {
        let Self {
            partition,
            region,
            account,
        } = self;
        format!("arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

/// The partition of a Region (developer guide, "AWS IoT Core action resources": `aws`, `aws-cn`, `aws-us-gov`).
fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// Text that cannot be part of an ARN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Not the name of a Region.
    #[error("`{0}` is no Region; write it like eu-central-1")]
    Region(Box<str>),
    /// Not an account's id.
    #[error("`{0}` is no account id; it has 12 digits")]
    Account(Box<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(resources: &str) -> Document {
        Document::parse(&format!(
            r#"{{"Statement":{{"Effect":"Allow","Action":"*","Resource":{resources}}}}}"#
        ))
        .unwrap()
    }

    #[test]
    fn scopes() {
        let one = document(
            r#"["arn:aws-cn:iot:cn-north-1:1:topic/a:b", "arn:aws:iot:*:2:topic/a", "*"]"#,
        );
        let scope = Scope::of([&one]).unwrap();
        assert_eq!(
            scope.arn(ResourceKind::TopicFilter, "a/#"),
            "arn:aws-cn:iot:cn-north-1:1:topicfilter/a/#"
        );
        let doubled = document(r#""arn:aws:iot:iot:us-west-2:123456789012:topic/a""#);
        assert_eq!(
            Scope::of([&doubled]).unwrap().prefix(),
            "arn:aws:iot:us-west-2:123456789012"
        );
        let swapped = document(r#""arn:aws:iot:123456789012:us-west-2:topic/a""#);
        assert_eq!(Scope::of([&swapped]), Ok(Scope::default()));
        let none = document(r#""*""#);
        assert_eq!(Scope::of([&none]), Ok(Scope::default()));
        let other = document(r#""arn:aws:iot:eu-west-1:1:client/c""#);
        assert_eq!(
            Scope::of([&one, &none, &other]).unwrap_err().to_string(),
            "the documents name several regions or accounts: `arn:aws-cn:iot:cn-north-1:1` and `arn:aws:iot:eu-west-1:1`"
        );
    }

    #[test]
    fn arns_of_a_region() {
        let arn = |region| {
            let scope = Scope::try_new(region, "123456789012").unwrap();
            scope.arn_in("iot", "topic/a")
        };
        assert_eq!(
            arn("eu-central-1"),
            "arn:aws:iot:eu-central-1:123456789012:topic/a"
        );
        assert_eq!(
            arn("cn-north-1"),
            "arn:aws-cn:iot:cn-north-1:123456789012:topic/a"
        );
        assert_eq!(
            arn("us-gov-west-1"),
            "arn:aws-us-gov:iot:us-gov-west-1:123456789012:topic/a"
        );
    }

    #[test]
    fn what_is_no_scope() {
        for region in [
            "",
            "*",
            "eu-central",
            "eu-central-*",
            "eu--1",
            "EU-central-1",
            "eu-central-1:1",
        ] {
            let error = Scope::try_new(region, "123456789012").unwrap_err();
            assert_eq!(error, ScopeError::Region(region.into()));
        }
        for account in ["", "12345678901", "1234567890123", "12345678901*"] {
            let error = Scope::try_new("eu-central-1", account).unwrap_err();
            assert_eq!(error, ScopeError::Account(account.into()));
        }
    }
}
