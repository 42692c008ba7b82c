//! The gateway over a broker that is not ours: mosquitto.

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
async fn a_task_that_is_taken_over_answers_its_poll() {
    let broker = Mosquitto::start();
    scenarios::taken_over(broker.mqtt_port()).await;
}

#[tokio::test]
async fn a_rolling_restart_loses_nothing() {
    let broker = Mosquitto::start();
    scenarios::rolling_restart(broker.mqtt_port()).await;
}
