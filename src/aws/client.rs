//! How the SDK reaches AWS: credentials, Region and endpoint as every SDK finds them, over the one TLS stack of the process.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

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
///
/// An endpoint that is set to nothing, in a variable or in a profile, is as if it were not set; the SDK panics at it.
pub async fn environment() -> SdkConfig {
    let loaded = common().load().await;
    let endpoint = loaded.endpoint_url().filter(|url| !url.is_empty());
    let endpoint = endpoint.map(str::to_owned);
    let settings = ServiceSettings(loaded.clone());
    let mut builder = loaded.into_builder();
    builder.set_endpoint_url(endpoint);
    builder.set_service_config(Some(settings));
    builder.build()
}

/// What variables and the profile say of one service, such as `AWS_ENDPOINT_URL_SQS`, without what is set to nothing.
#[derive(Debug)]
struct ServiceSettings(SdkConfig);

impl LoadServiceConfig for ServiceSettings {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let value = self.0.service_config()?.load_config(key)?;
        (!value.is_empty()).then_some(value)
    }
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
