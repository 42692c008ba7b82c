//! The document that is in force, for commands that compare with it.

use std::io::Write;

use super::{AwsAccess, stop};
use crate::cli::Status;
use crate::cli::endpoint_variables;
use crate::cli::runtime::block_on;
use crate::cli::user_error::write_error;
use crate::policy::deploy::target::{BadText, PolicyName};

/// The default version's document of a policy. Where there is none, reports that and returns the
/// command's status.
pub(in crate::cli::policy) fn document(
    name: &str,
    messages: &mut impl Write,
) -> anyhow::Result<Result<String, Status>> {
    if let Err(BadText { what, help }) = PolicyName::parse(name) {
        write_error(messages, format_args!("{what}"), format_args!("{help}"))?;
        return Ok(Err(Status::CannotAnswer));
    }
    if !endpoint_variables::are_usable(messages)? {
        return Ok(Err(Status::CannotAnswer));
    }
    block_on(async {
        let plane = match AwsAccess::open(1.0).await {
            Ok(access) => access.plane,
            Err(error) => return stop(&error, Status::CannotAnswer, messages).map(Err),
        };
        match plane.policy(name).await {
            Ok(Some(deployed)) => Ok(Ok(deployed.document)),
            Ok(None) => {
                let region = plane.region();
                write_error(
                    messages,
                    format_args!("there is no policy `{name}` in {region}"),
                    "eventcast policy show lists those that are there",
                )?;
                Ok(Err(Status::CannotAnswer))
            }
            Err(error) => stop(&error, Status::Failed, messages).map(Err),
        }
    })?
}
