//! The Regions that the configuration's hosts name, compared with the one that requests are signed
//! for.
//!
//! A signature names one Region, and AWS refuses a signature for another one (Signature Version 4,
//! "credential scope": <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>). The
//! SDK sends SQS requests to the endpoint of its own Region and not to the queue URL's host, so
//! that a queue of another Region is an unknown one there. Pure: the caller knows the SDK's Region.

use super::Config;
use super::bridge::{BrokerCredentials, Publish};
use super::queue_name::{QueueName, region_behind};

/// Domains of AWS's endpoints: the partitions `aws`, `aws-cn` and `aws-eusc`, and dual-stack names
/// (AWS General Reference, "AWS service endpoints":
/// <https://docs.aws.amazon.com/general/latest/gr/rande.html>).
const AWS_DOMAINS: [&str; 5] = [
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".api.amazonwebservices.com.cn",
];

/// Labels before the Region in hosts of IoT Core's data plane.
const IOT_LABELS: [&str; 2] = ["iot", "iot-fips"];

/// A value of the configuration that names another Region than requests are signed for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` names the Region `{named}`, and requests are signed for `{signed}`")]
pub struct RegionMismatch {
    /// The configuration's key, such as `bridge.queue`.
    pub key: &'static str,
    /// The Region that its value names.
    pub named: Box<str>,
    /// The Region of the AWS SDK.
    pub signed: Box<str>,
}

/// Host of a URL, without its port.
fn host(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .split_once(':')
        .map_or(authority, |(host, _)| host)
}

fn is_aws(host: &str) -> bool {
    AWS_DOMAINS.iter().any(|domain| host.ends_with(domain))
}

impl Config {
    /// The values whose Region AWS would refuse a signature of `signed` for, in the order of the
    /// file. Hosts that are not AWS's name no Region, and what is not signed needs none: a broker
    /// that is reached with a certificate or a token is left out.
    pub fn region_mismatches(&self, signed: &str) -> Vec<RegionMismatch> {
        let bridge = &self.bridge;
        let queue = |url: &Option<String>| {
            let url = url.as_deref()?;
            let region = QueueName::of_url(url)?.region?;
            is_aws(&host(url).to_ascii_lowercase()).then(|| region.to_owned())
        };
        let iot = |host: &str| {
            let host = host.to_ascii_lowercase();
            let region = region_behind(&host, &IOT_LABELS)?;
            is_aws(&host).then(|| region.to_owned())
        };
        let broker = match (&bridge.publish, &bridge.credentials) {
            (Publish::Mqtt | Publish::Auto(_), BrokerCredentials::Aws) => {
                bridge.broker.as_ref().and_then(|broker| iot(&broker.host))
            }
            _ => None,
        };
        let calls = bridge.publish.data_plane();
        let endpoint = calls.and_then(|calls| calls.endpoint.as_deref());
        let endpoint = endpoint.and_then(|url| iot(host(url)));
        [
            ("bridge.queue", queue(&bridge.queue)),
            ("bridge.dead_letter_queue", queue(&bridge.dead_letter_queue)),
            ("bridge.broker", broker),
            ("bridge.endpoint", endpoint),
        ]
        .into_iter()
        .filter_map(|(key, named)| {
            let named = named.filter(|named| named != signed)?;
            Some(RegionMismatch {
                key,
                named: named.into(),
                signed: signed.into(),
            })
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::valid;

    fn mismatches(bridge: &str) -> String {
        let text = format!(
            "routes:\n  - {{ name: r, match: {{ source: [s] }}, to: [a] }}\nbridge:\n{bridge}"
        );
        let config = valid(&text);
        let mismatches = config.region_mismatches("eu-central-1");
        let lines = mismatches
            .iter()
            .map(|one| format!("{}={}", one.key, one.named));
        lines.collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn check(bridge: &str, expected: &str) {
        assert_eq!(mismatches(bridge), expected, "{bridge}");
    }

    #[test]
    fn queues() {
        for (host, named) in [
            ("sqs.eu-central-1.amazonaws.com", ""),
            ("sqs.us-east-1.amazonaws.com", "bridge.queue=us-east-1"),
            ("sqs-fips.us-west-2.amazonaws.com", "bridge.queue=us-west-2"),
            ("eu-west-1.queue.amazonaws.com", "bridge.queue=eu-west-1"),
            ("sqs.cn-north-1.amazonaws.com.cn", "bridge.queue=cn-north-1"),
            (
                "sqs.us-gov-west-1.amazonaws.com",
                "bridge.queue=us-gov-west-1",
            ),
            ("sqs.eu-west-1.api.aws", "bridge.queue=eu-west-1"),
            (
                "vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com",
                "bridge.queue=eu-west-1",
            ),
            // Names of local emulators and of one's own domains say nothing of AWS's Regions.
            ("sqs.us-east-1.localhost.localstack.cloud:4566", ""),
            ("sqs.us-east-1.example.com", ""),
            ("127.0.0.1:4566", ""),
        ] {
            check(
                &format!("  queue: https://{host}/123456789012/events\n"),
                named,
            );
        }
        check(
            "  dead_letter_queue: https://sqs.eu-west-3.amazonaws.com/123456789012/dead\n",
            "bridge.dead_letter_queue=eu-west-3",
        );
    }

    /// Only a broker that is reached with a signature needs the Region of the signature.
    #[test]
    fn brokers() {
        let ireland = "abc-ats.iot.eu-west-1.amazonaws.com";
        check(
            &format!("  broker: wss://{ireland}\n"),
            "bridge.broker=eu-west-1",
        );
        check(
            "  broker: wss://abc-ats.iot.eu-central-1.amazonaws.com\n",
            "",
        );
        check(
            "  broker: wss://abc.iot-fips.us-gov-west-1.amazonaws.com\n",
            "bridge.broker=us-gov-west-1",
        );
        check(
            &format!("  broker: mqtts://{ireland}\n  tls: {{ certificate: c, key: k }}\n"),
            "",
        );
        check(
            &format!("  broker: wss://{ireland}\n  authorizer: {{ token: t }}\n"),
            "",
        );
        check(
            &format!("  publish: https\n  endpoint: https://{ireland}/\n"),
            "bridge.endpoint=eu-west-1",
        );
        check("  publish: https\n  endpoint: http://127.0.0.1:4566\n", "");
        check("  broker: wss://iot.eu-west-1.example.com\n", "");
    }

    #[test]
    fn messages() {
        let mismatch = RegionMismatch {
            key: "bridge.queue",
            named: "us-east-1".into(),
            signed: "eu-central-1".into(),
        };
        assert_eq!(
            mismatch.to_string(),
            "`bridge.queue` names the Region `us-east-1`, and requests are signed for `eu-central-1`"
        );
    }
}
