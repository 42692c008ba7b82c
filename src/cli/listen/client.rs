//! The client as it connects, and its end in words.

use std::io::Write;

use super::platform::{AskError, DevPlatform};
use crate::cli::Status;
use crate::escape::escaped;
use crate::mqtt::auth::Access;
use crate::mqtt::listener::RefusedFilter;

/// Early end of the command, with the message for the user.
pub(super) struct Failure(pub(super) Status, pub(super) String);

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let status = match &error {
            AskError::Unreachable(_) => Status::Failed,
            AskError::Wrong(_) => Status::CannotAnswer,
        };
        Self(status, format!("error: {error}"))
    }
}

pub(super) fn wrong(message: impl Into<String>) -> Failure {
    Failure(Status::CannotAnswer, format!("error: {}", message.into()))
}

/// Client as it connects.
pub(super) struct Client {
    pub(super) access: Access,
    pub(super) id: String,
    pub(super) filters: Vec<String>,
    /// The platform that explains refusals.
    pub(super) platform: Option<DevPlatform>,
}

impl Client {
    /// The reason why the broker does not answer or let it in.
    pub(super) async fn not_let_in(&self, error: &str) -> Failure {
        let why = match &self.platform {
            Some(platform) => platform.last_refusal(&self.id).await,
            None => None,
        };
        let broker = &self.access.broker;
        match why {
            Some(why) => Failure(
                Status::No,
                format!(
                    "client `{}` is not let in: {why}\nhelp: its token must be signed with the development key or one of authorizer.keys, and the client id must be its principal, or begin with it and `-`",
                    self.id
                ),
            ),
            None if error.contains("refused, return code")
                || error.contains("403")
                || error.contains("401") =>
            {
                Failure(
                    Status::No,
                    format!(
                        "client `{}` is not let in at {broker}: {error}\nhelp: check the token with `eventcast token verify`, and the client id",
                        self.id
                    ),
                )
            }
            None => Failure(
                Status::Failed,
                format!(
                    "error: connecting to {broker}: {error}\nhelp: check the address with --url or --endpoint"
                ),
            ),
        }
    }

    pub(super) async fn lost_while_subscribing(&self, error: &str) -> Failure {
        let why = match &self.platform {
            Some(platform) => platform.last_refusal(&self.id).await,
            None => None,
        };
        match why {
            Some(why) => Failure(
                Status::No,
                format!("the broker closed the connection at SUBSCRIBE: {why}"),
            ),
            None => Failure(Status::Failed, format!("error: subscribing: {error}")),
        }
    }

    pub(super) async fn explain(
        &self,
        refused: &RefusedFilter,
        messages: &mut impl Write,
    ) -> std::io::Result<()> {
        let RefusedFilter { filter, reason } = refused;
        writeln!(
            messages,
            "`{}` is refused: {}",
            escaped(filter),
            escaped(reason)
        )?;
        let advice = match &self.platform {
            Some(platform) if !filter.contains(['+', '#']) => {
                platform.advice(&self.id, filter).await
            }
            _ => Vec::new(),
        };
        if advice.is_empty() {
            return writeln!(
                messages,
                "help: the client's policies must allow iot:Subscribe on it and iot:Receive on its topics"
            );
        }
        for line in advice {
            writeln!(messages, "help: {}", escaped(&line))?;
        }
        Ok(())
    }
}
