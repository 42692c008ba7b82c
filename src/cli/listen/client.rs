//! The client as it connects, and its end in words.

use std::io::Write;

use super::platform::{AskError, DevPlatform};
use crate::cli::Status;
use crate::escape::{escaped, write_line};
use crate::mqtt::auth::BrokerAccess;
use crate::mqtt::listener::RefusedFilter;

/// Early end of the command, with a line for the user and perhaps another with advice. Both may
/// quote text that others wrote.
pub(super) struct ListenFailure {
    pub(super) status: Status,
    what: String,
    help: Option<String>,
}

impl ListenFailure {
    pub(super) fn new(status: Status, what: impl Into<String>) -> Self {
        Self {
            status,
            what: what.into(),
            help: None,
        }
    }

    pub(super) fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// Writes it, each part as one line.
    pub(super) fn write(&self, messages: &mut impl Write) -> std::io::Result<()> {
        write_line(messages, format_args!("{}", self.what))?;
        match &self.help {
            Some(help) => write_line(messages, format_args!("help: {help}")),
            None => Ok(()),
        }
    }
}

impl From<AskError> for ListenFailure {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Unreachable { what, help } => {
                Self::new(Status::Failed, format!("error: {what}")).help(help)
            }
            AskError::Wrong(why) => Self::new(Status::CannotAnswer, format!("error: {why}")),
        }
    }
}

pub(super) fn wrong(what: impl Into<String>, help: impl Into<String>) -> ListenFailure {
    ListenFailure::new(Status::CannotAnswer, format!("error: {}", what.into())).help(help)
}

/// Client as it connects.
pub(super) struct ListenClient {
    pub(super) access: BrokerAccess,
    pub(super) id: String,
    pub(super) filters: Vec<String>,
    /// The platform that explains refusals.
    pub(super) platform: Option<DevPlatform>,
}

impl ListenClient {
    /// The reason why the broker does not answer or let it in.
    pub(super) async fn not_let_in(&self, error: &str) -> ListenFailure {
        let why = match &self.platform {
            Some(platform) => platform.last_refusal(&self.id).await,
            None => None,
        };
        let broker = &self.access.broker;
        match why {
            Some(why) => ListenFailure::new(
                Status::No,
                format!("client `{}` is not let in: {why}", self.id),
            )
            .help("its token must be signed with the development key or one of authorizer.keys, and the client id must be its principal, or begin with it and `-`"),
            None if error.contains("refused, return code")
                || error.contains("403")
                || error.contains("401") =>
            {
                ListenFailure::new(
                    Status::No,
                    format!("client `{}` is not let in at {broker}: {error}", self.id),
                )
                .help("check the token with `eventcast token verify`, and the client id")
            }
            None => ListenFailure::new(
                Status::Failed,
                format!("error: connecting to {broker}: {error}"),
            )
            .help("check the address with --url or --endpoint"),
        }
    }

    pub(super) async fn lost_while_subscribing(&self, error: &str) -> ListenFailure {
        let why = match &self.platform {
            Some(platform) => platform.last_refusal(&self.id).await,
            None => None,
        };
        match why {
            Some(why) => ListenFailure::new(
                Status::No,
                format!("the broker closed the connection at SUBSCRIBE: {why}"),
            ),
            None => ListenFailure::new(Status::Failed, format!("error: subscribing: {error}")),
        }
    }

    pub(super) async fn explain(
        &self,
        refused: &RefusedFilter,
        messages: &mut impl Write,
    ) -> std::io::Result<()> {
        let RefusedFilter { filter, reason } = refused;
        write_line(
            messages,
            format_args!("`{}` is refused: {}", escaped(filter), escaped(reason)),
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
            write_line(messages, format_args!("help: {}", escaped(&line)))?;
        }
        Ok(())
    }
}
