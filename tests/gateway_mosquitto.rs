//! The gateway over a broker that is not ours: mosquitto.
//!
//! A session that is taken over is not tried: mosquitto 2.0.11 closes the older connection without
//! the DISCONNECT that MQTT 5 demands (section 3.1.4, MQTT-3.1.4-3), so that it looks the same as a
//! lost one.

#![cfg(feature = "gateway")]

#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/scenarios.rs"]
mod scenarios;
#[path = "support/shop.rs"]
mod shop;

use mosquitto::Mosquitto;

#[tokio::test]
async fn a_lost_response_is_returned_again() {
    let broker = Mosquitto::start();
    scenarios::lost_response(broker.mqtt_port()).await;
}

#[tokio::test]
async fn a_batch_has_100_messages_at_most() {
    let broker = Mosquitto::start();
    scenarios::batch(broker.mqtt_port()).await;
}

#[tokio::test]
async fn another_task_goes_on_when_one_is_killed_in_mid_poll() {
    let broker = Mosquitto::start();
    scenarios::killed_in_mid_poll(broker.mqtt_port()).await;
}

#[tokio::test]
async fn a_rolling_restart_loses_nothing() {
    let broker = Mosquitto::start();
    scenarios::rolling_restart(broker.mqtt_port()).await;
}
