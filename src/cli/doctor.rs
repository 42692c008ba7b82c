//! `eventcast doctor`: tries everything that the daemon needs, and says what to do about what is missing.

mod publishing;
mod queues;
mod report;

use std::io::Write;
use std::time::SystemTime;

use aws_config::SdkConfig;
use clap::Args;

use self::publishing::{limits, publishing};
use self::queues::queues;
use self::report::Report;
use super::configuration::Configuration;
use super::runtime::block_on;
use super::{Format, Status};
use crate::aws::client;
use crate::aws::sign::Signer;
use crate::channel::topic::Topic;

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is received and nothing published, unless --publish names a topic: then one message is sent to it.

Examples:
  eventcast doctor
  eventcast doctor --publish eventcast/doctor --format json

Exit status: 0 all is well (there may be warnings), 1 something is missing, 2 the configuration is not right.")]
pub(super) struct Command {
    #[command(flatten)]
    configuration: Configuration,
    /// Publish one message to this topic, to see that it is allowed
    #[arg(long, value_name = "TOPIC", value_parser = topic)]
    publish: Option<Topic>,
    /// How the report is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn topic(text: &str) -> Result<Topic, String> {
    Topic::parse(text).map_err(|error| error.to_string())
}

/// Runs the command.
pub(super) fn run(
    command: &Command,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let Some(config) = command.configuration.read_checked(messages)? else {
        return Ok(Status::CannotAnswer);
    };
    let mut report = Report::default();
    report.ok("configuration", format!("{} routes", config.routes.len()));
    block_on(async {
        let section = &config.bridge;
        let aws = client::environment().await;
        credentials(&aws, &mut report).await;
        queues(section, &aws, &mut report).await;
        limits(section, &mut report);
        publishing(section, &aws, command.publish.as_ref(), &mut report).await;
    })?;
    report.write(command.format, out)
}

async fn credentials(aws: &SdkConfig, report: &mut Report) {
    let about = "AWS credentials";
    let signer = match Signer::try_new(aws) {
        Ok(signer) => signer,
        Err(error) => return report.missing(about, error.to_string(), ""),
    };
    match signer.expiry().await {
        Ok(None) => report.ok(about, "found; they do not expire"),
        Ok(Some(expiry)) => match expiry.duration_since(SystemTime::now()) {
            Ok(left) => report.ok(about, format!("found; good for {}s", left.as_secs())),
            Err(_) => report.missing(
                about,
                "they have expired",
                "renew them, such as by aws sso login",
            ),
        },
        Err(error) => report.missing(
            about,
            error.to_string(),
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or give the task a role",
        ),
    }
}
