//! Where topics and clients live: the partition, region and account that make an ARN of a topic's name.
//!
//! People ask about topics, policies about ARNs. The scope is taken from the documents when they name one only.

use super::document::Document;

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
pub enum Kind {
    /// `client/<client id>`
    Client,
    /// `topic/<topic>`
    Topic,
    /// `topicfilter/<filter as sent>`
    TopicFilter,
}

impl Kind {
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
    pub fn arn(&self, kind: Kind, name: &str) -> String {
        format!("{}:{}/{name}", self.prefix(), kind.as_str())
    }

    fn prefix(&self) -> String {
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
    let mut parts = pattern.splitn(6, ':');
    let (_arn, partition, _service) = (parts.next()?, parts.next()?, parts.next()?);
    let (region, account) = (parts.next()?, parts.next()?);
    parts.next()?;
    let open = |part: &str| part.is_empty() || part.contains(['*', '?']);
    if [partition, region, account].into_iter().any(open) {
        return None;
    }
    Some(Scope {
        partition: partition.into(),
        region: region.into(),
        account: account.into(),
    })
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
            scope.arn(Kind::TopicFilter, "a/#"),
            "arn:aws-cn:iot:cn-north-1:1:topicfilter/a/#"
        );
        let none = document(r#""*""#);
        assert_eq!(Scope::of([&none]), Ok(Scope::default()));
        let other = document(r#""arn:aws:iot:eu-west-1:1:client/c""#);
        assert_eq!(
            Scope::of([&one, &none, &other]).unwrap_err().to_string(),
            "the documents name several regions or accounts: `arn:aws-cn:iot:cn-north-1:1` and `arn:aws:iot:eu-west-1:1`"
        );
    }
}
