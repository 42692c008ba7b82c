//! The queues of `eventcast dev` by SQS's own protocols: attributes, names, dead-letter queues,
//! lists, tags, permissions, the older query protocol, and faults on request.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/dev.rs"]
mod dev;
#[path = "support/queues.rs"]
mod queues;

use queues::{ATTRIBUTE, MISSING, Queues, UNKNOWN, VALUE, arn};
use serde_json::{Value, json};

#[test]
fn attributes_are_checked_by_the_kind_of_queue() {
    let queues = Queues::start();
    let plain = queues.create("plain", &json!({}));
    let fifo = queues.create("f.fifo", &json!({ "FifoQueue": "True" }));
    let create =
        |name: &str, attributes: Value| json!({ "QueueName": name, "Attributes": attributes });
    for (name, attributes, code) in [
        ("q", json!({ "FifoQueue": "false" }), UNKNOWN),
        ("q", json!({ "ContentBasedDeduplication": "true" }), UNKNOWN),
        ("q", json!({ "DeduplicationScope": "queue" }), UNKNOWN),
        ("q", json!({ "FifoThroughputLimit": "perQueue" }), UNKNOWN),
        ("q", json!({ "QueueArn": "x" }), UNKNOWN),
        ("q", json!({ "VisibilityTimeout": "43201" }), ATTRIBUTE),
        ("q", json!({ "DelaySeconds": "901" }), ATTRIBUTE),
        ("q", json!({ "MaximumMessageSize": "1023" }), ATTRIBUTE),
        ("q", json!({ "MaximumMessageSize": "1048577" }), ATTRIBUTE),
        ("q", json!({ "MessageRetentionPeriod": "59" }), ATTRIBUTE),
        (
            "q",
            json!({ "ReceiveMessageWaitTimeSeconds": "-1" }),
            ATTRIBUTE,
        ),
        ("q", json!({ "Policy": "[]" }), ATTRIBUTE),
        ("q", json!({ "SqsManagedSseEnabled": "maybe" }), ATTRIBUTE),
        (
            "q",
            json!({ "SqsManagedSseEnabled": "true", "KmsMasterKeyId": "key" }),
            UNKNOWN,
        ),
        (
            "q.fifo",
            json!({ "FifoQueue": "true", "DeduplicationScope": "group" }),
            ATTRIBUTE,
        ),
        (
            "q.fifo",
            json!({ "FifoQueue": "true", "FifoThroughputLimit": "perMessageGroupId" }),
            ATTRIBUTE,
        ),
        ("q", json!({ "FifoQueue": "true" }), VALUE),
        ("q.fifo", json!({}), VALUE),
        ("", json!({}), VALUE),
        ("a/b", json!({}), VALUE),
        (".fifo", json!({ "FifoQueue": "true" }), VALUE),
        (&*"q".repeat(81), json!({}), VALUE),
    ] {
        queues.refused("CreateQueue", &create(name, attributes), code);
    }
    queues.create("high.fifo", &json!({ "FifoQueue": "true", "DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId" }));
    let set =
        |url: &str, value: &str| json!({ "QueueUrl": url, "Attributes": { "FifoQueue": value } });
    queues.refused("SetQueueAttributes", &set(&plain, "true"), UNKNOWN);
    queues.done("SetQueueAttributes", &set(&fifo, "true"));
    queues.refused("SetQueueAttributes", &set(&fifo, "false"), ATTRIBUTE);
    // The same name is the same queue, or none.
    assert_eq!(
        queues.create("plain", &json!({ "DelaySeconds": "0" })),
        plain
    );
    let other = create("plain", json!({ "DelaySeconds": "1" }));
    let told = queues.refused("CreateQueue", &other, "QueueAlreadyExists");
    assert!(told.ends_with("attribute DelaySeconds"), "{told}");
    let asked = json!({ "QueueUrl": plain, "AttributeNames": ["Foobar"] });
    queues.refused("GetQueueAttributes", &asked, UNKNOWN);
}

