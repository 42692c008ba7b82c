//! Bodies of other services that reach an event queue in practice: the members that mark them, and
//! advice for each.
//!
//! The table is looked up only for bodies that are not events, so it costs ordinary events nothing. It never decides that a
//! body is no event; it puts a better reason in place of the first member that is missing.

use bytes::Bytes;

use super::fields::FieldTrie;
use super::scan::scan;
use super::scanned::{CapturedFields, ValueKind};

/// A kind of body that is no event.
#[derive(Debug, PartialEq, Eq)]
pub struct ForeignBody {
    /// Its name, as a part of a sentence.
    pub what: &'static str,
    /// Change after which events arrive.
    pub advice: &'static str,
    marks: &'static [MemberMark],
}

/// A sign of a kind of body. Paths look into every element of an array.
#[derive(Debug, PartialEq, Eq)]
enum MemberMark {
    /// The member is there.
    Has(&'static str),
    /// The member is text.
    Text(&'static str),
    /// The member is this text.
    Is(&'static str, &'static str),
}

use MemberMark::{Has, Is, Text};

const RULE: &str = "send the service's events to an EventBridge bus, and let a rule with this queue as its target deliver them";
const BUCKET: &str = "turn on EventBridge for the bucket, let a rule deliver its events, and take the bucket's notification to this \
                      queue away";
const STREAM: &str = "a pipe or a function has to put an event of each record on the bus (`PutEvents`), or set `envelope: raw`";
const FUNCTION: &str =
    "this is a function's input; the queue wants the events that its records carry";

/// Sources: SNS developer guide, "HTTP/HTTPS notification JSON format" and "Raw message delivery"; S3 user guide, "Event message
/// structure"; Lambda developer guide, pages of each event source and "Destinations"; API Gateway developer guide, "Lambda
/// proxy integrations"; CloudWatch user guide, "Alarm events and EventBridge"; EventBridge API reference, PutEvents;
/// EventBridge Scheduler user guide, "Default input"; CloudEvents 1.0, JSON format.
const KINDS: &[ForeignBody] = &[
    ForeignBody {
        what: "an SNS notification",
        advice: "set `envelope: sns`, or turn on raw message delivery for the queue's subscription",
        marks: &[Is("Type", "Notification"), Text("Message"), Has("TopicArn")],
    },
    ForeignBody {
        what: "an SNS subscription confirmation",
        advice: "it carries no event; subscribe the queue by its ARN, so that SNS needs no confirmation",
        marks: &[Is("Type", "SubscriptionConfirmation"), Has("TopicArn")],
    },
    ForeignBody {
        what: "an SNS unsubscribe confirmation",
        advice: "it carries no event, and the topic sends no more: subscribe the queue again",
        marks: &[Is("Type", "UnsubscribeConfirmation"), Has("TopicArn")],
    },
    ForeignBody {
        what: "an S3 event notification",
        advice: BUCKET,
        marks: &[Is("Records.eventSource", "aws:s3")],
    },
    ForeignBody {
        what: "the test event of an S3 event notification",
        advice: BUCKET,
        marks: &[Is("Event", "s3:TestEvent")],
    },
    ForeignBody {
        what: "a batch of SQS messages, as Lambda gets it",
        advice: FUNCTION,
        marks: &[Is("Records.eventSource", "aws:sqs")],
    },
    ForeignBody {
        what: "a batch of SNS notifications, as Lambda gets it",
        advice: FUNCTION,
        marks: &[Is("Records.EventSource", "aws:sns")],
    },
    ForeignBody {
        what: "a batch of Kinesis records",
        advice: STREAM,
        marks: &[Is("Records.eventSource", "aws:kinesis")],
    },
    ForeignBody {
        what: "a Kinesis record",
        advice: STREAM,
        marks: &[Is("eventSource", "aws:kinesis")],
    },
    ForeignBody {
        what: "a batch of DynamoDB stream records",
        advice: STREAM,
        marks: &[Is("Records.eventSource", "aws:dynamodb")],
    },
    ForeignBody {
        what: "a DynamoDB stream record",
        advice: STREAM,
        marks: &[Is("eventSource", "aws:dynamodb")],
    },
    ForeignBody {
        what: "an SQS message inside an SQS message, as EventBridge Pipes has it",
        advice: "let the pipe send `$.body` by an input template",
        marks: &[Is("eventSource", "aws:sqs"), Has("body")],
    },
    ForeignBody {
        what: "a batch of Kafka records",
        advice: STREAM,
        marks: &[Has("bootstrapServers"), Has("records")],
    },
    ForeignBody {
        what: "CloudWatch Logs data",
        advice: RULE,
        marks: &[Has("awslogs.data")],
    },
    ForeignBody {
        what: "CloudWatch Logs data",
        advice: RULE,
        marks: &[Is("messageType", "DATA_MESSAGE"), Has("logEvents")],
    },
    ForeignBody {
        what: "the record of a Lambda destination",
        advice: "choose an EventBridge bus as the function's destination, or set `envelope: raw`",
        marks: &[Has("requestContext.functionArn"), Has("requestPayload")],
    },
    ForeignBody {
        what: "a request of API Gateway",
        advice: "let the integration call `PutEvents`, or send the request's body alone",
        marks: &[Has("requestContext"), Has("httpMethod")],
    },
    ForeignBody {
        what: "a request of API Gateway",
        advice: "let the integration call `PutEvents`, or send the request's body alone",
        marks: &[Has("requestContext.http"), Has("routeKey")],
    },
    ForeignBody {
        what: "a CloudWatch alarm, as SNS sends it",
        advice: "alarms are on the default bus as well (`CloudWatch Alarm State Change`): let a rule deliver them",
        marks: &[Has("AlarmName"), Has("NewStateValue")],
    },
    ForeignBody {
        what: "a CloudWatch alarm, as Lambda gets it",
        advice: "alarms are on the default bus as well (`CloudWatch Alarm State Change`): let a rule deliver them",
        marks: &[Has("alarmArn"), Has("alarmData")],
    },
    ForeignBody {
        what: "a request of PutEvents",
        advice: "put its entries on a bus, and let a rule with this queue as its target deliver them",
        marks: &[Has("Entries.DetailType"), Has("Entries.Detail")],
    },
    ForeignBody {
        what: "an entry of PutEvents",
        advice: "put it on a bus, and let a rule with this queue as its target deliver it",
        marks: &[Has("Source"), Has("DetailType"), Has("Detail")],
    },
    ForeignBody {
        what: "the default input of EventBridge Scheduler, whose `detail` is text",
        advice: "give the schedule a target of `PutEvents`, or an input that is a whole event",
        marks: &[Is("source", "aws.scheduler"), Text("detail")],
    },
    ForeignBody {
        what: "a CloudEvent",
        advice: "set `envelope: raw`, and name its members in patterns and targets",
        marks: &[Has("specversion"), Has("type"), Has("source")],
    },
];

/// Texts that are not JSON, by how they begin.
const TEXTS: &[(TextPrefix, ForeignBody)] = &[
    (
        TextPrefix::Base64("H4sI"),
        ForeignBody {
            what: "gzip in base64",
            advice: "send the event as text",
            marks: &[],
        },
    ),
    (TextPrefix::Base64("ey"), JSON_IN_BASE64),
    (TextPrefix::Base64("ew"), JSON_IN_BASE64),
    (TextPrefix::Base64("W3"), JSON_IN_BASE64),
    (
        TextPrefix::Plain("\u{feff}"),
        ForeignBody {
            what: "text with a byte order mark before it",
            advice: "send UTF-8 without a byte order mark",
            marks: &[],
        },
    ),
    (
        TextPrefix::Plain("<"),
        ForeignBody {
            what: "XML or HTML",
            advice: RULE,
            marks: &[],
        },
    ),
];

/// Texts of JSON strings, by how they begin.
const ENCODED_TWICE: &[(TextPrefix, ForeignBody)] = &[
    (
        TextPrefix::Plain("{"),
        ForeignBody {
            what: "JSON in a JSON string: it was encoded twice",
            advice: "send the object itself, not its text as a string",
            marks: &[],
        },
    ),
    (
        TextPrefix::Plain("["),
        ForeignBody {
            what: "JSON in a JSON string: it was encoded twice",
            advice: "send each event as a message of its own, not as a string",
            marks: &[],
        },
    ),
];

const JSON_IN_BASE64: ForeignBody = ForeignBody {
    what: "JSON in base64",
    advice: "send the event as text",
    marks: &[],
};

/// The fewest characters that are taken for base64.
const SHORTEST_BASE64: usize = 16;

/// Beginning of a text.
enum TextPrefix {
    /// So.
    Plain(&'static str),
    /// So, and all of it is in base64's alphabet (RFC 4648, sections 4 and 5).
    Base64(&'static str),
}

/// The kind of a body that is not an event, where it is a known one.
pub(super) fn recognise(body: &Bytes) -> Option<&'static ForeignBody> {
    let mut fields = FieldTrie::new();
    for mark in KINDS.iter().flat_map(|kind| kind.marks) {
        fields.add(mark.path());
    }
    let Ok(scanned) = scan(body, &fields) else {
        return text(std::str::from_utf8(body).ok()?, TEXTS);
    };
    match scanned.root() {
        ValueKind::Object => KINDS.iter().find(|kind| {
            let mut marks = kind.marks.iter();
            marks.all(|mark| mark.holds(&scanned, &fields))
        }),
        ValueKind::String => {
            let string = serde_json::from_slice::<String>(body).ok()?;
            text(&string, ENCODED_TWICE).or_else(|| text(&string, TEXTS))
        }
        _ => None,
    }
}

impl MemberMark {
    fn path(&self) -> &'static str {
        match self {
            Has(path) | Text(path) | Is(path, _) => path,
        }
    }

    fn holds(&self, scanned: &CapturedFields, fields: &FieldTrie) -> bool {
        let Some(field) = fields.find(self.path()) else {
            return false;
        };
        let mut values = scanned.values(field);
        match self {
            Has(_) => values.next().is_some(),
            Text(_) => values.any(|value| value.kind == ValueKind::String),
            Is(_, text) => {
                values.any(|value| value.kind == ValueKind::String && value.text == text.as_bytes())
            }
        }
    }
}

/// A text's kind. Words that only look like base64 are shorter than any event.
fn text(text: &str, kinds: &'static [(TextPrefix, ForeignBody)]) -> Option<&'static ForeignBody> {
    let text = text.trim();
    let base64 = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '-' | '_' | '=' | '\r' | '\n')
    };
    let begins = |beginning: &TextPrefix| match beginning {
        TextPrefix::Plain(plain) => text.starts_with(plain),
        TextPrefix::Base64(start) => {
            text.len() >= SHORTEST_BASE64 && text.starts_with(start) && text.chars().all(base64)
        }
    };
    let known = kinds.iter().find(|(beginning, _)| begins(beginning));
    known.map(|(_, foreign)| foreign)
}
