//! The queues of `eventcast dev` by SQS's own protocol: messages, from sending to settling, and the
//! requests that AWS refuses. The rules of the store are tested beside it, by a paused clock.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/lines.rs"]
mod lines;
#[path = "support/queues.rs"]
mod queues;

use std::io::Write as _;
use std::net::TcpStream;

use queues::{MISSING, Queues, VALUE, arn};
use serde_json::{Value, json};

#[test]
fn what_no_queue_takes_is_refused_by_all_ways_of_sending() {
    let queues = Queues::start();
    let url = queues.create("plain", &json!({}));
    let text = |value: &str| json!({ "DataType": "String", "StringValue": value });
    let many = |count: usize| -> Value {
        let all = (0..count).map(|n| (format!("a{n}"), text("x")));
        Value::Object(all.collect())
    };
    let longest = 1_048_576;
    for (message, code) in [
        (json!({}), MISSING),
        (json!({ "MessageBody": "" }), MISSING),
        (json!({ "MessageBody": "a\u{1}" }), "InvalidMessageContents"),
        (
            json!({ "MessageBody": "a\u{ffff}" }),
            "InvalidMessageContents",
        ),
        (json!({ "MessageBody": "x".repeat(longest + 1) }), VALUE),
        (
            json!({ "MessageBody": "x".repeat(longest - 7), "MessageAttributes": { "k": text("x") } }),
            VALUE,
        ),
        (
            json!({ "MessageBody": "x", "MessageAttributes": many(11) }),
            VALUE,
        ),
        (
            json!({ "MessageBody": "x", "MessageAttributes": { "AWS.x": text("x") } }),
            VALUE,
        ),
        (
            json!({ "MessageBody": "x", "MessageAttributes": { "x": text("") } }),
            VALUE,
        ),
        (
            json!({ "MessageBody": "x", "MessageAttributes": { "x": { "DataType": "Text", "StringValue": "x" } } }),
            VALUE,
        ),
        (
            json!({ "MessageBody": "x", "MessageAttributes": { "x": { "StringValue": "x" } } }),
            VALUE,
        ),
        (
            json!({ "MessageBody": "x", "MessageSystemAttributes": { "x": text("x") } }),
            VALUE,
        ),
        (json!({ "MessageBody": "x", "DelaySeconds": 901 }), VALUE),
        (json!({ "MessageBody": "x", "DelaySeconds": -1 }), VALUE),
        (
            json!({ "MessageBody": "x", "MessageGroupId": "a b" }),
            VALUE,
        ),
        (
            json!({ "MessageBody": "x", "MessageDeduplicationId": "d" }),
            VALUE,
        ),
    ] {
        let mut single = message.clone();
        single["QueueUrl"] = url.as_str().into();
        queues.refused("SendMessage", &single, code);
        let mut entry = message;
        entry["Id"] = "bad".into();
        let entries = json!([{ "Id": "good", "MessageBody": "y" }, entry]);
        let answer = queues.ask(
            "SendMessageBatch",
            &json!({ "QueueUrl": url, "Entries": entries }),
        );
        if answer.status() == "200" {
            let answer = answer.json();
            assert_eq!(answer["Failed"][0]["Code"], code, "{answer}");
            assert_eq!(answer["Successful"][0]["Id"], "good", "{answer}");
        } else {
            assert_eq!(answer.code(), "AWS.SimpleQueueService.BatchRequestTooLong");
        }
    }
    let good = json!({ "QueueUrl": url, "MessageBody": "x", "MessageAttributes": many(10) });
    queues.done("SendMessage", &good);
}

