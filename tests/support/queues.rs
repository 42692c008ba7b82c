//! Calls of the queues of `eventcast dev` as they are on the wire, with status, type and code.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::dev::Dev;

/// An answer: its status line, its headers and its body.
pub(crate) struct Answer {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// The code that SDKs of the older protocol know an error by.
    pub(crate) fn code(&self) -> &str {
        let header = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("x-amzn-query-error")
                .then_some(value)
        });
        header.map_or("", |value| value.strip_suffix(";Sender").unwrap())
    }

    pub(crate) fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// A running `eventcast dev`, and calls of it.
pub(crate) struct Queues(pub(crate) Dev);

impl Queues {
    pub(crate) fn start() -> Self {
        Self(Dev::start(&[]))
    }

    pub(crate) fn request(&self, head: &str, body: &str) -> Answer {
        let address = self.0.endpoint().trim_start_matches("http://");
        let mut stream = TcpStream::connect(address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{head}\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        Answer {
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn ask_with(&self, action: &str, body: &Value, headers: &str) -> Answer {
        let head = format!("POST / HTTP/1.1\r\nx-amz-target: AmazonSQS.{action}{headers}");
        self.request(&head, &body.to_string())
    }

    pub(crate) fn ask(&self, action: &str, body: &Value) -> Answer {
        self.ask_with(action, body, "")
    }

    #[track_caller]
    pub(crate) fn done(&self, action: &str, body: &Value) -> Value {
        let answer = self.ask(action, body);
        assert_eq!(answer.status(), "200", "{action} {body}: {}", answer.body);
        answer.json()
    }

    #[track_caller]
    pub(crate) fn refused(&self, action: &str, body: &Value, code: &str) -> String {
        let answer = self.ask(action, body);
        assert_eq!(answer.code(), code, "{action} {body}: {}", answer.body);
        answer.json()["message"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn create(&self, name: &str, attributes: &Value) -> String {
        let asked = json!({ "QueueName": name, "Attributes": attributes });
        let created = self.done("CreateQueue", &asked);
        created["QueueUrl"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub(crate) fn receive(&self, url: &str, more: &Value) -> Vec<Value> {
        let mut asked = json!({ "QueueUrl": url, "MaxNumberOfMessages": 10, "MessageSystemAttributeNames": ["All"] });
        let asked_members = asked.as_object_mut().unwrap();
        asked_members.extend(more.as_object().unwrap().clone());
        let received = self.done("ReceiveMessage", &asked);
        received["Messages"].as_array().cloned().unwrap_or_default()
    }
}

pub(crate) fn arn(name: &str) -> String {
    format!("arn:aws:sqs:us-east-1:000000000000:{name}")
}

pub(crate) const VALUE: &str = "InvalidParameterValue";
pub(crate) const MISSING: &str = "MissingParameter";
pub(crate) const ATTRIBUTE: &str = "InvalidAttributeValue";
pub(crate) const UNKNOWN: &str = "InvalidAttributeName";
