//! Queues as SQS has them: the store, pure over a clock that is handed in, and the protocol around it.

pub(super) mod api;
mod attributes;
mod batch;
mod fifo;
mod manage;
mod receive;
mod send;
mod settle;
mod store;
pub(super) mod wire;

#[cfg(test)]
mod tests;
