//! Answers that SQS never gives, but a proxy or an emulator may: nothing is lost by believing them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use bytes::Bytes;
use eventcast::aws::client;
use eventcast::aws::sqs::Sqs;
use eventcast::port::{BatchOutcome, DeadLetter, Queue, QueueError, Receipt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Answers = Arc<Mutex<HashMap<String, Vec<u8>>>>;

/// A queue that answers each action with bytes that a test has set; its settings are those of a
/// queue with defaults.
struct Answering {
    answers: Answers,
    sqs: Sqs,
    _server: JoinSet<()>,
}

impl Answering {
    async fn start() -> Self {
        let answers = Answers::default();
        let settings = br#"{"Attributes":{"VisibilityTimeout":"30"}}"#;
        let set = |action: &str, answer: &[u8]| {
            let mut answers = answers.lock().unwrap();
            answers.insert(action.to_owned(), answer.to_vec());
        };
        set("GetQueueAttributes", settings);
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&answers));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let config = client::stand_in(&endpoint, "us-east-1").await;
        let url = |name: &str| format!("{endpoint}/000000000000/{name}");
        let sqs = Sqs::open(&config, url("events"), Some(url("events-dlq")));
        Self {
            sqs: sqs.await.unwrap(),
            answers,
            _server: server,
        }
    }

    fn set(&self, action: &str, answer: &[u8]) {
        let mut answers = self.answers.lock().unwrap();
        answers.insert(action.to_owned(), answer.to_vec());
    }
}

async fn answer(State(answers): State<Answers>, headers: HeaderMap) -> impl IntoResponse {
    let target = headers["x-amz-target"].to_str().unwrap();
    let action = target.rsplit('.').next().unwrap();
    let answer = answers.lock().unwrap()[action].clone();
    ([(CONTENT_TYPE, "application/x-amz-json-1.0")], answer)
}

fn letter(number: usize) -> DeadLetter {
    DeadLetter {
        id: format!("m{number}").into(),
        body: Bytes::from_static(b"poison"),
        group: None,
        reason: "not_an_event",
        detail: "not JSON".into(),
        route: None,
        attempt: 1,
    }
}

/// `+` for success, `-` for a failure that may be tried again.
fn told(outcomes: &BatchOutcome) -> String {
    let letters = outcomes.iter().map(|outcome| match outcome {
        Ok(()) => '+',
        Err(QueueError::Transient { .. }) => '-',
        Err(other) => panic!("{other}"),
    });
    letters.collect()
}

#[tokio::test]
async fn what_an_answer_does_not_name_as_successful_has_failed() {
    let queue = Answering::start().await;
    // Each list by the ids that it names, and the outcomes of three entries.
    let cases: [(&[&str], &[&str], &str); 7] = [
        (&["0", "1", "2"], &[], "+++"),
        (&["0", "2"], &["1"], "+-+"),
        (&[], &[], "---"),
        (&["2"], &[], "--+"),
        (&["a", "7"], &["b"], "---"),
        (&["0", "1", "2"], &["0"], "-++"),
        (&["m0", "m1", "m2"], &[], "---"),
    ];
    for (successful, failed, wanted) in cases {
        let entry = |id: &&str| serde_json::json!({ "Id": id, "MessageId": "m", "MD5OfMessageBody": "f15a3c1d2fbd8ff7f6cc6d7f9c0c9d4b" });
        let failure = |id: &&str| serde_json::json!({ "Id": id, "SenderFault": false, "Code": "InternalError" });
        let answer = serde_json::json!({
            "Successful": successful.iter().map(entry).collect::<Vec<_>>(),
            "Failed": failed.iter().map(failure).collect::<Vec<_>>(),
        });
        let answer = answer.to_string();
        for action in [
            "SendMessageBatch",
            "DeleteMessageBatch",
            "ChangeMessageVisibilityBatch",
        ] {
            queue.set(action, answer.as_bytes());
        }
        let letters: Vec<DeadLetter> = (0..3).map(letter).collect();
        let buried = queue.sqs.bury(&letters).await.unwrap();
        assert_eq!(told(&buried), wanted, "send: {answer}");
        let receipts: Vec<Receipt> = (0..3).map(|n| Receipt::new(format!("r{n}"))).collect();
        let deleted = queue.sqs.delete(&receipts).await;
        assert_eq!(told(&deleted), wanted, "delete: {answer}");
        let holds: Vec<_> = receipts
            .iter()
            .map(|receipt| (receipt.hold(), Duration::ZERO))
            .collect();
        let changed = queue.sqs.change_visibility(&holds).await;
        assert_eq!(told(&changed), wanted, "change visibility: {answer}");
    }
    for answer in [&b"{}"[..], b"null", b"{\"Successful\":null}"] {
        queue.set("SendMessageBatch", answer);
        let buried = queue.sqs.bury(&[letter(0)]).await.unwrap();
        assert_eq!(told(&buried), "-", "{}", String::from_utf8_lossy(answer));
    }
}

#[tokio::test]
async fn messages_that_cannot_be_worked_on_are_counted_and_leave_the_others_alone() {
    let queue = Answering::start().await;
    let good =
        |id: usize| format!(r#"{{"MessageId":"m{id}","ReceiptHandle":"r{id}","Body":"{{}}"}}"#);
    for (number, broken) in [
        &br#"{"MessageId":"x","Body":"{}"}"#[..],
        br#"{"ReceiptHandle":"x","Body":"{}"}"#,
        br#"{"MessageId":"x","ReceiptHandle":"x"}"#,
        br#"{"MessageId":"x","ReceiptHandle":"x","Body":"a lone surrogate \ud800"}"#,
        b"{\"MessageId\":\"x\",\"ReceiptHandle\":\"x\",\"Body\":\"not UTF-8 \xff\"}",
        b"{\"MessageId\":\"x\",\"ReceiptHandle\":\"x\",\"Body\":\"control \x02\"}",
        br#"{"MessageId":"x","ReceiptHandle":"x","Body":{"an":"object"}}"#,
        b"null",
    ]
    .into_iter()
    .enumerate()
    {
        let mut messages: Vec<Vec<u8>> = (0..9).map(|id| good(id).into_bytes()).collect();
        messages.insert(number, broken.to_vec());
        let answer = [b"{\"Messages\":[", &messages.join(&b","[..])[..], b"]}"].concat();
        queue.set("ReceiveMessage", &answer);
        let received = queue.sqs.receive(10, Duration::ZERO).await;
        let received = received.unwrap_or_else(|error| panic!("{number}: {error}"));
        let ids: Vec<&str> = received.iter().map(|one| &*one.id).collect();
        let wanted: Vec<String> = (0..9).map(|id| format!("m{id}")).collect();
        assert_eq!(ids, wanted, "{number}");
        assert_eq!(queue.sqs.unusable(), number as u64 + 1);
    }
    // A text that is no answer of a queue is an error, which quotes nothing of it.
    queue.set("ReceiveMessage", br#"{"Messages":"secret"}"#);
    let error = queue.sqs.receive(10, Duration::ZERO).await.unwrap_err();
    assert!(matches!(error, QueueError::Transient { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(
        error.to_string().contains("not what SQS answers"),
        "{error}"
    );
}