#[test]
fn batches_are_refused_as_a_whole() {
    let queues = Queues::start();
    let url = queues.create("plain", &json!({}));
    let entries = |ids: &[&str]| -> Value {
        let entry = |id: &&str| json!({ "Id": id, "MessageBody": "x", "ReceiptHandle": "r", "VisibilityTimeout": 1 });
        json!({ "QueueUrl": url, "Entries": ids.iter().map(entry).collect::<Vec<_>>() })
    };
    let eleven: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let eleven: Vec<&str> = eleven.iter().map(String::as_str).collect();
    let long = "i".repeat(81);
    for action in [
        "SendMessageBatch",
        "DeleteMessageBatch",
        "ChangeMessageVisibilityBatch",
    ] {
        for (ids, code, words) in [
            (&[][..], "EmptyBatchRequest", "at least one"),
            (
                &eleven[..],
                "TooManyEntriesInBatchRequest",
                "You have sent 11.",
            ),
            (
                &["a", "b", "b", "a"][..],
                "BatchEntryIdsNotDistinct",
                "Id b repeated.",
            ),
            (&[""][..], "InvalidBatchEntryId", "at most 80"),
            (&["a:b"][..], "InvalidBatchEntryId", "at most 80"),
            (&[long.as_str()][..], "InvalidBatchEntryId", "at most 80"),
        ] {
            let code = format!("AWS.SimpleQueueService.{code}");
            let told = queues.refused(action, &entries(ids), &code);
            assert!(told.contains(words), "{action}: {told}");
        }
    }
}

#[test]
fn dead_letters_keep_what_they_are() {
    let queues = Queues::start();
    let dead = queues.create("dead", &json!({}));
    let policy = json!({ "deadLetterTargetArn": arn("dead"), "maxReceiveCount": 2 });
    let url = queues.create("source", &json!({ "RedrivePolicy": policy.to_string() }));
    let sent = json!({ "QueueUrl": url, "MessageBody": "x", "MessageAttributes": { "a": { "DataType": "String", "StringValue": "v" } } });
    let sent = queues.done("SendMessage", &sent);
    let at_once = json!({ "VisibilityTimeout": 0 });
    let first = queues.receive(&url, &at_once);
    let second = queues.receive(&url, &at_once);
    assert_eq!(second[0]["Attributes"]["ApproximateReceiveCount"], "2");
    assert_ne!(first[0]["ReceiptHandle"], second[0]["ReceiptHandle"]);
    assert!(queues.receive(&url, &at_once).is_empty());
    let letters = queues.receive(&dead, &json!({ "MessageAttributeNames": ["All"] }));
    let letter = &letters[0];
    assert_eq!(letter["MessageId"], sent["MessageId"]);
    assert_eq!(letter["MessageAttributes"]["a"]["StringValue"], "v");
    let attributes = &letter["Attributes"];
    assert_eq!(attributes["ApproximateReceiveCount"], "3");
    assert_eq!(attributes["DeadLetterQueueSourceArn"], json!(arn("source")));
    assert_eq!(
        attributes["SentTimestamp"],
        second[0]["Attributes"]["SentTimestamp"]
    );
    // Without its dead-letter queue nothing is moved, and nothing is lost.
    queues.done("DeleteQueue", &json!({ "QueueUrl": dead }));
    queues.done(
        "SendMessage",
        &json!({ "QueueUrl": url, "MessageBody": "stays" }),
    );
    for _ in 0..4 {
        assert_eq!(queues.receive(&url, &at_once)[0]["Body"], "stays");
    }
}

#[test]
fn receipt_handles_are_of_one_queue_and_one_receive() {
    let queues = Queues::start();
    let urls = ["one", "other"].map(|name| queues.create(name, &json!({})));
    let handles = urls.each_ref().map(|url| {
        queues.done(
            "SendMessage",
            &json!({ "QueueUrl": url, "MessageBody": "x" }),
        );
        queues.receive(url, &json!({}))[0]["ReceiptHandle"]
            .as_str()
            .unwrap()
            .to_owned()
    });
    assert_ne!(handles[0], handles[1]);
    for (url, handle) in [
        (&urls[0], &handles[1]),
        (&urls[1], &handles[0]),
        (&urls[0], &"garbage".to_owned()),
    ] {
        let asked = json!({ "QueueUrl": url, "ReceiptHandle": handle, "VisibilityTimeout": 1 });
        for action in ["DeleteMessage", "ChangeMessageVisibility"] {
            let told = queues.refused(action, &asked, "ReceiptHandleIsInvalid");
            assert!(told.ends_with("is not a valid receipt handle."), "{told}");
        }
    }
    let own =
        json!({ "QueueUrl": urls[0], "ReceiptHandle": handles[0], "VisibilityTimeout": 43_201 });
    queues.refused("ChangeMessageVisibility", &own, VALUE);
    let own =
        json!({ "QueueUrl": urls[0], "ReceiptHandle": handles[0], "VisibilityTimeout": 43_200 });
    let told = queues.refused("ChangeMessageVisibility", &own, VALUE);
    assert!(told.contains("beyond the limit [43200 seconds]"), "{told}");
    for _ in 0..2 {
        queues.done("DeleteMessage", &own);
    }
    let told = queues.refused(
        "ChangeMessageVisibility",
        &json!({ "QueueUrl": urls[0], "ReceiptHandle": handles[0], "VisibilityTimeout": 1 }),
        VALUE,
    );
    assert!(told.contains("Message does not exist"), "{told}");
}

