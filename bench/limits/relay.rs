//! The rig's own bridge: the cheapest way from the queue to the broker, without a promise, a pace
//! or a limit.
//!
//! With it in the daemon's place a run shows the limits of bus, queue, broker and generator on this
//! machine: its latencies are the floor for any daemon here.

use std::rc::Rc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::http::Http;
use super::platform::Platform;
use super::subscriber::{Connection, packet, push_text};

/// Long polls at a time.
const POLLERS: usize = 8;

/// The text before a topic's id in an event.
const ORDER_ID: &str = "\"orderId\":\"";

#[derive(Deserialize)]
struct Received {
    #[serde(rename = "Messages", default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "ReceiptHandle")]
    receipt: String,
    #[serde(rename = "Body")]
    body: String,
}

/// The side that publishes; packet identifiers are counted up.
struct Publishing {
    stream: OwnedWriteHalf,
    id: u16,
}

/// Starts it; it ends with the tasks.
pub(crate) async fn start(platform: &Platform) -> anyhow::Result<JoinSet<anyhow::Result<()>>> {
    let connection = Connection::open(platform.mqtt, "relay").await?;
    let (mut answers, stream) = connection.stream.into_split();
    let publishing = Rc::new(Mutex::new(Publishing { stream, id: 0 }));
    let mut tasks = JoinSet::new();
    tasks.spawn_local(async move {
        let mut bytes = vec![0; 16 * 1024];
        while answers.read(&mut bytes).await? > 0 {}
        Ok(())
    });
    for _ in 0..POLLERS {
        let http = Http::open(&platform.address).await?;
        let (queue, publishing) = (platform.queue.clone(), Rc::clone(&publishing));
        tasks.spawn_local(poll(http, queue, publishing));
    }
    Ok(tasks)
}

async fn poll(
    mut http: Http,
    queue: String,
    publishing: Rc<Mutex<Publishing>>,
) -> anyhow::Result<()> {
    let asked = json!({ "QueueUrl": queue, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 20 });
    let asked = Bytes::from(asked.to_string());
    let mut bytes = Vec::new();
    loop {
        let answer = http.call("AmazonSQS.ReceiveMessage", asked.clone()).await?;
        let received: Received = serde_json::from_slice(&answer)?;
        if received.messages.is_empty() {
            continue;
        }
        {
            let mut publishing = publishing.lock().await;
            for message in &received.messages {
                publishing.id = publishing.id.checked_add(1).unwrap_or(1);
                write(&mut bytes, &message.body, publishing.id)?;
            }
            publishing.stream.write_all(&bytes).await?;
            bytes.clear();
        }
        let entries = received.messages.iter().enumerate();
        let entries: Vec<_> = entries
            .map(|(n, one)| json!({ "Id": n.to_string(), "ReceiptHandle": one.receipt }))
            .collect();
        let deleted = json!({ "QueueUrl": queue, "Entries": entries });
        http.call("AmazonSQS.DeleteMessageBatch", deleted.to_string().into())
            .await?;
    }
}

/// Adds a PUBLISH of QoS 1.
fn write(bytes: &mut Vec<u8>, event: &str, id: u16) -> anyhow::Result<()> {
    let at = event.find(ORDER_ID).map(|at| at + ORDER_ID.len());
    let order = at.and_then(|at| event[at..].split('"').next());
    let order = order.ok_or_else(|| anyhow::anyhow!("an event without an order"))?;
    let mut body = Vec::with_capacity(event.len() + 64);
    push_text(&mut body, &format!("order/{order}"));
    body.extend(id.to_be_bytes());
    body.extend(event.as_bytes());
    bytes.extend(packet(0x32, &body));
    Ok(())
}
