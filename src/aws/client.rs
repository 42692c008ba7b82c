//! How the SDK reaches AWS: credentials, Region and endpoint as every SDK finds them, over the one TLS stack of the process.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};

/// The longest wait of a long poll is 20 s (SQS API reference, ReceiveMessage); a call may take a little longer than that.
const CALL: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);

/// One HTTP client for what no SDK client sends.
pub(super) fn connector() -> Connector {
    Connector::builder()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build()
}

/// The SDK's configuration from the environment, as the AWS CLI reads it: `AWS_REGION`, `AWS_ENDPOINT_URL`, keys, profile,
/// the container's or the instance's role.
pub async fn environment() -> SdkConfig {
    common().load().await
}

/// The SDK's configuration for a stand-in of AWS that takes any credentials, such as one on this machine; the environment's Region,
/// endpoint and credentials do not count.
pub async fn stand_in(endpoint: &str, region: &str) -> SdkConfig {
    common()
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new(
            "stand-in", "stand-in", None, None, "stand-in",
        ))
        .load()
        .await
}

fn common() -> ConfigLoader {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        // The daemon decides what is tried again, and when.
        .retry_config(RetryConfig::disabled())
        // A long poll is a stalled stream by design.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_timeout(CALL)
                .build(),
        )
}
