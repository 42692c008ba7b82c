//! Quotas of the account as Service Quotas reports them: the values that are in force, raised ones
//! included.
//!
//! Service Quotas API reference, ListServiceQuotas
//! (<https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html>).
//! A quota without a value of the account's own is missing there: the default holds.

use aws_config::{Region, SdkConfig};
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::environment;
use super::json_call::{CallError, JsonConnection, SERVICE_QUOTAS};

/// The most pages of a service's quotas: a bound against a service that never ends its list.
const MOST_PAGES: usize = 50;

/// Quotas of a page (API reference, `MaxResults`).
const PAGE: u32 = 100;

/// Value that is in force.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct AppliedQuota {
    /// Service code, such as `iotcore`.
    pub service_code: String,
    /// Quota code, such as `L-B99A9384`.
    pub quota_code: String,
    /// Name.
    pub quota_name: String,
    /// Value.
    pub value: f64,
}

/// The quotas in force of some services, by their service codes, in a Region.
///
/// # Errors
/// [`CallError`] when Service Quotas refuses or cannot be reached.
pub async fn applied_quotas(
    region: &str,
    services: &[&str],
) -> Result<Vec<AppliedQuota>, CallError> {
    let config = environment().await.into_builder();
    let config = config.region(Region::new(region.to_owned())).build();
    applied_by(&config, services).await
}

async fn applied_by(config: &SdkConfig, services: &[&str]) -> Result<Vec<AppliedQuota>, CallError> {
    let connection = JsonConnection::default();
    let mut found = Vec::new();
    for service in services {
        let mut input = json!({ "ServiceCode": service, "MaxResults": PAGE });
        for _ in 0..MOST_PAGES {
            let answer = SERVICE_QUOTAS
                .call_over(&connection, config, "ListServiceQuotas", &input)
                .await?;
            let quotas = answer.get("Quotas").and_then(Value::as_array);
            // A quota without a value, or of a form that is not known, is as one that is missing.
            let quotas = quotas.into_iter().flatten();
            found.extend(quotas.filter_map(|quota| AppliedQuota::deserialize(quota).ok()));
            match answer.get("NextToken") {
                Some(token @ Value::String(_)) => {
                    if let Value::Object(members) = &mut input {
                        members.insert("NextToken".into(), token.clone());
                    }
                }
                _ => break,
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::aws::client::stand_in;

    /// Reads a request whose head says how long it is; its head and body.
    async fn request(stream: &mut TcpStream) -> Option<(String, Value)> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let mut body = vec![0; length.unwrap().trim().parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        Some((head, serde_json::from_slice(&body).unwrap()))
    }

    /// A service that gives two pages of IoT Core's quotas and refuses all others.
    async fn serve(listener: TcpListener) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            while let Some((head, body)) = request(&mut stream).await {
                assert!(head.contains("x-amz-target: servicequotasv20190624.listservicequotas"));
                assert!(
                    head.contains("/us-east-1/servicequotas/aws4_request"),
                    "{head}"
                );
                let quota = |code: &str, name: &str, value: f64| {
                    json!({ "ServiceCode": "iotcore", "QuotaCode": code, "QuotaName": name,
                        "Value": value, "Adjustable": true, "Unit": "None" })
                };
                let (status, answer) = if body["ServiceCode"] != "iotcore" {
                    (
                        400,
                        json!({ "__type": "NoSuchResourceException", "message": "none" }),
                    )
                } else if body.get("NextToken").is_none() {
                    (
                        200,
                        json!({ "NextToken": "2", "Quotas": [quota("L-1", "a", 7.0), { "QuotaName": "no value" }] }),
                    )
                } else {
                    assert_eq!(body["NextToken"], "2");
                    (200, json!({ "Quotas": [quota("L-2", "b", 9.5)] }))
                };
                let answer = answer.to_string();
                let text = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\ncontent-type: application/x-amz-json-1.1\r\n\r\n{answer}",
                    answer.len()
                );
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    }

    #[tokio::test]
    async fn pages_are_read_and_refusals_are_errors() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let served = async {
            let config = stand_in(&endpoint, "us-east-1").await;
            let found = applied_by(&config, &["iotcore"]).await.unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|quota| (&*quota.quota_code, &*quota.quota_name, quota.value))
                .collect();
            assert_eq!(found, [("L-1", "a", 7.0), ("L-2", "b", 9.5)]);
            let refused = applied_by(&config, &["lambda"]).await.unwrap_err();
            let text = refused.to_string();
            assert!(
                text.starts_with("servicequotas:ListServiceQuotas: HTTP 400: "),
                "{text}"
            );
        };
        tokio::select! {
            () = served => {}
            () = serve(listener) => panic!("the service ends"),
        }
    }
}
