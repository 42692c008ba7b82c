//! ARNs and names that fit, and the reasons why others do not.

use super::*;

#[track_caller]
fn check(text: &str, expected: Option<&str>) {
    let found = arn(text);
    let fits = match (&found, expected) {
        (Some(found), Some(expected)) => found.contains(expected),
        (None, None) => true,
        _ => false,
    };
    assert!(fits, "{text}: {found:?}");
}

#[test]
fn arns_that_fit() {
    for fits in [
        "arn:aws:iot:us-east-1:123456789012:topic/a",
        "arn:aws:iot:*:*:topicfilter/*",
        "arn:aws:iot:eu-*:1234*:client/x",
        "arn:aws-cn:iot:cn-north-1:123456789012:thing/a",
        "arn:*:iot:us-gov-west-1:123456789012:thing/a",
        "arn:aws:iot:us-east-1:123456789012:*",
        "arn:aws:iot:us-east-1:123456789012:top*",
        "arn:aws:iot:us-east-1:123456789012:topic*/a",
        "arn:aws:iot:mx-central-1:123456789012:rolealias/r",
        "arn:aws:iot:*",
        "*",
        "arn:aws:sqs:us-east-1:123456789012:q",
        "arn:aws:s3:::b",
        "arn:aws:iotsitewise:us-east-1:123456789012:asset/a",
        "arn:aws:iot:us-east-1:123456789012:topic/topic",
    ] {
        check(fits, None);
    }
}

#[test]
fn arns_that_fit_nothing() {
    let doubled = Some("twice; write `arn:aws:iot:us-east-1:123456789012:topic/a`");
    check("arn:aws:iot:iot:us-east-1:123456789012:topic/a", doubled);
    check("arn:aws:aws:iot:us-east-1:123456789012:topic/a", doubled);
    check("arn:arn:aws:iot:us-east-1:123456789012:topic/a", doubled);
    check(
        "arn:aws:iot:us-east-1:us-east-1:123456789012:topic/a",
        doubled,
    );
    check(
        "arn:aws:iot:us-east-1:123456789012:123456789012:topic/a",
        doubled,
    );
    check(
        "arn:aws:iot:123456789012:us-east-1:topic/a",
        Some("swapped"),
    );
    check(
        "arn:aws:iot:useast1:123456789012:topic/a",
        Some("no Region"),
    );
    check("arn:aws:iot:REGION:123456789012:topic/a", Some("no Region"));
    check(
        "arn:aws:iot:us-east-1:ACCOUNT_ID:topic/a",
        Some("no account"),
    );
    check(
        "arn:aws:iot:us-east-1:12345678901:topic/a",
        Some("no account"),
    );
    check("arn:aws:iot:us-east-1: 123456789012:topic/a", Some("blank"));
    check(
        "arn:asw:iot:us-east-1:123456789012:topic/a",
        Some("partition"),
    );
    check(
        "arn:aws:iot:cn-north-1:123456789012:topic/a",
        Some("aws-cn"),
    );
    check(
        "arn:aws-cn:iot:us-east-1:123456789012:topic/a",
        Some("partition `aws`"),
    );
    check(
        "arn:aws:iotdata:us-east-1:123456789012:topic/a",
        Some("write `iot`"),
    );
    check(
        "arn:aws:IOT:us-east-1:123456789012:topic/a",
        Some("write `iot`"),
    );
    check(
        "arn:aws:iot:us-east-1:123456789012:topics/a",
        Some("`topic/`"),
    );
    check(
        "arn:aws:iot:us-east-1:123456789012:topicFilter/a",
        Some("`topicfilter/`"),
    );
    check(
        "arn:aws:iot:us-east-1:123456789012:topic:a",
        Some("`topic/` in place"),
    );
    check("arn:aws:iot:us-east-1:123456789012:client", Some("no name"));
    check(
        "arn:aws:iot:us-east-1:123456789012:queue/a",
        Some("no kind"),
    );
    check("arn:aws:iot:us-east-1:123456789012:/a", Some("no kind"));
}

fn tokens(text: &str) -> Vec<GlobToken> {
    let token = |c| match c {
        '*' => GlobToken::Run,
        '?' => GlobToken::One,
        c => GlobToken::Char(c),
    };
    text.chars().map(token).collect()
}

#[test]
fn names() {
    let deep = "a/b/c/d/e/f/g/h/i";
    let long = "x".repeat(257);
    for (kind, fits) in [
        ("topic", "a/*"),
        ("topic", "a/b/c/d/e/f/g/h"),
        ("topic", "$aws/rules/r/a/b/c/d/e/f/g/h"),
        ("topic", "a b"),
        ("topicfilter", "a/+/b"),
        ("topicfilter", "a/#"),
        ("topicfilter", "*+*"),
        ("topicfilter", "a/?#*"),
        ("topicfilter", "#"),
        ("topicfilter", "$share/g/a/b/c/d/e/f/g/h"),
        ("client", "a/+"),
        ("thing", "a/shadow-1"),
        ("rolealias", "+"),
    ] {
        assert_eq!(name(kind, &tokens(fits)), None, "{fits}");
    }
    for (kind, misfit) in [
        ("topic", ""),
        ("topic", deep),
        ("topic", &*long),
        ("topicfilter", deep),
        ("topicfilter", &*long),
        ("topicfilter", "a+/b"),
        ("topicfilter", "a/#/b"),
        ("topicfilter", "a#"),
        ("topicfilter", "#?"),
        ("client", &"x".repeat(129)),
        ("client", "$x"),
        ("thing", "a b"),
    ] {
        assert!(
            matches!(name(kind, &tokens(misfit)), Some(NameMisfit::Impossible(_))),
            "{misfit}"
        );
    }
    for wild in ["a/+", "#", "a+b", "*/#"] {
        assert!(
            matches!(
                name("topic", &tokens(wild)),
                Some(NameMisfit::MqttWildcard(_))
            ),
            "{wild}"
        );
    }
}
