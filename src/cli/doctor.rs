//! `eventcast doctor`: tries everything that the daemon needs, and reports what is missing and what
//! to do about it.
//!
//! A check is `ok` only after it was tried. A check that depends on something that failed, or that
//! runs only on request, is `not tried`.

mod held_back;
mod publishing;
mod queues;
mod report;
mod upstream;

use std::io::Write;
use std::time::SystemTime;

use anyhow::Context as _;
use aws_config::SdkConfig;
use clap::Args;

use self::held_back::held_back;
use self::publishing::{limits, publishing};
use self::queues::queues;
use self::report::DoctorReport;
use self::upstream::upstream;
use super::configuration::Configuration;
use super::counted::counted;
use super::endpoint_variables;
use super::region;
use super::runtime::block_on;
use super::{OutputFormat, Status};
use crate::aws::client;
use crate::aws::sign::Signer;
use crate::channel::topic::Topic;
use crate::config::Config;
use crate::config::queue_name::QueueName;

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is received, sent to a queue or published, unless --publish is given: then one message is published. Run it \
with the role of the daemon, whose policy is that of `eventcast policy generate --for bridge`; --upstream takes the one of \
`--for doctor`, since the daemon asks EventBridge and KMS nothing.

A check is ok, warning, missing (not set, or not there), failed (tried, and refused or unreachable) or not tried. \
What is not tried may be wrong; it does not count for the exit status.

Examples:
  eventcast doctor
  eventcast doctor --publish
  eventcast doctor --publish eventcast/doctor --format json
  eventcast doctor --upstream

Exit status: 0 nothing is missing or failed, 1 something is, 2 the configuration is not right.")]
pub(super) struct Command {
    #[command(flatten)]
    configuration: Configuration,
    /// Publish one message, to see that it is allowed [default topic: eventcast/doctor below the environment]
    // A topic without `=` may be anything that does not look like a flag.
    #[arg(long, value_name = "TOPIC", num_args = 0..=1, value_parser = topic)]
    publish: Option<Option<Topic>>,
    /// Look at the road before the queue as well: rules, targets, their dead-letter queues,
    /// policies, keys
    #[arg(long)]
    upstream: bool,
    /// How the report is written
    #[arg(long, value_enum, default_value = "text")]
    format: OutputFormat,
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
    if !endpoint_variables::are_usable(messages)? {
        return Ok(Status::CannotAnswer);
    }
    let topic = match &command.publish {
        Some(Some(topic)) => Some(topic.clone()),
        Some(None) => {
            let topic = config.doctor_topic();
            Some(Topic::parse(&topic).with_context(|| format!("publishing to `{topic}`"))?)
        }
        None => None,
    };
    let mut report = DoctorReport::default();
    report.ok("configuration", counted(config.routes.len(), "route"));
    block_on(async {
        let section = &config.bridge;
        let aws = client::environment().await;
        // Without a Region or credentials no request can be signed.
        let has_region = regions(&config, &aws, &mut report);
        let has_credentials = has_region && credentials(&aws, &mut report).await;
        let unsigned = match (has_region, has_credentials) {
            (false, _) => Some("there is no AWS Region"),
            (_, false) => Some("there are no AWS credentials"),
            _ => None,
        };
        queues(section, &aws, unsigned, &mut report).await;
        if command.upstream {
            upstream(&config, &aws, unsigned, &mut report).await;
        } else {
            let help =
                "--upstream looks at the rules, with the role of `policy generate --for doctor`";
            upstream::not_tried(
                "the road before the queue is not looked at unasked",
                help,
                &mut report,
            );
        }
        limits(section, &mut report);
        held_back(section.listen, &mut report).await;
        publishing(&config, (&aws, unsigned), topic.as_ref(), &mut report).await;
    })?;
    report.write(command.format, out)
}

/// Compares the Regions and accounts that the configuration names. Returns `false` where the SDK
/// knows no Region.
fn regions(config: &Config, aws: &SdkConfig, report: &mut DoctorReport) -> bool {
    let about = "AWS Region";
    let Some(signed) = aws.region() else {
        report.missing(
            about,
            "it is not known",
            "set AWS_REGION, or region in the profile",
        );
        report.not_tried("AWS credentials", "there is no AWS Region", "");
        return false;
    };
    let mismatches = config.region_mismatches(signed.as_ref());
    for mismatch in &mismatches {
        if region::is_overridden(aws) {
            let help = "the environment names an endpoint, so that the URL's host is not used; on AWS it fails";
            report.warning(about, mismatch.to_string(), help);
        } else {
            report.failed(about, mismatch.to_string(), &region::help(mismatch));
        }
    }
    if mismatches.is_empty() {
        report.ok(about, signed.as_ref());
    }
    scope(config, signed.as_ref(), report);
    true
}

/// Compares the scope of policies for tokens with the place where the bridge is.
fn scope(config: &Config, signed: &str, report: &mut DoctorReport) {
    let about = "policy scope";
    let Some(scope) = &config.authorizer.scope else {
        return;
    };
    let queue = config.bridge.queue.as_deref().and_then(QueueName::of_url);
    let region = &scope.region;
    if &**region != signed {
        let found =
            format!("`authorizer.region` is `{region}`, and requests are signed for `{signed}`");
        let help = "a policy grants nothing at an IoT Core of another Region";
        report.warning(about, found, help);
    } else if let Some(queue) = queue.filter(|queue| *queue.account != *scope.account) {
        let found = format!(
            "`authorizer.account` is `{}`, and `bridge.queue` is of `{}`",
            scope.account, queue.account
        );
        let help = "right only where the queue's own policy lets the other account in";
        report.warning(about, found, help);
    } else {
        report.ok(about, format!("{region}, {}", scope.account));
    }
}

/// Looks for credentials. Returns `false` where there are none that are good.
async fn credentials(aws: &SdkConfig, report: &mut DoctorReport) -> bool {
    const SET: &str =
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or give the task a role";
    let about = "AWS credentials";
    let expiry = match Signer::try_new(aws) {
        Ok(signer) => signer.expiry().await,
        Err(error) => Err(error),
    };
    match expiry {
        Ok(None) => report.ok(about, "found; they do not expire"),
        Ok(Some(expiry)) => match expiry.duration_since(SystemTime::now()) {
            Ok(left) => report.ok(about, format!("found; good for {}s", left.as_secs())),
            Err(_) => {
                let help = "renew them, such as by aws sso login";
                report.failed(about, "they have expired", help);
                return false;
            }
        },
        Err(error) => {
            report.missing(about, error.to_string(), SET);
            return false;
        }
    }
    true
}
