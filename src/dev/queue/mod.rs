//! Queues as SQS has them: the store, pure over a clock that is handed in, and the protocol around it.

pub(super) mod api;
mod attributes;
mod fifo;
mod store;
mod wire;

#[cfg(test)]
mod tests;

pub(super) use api::Queues;
pub(super) use wire::Message;
