//! The queue and the dead-letter queue: whether they are there, and whether they are set so that nothing is lost or done twice. The
//! clock is compared on the way.

use std::collections::HashMap;
use std::time::Duration;

use aws_config::SdkConfig;

use super::report::Report;
use crate::aws::{clock, sqs};
use crate::config::bridge::Bridge;

/// AWS refuses signatures of clocks that are more than five minutes off; half of that is worth a warning.
const SKEW: (Duration, Duration) = (Duration::from_secs(150), Duration::from_secs(300));

/// Fewer attempts than these turn a hiccup into a dead letter.
const ATTEMPTS: u32 = 3;

/// A shorter visibility is mostly spent on extending leases.
const VISIBILITY: Duration = Duration::from_secs(10);

/// What is told of the dead-letter queue is told under this word.
const DEAD_LETTERS: &str = "dead-letter queue";

type Attributes = HashMap<String, String>;

/// Looks at both queues.
pub(super) async fn queues(section: &Bridge, aws: &SdkConfig, report: &mut Report) {
    let Some(url) = &section.queue else {
        return report.missing(
            "queue",
            "bridge.queue is not set",
            "set it, or EVENTCAST_BRIDGE_QUEUE",
        );
    };
    skew(url, aws, report).await;
    let attributes = match sqs::attributes(aws, url).await {
        Ok(attributes) => attributes,
        Err(error) => return report.missing("queue", error.to_string(), ""),
    };
    let count = |name: &str| attributes.get(name).map_or("?", String::as_str);
    let kind = if is_fifo(&attributes) {
        "FIFO"
    } else {
        "standard"
    };
    report.ok(
        "queue",
        format!(
            "{kind}, {} waiting, {} in flight",
            count("ApproximateNumberOfMessages"),
            count("ApproximateNumberOfMessagesNotVisible")
        ),
    );
    visibility(seconds(&attributes, "VisibilityTimeout"), report);
    redrive(section, attributes.get("RedrivePolicy"), report);
    if let Some(url) = &section.dead_letter_queue {
        match sqs::attributes(aws, url).await {
            Err(error) => report.missing(DEAD_LETTERS, error.to_string(), ""),
            Ok(dead) => dead_letters(&attributes, &dead, report),
        }
    }
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

fn visibility(visibility: Duration, report: &mut Report) {
    let about = "visibility";
    if visibility.is_zero() {
        report.missing(
            about,
            "VisibilityTimeout is 0",
            "every event would be handed out twice: set it to 30 seconds",
        );
    } else if visibility < VISIBILITY {
        let found = format!("VisibilityTimeout is {visibility:?}");
        let help = "leases are extended all the time: set it to 30 seconds";
        report.warning(about, found, help);
    } else {
        report.ok(about, format!("{visibility:?}"));
    }
}

fn dead_letters(queue: &Attributes, dead: &Attributes, report: &mut Report) {
    if is_fifo(dead) && !is_fifo(queue) {
        let help = "letters without a message group are refused there: make it a standard queue";
        return report.missing(DEAD_LETTERS, "it is FIFO, and the queue is not", help);
    }
    let kept = |attributes| seconds(attributes, "MessageRetentionPeriod");
    let waiting = dead
        .get("ApproximateNumberOfMessages")
        .map_or("?", String::as_str);
    let hours = kept(dead).as_secs() / 3_600;
    let found = format!("{waiting} letters, kept for {hours}h");
    if kept(dead) < kept(queue) {
        let help = "it forgets sooner than the queue: set MessageRetentionPeriod to 14 days";
        report.warning(DEAD_LETTERS, found, help);
    } else {
        report.ok(DEAD_LETTERS, found);
    }
}

fn redrive(section: &Bridge, policy: Option<&String>, report: &mut Report) {
    let receives = policy.and_then(|policy| sqs::max_receives(policy));
    match (receives, &section.dead_letter_queue) {
        (Some(receives), _) if receives < ATTEMPTS => report.warning(
            "redrive",
            format!("maxReceiveCount is {receives}"),
            "tasks that are replaced use attempts up: set it to 5 or more",
        ),
        (Some(receives), _) => report.ok("redrive", format!("after {receives} receives")),
        (None, Some(_)) => report.ok("redrive", "none; dead letters go to bridge.dead_letter_queue"),
        (None, None) => report.warning(
            "redrive",
            "neither bridge.dead_letter_queue nor a redrive policy",
            "what can never be published comes again until it expires: set bridge.dead_letter_queue",
        ),
    }
}

async fn skew(url: &str, aws: &SdkConfig, report: &mut Report) {
    let about = "clock";
    let url = aws.endpoint_url().unwrap_or(url);
    let skew = match clock::skew(url).await {
        Ok(skew) => skew,
        Err(error) => return report.warning(about, format!("not compared: {error}"), ""),
    };
    let found = format!("{}s off", skew.as_secs());
    if skew > SKEW.1 {
        report.missing(
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
