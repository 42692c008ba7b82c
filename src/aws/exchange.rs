//! A request over the SDK's HTTP client, for actions that none of the built-in SDK clients has.
//! Nothing is retried.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_http_client::Connector;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use tokio::time::timeout;

use super::causes::causes;
use super::client::connector;

/// Time for a call with its answer.
const CALL: Duration = Duration::from_secs(10);

/// The longest part of an answer that an error quotes, in characters.
const QUOTED: usize = 300;

/// Address of a service in a Region, or the endpoint that the environment names, without a slash at
/// its end.
pub(super) fn address(config: &SdkConfig, service: &str, region: &str) -> String {
    config.endpoint_url().map_or_else(
        || {
            let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
            format!("https://{service}.{region}.amazonaws.com{suffix}")
        },
        |url| url.trim_end_matches('/').to_owned(),
    )
}

/// Sends a request and reads the whole answer: status and body.
///
/// # Errors
/// One line that says why there is no answer.
pub(super) async fn exchange(request: HttpRequest) -> Result<(u16, Vec<u8>), String> {
    exchange_over(&connector(), request).await
}

/// As [`exchange`], over a connection that others use as well.
pub(super) async fn exchange_over(
    connector: &Connector,
    request: HttpRequest,
) -> Result<(u16, Vec<u8>), String> {
    timeout(CALL, async {
        let response = connector.call(request).await;
        let response = response.map_err(|error| causes(&error))?;
        let status = response.status().as_u16();
        let body = ByteStream::new(response.into_body()).collect().await;
        Ok((status, body.map_err(|error| causes(&error))?.to_vec()))
    })
    .await
    .unwrap_or_else(|_| Err(format!("no answer in {CALL:?}")))
}

/// The beginning of an answer in one line.
pub(super) fn quoted(answer: &[u8]) -> String {
    let text = String::from_utf8_lossy(answer);
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().take(QUOTED).collect()
}