#[test]
fn fifo_queues_take_and_refuse_as_aws_does() {
    let queues = Queues::start();
    let url = queues.create("f.fifo", &json!({ "FifoQueue": "true" }));
    let send = |more: Value| {
        let mut asked = json!({ "QueueUrl": url, "MessageBody": "x" });
        asked
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        asked
    };
    queues.refused(
        "SendMessage",
        &send(json!({ "MessageDeduplicationId": "d" })),
        MISSING,
    );
    queues.refused(
        "SendMessage",
        &send(json!({ "MessageGroupId": "g" })),
        VALUE,
    );
    let delayed =
        send(json!({ "MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 2 }));
    let told = queues.refused("SendMessage", &delayed, VALUE);
    assert!(
        told.starts_with("Value 2 for parameter DelaySeconds"),
        "{told}"
    );
    queues.done(
        "SendMessage",
        &send(json!({ "MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 0 })),
    );
    // Recorded: a batch with one such message is refused as a whole, by one code.
    for entry in [
        json!({ "MessageGroupId": "g" }),
        json!({ "MessageDeduplicationId": "e" }),
    ] {
        let mut entry = entry;
        entry["Id"] = "1".into();
        entry["MessageBody"] = "x".into();
        let good = json!({ "Id": "2", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "f" });
        let batch = json!({ "QueueUrl": url, "Entries": [good, entry] });
        queues.refused("SendMessageBatch", &batch, VALUE);
    }
    // A receipt handle whose visibility timeout has ended neither deletes nor changes anything.
    let received = queues.receive(&url, &json!({ "VisibilityTimeout": 0 }));
    let asked = json!({ "QueueUrl": url, "ReceiptHandle": received[0]["ReceiptHandle"], "VisibilityTimeout": 5 });
    let told = queues.refused("DeleteMessage", &asked, VALUE);
    assert!(
        told.ends_with("Reason: The receipt handle has expired."),
        "{told}"
    );
    queues.refused("ChangeMessageVisibility", &asked, VALUE);
    assert_eq!(
        queues.receive(&url, &json!({}))[0]["Attributes"]["MessageGroupId"],
        "g"
    );
}

/// On request a long poll takes a message although its client has gone, as users of SQS report.
#[test]
fn a_poll_may_outlive_its_client() {
    let queues = Queues::start();
    let url = queues.create("plain", &json!({}));
    let fault = json!({ "action": "ReceiveMessage", "fault": "linger", "times": 1 });
    queues.0.fault(&fault);
    let address = queues.0.endpoint().trim_start_matches("http://");
    let mut poll = TcpStream::connect(address).unwrap();
    let body = json!({ "QueueUrl": url, "WaitTimeSeconds": 20 }).to_string();
    let length = body.len();
    write!(
        poll,
        "POST / HTTP/1.1\r\nhost: {address}\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    lines::until("the fault has struck", || queues.0.faults()[0]["hits"] == 1);
    drop(poll);
    queues.done(
        "SendMessage",
        &json!({ "QueueUrl": url, "MessageBody": "x" }),
    );
    let name = "ApproximateNumberOfMessagesNotVisible";
    let asked = json!({ "QueueUrl": url, "AttributeNames": [name] });
    lines::until("nobody's poll has taken the message", || {
        queues.done("GetQueueAttributes", &asked)["Attributes"][name] == "1"
    });
}
