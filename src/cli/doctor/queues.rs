//! The queue and the dead-letter queue: their presence, and settings with which nothing is lost or
//! done twice. The clock is compared on the way.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;

use super::report::DoctorReport;
use crate::aws::{clock, sqs};
use crate::cli::counted::counted;
use crate::config::bridge::BridgeConfig;

/// AWS refuses signatures of clocks that are more than five minutes off; half of that is worth a
/// warning.
const SKEW: (Duration, Duration) = (Duration::from_secs(150), Duration::from_secs(300));

/// Fewer attempts than these make a dead-letter message of one short failure.
const ATTEMPTS: u32 = 3;

/// With a shorter visibility timeout, most calls only extend it.
const VISIBILITY: Duration = Duration::from_secs(10);

/// Names of the checks, in their order.
const QUEUE: &str = "queue";
const VISIBILITY_TIMEOUT: &str = "visibility";
const REDRIVE: &str = "redrive";
const DEAD_LETTERS: &str = "dead-letter queue";
const PERMISSIONS: &str = "queue permissions";
const CLOCK: &str = "clock";

type Attributes = HashMap<String, String>;

/// Looks at both queues. `unsigned` is the reason why no request can be signed.
pub(super) async fn queues(
    section: &BridgeConfig,
    aws: &SdkConfig,
    unsigned: Option<&str>,
    report: &mut DoctorReport,
) {
    let Some(url) = &section.queue else {
        let help = "set it, or EVENTCAST_BRIDGE_QUEUE";
        report.missing(QUEUE, "bridge.queue is not set", help);
        return not_tried(section, "there is no queue", report);
    };
    if let Some(why) = unsigned {
        report.not_tried(QUEUE, why, "");
        return not_tried(section, why, report);
    }
    skew(url, aws, report).await;
    let Some(attributes) = attributes(QUEUE, url, aws, report).await else {
        report.not_tried(VISIBILITY_TIMEOUT, "the queue was not read", "");
        report.not_tried(REDRIVE, "the queue was not read", "");
        if let Some(url) = &section.dead_letter_queue
            && let Some(dead) = self::attributes(DEAD_LETTERS, url, aws, report).await
        {
            dead_letters(None, &dead, report);
        }
        return permissions(section, report);
    };
    let count = |name: &str| attributes.get(name).map_or("?", String::as_str);
    let kind = if is_fifo(&attributes) {
        "FIFO"
    } else {
        "standard"
    };
    report.ok(
        QUEUE,
        format!(
            "{kind}, {} waiting, {} in flight",
            count("ApproximateNumberOfMessages"),
            count("ApproximateNumberOfMessagesNotVisible")
        ),
    );
    visibility(
        seconds(&attributes, "VisibilityTimeout"),
        section.hold,
        report,
    );
    redrive(section, attributes.get("RedrivePolicy"), report);
    if let Some(url) = &section.dead_letter_queue
        && let Some(dead) = self::attributes(DEAD_LETTERS, url, aws, report).await
    {
        dead_letters(Some(&attributes), &dead, report);
    }
    permissions(section, report);
}

/// A queue's attributes; where they cannot be read, `about` is missing or failed.
async fn attributes(
    about: &'static str,
    url: &str,
    aws: &SdkConfig,
    report: &mut DoctorReport,
) -> Option<Attributes> {
    match sqs::attributes(aws, url).await {
        Ok(Some(attributes)) => return Some(attributes),
        Ok(None) => {
            let help = "check the URL, the account and the Region, or create the queue";
            report.missing(about, format!("there is no queue {url}"), help);
        }
        Err(error) => report.failed(about, error.to_string(), ""),
    }
    None
}

/// Reports the checks that depend on a queue that was not looked at.
fn not_tried(section: &BridgeConfig, why: &str, report: &mut DoctorReport) {
    for about in [CLOCK, VISIBILITY_TIMEOUT, REDRIVE] {
        report.not_tried(about, why, "");
    }
    if section.dead_letter_queue.is_some() {
        report.not_tried(DEAD_LETTERS, why, "");
    }
    permissions(section, report);
}

