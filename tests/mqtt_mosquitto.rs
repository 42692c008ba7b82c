//! The MQTT adapter against mosquitto.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that fails should say where"
)]

#[path = "support/publisher_contract.rs"]
mod contract;
#[path = "support/mosquitto.rs"]
mod mosquitto;

use std::cell::RefCell;

use mosquitto::Mosquitto;

#[tokio::test]
async fn what_is_published_arrives_in_order_with_its_properties() {
    let broker = Mosquitto::start();
    contract::arrives_in_order(broker.mqtt_port()).await;
}

#[tokio::test]
async fn a_lost_broker_loses_nothing_silently() {
    let broker = RefCell::new(Mosquitto::start());
    let port = broker.borrow().mqtt_port();
    let end = async || broker.borrow_mut().kill();
    let begin = async || broker.borrow_mut().restart();
    contract::loses_nothing_silently(port, end, begin).await;
}

#[tokio::test]
async fn too_large_a_payload_is_not_sent() {
    let broker = Mosquitto::start();
    contract::sends_nothing_too_large(broker.mqtt_port()).await;
}
