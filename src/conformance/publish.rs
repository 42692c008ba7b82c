//! Messages for the suite to wait for: by a data plane as IoT Core has it, or by a command.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use super::ProbeChannel;

/// Time that a message may take to be published.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(30);

/// Characters of a topic's levels that are not escaped in a URL (RFC 3986, section 2.3).
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// A way of publishing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TestPublisher {
    /// `POST /topics/TOPIC?qos=1` at a plain HTTP address, `HOST:PORT`, as `eventcast dev` serves
    /// it.
    DataPlane(String),
    /// A shell command in which `{channel}`, `{topic}` and `{id}` are replaced; the message must
    /// carry the id.
    Command(String),
}

impl TestPublisher {
    /// Publishes a message that carries an id, and returns when it is done.
    pub(super) async fn publish(&self, channel: &ProbeChannel, id: &str) -> Result<(), String> {
        let publishing = async {
            match self {
                Self::DataPlane(address) => post(address, channel, id).await,
                Self::Command(template) => run(&filled(template, channel, id))
                    .await
                    .map_err(|why| format!("the command of --publish {why}")),
            }
        };
        timeout(PUBLISH_TIMEOUT, publishing)
            .await
            .unwrap_or_else(|_| Err(format!("not done in {} s", PUBLISH_TIMEOUT.as_secs())))
    }
}

async fn post(address: &str, channel: &ProbeChannel, id: &str) -> Result<(), String> {
    let Some(topic) = &channel.topic else {
        return Err(format!("the topic of `{}` is not known", channel.name));
    };
    // The mark that the bridge puts on its messages.
    let properties = STANDARD.encode(json!([{ "eb-id": id }]).to_string());
    let request = Request::post(format!(
        "/topics/{}?qos=1",
        utf8_percent_encode(topic, KEPT)
    ))
    .header("host", address)
    .header("content-type", "application/json")
    .header("x-amz-mqtt5-user-properties", properties)
    .body(Full::new(Bytes::from(
        json!({ "conformance": id }).to_string(),
    )))
    .map_err(|error| error.to_string())?;
    let failed = |error: &dyn std::fmt::Display| format!("publishing at {address}: {error}");
    let io = TcpStream::connect(address).await;
    let io = io.map_err(|error| failed(&error))?;
    let opened = http1::handshake(TokioIo::new(io)).await;
    let (mut sender, connection) = opened.map_err(|error| failed(&error))?;
    let answering = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok::<_, hyper::Error>((status, body))
    };
    let (status, body) = tokio::select! {
        answer = answering => answer.map_err(|error| failed(&error))?,
        _ = connection => return Err(failed(&"it hung up")),
    };
    if status.is_success() {
        return Ok(());
    }
    let says = String::from_utf8_lossy(&body);
    Err(format!("publishing at {address}: {status}: {says}"))
}

/// A template with its places filled, each as one word of the shell.
fn filled(template: &str, channel: &ProbeChannel, id: &str) -> String {
    let topic = channel.topic.as_deref();
    let topic = topic.map_or_else(|| channel.name.replace(':', "/"), str::to_owned);
    template
        .replace("{channel}", &word(&channel.name))
        .replace("{topic}", &word(&topic))
        .replace("{id}", &word(id))
}

/// Text as one word of the shell.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Runs a shell command to its end.
pub(super) async fn run(command: &str) -> Result<(), String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("cannot be started: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().last().unwrap_or_default().to_owned();
    Err(format!("ended with {}: {said}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates() {
        let channel = ProbeChannel {
            name: "order:1".into(),
            topic: None,
        };
        let odd = ProbeChannel {
            name: "it's; rm".into(),
            topic: Some("a b".into()),
        };
        let template = "put {channel} {topic} {id}";
        assert_eq!(filled(template, &channel, "x-1"), "put order:1 order/1 x-1");
        assert_eq!(filled(template, &odd, "x"), r"put 'it'\''s; rm' 'a b' x");
    }

    #[tokio::test]
    async fn commands() {
        assert_eq!(run("true").await, Ok(()));
        let error = run("echo no broker >&2; exit 3").await.unwrap_err();
        assert!(error.contains("exit status: 3: no broker"), "{error}");
    }
}