#[test]
fn attributes_are_told_whole() {
    let queues = Queues::start();
    let told = |url: &str| {
        let asked = json!({ "QueueUrl": url, "AttributeNames": ["All"] });
        let mut told = queues.done("GetQueueAttributes", &asked)["Attributes"].take();
        for name in ["CreatedTimestamp", "LastModifiedTimestamp"] {
            let time = told.as_object_mut().unwrap().remove(name).unwrap();
            assert!(time.as_str().unwrap().parse::<u64>().unwrap() > 1_700_000_000);
        }
        serde_json::to_string_pretty(&told).unwrap()
    };
    insta::assert_snapshot!(
        "attributes-standard",
        told(&queues.create("plain", &json!({})))
    );
    let fifo = json!({ "FifoQueue": "true", "ContentBasedDeduplication": "True" });
    insta::assert_snapshot!("attributes-fifo", told(&queues.create("f.fifo", &fifo)));
    let full = json!({
        "KmsMasterKeyId": "key", "KmsDataKeyReusePeriodSeconds": "600",
        "RedrivePolicy": json!({ "maxReceiveCount": "3", "deadLetterTargetArn": arn("plain") }).to_string(),
        "RedriveAllowPolicy": "{\"redrivePermission\":\"denyAll\"}", "Policy": "{}",
    });
    let url = queues.create("full", &full);
    insta::assert_snapshot!("attributes-full", told(&url));
    let removed = json!({ "Policy": "", "RedrivePolicy": "", "RedriveAllowPolicy": "", "KmsMasterKeyId": "" });
    queues.done(
        "SetQueueAttributes",
        &json!({ "QueueUrl": url, "Attributes": removed }),
    );
    let names = [
        "Policy",
        "RedrivePolicy",
        "RedriveAllowPolicy",
        "KmsMasterKeyId",
        "KmsDataKeyReusePeriodSeconds",
    ];
    let asked = json!({ "QueueUrl": url, "AttributeNames": names });
    assert_eq!(queues.done("GetQueueAttributes", &asked), json!({}));
}

#[test]
fn dead_letter_queues_are_of_the_same_kind_exist_and_allow_it() {
    let queues = Queues::start();
    queues.create("dead", &json!({}));
    queues.create("dead.fifo", &json!({ "FifoQueue": "true" }));
    queues.create(
        "closed",
        &json!({ "RedriveAllowPolicy": "{\"redrivePermission\":\"denyAll\"}" }),
    );
    let by_queue = json!({ "redrivePermission": "byQueue", "sourceQueueArns": [arn("friend")] });
    queues.create(
        "private",
        &json!({ "RedriveAllowPolicy": by_queue.to_string() }),
    );
    let policy =
        |target: &str| json!({ "deadLetterTargetArn": target, "maxReceiveCount": 1 }).to_string();
    let url = queues.create("source", &json!({}));
    for (target, why) in [
        (arn("nowhere"), "does not exist"),
        (arn("dead.fifo"), "same type of queue"),
        (arn("closed"), "does not allow"),
        (arn("private"), "does not allow"),
        ("dummy".into(), "deadLetterTargetArn"),
    ] {
        let attributes = json!({ "RedrivePolicy": policy(&target) });
        let set = json!({ "QueueUrl": url, "Attributes": attributes });
        let told = queues.refused("SetQueueAttributes", &set, VALUE);
        assert!(told.contains(why), "{told}");
        let create = json!({ "QueueName": "new", "Attributes": attributes });
        queues.refused("CreateQueue", &create, VALUE);
    }
    let fifo = json!({ "QueueName": "new.fifo", "Attributes": { "FifoQueue": "true", "RedrivePolicy": policy(&arn("dead")) } });
    queues.refused("CreateQueue", &fifo, VALUE);
    queues.create(
        "friend",
        &json!({ "RedrivePolicy": policy(&arn("private")) }),
    );
}

