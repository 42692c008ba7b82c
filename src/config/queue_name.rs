//! A queue's Region, account and name, as its URL has them.

use crate::policy::scope::{Scope, ScopeError};

/// Labels before the Region in hosts of SQS (AWS General Reference, "Amazon SQS endpoints and
/// quotas": <https://docs.aws.amazon.com/general/latest/gr/sqs-service.html>).
const SQS_LABELS: [&str; 2] = ["sqs", "sqs-fips"];

/// The parts of a queue's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueName<'u> {
    /// The Region, where the host names it.
    pub region: Option<&'u str>,
    /// The account.
    pub account: &'u str,
    /// The name.
    pub name: &'u str,
}

impl<'u> QueueName<'u> {
    /// Reads `https://sqs.REGION.amazonaws.com/ACCOUNT/NAME`, and other URLs that end in account
    /// and name.
    pub fn of_url(url: &'u str) -> Option<Self> {
        let (_, rest) = url.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let (before, name) = path.trim_end_matches('/').rsplit_once('/')?;
        let account = before.rsplit('/').next()?;
        if account.len() != 12 || !account.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // `REGION.queue.amazonaws.com` is SQS's older name.
        let older = host.split_once(".queue.").map(|(region, _)| region);
        let region = region_behind(host, &SQS_LABELS);
        Some(Self {
            region: region.or(older.filter(|region| is_region(region))),
            account,
            name,
        })
    }

    /// The queue's ARN; `usual` has the Region of a queue whose host names none.
    ///
    /// # Errors
    /// [`ScopeError`] when Region or account cannot be part of an ARN.
    pub fn arn(&self, usual: &Scope) -> Result<String, ScopeError> {
        let region = self.region.unwrap_or(&usual.region);
        Ok(Scope::try_new(region, self.account)?.arn_in("sqs", self.name))
    }
}

/// The Region in a host such as `sqs.eu-central-1.amazonaws.com`: the label behind one of
/// `services`.
pub(super) fn region_behind<'h>(host: &'h str, services: &[&str]) -> Option<&'h str> {
    let mut labels = host.split('.').peekable();
    while let Some(label) = labels.next() {
        let next = labels.peek().copied();
        if services.contains(&label) && next.is_some_and(is_region) {
            return next;
        }
    }
    None
}

/// Returns `true` where a text has the form of a Region's name.
fn is_region(text: &str) -> bool {
    Scope::try_new(text, &Scope::default().account).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arn(url: &str) -> Option<String> {
        let usual = Scope::try_new("eu-central-1", "123456789012").unwrap();
        QueueName::of_url(url).map(|queue| queue.arn(&usual).unwrap())
    }

    #[test]
    fn queues_are_known_by_their_urls() {
        for (url, expected) in [
            (
                "https://sqs.eu-west-1.amazonaws.com/210987654321/q",
                "arn:aws:sqs:eu-west-1:210987654321:q",
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/210987654321/q.fifo",
                "arn:aws-cn:sqs:cn-north-1:210987654321:q.fifo",
            ),
            (
                "https://eu-west-1.queue.amazonaws.com/210987654321/q",
                "arn:aws:sqs:eu-west-1:210987654321:q",
            ),
            (
                "http://127.0.0.1:9324/210987654321/q",
                "arn:aws:sqs:eu-central-1:210987654321:q",
            ),
            (
                "http://sqs.localhost:9324/210987654321/q",
                "arn:aws:sqs:eu-central-1:210987654321:q",
            ),
        ] {
            assert_eq!(arn(url).as_deref(), Some(expected));
        }
        assert_eq!(arn("https://queues.example/q"), None);
        assert_eq!(arn("https://queues.example/a/q"), None);
    }
}