/// The calls that would change something. A message that is received for a try is hidden from the
/// daemon and comes nearer to the queue's own redrive.
fn permissions(section: &BridgeConfig, report: &mut DoctorReport) {
    let mut calls = "receiving, deleting, changing visibility".to_owned();
    if section.dead_letter_queue.is_some() {
        calls.push_str("; sending to the dead-letter queue");
    }
    let help = "`eventcast policy generate --for bridge` has all that are needed";
    report.not_tried(PERMISSIONS, calls, help);
}

fn seconds(attributes: &Attributes, name: &str) -> Duration {
    let value = attributes
        .get(name)
        .and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(value.unwrap_or(0))
}

fn is_fifo(attributes: &Attributes) -> bool {
    attributes.get("FifoQueue").map(String::as_str) == Some("true")
}

/// Compares the visibility timeout with the time for which an event may be worked on.
fn visibility(visibility: Duration, hold: Duration, report: &mut DoctorReport) {
    let about = VISIBILITY_TIMEOUT;
    if visibility.is_zero() {
        report.failed(
            about,
            "VisibilityTimeout is 0",
            "every event would be handed out twice: set it to 30 seconds",
        );
    } else if visibility < VISIBILITY {
        let found = format!("VisibilityTimeout is {visibility:?}");
        let help = "leases are extended all the time: set it to 30 seconds";
        report.warning(about, found, help);
    } else if visibility > hold {
        let found = format!("VisibilityTimeout is {visibility:?}, and bridge.hold {hold:?}");
        let help =
            "events of a task that died wait longer than any is worked on: set it to 30 seconds";
        report.warning(about, found, help);
    } else {
        report.ok(about, format!("{visibility:?}"));
    }
}

/// Compares the dead-letter queue with the queue, where that was read.
fn dead_letters(queue: Option<&Attributes>, dead: &Attributes, report: &mut DoctorReport) {
    if is_fifo(dead) && queue.is_some_and(|queue| !is_fifo(queue)) {
        let help = "messages without a message group are refused there: make it a standard queue";
        return report.failed(DEAD_LETTERS, "it is FIFO, and the queue is not", help);
    }
    let kept = |attributes| seconds(attributes, "MessageRetentionPeriod");
    let waiting = dead.get("ApproximateNumberOfMessages");
    let waiting = match waiting.and_then(|count| count.parse::<u64>().ok()) {
        Some(count) => counted(count, "message"),
        None => "? messages".to_owned(),
    };
    let hours = kept(dead).as_secs() / 3_600;
    let found = format!("{waiting}, kept for {hours}h");
    if queue.is_some_and(|queue| kept(dead) < kept(queue)) {
        let help = "it forgets sooner than the queue: set MessageRetentionPeriod to 14 days";
        report.warning(DEAD_LETTERS, found, help);
    } else {
        report.ok(DEAD_LETTERS, found);
    }
}

fn redrive(section: &BridgeConfig, policy: Option<&String>, report: &mut DoctorReport) {
    let receives = policy.and_then(|policy| sqs::max_receives(policy));
    match (receives, &section.dead_letter_queue) {
        (Some(receives), _) if receives < ATTEMPTS => report.warning(
            REDRIVE,
            format!("maxReceiveCount is {receives}"),
            "tasks that are replaced use attempts up: set it to 5 or more",
        ),
        (Some(receives), _) => report.ok(REDRIVE, format!("after {}", counted(receives, "receive"))),
        (None, Some(_)) => report.ok(REDRIVE, "none; dead letters go to bridge.dead_letter_queue"),
        (None, None) => report.warning(
            REDRIVE,
            "neither bridge.dead_letter_queue nor a redrive policy",
            "what can never be published comes again until it expires: set bridge.dead_letter_queue",
        ),
    }
}

async fn skew(url: &str, aws: &SdkConfig, report: &mut DoctorReport) {
    let about = CLOCK;
    let url = aws.endpoint_url().unwrap_or(url);
    let skew = match clock::skew(url).await {
        Ok(skew) => skew,
        Err(error) => {
            return report.not_tried(about, format!("no time to compare with: {error}"), "");
        }
    };
    let found = format!("{}s off", skew.as_secs());
    if skew > SKEW.1 {
        report.failed(
            about,
            found,
            "AWS refuses signatures of a clock this wrong: set the clock",
        );
    } else if skew > SKEW.0 {
        report.warning(
            about,
            found,
            "AWS refuses signatures beyond 300s: set the clock",
        );
    } else {
        report.ok(about, found);
    }
}
