//! The Region of the AWS SDK against the Regions that the configuration names, before anything is
//! reached.

use std::io::Write;

use aws_config::SdkConfig;

use super::runtime::block_on;
use crate::aws::client;
use crate::config::Config;
use crate::config::region::RegionMismatch;

/// Variables that name an endpoint for one of the services that the daemon uses (AWS SDKs and Tools
/// reference, "Service-specific endpoints":
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).
const ENDPOINT_VARIABLES: [&str; 3] = [
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_IOT",
    "AWS_ENDPOINT_URL_IOT_DATA_PLANE",
];

/// Reports the values that name another Region than the daemon signs requests for, and returns
/// `true` when there are none. AWS would refuse every request for them, however often it is tried.
/// With an endpoint of its own, such as a stand-in of AWS on this machine, nothing is reported.
pub(super) fn agrees(config: &Config, messages: &mut impl Write) -> anyhow::Result<bool> {
    // Finding the SDK's Region may take a request; most configurations of a stand-in need none.
    if config.region_mismatches("").is_empty() {
        return Ok(true);
    }
    let aws = block_on(client::environment())?;
    // Without a Region the first request fails, and says so.
    let Some(signed) = aws.region() else {
        return Ok(true);
    };
    let mismatches = config.region_mismatches(signed.as_ref());
    if is_overridden(&aws) {
        return Ok(true);
    }
    for mismatch in &mismatches {
        writeln!(messages, "error: {mismatch}\nhelp: {}", help(mismatch))?;
    }
    Ok(mismatches.is_empty())
}

/// Whether the environment names an endpoint, so that hosts of the configuration are not used.
pub(super) fn is_overridden(aws: &SdkConfig) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    aws.endpoint_url().is_some() || ENDPOINT_VARIABLES.into_iter().any(is_set)
}

/// The way out of a mismatch.
pub(super) fn help(mismatch: &RegionMismatch) -> String {
    format!(
        "set AWS_REGION={}, or correct the URL: queue, dead-letter queue and IoT Core are reached in one Region",
        mismatch.named
    )
}
