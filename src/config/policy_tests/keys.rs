//! The keys of a file of policy tests, described.

use super::super::shape::{KnownKey, Shape, optional, required};

/// The file as a whole.
pub(super) const FILE: &[KnownKey] = &[
    optional(
        "config",
        Shape::Text {
            example: "eventcast.yaml",
        },
        "The configuration whose roles tests name, beside this file. Default eventcast.yaml.",
    ),
    optional(
        "partition",
        Shape::Text { example: "aws" },
        "The partition in ARNs. Without it, what the documents name.",
    ),
    optional(
        "region",
        Shape::Text {
            example: "eu-central-1",
        },
        "The Region in ARNs. Without it, what the documents name.",
    ),
    optional(
        "account",
        Shape::Read { accepts: ACCOUNT },
        "The account in ARNs. Without it, what the documents name.",
    ),
    required(
        "tests",
        Shape::List(&Shape::Section(TEST)),
        "The tests: each a client, its policies, and cases.",
    ),
];

const TEST: &[KnownKey] = &[
    required(
        "name",
        Shape::Text {
            example: "a customer hears its own order",
        },
        "What the test is about.",
    ),
    optional(
        "client",
        Shape::Read { accepts: CLIENT },
        "The client id, or everything that is known of the client. With `role`, the principal's name unless it is said.",
    ),
    optional(
        "documents",
        Shape::List(&Shape::Read { accepts: DOCUMENT }),
        "The client's policies: files, beside this one, or documents written out.",
    ),
    optional(
        "role",
        Shape::Text {
            example: "customer",
        },
        "A role of the configuration, in place of documents.",
    ),
    optional(
        "claims",
        Shape::Read { accepts: CLAIMS },
        "The claims of the token that has the role.",
    ),
    required(
        "cases",
        Shape::List(&Shape::Section(CASE)),
        "What is asked, and what is expected.",
    ),
];

const CASE: &[KnownKey] = &[
    optional(
        "connect",
        Shape::Text {
            example: "customer-7",
        },
        "May it connect under this client id?",
    ),
    optional(
        "subscribe",
        Shape::Text { example: "order/+" },
        "May it subscribe to this filter?",
    ),
    optional(
        "publish",
        Shape::Text { example: "order/1" },
        "May it publish to this topic?",
    ),
    optional(
        "receive",
        Shape::Text { example: "order/1" },
        "May it receive messages on this topic: subscribe to some filter that matches it, and be delivered them?",
    ),
    optional(
        "hear",
        Shape::Text { example: "order/1" },
        "The older word for receive.",
    ),
    optional(
        "action",
        Shape::Text {
            example: "iot:GetRetainedMessage",
        },
        "Any other action, with `resource`.",
    ),
    optional(
        "resource",
        Shape::Text {
            example: "topic/order/1",
        },
        "What `action` is about: an ARN, or its part behind the fifth colon.",
    ),
    optional(
        "context",
        Shape::Read { accepts: CONTEXT },
        "Values of context keys in this case only.",
    ),
    required(
        "expect",
        Shape::Choice(EXPECTATIONS),
        "The expected decision; denied is either kind of it.",
    ),
];

const EXPECTATIONS: &[&str] = &["allowed", "denied", "explicit_deny", "implicit_deny"];
/// Questions of a case, of which it asks one.
pub(super) const QUESTIONS: [&str; 6] = [
    "connect",
    "subscribe",
    "publish",
    "receive",
    "hear",
    "action",
];
// Accepted values, in words.
pub(super) const ACCOUNT: &str = "an account number such as \"123456789012\"";
pub(super) const CLIENT: &str =
    "a client id, or a mapping with clientId, principal, thing, certificate, conditions";
pub(super) const DOCUMENT: &str = "a file's name, or a policy document";
pub(super) const CLAIMS: &str = "a mapping of claims, such as { sub: 7, orders: [1, 2] }";
pub(super) const CONTEXT: &str = "a mapping of context keys, such as aws:SourceIp: 203.0.113.7";
