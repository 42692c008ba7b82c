//! Difference between this machine's clock and AWS's, by the date in every answer.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use tokio::time::timeout;

use super::client::connector;

const CALL: Duration = Duration::from_secs(5);

/// The distance between the clocks, in either direction. The answer itself does not matter, only its date.
///
/// # Errors
/// One line when there is no answer, or none with a date.
pub async fn skew(url: &str) -> Result<Duration, String> {
    let request = HttpRequest::get(url).map_err(|error| error.to_string())?;
    let response = timeout(CALL, connector().call(request))
        .await
        .map_err(|_| format!("{url}: no answer in {CALL:?}"))?
        .map_err(|error| format!("{url}: {error}"))?;
    let date = response.headers().get("date").unwrap_or_default();
    let theirs = rfc2822::DateTimeParser::new()
        .parse_timestamp(date)
        .map_err(|_| format!("{url}: the answer has no date"))?;
    Ok(Timestamp::now().duration_since(theirs).unsigned_abs())
}
