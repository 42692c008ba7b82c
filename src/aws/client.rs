//! Connection of the SDK to AWS: credentials, Region and endpoint as every SDK finds them, over the
//! one TLS stack of the process.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

/// The longest wait of a long poll is 20 s (SQS API reference, ReceiveMessage); a call may take a little longer than that.
const CALL: Duration = Duration::from_secs(30);
const CONNECT: Duration = Duration::from_secs(5);

/// One HTTP client for requests that no SDK client sends.
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

/// A way to the SDK's configuration. A function pointer, so that a program links the ways that it
/// names and no other.
pub type SdkLoader = fn() -> Pin<Box<dyn Future<Output = SdkConfig> + Send>>;

/// The configuration that SDKs find: see [`environment`].
pub fn by_environment() -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> {
    Box::pin(environment())
}

/// The configuration of a function of AWS Lambda: see [`function`].
pub fn by_variables() -> Pin<Box<dyn Future<Output = SdkConfig> + Send>> {
    Box::pin(async { function() })
}

/// The SDK's configuration from variables (AWS Lambda developer guide, "Defined runtime environment
/// variables").
pub fn function() -> SdkConfig {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let credentials = variable("AWS_ACCESS_KEY_ID")
        .zip(variable("AWS_SECRET_ACCESS_KEY"))
        .map(|(id, secret)| {
            let token = variable("AWS_SESSION_TOKEN");
            SharedCredentialsProvider::new(Credentials::new(id, secret, token, None, "variables"))
        });
    let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let mut builder = SdkConfig::builder();
    builder.set_credentials_provider(credentials);
    builder.set_region(region.map(Region::new));
    builder.set_endpoint_url(variable("AWS_ENDPOINT_URL"));
    builder.build()
}

/// Settings of one service from variables and the profile, such as `AWS_ENDPOINT_URL_SQS`. Empty
/// values do not count.
#[derive(Debug)]
struct ServiceSettings(SdkConfig);

impl LoadServiceConfig for ServiceSettings {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let value = self.0.service_config()?.load_config(key)?;
        (!value.is_empty()).then_some(value)
    }
}

/// The SDK's configuration for a stand-in for AWS that takes any credentials, such as one on this
/// machine; the environment's Region, endpoint and credentials do not count.
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

/// The version of the SDK's defaults that eventcast was measured with. `latest` would change
/// retries and time limits with an upgrade of the SDK; a new version is an entry of the change log.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

/// The HTTP client of the SDK's clients.
fn https() -> SharedHttpClient {
    Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

fn common() -> ConfigLoader {
    aws_config::defaults(behavior())
        .http_client(https())
        // The daemon decides what is tried again, and when. Since it is set here, the SDK does not
        // read AWS_MAX_ATTEMPTS, AWS_RETRY_MODE and AWS_NEW_RETRIES_2026 (docs/upgrades.md).
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Retries of the SDK's own configuration and of ours, in the environment of this process.
    #[tokio::test]
    async fn retries_are_off_in_any_environment() {
        let theirs = aws_config::defaults(behavior())
            .http_client(https())
            .region(Region::new("eu-central-1"))
            .load()
            .await;
        // By the same loader as `environment`, which would look for a Region in the network.
        let ours = stand_in("http://127.0.0.1:1", "eu-central-1").await;
        let retries = ours.retry_config().unwrap();
        assert_eq!(retries.max_attempts(), 1);
        println!(
            "theirs: {:?}\nours: {retries:?} {:?} {:?}",
            theirs.retry_config(),
            ours.behavior_version(),
            ours.timeout_config(),
        );
    }

    /// Returns the output of the test above under some variables.
    fn printed(variables: &[(&str, &str)], name: &str) -> String {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("aws::client::tests::retries_are_off_in_any_environment")
            .env_remove("AWS_NEW_RETRIES_2026")
            .env_remove("AWS_RETRY_MODE")
            .env_remove("AWS_MAX_ATTEMPTS")
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{text}");
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no line of {name} in {text}"))
            .to_owned()
    }

    #[test]
    fn variables_about_retries_change_the_sdk_and_not_us() {
        let (theirs, ours) = (printed(&[], "theirs"), printed(&[], "ours"));
        for variable in [
            ("AWS_NEW_RETRIES_2026", "true"),
            ("AWS_NEW_RETRIES_2026", "True"),
            ("AWS_MAX_ATTEMPTS", "7"),
            ("AWS_RETRY_MODE", "adaptive"),
        ] {
            let changed = printed(&[variable], "theirs");
            assert_ne!(changed, theirs, "{variable:?} means nothing to this SDK");
            assert_eq!(printed(&[variable], "ours"), ours, "{variable:?}");
        }
    }
}
