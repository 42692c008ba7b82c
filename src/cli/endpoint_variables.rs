//! The variables that name endpoints to the AWS SDK, checked before it meets them: the SDK's error
//! for one that is no URL quotes the request and not the variable.

use std::env;
use std::io::{self, Write};

use hyper::Uri;

use super::http;
use super::user_error::write_error;

/// The endpoint of every service, and those of the services that eventcast uses (AWS SDKs and Tools
/// reference, "Service-specific endpoints":
/// <https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>).
const ALL: &str = "AWS_ENDPOINT_URL";
const OF_SERVICES: [&str; 3] = [
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_IOT",
    "AWS_ENDPOINT_URL_IOT_DATA_PLANE",
];

/// Makes the SDKs overlook them all.
const IGNORE: &str = "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS";

/// Returns `true` where the environment names an endpoint for one service.
pub(super) fn is_one_set() -> bool {
    OF_SERVICES.into_iter().any(|name| value(name).is_some())
}

fn value(name: &str) -> Option<String> {
    let value = env::var_os(name)?;
    (!value.is_empty()).then(|| value.to_string_lossy().into_owned())
}

/// Returns false when a variable is no URL of an endpoint, which is reported with its name and
/// value.
pub(super) fn are_usable(messages: &mut impl Write) -> io::Result<bool> {
    if value(IGNORE).is_some_and(|ignore| ignore.eq_ignore_ascii_case("true")) {
        return Ok(true);
    }
    let mut usable = true;
    for name in [ALL].into_iter().chain(OF_SERVICES) {
        let Some(value) = value(name).filter(|value| !is_endpoint(value)) else {
            continue;
        };
        usable = false;
        write_error(
            messages,
            format_args!(
                "the environment variable {name} is `{}`",
                http::shown(&value)
            ),
            "give http:// or https://, a host and perhaps a port, such as http://127.0.0.1:4566, or unset it",
        )?;
    }
    Ok(usable)
}

fn is_endpoint(value: &str) -> bool {
    let Ok(url) = value.parse::<Uri>() else {
        return false;
    };
    let has_scheme = matches!(url.scheme_str(), Some("http" | "https"));
    let has_host = url.host().is_some_and(|host| !host.is_empty());
    // A port that is no number of 16 bits is one of no number.
    let authority = url.authority().map_or("", |authority| authority.as_str());
    let port = authority.rsplit_once(':').map(|(_, port)| port);
    let has_port = port.is_none_or(|port| port.ends_with(']') || port.parse::<u16>().is_ok());
    has_scheme && has_host && has_port && url.query().is_none()
}

#[cfg(test)]
mod tests {
    use super::is_endpoint;

    #[test]
    fn endpoints() {
        for url in [
            "http://127.0.0.1:4566",
            "http://127.0.0.1:4566/",
            "https://sqs.eu-central-1.amazonaws.com",
            "http://[::1]:4566",
            "http://[::1]",
            "https://proxy.example/aws/sqs",
        ] {
            assert!(is_endpoint(url), "{url}");
        }
        for none in [
            "127.0.0.1:4566",
            "localhost",
            "localhost:4566",
            "ftp://h",
            "http://",
            "http:///x",
            "http://h:port",
            "http://h:99999",
            "http://h:",
            "http://a b",
            "https://sqs.${AWS_REGION}.amazonaws.com",
            "http://h?x=1",
            "{{ endpoint }}",
            "true",
        ] {
            assert!(!is_endpoint(none), "{none}");
        }
    }
}
