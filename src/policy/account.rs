//! The account and Region that resources are in, as ARNs name them.

/// An AWS account in a Region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    partition: &'static str,
    region: Box<str>,
    id: Box<str>,
}

impl Account {
    /// Checks a Region and an account id. The partition follows from the Region.
    ///
    /// # Errors
    /// [`AccountError`] when one of them cannot be what it should be. That the Region exists is not checked: there are new ones every year.
    pub fn try_new(region: &str, id: &str) -> Result<Self, AccountError> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let parts = region.split('-').collect::<Vec<_>>();
        let ends_in_number = parts
            .last()
            .is_some_and(|last| !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()));
        let whole = parts.iter().all(|part| !part.is_empty());
        if parts.len() < 3 || !whole || !ends_in_number || !region.chars().all(fits) {
            return Err(AccountError::Region(region.into()));
        }
        if id.len() != 12 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AccountError::Id(id.into()));
        }
        Ok(Self {
            partition: partition(region),
            region: region.into(),
            id: id.into(),
        })
    }

    /// The Region's name.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The ARN of a resource, such as `arn:aws:iot:eu-central-1:123456789012:topic/a` for `iot` and `topic/a`.
    pub fn arn(&self, service: &str, resource: &str) -> String {
        let Self {
            partition,
            region,
            id,
        } = self;
        format!("arn:{partition}:{service}:{region}:{id}:{resource}")
    }
}

/// The partition of a Region (developer guide, "AWS IoT Core policy action resources": `aws`, `aws-cn`, `aws-us-gov`).
fn partition(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "aws-cn",
        _ if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

/// What cannot be part of an ARN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    /// Not the name of a Region.
    #[error("`{0}` is no Region; write it like eu-central-1")]
    Region(Box<str>),
    /// Not an account's id.
    #[error("`{0}` is no account id; it has 12 digits")]
    Id(Box<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arns() {
        let arn = |region| {
            Account::try_new(region, "123456789012")
                .unwrap()
                .arn("iot", "topic/a")
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
    fn what_is_no_account() {
        for region in [
            "",
            "*",
            "eu-central",
            "eu-central-*",
            "eu--1",
            "EU-central-1",
            "eu-central-1:1",
        ] {
            let error = Account::try_new(region, "123456789012").unwrap_err();
            assert_eq!(error, AccountError::Region(region.into()));
        }
        for id in ["", "12345678901", "1234567890123", "12345678901*"] {
            let error = Account::try_new("eu-central-1", id).unwrap_err();
            assert_eq!(error, AccountError::Id(id.into()));
        }
    }
}
