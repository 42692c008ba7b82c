//! Signature Version 4 for requests that no SDK client sends: WebSocket addresses for AWS IoT Core,
//! and DescribeEndpoint.
//!
//! The signature of an address is in its query (developer guide, "Device communication protocols",
//! MQTT over WebSocket). The security token of temporary credentials is added after signing: IoT
//! Core leaves it out of the canonical query.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{
    SessionTokenMode, SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use aws_types::region::Region;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The name by which IoT Core's message broker checks signatures.
const SERVICE: &str = "iotdevicegateway";

/// Time for which an address may be used to connect. It does not bound the connection: IoT Core
/// takes up to a day.
const EXPIRES: Duration = Duration::from_secs(300);

const SECURITY_TOKEN: &str = "X-Amz-Security-Token";

/// Characters that a query leaves as they are (RFC 3986, section 2.3).
const QUERY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Signs with the credentials that are valid at the moment.
#[derive(Clone, Debug)]
pub struct Signer {
    credentials: SharedCredentialsProvider,
    region: Region,
}

/// Reason why nothing can be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The environment names no credentials.
    #[error(
        "there are no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile, or give the task a role"
    )]
    NoProvider,
    /// The environment names no Region.
    #[error("there is no AWS Region; set AWS_REGION")]
    NoRegion,
    /// The credentials cannot be had now.
    #[error("getting AWS credentials: {0}")]
    Credentials(String),
    /// The address cannot be signed.
    #[error("signing the address: {0}")]
    Signing(String),
}

