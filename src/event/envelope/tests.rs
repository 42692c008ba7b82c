//! Bodies that are events, and the reasons of those that are not.

use super::*;

const CLASSIC: &str = r#"{"version":"0","id":"e1","detail-type":"OrderPlaced","source":"shop.orders","time":"2026-04-31T00:00:00Z","region":"eu-central-1","resources":[],"detail":{"orderId":"o1"}}"#;
const VERSION_2: &str = r#"{"Data":{"orderId":"o1"},"Metadata":{},"SystemMetadata":{"aws:EventId":"e2","aws:Source":"shop.orders","aws:DetailType":"OrderPlaced","aws:DeliveryType":"REPLAY","aws:IngestionTime":"2026-11-24T00:00:00Z"}}"#;

fn decoder(envelope: Envelope) -> (EventDecoder, FieldId) {
    let mut fields = FieldTrie::new();
    let order = fields.add("detail.orderId");
    (EventDecoder::new(envelope, fields), order)
}

#[test]
fn classic() {
    let (decoder, order) = decoder(Envelope::EventBridge);
    let event = decoder.decode(&Bytes::from(CLASSIC), "m1").unwrap();
    assert_eq!(event.id(), "e1");
    assert_eq!(event.source(), Some("shop.orders"));
    assert_eq!(event.detail_type(), Some("OrderPlaced"));
    assert_eq!(event.time(), Some("2026-04-31T00:00:00Z"));
    assert_eq!(event.account(), None);
    assert!(!event.is_replay());
    assert_eq!(event.scanned().first(order).unwrap().text, b"o1");
    assert_eq!(event.detail().unwrap().text, br#"{"orderId":"o1"}"#);
}

#[test]
fn version_2_has_the_same_names() {
    let (decoder, order) = decoder(Envelope::EventBridge);
    let event = decoder.decode(&Bytes::from(VERSION_2), "m1").unwrap();
    assert_eq!(event.id(), "e2");
    assert_eq!(event.source(), Some("shop.orders"));
    assert_eq!(event.detail_type(), Some("OrderPlaced"));
    assert!(event.is_replay());
    assert_eq!(event.scanned().first(order).unwrap().text, b"o1");
    assert_eq!(event.detail().unwrap().text, br#"{"orderId":"o1"}"#);
}

#[test]
fn raw_is_any_object() {
    let (decoder, _) = decoder(Envelope::Raw);
    for body in ["{}", r#"{"id":"mine"}"#, r#"{"id":1,"id":2}"#] {
        let event = decoder.decode(&Bytes::from(body), "m1").unwrap();
        assert_eq!(event.id(), "m1");
    }
}

#[track_caller]
fn refused(envelope: Envelope, body: &str) -> String {
    let (decoder, _) = decoder(envelope);
    let body = Bytes::copy_from_slice(body.as_bytes());
    decoder.decode(&body, "m1").unwrap_err().to_string()
}

#[test]
fn a_body_is_one_object() {
    let two = format!("[{CLASSIC},{CLASSIC}]");
    let after = format!("{CLASSIC}\n{CLASSIC}");
    for envelope in [Envelope::EventBridge, Envelope::Raw, Envelope::Sns] {
        let refuse = |body: &str| refused(envelope, body);
        assert_eq!(
            refuse(&two),
            "not an event: an array of 2; a body is one event: send each element as a message of its own"
        );
        assert!(refuse(&after).starts_with("not an event: more than one JSON value; "));
        assert!(refuse("[]").starts_with("not an event: an empty array; "));
        assert!(
            refuse(r#"[{"id":"1"},{"source":"s"},{"detail-type":"t"},{"detail":{}}]"#)
                .starts_with("not an event: an array of 4; ")
        );
        assert_eq!(
            refuse("null"),
            "not an event: null; a body is one JSON object"
        );
        assert_eq!(
            refuse(" 17 "),
            "not an event: a number; a body is one JSON object"
        );
        assert_eq!(
            refuse("true"),
            "not an event: true; a body is one JSON object"
        );
        assert_eq!(
            refuse(r#""hello""#),
            "not an event: text; a body is one JSON object"
        );
        assert_eq!(
            refuse("hello"),
            "not JSON: an unexpected character at byte 0"
        );
        assert_eq!(
            refuse("{} x"),
            "not JSON: something follows the value at byte 3"
        );
        let twice = serde_json::to_string(CLASSIC).unwrap();
        assert!(
            refuse(&twice).contains("it was encoded twice"),
            "{}",
            refuse(&twice)
        );
    }
}

/// A member that the daemon reads has one value, under one of its names.
#[test]
fn repeated_members_of_the_envelope() {
    for (member, name) in [
        (r#""id":"e9""#, "id"),
        (r#""\u0069d":"e9""#, "id"),
        (r#""source":"other""#, "source"),
        (r#""detail-type":"Other""#, "detail-type"),
        (r#""detail":{"orderId":"o2"}"#, "detail"),
        (r#""detail":[]"#, "detail"),
        (r#""time":"later""#, "time"),
        (r#""Data":{"orderId":"o2"}"#, "detail"),
        (r#""SystemMetadata":{"aws:EventId":"e9"}"#, "id"),
        (r#""SystemMetadata.aws:Source":"other""#, "source"),
        (
            r#""SystemMetadata":{},"SystemMetadata":{}"#,
            "SystemMetadata",
        ),
    ] {
        let body = CLASSIC.replacen('{', &format!("{{{member},"), 1);
        assert_eq!(
            refused(Envelope::EventBridge, &body),
            format!("not an EventBridge event: `{name}` occurs more than once"),
            "{body}"
        );
    }
    assert_eq!(
        refused(Envelope::Raw, r#"{"detail":{"a":1},"detail":{"a":2}}"#),
        "not an EventBridge event: `detail` occurs more than once"
    );
}

/// A member in two objects or in an array of them has no single value either.
#[test]
fn members_of_the_envelope_have_one_place() {
    let (id, source) = (
        r#"{"aws:EventId":"e2","aws:DetailType":"T"}"#,
        r#"{"aws:Source":"s","aws:DeliveryType":"NEW"}"#,
    );
    let halves = format!(r#"{{"Data":{{}},"SystemMetadata":{id},"SystemMetadata":{source}}}"#);
    assert_eq!(
        refused(Envelope::EventBridge, &halves),
        "not an EventBridge event: `SystemMetadata` occurs more than once"
    );
    let list = format!(r#"{{"Data":{{}},"SystemMetadata":[{id},{source}]}}"#);
    assert_eq!(
        refused(Envelope::EventBridge, &list),
        "not an EventBridge event: `SystemMetadata` is an array of 2, not an object"
    );
    assert_eq!(
        refused(
            Envelope::EventBridge,
            &CLASSIC.replacen("\"e1\"", r#""\ud800""#, 1)
        ),
        "not an EventBridge event: `id` is text with a lone surrogate, not Unicode text"
    );
}

/// A body from which two events can be read is none.
#[test]
fn an_event_that_is_a_notification_too() {
    for event in [CLASSIC, VERSION_2] {
        let marks = r#"{"Type":"Notification","TopicArn":"a","Message":"{}","#;
        let body = event.replacen('{', marks, 1);
        for envelope in [Envelope::EventBridge, Envelope::Sns] {
            assert_eq!(
                refused(envelope, &body),
                "not an event: both an EventBridge event and an SNS notification, so that it has two events; send one of them"
            );
        }
        let (decoder, _) = decoder(Envelope::Raw);
        assert!(decoder.decode(&Bytes::from(body), "m1").is_ok());
        // One of the marks alone is a member of the platform's own.
        for mark in [
            r#""TopicArn":"a""#,
            r#""Type":"Notification","Message":"m""#,
        ] {
            let body = event.replacen('{', &format!("{{{mark},"), 1);
            let (decoder, _) = super::tests::decoder(Envelope::EventBridge);
            assert!(decoder.decode(&Bytes::from(body), "m1").is_ok());
        }
    }
    assert_eq!(
        refused(
            Envelope::Sns,
            r#"{"Type":"Notification","TopicArn":"a","Message":["a","b"]}"#
        ),
        "not an EventBridge event: `Message` is an array of 2, not text"
    );
}

fn notification(message: &str) -> String {
    serde_json::json!({
        "Type": "Notification", "MessageId": "22b8", "TopicArn": "arn:aws:sns:eu-west-1:111122223333:orders",
        "Message": message, "SequenceNumber": "10000000000000003000", "Timestamp": "2026-11-27T10:00:01.234Z",
    })
    .to_string()
}

#[test]
fn an_sns_notification_is_unwrapped() {
    let (decoder, order) = decoder(Envelope::Sns);
    for inner in [
        CLASSIC,
        VERSION_2,
        r#"{"id":"é😀","source":"s","detail-type":"t","detail":{ "orderId":"o1", "n": 1.50 }}"#,
    ] {
        let wrapped = Bytes::from(notification(inner));
        let event = decoder.decode(&wrapped, "m1").unwrap();
        assert_eq!(event.body(), inner.as_bytes());
        assert_eq!(event.scanned().first(order).unwrap().text, b"o1");
        let direct = Bytes::from(inner);
        let same = decoder.decode(&direct, "m1").unwrap();
        assert_eq!(event.id(), same.id());
        // The payload is a slice of the unwrapped text.
        let detail = event.scanned().slice(&event.detail().unwrap());
        let offset = detail.as_ptr() as usize - event.body().as_ptr() as usize;
        assert!(event.body()[offset..].starts_with(&detail));
    }
}

#[test]
fn what_an_sns_notification_carries_is_refused_with_its_own_reason() {
    let refuse = |body: &str| refused(Envelope::Sns, body);
    insta::assert_snapshot!(refuse(&notification("hello")), @"in the `Message` of an SNS notification: not JSON: an unexpected character at byte 0");
    insta::assert_snapshot!(refuse(&notification(&format!("[{CLASSIC}]"))), @"in the `Message` of an SNS notification: not an event: an array of 1; a body is one event: send each element as a message of its own");
    insta::assert_snapshot!(refuse(&notification(r#"{"Records":[{"eventSource":"aws:s3"}]}"#)), @"in the `Message` of an SNS notification: not an event: this is an S3 event notification: turn on EventBridge for the bucket, let a rule deliver its events, and take the bucket's notification to this queue away");
    insta::assert_snapshot!(refuse(r#"{"Type":"Notification","TopicArn":"a","Message":"{}","Message":"{}"}"#), @"not an EventBridge event: `Message` occurs more than once");
    insta::assert_snapshot!(refuse(r#"{"Type":"Notification","TopicArn":"a","Message":{}}"#), @"not an EventBridge event: `Message` is an object, not text");
}

#[test]
fn replays_of_both_buses() {
    let (decoder, _) = decoder(Envelope::EventBridge);
    let replayed = |member: &str| {
        let body = CLASSIC.replacen('{', &format!("{{{member},"), 1);
        decoder
            .decode(&Bytes::from(body), "m1")
            .unwrap()
            .is_replay()
    };
    assert!(replayed(r#""replay-name":"incident-42""#));
    assert!(!replayed(r#""replay-name":null"#));
    assert!(!replayed(r#""replay-name":"""#));
    for (kind, expected) in [("REPLAY", true), ("LIVE", false)] {
        let body = VERSION_2.replacen("REPLAY", kind, 1);
        let event = decoder.decode(&Bytes::from(body), "m1").unwrap();
        assert_eq!(event.is_replay(), expected, "{kind}");
    }
}

#[test]
fn an_event_has_one_envelope() {
    let refuse = |body: &str| refused(Envelope::EventBridge, body);
    for metadata in [
        r#""SystemMetadata":{"aws:DeliveryType":"REPLAY"}"#,
        r#""SystemMetadata":{}"#,
        r#""SystemMetadata":{"aws:SequenceNumber":"1"}"#,
    ] {
        let body = CLASSIC.replacen('{', &format!("{{{metadata},"), 1);
        assert_eq!(
            refuse(&body),
            "not an EventBridge event: it has `SystemMetadata`, as on a version-2 bus, and `id` of a classic event; send one of them",
            "{body}"
        );
    }
    for (member, written) in [
        ("aws:EventId", r#""id":"e1""#),
        ("aws:Source", r#""source":"s""#),
        ("aws:DetailType", r#""detail-type":"t""#),
        ("aws:IngestionTime", r#""time":"2026-11-24T00:00:00Z""#),
    ] {
        let other = VERSION_2.replacen(member, "aws:Other", 1);
        let body = other.replacen('{', &format!("{{{written},"), 1);
        let name = written.split('"').nth(1).unwrap();
        let told = refuse(&body);
        assert!(
            told.contains(&format!("`{name}` of a classic event")),
            "{told}"
        );
    }
}

#[test]
fn members_that_eventbridge_never_writes_so() {
    let refuse = |body: String| refused(Envelope::EventBridge, &body);
    for (name, value) in [
        ("id", "e1"),
        ("source", "shop.orders"),
        ("detail-type", "OrderPlaced"),
    ] {
        let body = CLASSIC.replacen(&format!("\"{value}\""), "\"\"", 1);
        assert_ne!(body, CLASSIC);
        assert_eq!(
            refuse(body),
            format!(
                "not an EventBridge event: `{name}` is empty text, not text with a character at least"
            )
        );
    }
    let no_id = VERSION_2.replacen("\"e2\"", "\"\"", 1);
    assert!(refuse(no_id).contains("`id` is empty text"));
    let classic = r#"{"id":"1","source":"s","detail-type":"t","detail":{}}"#;
    for (value, words) in [
        ("17", "a number"),
        ("true", "true"),
        ("{}", "an object"),
        ("[\"a\",\"b\"]", "an array of 2"),
    ] {
        for name in ["time", "account", "region"] {
            let body = classic.replacen('{', &format!("{{\"{name}\":{value},"), 1);
            let told = refuse(body);
            let expected = format!("not an EventBridge event: `{name}` is {words}, not text");
            assert_eq!(told, expected);
        }
    }
    let (decoder, _) = decoder(Envelope::EventBridge);
    for value in ["null", "\"\"", "\"2026-02-30T99:00:00Z\""] {
        let body = classic.replacen('{', &format!("{{\"time\":{value},"), 1);
        decoder.decode(&Bytes::from(body), "m1").unwrap();
    }
    for (data, words) in [
        ("[]", "an empty array"),
        (r#"[{"orderId":"o1"}]"#, "an array of 1"),
        (r#"[{"orderId":"o1"},{"orderId":"o2"}]"#, "an array of 2"),
    ] {
        let body = VERSION_2.replacen(r#"{"orderId":"o1"}"#, data, 1);
        let told = refuse(body);
        let expected = format!("not an EventBridge event: `detail` is {words}, not an object");
        assert_eq!(told, expected);
    }
    for data in ["\"aGk=\"", "7", "null"] {
        let body = VERSION_2.replacen(r#"{"orderId":"o1"}"#, data, 1);
        decoder.decode(&Bytes::from(body), "m1").unwrap();
    }
}

#[test]
fn members_that_are_not_as_they_must_be() {
    let refuse = |body: &str| refused(Envelope::EventBridge, body);
    insta::assert_snapshot!(refuse("{}"), @"not an EventBridge event: it has no `id`");
    insta::assert_snapshot!(refuse(r#"{"id":1}"#), @"not an EventBridge event: `id` is a number, not text");
    insta::assert_snapshot!(refuse(r#"{"id":["1","2"]}"#), @"not an EventBridge event: `id` is an array of 2, not text");
    insta::assert_snapshot!(refuse(r#"{"id":"1","source":"s","detail":{}}"#), @"not an EventBridge event: it has no `detail-type`");
    insta::assert_snapshot!(refuse(r#"{"id":"1","source":"s","detail-type":"t"}"#), @"not an EventBridge event: it has no `detail`");
    insta::assert_snapshot!(refuse(r#"{"id":"1","source":"s","detail-type":"t","detail":[]}"#), @"not an EventBridge event: `detail` is an empty array, not an object");
    insta::assert_snapshot!(refuse(r#"{"id":"1","source":"s","detail-type":"t","detail":null}"#), @"not an EventBridge event: `detail` is null, not an object");
    insta::assert_snapshot!(refuse(r#"{"id":"1","source":"s","detail-type":"t","detail":"{\"orderId\":\"1\"}"}"#), @"not an EventBridge event: `detail` is text, JSON in a string, not an object");
}

#[test]
fn bodies_of_other_services_are_named() {
    for (body, what) in [
        (
            r#"{"Type":"Notification","TopicArn":"a","Message":"{}"}"#,
            "an SNS notification: set `envelope: sns`",
        ),
        (
            r#"{"Type":"SubscriptionConfirmation","TopicArn":"a","Token":"t","SubscribeURL":"https://x"}"#,
            "an SNS subscription confirmation",
        ),
        (
            r#"{"Records":[{"eventVersion":"2.1","eventSource":"aws:s3","s3":{}}]}"#,
            "an S3 event notification",
        ),
        (
            r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#,
            "the test event of an S3",
        ),
        (
            r#"{"Records":[{"messageId":"1","body":"{}","eventSource":"aws:sqs"}]}"#,
            "a batch of SQS messages",
        ),
        (
            r#"{"Records":[{"EventSource":"aws:sns","Sns":{}}]}"#,
            "a batch of SNS notifications",
        ),
        (
            r#"{"Records":[{"eventSource":"aws:kinesis","kinesis":{}}]}"#,
            "a batch of Kinesis records",
        ),
        (
            r#"{"eventSource":"aws:dynamodb","dynamodb":{}}"#,
            "a DynamoDB stream record",
        ),
        (
            r#"{"messageId":"1","eventSource":"aws:sqs","body":"{}"}"#,
            "an SQS message inside an SQS message",
        ),
        (
            r#"{"bootstrapServers":"b","records":{"t-0":[]}}"#,
            "a batch of Kafka records",
        ),
        (
            r#"{"AlarmName":"a","NewStateValue":"ALARM"}"#,
            "a CloudWatch alarm",
        ),
        (r#"{"awslogs":{"data":"H4sI"}}"#, "CloudWatch Logs data"),
        (
            r#"{"version":"1.0","requestContext":{"functionArn":"f"},"requestPayload":{}}"#,
            "the record of a Lambda destination",
        ),
        (
            r#"{"httpMethod":"POST","requestContext":{},"body":"{}"}"#,
            "a request of API Gateway",
        ),
        (
            r#"{"version":"2.0","routeKey":"POST /x","requestContext":{"http":{}}}"#,
            "a request of API Gateway",
        ),
        (
            r#"{"Source":"s","DetailType":"t","Detail":"{}"}"#,
            "an entry of PutEvents",
        ),
        (
            r#"{"Entries":[{"Source":"s","DetailType":"t","Detail":"{}"}]}"#,
            "a request of PutEvents",
        ),
        (
            r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{}}"#,
            "a CloudEvent",
        ),
        (
            r#"{"version":"0","id":"1","detail-type":"Scheduled Event","source":"aws.scheduler","detail":"{}"}"#,
            "the default input of EventBridge Scheduler",
        ),
        ("eyJpZCI6IjEiLCJzb3VyY2UiOiJzIn0=", "JSON in base64"),
        (r#""H4sIAAAAAAAAA6tWykxRslIyVKoFAJ5z""#, "gzip in base64"),
        ("<Event><Id>1</Id></Event>", "XML or HTML"),
        ("\u{feff}{}", "text with a byte order mark before it"),
    ] {
        let reason = refused(Envelope::EventBridge, body);
        let named = reason.strip_prefix("not an event: this is ");
        assert!(
            named.is_some_and(|named| named.starts_with(what)),
            "{body}: {reason}"
        );
        assert!(
            reason.len() > what.len() + 40,
            "{reason}: nothing to change is named"
        );
    }
    // Members of the same names in an event are the platform's own.
    let event = CLASSIC.replacen(
        '{',
        r#"{"Records":[{"eventSource":"aws:s3"}],"Type":"Notification","Message":"m","#,
        1,
    );
    let (decoder, _) = decoder(Envelope::EventBridge);
    assert!(decoder.decode(&Bytes::from(event), "m1").is_ok());
}
