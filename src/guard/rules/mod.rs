//! The rules, one file each.

pub mod baseline;
pub mod broker_resource;
pub mod broker_target;
pub mod connection_management;
pub mod direct_publish;
pub mod event_api;
pub mod mqtt_client;
pub mod native_connection;
pub mod polling_loop;
pub mod realtime_dependency;
pub mod realtime_library;
pub mod realtime_service;
pub mod response_stream;
pub mod stream_reader;
pub mod waiver;
pub mod websocket_api;