#[test]
fn some_things_take_a_minute() {
    let queues = Queues::start();
    let url = queues.create("plain", &json!({}));
    queues.done("PurgeQueue", &json!({ "QueueUrl": url }));
    let answer = queues.ask("PurgeQueue", &json!({ "QueueUrl": url }));
    assert_eq!(answer.status(), "403");
    assert_eq!(answer.code(), "AWS.SimpleQueueService.PurgeQueueInProgress");
    assert_eq!(
        answer.json()["message"],
        "Only one PurgeQueue operation on plain is allowed every 60 seconds."
    );
    queues.done("DeleteQueue", &json!({ "QueueUrl": url }));
    let code = "AWS.SimpleQueueService.QueueDeletedRecently";
    queues.refused("CreateQueue", &json!({ "QueueName": "plain" }), code);
    for action in [
        "GetQueueAttributes",
        "SendMessage",
        "PurgeQueue",
        "ListQueueTags",
    ] {
        let asked = json!({ "QueueUrl": url, "MessageBody": "x" });
        let answer = queues.ask(action, &asked);
        assert_eq!(answer.code(), "AWS.SimpleQueueService.NonExistentQueue");
        assert_eq!(
            answer.json()["__type"],
            "com.amazonaws.sqs#QueueDoesNotExist"
        );
    }
}

