//! Queues as SQS has them: the store, pure over a clock that is handed in, and the protocol around it.

pub(super) mod api;
mod attributes;
mod batch;
mod deduplication;
mod digest;
mod fifo;
mod held;
mod limits;
mod manage;
mod message;
mod number;
mod permission;
pub(super) mod query;
mod receipt;
mod receive;
mod redrive;
mod refusals;
mod send;
mod settings;
mod settle;
mod store;
pub(super) mod wire;

#[cfg(test)]
mod tests;