/// Names and values that a signature adds to a request.
type Added = Vec<(&'static str, String)>;

impl Signer {
    /// Takes credentials and Region from the SDK's configuration.
    ///
    /// # Errors
    /// [`SignError`] when it has none. That they are good is known when they are used.
    pub fn try_new(config: &aws_config::SdkConfig) -> Result<Self, SignError> {
        Ok(Self {
            credentials: config.credentials_provider().ok_or(SignError::NoProvider)?,
            region: config.region().cloned().ok_or(SignError::NoRegion)?,
        })
    }

    /// The query of `wss://HOST/PATH?…` that IoT Core takes at `time`. The host is as the `Host` header has it.
    ///
    /// # Errors
    /// [`SignError`] when credentials cannot be had, such as an expired profile: it may work later.
    pub async fn query(
        &self,
        host: &str,
        path: &str,
        time: SystemTime,
    ) -> Result<String, SignError> {
        let credentials = self.credentials().await?;
        let token = credentials.session_token().map(str::to_owned);
        let mut settings = SigningSettings::default();
        settings.signature_location = SignatureLocation::QueryParams;
        settings.session_token_mode = SessionTokenMode::Exclude;
        settings.expires_in = Some(EXPIRES);
        let url = format!("https://{host}{path}");
        let (_, signed) = self.sign(SERVICE, credentials, &url, host, time, settings)?;
        let kept = signed
            .into_iter()
            .filter(|(name, _)| *name != SECURITY_TOKEN);
        let pairs: Vec<String> = kept
            .chain(token.map(|token| (SECURITY_TOKEN, token)))
            .map(|(name, value)| format!("{name}={}", utf8_percent_encode(&value, QUERY)))
            .collect();
        Ok(pairs.join("&"))
    }

    /// Until when the credentials are good; `None` for ever.
    ///
    /// # Errors
    /// [`SignError`] when they cannot be had.
    pub async fn expiry(&self) -> Result<Option<SystemTime>, SignError> {
        Ok(self.credentials().await?.expiry())
    }

    /// The headers that sign a POST of `body` to `url` with some headers of its own, for a service.
    pub(super) async fn post_headers(
        &self,
        service: &str,
        url: &str,
        own: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Added, SignError> {
        let credentials = self.credentials().await?;
        let request =
            SignableRequest::new("POST", url, own.iter().copied(), SignableBody::Bytes(body))
                .map_err(|error| SignError::Signing(error.to_string()))?;
        let settings = SigningSettings::default();
        let (headers, _) =
            self.sign_request(service, credentials, request, SystemTime::now(), settings)?;
        Ok(headers)
    }

    /// The headers that sign a GET of `url` for a service.
    pub(super) async fn headers(
        &self,
        service: &str,
        url: &str,
        host: &str,
        time: SystemTime,
    ) -> Result<Added, SignError> {
        let credentials = self.credentials().await?;
        let settings = SigningSettings::default();
        let (headers, _) = self.sign(service, credentials, url, host, time, settings)?;
        Ok(headers)
    }

    /// The Region that signatures are for.
    pub(super) fn region(&self) -> &str {
        self.region.as_ref()
    }

    async fn credentials(&self) -> Result<Credentials, SignError> {
        let credentials = self.credentials.provide_credentials().await;
        credentials.map_err(|error| {
            // The provider's own words are in the causes.
            let causes = std::iter::successors(std::error::Error::source(&error), |e| e.source());
            let causes: String = causes.map(|cause| format!(": {cause}")).collect();
            SignError::Credentials(format!("{error}{causes}"))
        })
    }

    /// Returns the headers, and the query parameters, that a signature adds to a GET without a
    /// body.
    fn sign(
        &self,
        service: &str,
        credentials: Credentials,
        url: &str,
        host: &str,
        time: SystemTime,
        settings: SigningSettings,
    ) -> Result<(Added, Added), SignError> {
        let headers = std::iter::once(("host", host));
        let request = SignableRequest::new("GET", url, headers, SignableBody::Bytes(&[]))
            .map_err(|error| SignError::Signing(error.to_string()))?;
        self.sign_request(service, credentials, request, time, settings)
    }

    fn sign_request(
        &self,
        service: &str,
        credentials: Credentials,
        request: SignableRequest<'_>,
        time: SystemTime,
        settings: SigningSettings,
    ) -> Result<(Added, Added), SignError> {
        let failed = |error: &dyn std::fmt::Display| SignError::Signing(error.to_string());
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region())
            .name(service)
            .time(time)
            .settings(settings)
            .build()
            .map_err(|error| failed(&error))?
            .into();
        let (instructions, _) = sign(request, &parameters)
            .map_err(|error| failed(&error))?
            .into_parts();
        let (headers, query) = instructions.into_parts();
        let headers = headers.into_iter();
        let query = query.into_iter();
        Ok((
            headers
                .map(|header| (header.name(), header.value().to_owned()))
                .collect(),
            query
                .map(|(name, value)| (name, value.into_owned()))
                .collect(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer(token: Option<&str>) -> Signer {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            token.map(str::to_owned),
            None,
            "test",
        );
        Signer {
            credentials: SharedCredentialsProvider::new(credentials),
            region: Region::new("us-east-1"),
        }
    }

    /// 2015-08-30T12:36:00Z, the moment of AWS's published examples.
    fn moment() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_440_938_160)
    }

    /// `get-vanilla` of AWS's Signature Version 4 test suite.
    #[tokio::test]
    async fn the_published_example() {
        let headers = signer(None)
            .headers(
                "service",
                "https://example.amazonaws.com/",
                "example.amazonaws.com",
                moment(),
            )
            .await
            .unwrap();
        let authorization = headers.iter().find(|(name, _)| *name == "authorization");
        assert_eq!(
            authorization.unwrap().1,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[tokio::test]
    async fn the_token_is_added_after_signing() {
        let query = async |token: Option<&str>| {
            signer(token)
                .query("x-ats.iot.us-east-1.amazonaws.com", "/mqtt", moment())
                .await
                .unwrap()
        };
        let without = query(None).await;
        assert_eq!(
            query(Some("a/b+c=")).await,
            format!("{without}&X-Amz-Security-Token=a%2Fb%2Bc%3D")
        );
        for part in [
            "X-Amz-Credential=AKIDEXAMPLE%2F20150830%2Fus-east-1%2Fiotdevicegateway%2Faws4_request",
            "X-Amz-Date=20150830T123600Z",
            "X-Amz-SignedHeaders=host",
        ] {
            assert!(without.contains(part), "{part}: {without}");
        }
    }
}