#[test]
fn lists_of_queues_come_in_pages() {
    let queues = Queues::start();
    assert_eq!(queues.done("ListQueues", &json!({})), json!({}));
    for n in 0..5 {
        queues.create(&format!("a{n}"), &json!({}));
    }
    queues.create("b", &json!({}));
    let mut asked = json!({ "QueueNamePrefix": "a", "MaxResults": 2 });
    let mut names = Vec::new();
    loop {
        let page = queues.done("ListQueues", &asked);
        let urls = page["QueueUrls"].as_array().unwrap();
        assert!(urls.len() <= 2);
        let name = |url: &Value| url.as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        names.extend(urls.iter().map(name));
        match page.get("NextToken") {
            Some(token) => asked["NextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["a0", "a1", "a2", "a3", "a4"]);
    for (member, value) in [
        ("MaxResults", json!(0)),
        ("MaxResults", json!(1_001)),
        ("NextToken", json!("?")),
    ] {
        queues.refused("ListQueues", &json!({ member: value }), VALUE);
    }
}

#[test]
fn traces_tags_and_permissions() {
    let queues = Queues::start();
    let url = queues.create("plain", &json!({}));
    let root = "Root=1-3152b799-8954dae64eda91bc9a23a7e8;Sampled=1";
    let header = format!("\r\nX-Amzn-Trace-Id: {root}");
    let sent = json!({ "QueueUrl": url, "MessageBody": "x" });
    queues.ask_with("SendMessage", &sent, &header);
    let own = json!({ "AWSTraceHeader": { "DataType": "String", "StringValue": "Root=own" } });
    let with_own = json!({ "QueueUrl": url, "MessageBody": "y", "MessageSystemAttributes": own });
    let answer = queues.ask_with("SendMessage", &with_own, &header).json();
    assert!(
        answer["MD5OfMessageSystemAttributes"].is_string(),
        "{answer}"
    );
    let received = queues.receive(&url, &json!({}));
    let traces: Vec<&Value> = received
        .iter()
        .map(|one| &one["Attributes"]["AWSTraceHeader"])
        .collect();
    assert_eq!(traces, [&json!(root), &json!("Root=own")]);

    assert_eq!(
        queues.done("ListQueueTags", &json!({ "QueueUrl": url })),
        json!({})
    );
    let many: serde_json::Map<String, Value> =
        (0..51).map(|n| (n.to_string(), json!(""))).collect();
    queues.refused("TagQueue", &json!({ "QueueUrl": url, "Tags": many }), VALUE);
    queues.refused("TagQueue", &json!({ "QueueUrl": url, "Tags": {} }), MISSING);
    queues.done(
        "TagQueue",
        &json!({ "QueueUrl": url, "Tags": { "a": "1", "b": "" } }),
    );
    queues.done(
        "UntagQueue",
        &json!({ "QueueUrl": url, "TagKeys": ["a", "none"] }),
    );
    for reserved in ["aws:x", "AWS:cloudformation:stack-name", "aws:"] {
        let tags = json!({ "ok": "1", reserved: "v" });
        let wrong = json!({ "QueueUrl": url, "Tags": tags });
        queues.refused("TagQueue", &wrong, VALUE);
        let wrong = json!({ "QueueName": "tagged", "tags": tags });
        queues.refused("CreateQueue", &wrong, VALUE);
    }
    let tags = queues.done("ListQueueTags", &json!({ "QueueUrl": url }));
    assert_eq!(tags, json!({ "Tags": { "b": "" } }));

    let permit = |label: &str| json!({ "QueueUrl": url, "Label": label, "Actions": ["SendMessage"], "AWSAccountIds": ["000000000000"] });
    queues.done("AddPermission", &permit("one"));
    queues.refused("AddPermission", &permit("one"), VALUE);
    let policy = queues.done(
        "GetQueueAttributes",
        &json!({ "QueueUrl": url, "AttributeNames": ["Policy"] }),
    );
    let policy: Value =
        serde_json::from_str(policy["Attributes"]["Policy"].as_str().unwrap()).unwrap();
    assert_eq!(policy["Statement"][0]["Action"], "SQS:SendMessage");
    assert_eq!(
        policy["Statement"][0]["Principal"]["AWS"],
        "arn:aws:iam::000000000000:root"
    );
    queues.done("RemovePermission", &permit("one"));
    queues.refused("RemovePermission", &permit("one"), VALUE);
}

/// The protocol of SDKs before 2023, at the endpoint and at queues' own addresses.
#[test]
fn the_query_protocol_is_spoken() {
    let queues = Queues::start();
    let post = |form: &str| queues.request("POST / HTTP/1.1", form);
    let created =
        post("Action=CreateQueue&QueueName=q&Attribute.1.Name=DelaySeconds&Attribute.1.Value=0")
            .body;
    let url = created
        .split_once("<QueueUrl>")
        .unwrap()
        .1
        .split_once("</QueueUrl>")
        .unwrap()
        .0;
    let path = url.trim_start_matches(queues.0.endpoint());
    let get = |query: &str| queues.request(&format!("GET {path}?{query} HTTP/1.1"), "");
    let post_there = |form: &str| queues.request(&format!("POST {path} HTTP/1.1"), form);
    let sent = post_there(
        "Action=SendMessage&MessageBody=a%3Cb%26c&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=String&MessageAttribute.1.Value.StringValue=v",
    );
    assert!(sent.body.contains("<SendMessageResult>"), "{}", sent.body);
    let received =
        post_there("Action=ReceiveMessage&MessageAttributeName.1=All&VisibilityTimeout=0").body;
    assert!(received.contains("<Body>a&lt;b&amp;c</Body>"), "{received}");
    assert!(received.contains("<Name>n</Name>"), "{received}");
    let told = get("Action=GetQueueAttributes&AttributeName.1=QueueArn").body;
    assert!(
        told.contains(&format!(
            "<Attribute><Name>QueueArn</Name><Value>{}</Value></Attribute>",
            arn("q")
        )),
        "{told}"
    );
    for (query, status, code) in [
        ("Action=SendMessage", "400", "MissingParameter"),
        (
            "Action=GetQueueAttributes&AttributeName.1=Foobar",
            "400",
            "InvalidAttributeName",
        ),
        ("Action=CreateQueue&QueueName=other", "400", "InvalidAction"),
        ("Action=ListQueues", "400", "InvalidAction"),
        ("Action=FooBar", "400", "InvalidAction"),
        (
            "Action=ReceiveMessage&WaitTimeSeconds=21",
            "400",
            "InvalidParameterValue",
        ),
        (
            "Action=DeleteMessage&ReceiptHandle=x",
            "400",
            "ReceiptHandleIsInvalid",
        ),
        (
            "Action=SendMessage&QueueUrl=nowhere&MessageBody=x",
            "400",
            "AWS.SimpleQueueService.NonExistentQueue",
        ),
    ] {
        let answer = post_there(query);
        assert_eq!(answer.status(), status, "{query}");
        assert!(
            answer
                .body
                .contains(&format!("<Type>Sender</Type><Code>{code}</Code>")),
            "{query}: {}",
            answer.body
        );
    }
    // An address alone, which a page can have fetched as an image, changes nothing.
    for query in [
        "Action=SendMessage&MessageBody=x",
        "Action=PurgeQueue",
        "Action=ReceiveMessage",
        "Action=DeleteQueue",
        "Action=TagQueue&Tag.1.Key=a&Tag.1.Value=b",
    ] {
        let answer = get(query);
        assert_eq!(answer.status(), "405", "{query}");
        assert!(answer.body.contains("as the body of a POST"), "{query}");
    }
    for query in ["Action=ListQueueTags", "Action=GetQueueUrl&QueueName=q"] {
        assert_eq!(get(query).status(), "200", "{query}");
    }
    let nothing = queues.request(&format!("GET {path} HTTP/1.1"), "");
    assert_eq!(
        (
            nothing.status(),
            nothing.body.contains("<UnknownOperationException")
        ),
        ("404", true)
    );
    // A link from a page of another site calls nothing.
    let link = "sec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document";
    let linked = format!("GET {path}?Action=DeleteQueue HTTP/1.1\r\n{link}");
    assert_eq!(queues.request(&linked, "").status(), "403");
    // The JSON protocol is spoken there, too.
    let head = format!("POST {path} HTTP/1.1\r\nx-amz-target: AmazonSQS.ReceiveMessage");
    let received = queues.request(&head, &json!({ "QueueUrl": url }).to_string());
    assert_eq!(received.json()["Messages"][0]["Body"], "a<b&c");
    assert!(
        post("Action=DeleteQueue&QueueUrl=q")
            .body
            .starts_with("<?xml version=\"1.0\"?><DeleteQueueResponse ")
    );
}

/// A fault that could never strike is refused, with a suggestion.
#[test]
fn faults_are_checked_against_the_actions_that_there_are() {
    let queues = Queues::start();
    let ask = |fault: &str| queues.request("POST /_dev/faults HTTP/1.1", fault);
    for action in [
        "SendMessage",
        "PutEvents",
        "Publish",
        "HttpPublish",
        "AddPermission",
    ] {
        let answer = ask(&json!({ "action": action, "fault": "refuse", "times": 1 }).to_string());
        assert_eq!(answer.status(), "204", "{action}: {}", answer.body);
    }
    for (action, near) in [
        ("SendMesage", "SendMessage"),
        ("putevents", "PutEvents"),
        ("Subscribes", "Subscribe"),
        ("ListSubscription", "ListSubscriptions"),
        ("CreatePolicie", "CreatePolicy"),
    ] {
        let answer = ask(&json!({ "action": action, "fault": "refuse" }).to_string());
        assert_eq!(answer.status(), "400");
        assert!(
            answer.body.contains(&format!("did you mean `{near}`?")),
            "{}",
            answer.body
        );
    }
    let answer = ask(r#"{"action":"Nope","fault":"refuse"}"#);
    assert!(
        answer
            .body
            .starts_with("unknown action `Nope`\nhelp: there are "),
        "{}",
        answer.body
    );
    assert_eq!(queues.0.faults().len(), 5);
}
