//! The two bare limits beside the peers: the AWS SDK's receive-and-delete loop, and the MQTT
//! client's publish loop.
//!
//! `bare sqs QUEUE_URL COUNT POLLERS` takes COUNT messages out of a queue and publishes nothing;
//! `bare mqtt PORT COUNT` publishes COUNT messages of 1 KiB at QoS 1 with 1,000 unacknowledged, and
//! prints rate and CPU time as JSON.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark that fails should say where"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eventcast::aws::client;
use eventcast::aws::sqs::Sqs;
use eventcast::port::{Queue, Receipt};
use mimalloc::MiMalloc;
use rumqttc::{AsyncClient, MqttOptions, PublishOptions};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// The daemon's, so that the limits are not those of the system's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["sqs", queue, count, pollers] => {
            sqs(queue, count.parse().unwrap(), pollers.parse().unwrap()).await;
        }
        ["mqtt", port, count] => mqtt(port.parse().unwrap(), count.parse().unwrap()).await,
        _ => panic!("bare sqs QUEUE_URL COUNT POLLERS, or bare mqtt PORT COUNT"),
    }
}

/// Each poller receives ten, deletes ten, and begins anew.
async fn sqs(queue: &str, count: usize, pollers: usize) {
    let config = client::environment().await;
    let queue = Sqs::open(&config, queue.to_owned(), None).await.unwrap();
    let queue = Arc::new(queue);
    let left = Arc::new(AtomicUsize::new(count));
    let mut tasks = JoinSet::new();
    for _ in 0..pollers {
        let (queue, left) = (Arc::clone(&queue), Arc::clone(&left));
        tasks.spawn(async move {
            while left.load(Ordering::SeqCst) > 0 {
                let received = queue.receive(10, Duration::from_secs(1)).await.unwrap();
                let receipts: Vec<Receipt> = received.into_iter().map(|one| one.receipt).collect();
                if !receipts.is_empty() {
                    let outcomes = queue.delete(&receipts).await;
                    left.fetch_sub(outcomes.len(), Ordering::SeqCst);
                }
            }
        });
    }
    tasks.join_all().await;
    // The measuring process still reads what it took.
    std::future::pending::<()>().await;
}

async fn mqtt(port: u16, count: usize) {
    let mut options = MqttOptions::new("bare", ("127.0.0.1", port));
    options
        .set_outgoing_inflight_upper_limit(1_000)
        .set_max_request_batch(64);
    let (client, mut event_loop) = AsyncClient::builder(options)
        .capacity(1_000)
        .try_build()
        .unwrap();
    let mut turning = JoinSet::new();
    turning.spawn(async move { while event_loop.poll().await.is_ok() {} });
    let payload = bytes::Bytes::from(vec![b'x'; 1_024]);
    let (begin, before) = (Instant::now(), cpu());
    let mut notices = std::collections::VecDeque::new();
    for n in 0..count {
        let topic = format!("order/{}", n % 1_000);
        let options = PublishOptions::at_least_once();
        notices.push_back(
            client
                .publish_tracked(topic, payload.clone(), options)
                .await
                .unwrap(),
        );
        if notices.len() >= 1_000 {
            let _ = notices.pop_front().unwrap().wait_async().await;
        }
    }
    for notice in notices {
        let _ = notice.wait_async().await;
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    let cpu = (cpu() - before) / count as f64 * 10_000.0;
    println!("{}", serde_json::json!({ "rate": rate, "cpu": cpu }));
}

/// CPU seconds of this process so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit_once(')')
        .unwrap()
        .1
        .split_whitespace()
        .collect();
    let ticks: f64 = [fields.get(11), fields.get(12)]
        .into_iter()
        .map(|field| field.unwrap().parse::<f64>().unwrap())
        .sum();
    // Linux counts in hundredths of a second.
    ticks / 100.0
}
