//! The gateway: clients without WebSockets receive from the same channels over HTTP, by polls and
//! streams (`docs/gateway.md`).
//!
//! Each session has a connection of its own to the broker, opened with the client's own token: the
//! broker decides what the client may receive, and the gateway holds no rights. It holds no state
//! either that a task could lose. State that outlives a task is sealed into the texts that the
//! client carries ([`seal`]), and unacknowledged messages stay in the broker's persistent session:
//! a message is acknowledged to the broker once the client shows the cursor that came with it,
//! never because it was written to a socket.
//!
//! - [`api`] is HTTP: bodies, statuses, CORS, streams.
//! - [`sessions`] finds or opens the connection that serves a session.
//! - `link` is one connection to the broker; `inbox` is the state of its messages, pure.
//! - `session`, `cursor`, `bearer` and `directory` read what clients show and name.

pub mod api;
pub mod bearer;
pub mod cursor;
pub mod directory;
mod inbox;
pub mod limits;
pub mod link;
mod message;
pub mod metrics;
pub mod seal;
pub mod serve;
pub mod session;
pub mod sessions;
