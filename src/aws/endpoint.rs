//! Address of an account's IoT Core endpoint: DescribeEndpoint, called once at start.
//!
//! One signed GET rather than the SDK's client of the IoT control plane, which is nearly half of a release build and of no
//! other use to the daemon.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde::Deserialize;

use super::exchange::{address, exchange, quoted};
use super::sign::{SignError, Signer};

/// The endpoint whose certificate Amazon Trust Services has signed (IoT API reference, DescribeEndpoint).
const KIND: &str = "iot:Data-ATS";
const SERVICE: &str = "iot";

/// Reason why the endpoint is not known.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// There is nothing to sign with.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The control plane cannot be reached.
    #[error("{url}: {why}")]
    Unreachable {
        /// The URL of the call.
        url: String,
        /// One line.
        why: String,
    },
    /// The control plane refuses.
    #[error(
        "{url}: HTTP {status}: {answer}; grant the task role iot:DescribeEndpoint, or set bridge.broker"
    )]
    Refused {
        /// The URL of the call.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The answer's beginning.
        answer: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribedEndpoint {
    endpoint_address: String,
}

/// Asks the IoT control plane for the host name of the account's data plane, such as `abc-ats.iot.eu-central-1.amazonaws.com`.
///
/// # Errors
/// [`EndpointError`] when it cannot be asked or does not answer with the host name.
pub async fn describe(config: &SdkConfig) -> Result<String, EndpointError> {
    let signer = Signer::try_new(config)?;
    let base = address(config, SERVICE, signer.region());
    let url = format!("{base}/endpoint?endpointType={}", KIND.replace(':', "%3A"));
    let unreachable = |why: String| EndpointError::Unreachable {
        url: url.clone(),
        why,
    };
    let host = base.split_once("://").map_or(&*base, |(_, host)| host);
    let headers = signer
        .headers(SERVICE, &url, host, SystemTime::now())
        .await?;
    let mut request = HttpRequest::get(&url).map_err(|error| unreachable(error.to_string()))?;
    for (name, value) in headers {
        request.headers_mut().insert(name, value);
    }
    let (status, body) = exchange(request).await.map_err(unreachable)?;
    match serde_json::from_slice::<DescribedEndpoint>(&body) {
        Ok(answer) if status == 200 => Ok(answer.endpoint_address),
        _ => Err(EndpointError::Refused {
            url,
            status,
            answer: quoted(&body),
        }),
    }
}

/// The address of the data plane: the one that is configured, the environment's, or the account's
/// own.
///
/// # Errors
/// [`EndpointError`] when the control plane has to be asked and does not answer with the host name.
pub async fn of_data_plane(
    configured: Option<&str>,
    config: &SdkConfig,
) -> Result<String, EndpointError> {
    match configured.or(config.endpoint_url()) {
        Some(endpoint) => Ok(endpoint.to_owned()),
        None => Ok(format!("https://{}", describe(config).await?)),
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Asks a server that gives one answer; returns the result and the request that the server
    /// received.
    async fn asked(status: &str, body: &str) -> (Result<String, EndpointError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "AKID",
                "secret",
                Some("session".into()),
                None,
                "test",
            )))
            .endpoint_url(format!("http://{}/", listener.local_addr().unwrap()))
            .build();
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            let answer = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(request).unwrap()
        };
        tokio::join!(describe(&config), server)
    }

    #[tokio::test]
    async fn an_endpoint_is_told() {
        let (told, request) = asked("200 OK", r#"{"endpointAddress":"a-ats.iot.example"}"#).await;
        assert_eq!(told.unwrap(), "a-ats.iot.example");
        let request = request.to_lowercase();
        for part in [
            "get /endpoint?endpointtype=iot%3adata-ats http/1.1",
            "/eu-central-1/iot/aws4_request",
            "x-amz-security-token: session",
            "signedheaders=host;x-amz-date;x-amz-security-token",
        ] {
            assert!(request.contains(part), "{part}: {request}");
        }
    }

    #[tokio::test]
    async fn a_refusal_says_what_to_grant() {
        let (told, _) = asked("403 Forbidden", r#"{"message":"no"}"#).await;
        let told = told.unwrap_err().to_string();
        assert!(
            told.contains("HTTP 403") && told.contains("iot:DescribeEndpoint"),
            "{told}"
        );
    }
}
