//! The Region of the AWS SDK against the Regions that the configuration names, before anything is
//! reached.

use std::io::Write;

use aws_config::SdkConfig;

use super::endpoint_variables;
use super::runtime::block_on;
use crate::aws::client;
use crate::cli::user_error::write_error;
use crate::config::Config;
use crate::config::region::RegionMismatch;

/// Reports the values that name another Region than the daemon signs requests for, and returns
/// `true` when there are none. AWS would refuse every request for them, however often it is tried.
/// Nothing is reported with an endpoint of its own, such as a stand-in of AWS on this machine.
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
        write_error(messages, format_args!("{mismatch}"), help(mismatch))?;
    }
    Ok(mismatches.is_empty())
}

/// Returns `true` where the environment names an endpoint, so that hosts of the configuration are
/// not used.
pub(super) fn is_overridden(aws: &SdkConfig) -> bool {
    aws.endpoint_url().is_some() || endpoint_variables::is_one_set()
}

/// The way out of a mismatch.
pub(super) fn help(mismatch: &RegionMismatch) -> String {
    format!(
        "set AWS_REGION={}, or correct the URL: queue, dead-letter queue and IoT Core are reached in one Region",
        mismatch.named
    )
}
