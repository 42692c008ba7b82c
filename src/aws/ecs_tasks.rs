//! The number of running tasks that share an account's quota, as ECS counts them.
//!
//! A task learns its cluster and family from the metadata that its agent serves (ECS developer guide, "Amazon ECS task metadata
//! endpoint version 4", <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html>), and asks ECS
//! for the running tasks of its family (ECS API reference, ListTasks). Two signed calls rather than the SDK's client of ECS, which
//! is large and of no other use to the daemon.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::HttpConnector as _;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::causes::causes;
use super::client::connector;
use super::sign::{SignError, Signer};

const SERVICE: &str = "ecs";
const TARGET: &str = "AmazonEC2ContainerServiceV20141113.ListTasks";
const JSON: &str = "application/x-amz-json-1.1";
const CALL: Duration = Duration::from_secs(10);

/// A service of a thousand tasks has as many pages as this.
const MOST_PAGES: usize = 10;

/// Why tasks cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum EcsTasksError {
    /// There is nothing to sign with.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// No answer, or one that is not understood.
    #[error("{url}: {why}")]
    NoAnswer {
        /// What was asked.
        url: String,
        /// One line.
        why: String,
    },
    /// ECS refuses.
    #[error("{url}: HTTP {status}: {answer}; grant the task role ecs:ListTasks")]
    Refused {
        /// What was asked.
        url: String,
        /// The HTTP status.
        status: u16,
        /// The answer's beginning.
        answer: String,
    },
}

/// Counts the running tasks of this task's family.
#[derive(Debug)]
pub struct EcsTasks {
    signer: Signer,
    url: String,
    cluster: String,
    family: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    cluster: String,
    family: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Question<'q> {
    cluster: &'q str,
    family: &'q str,
    desired_status: &'q str,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'q str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    task_arns: Vec<String>,
    next_token: Option<String>,
}

impl EcsTasks {
    /// Reads what this task is from the metadata at `metadata`, the value of ECS_CONTAINER_METADATA_URI_V4.
    ///
    /// # Errors
    /// [`EcsTasksError`] without credentials or Region, or when the metadata cannot be read.
    pub async fn find(config: &SdkConfig, metadata: &str) -> Result<Self, EcsTasksError> {
        let signer = Signer::try_new(config)?;
        let url = config.endpoint_url().map_or_else(
            || {
                let region = signer.region();
                let suffix = if region.starts_with("cn-") { ".cn" } else { "" };
                format!("https://ecs.{region}.amazonaws.com{suffix}/")
            },
            |url| format!("{}/", url.trim_end_matches('/')),
        );
        let asked = format!("{}/task", metadata.trim_end_matches('/'));
        let request = HttpRequest::get(&asked).map_err(|error| no_answer(&asked, &error))?;
        let body = answer(request, &asked).await?;
        let Metadata { cluster, family } =
            serde_json::from_slice(&body).map_err(|error| no_answer(&asked, &error))?;
        Ok(Self {
            signer,
            url,
            cluster,
            family,
        })
    }

    /// The number of tasks that ECS runs, or is about to run, of the family: one at least, which asks.
    ///
    /// # Errors
    /// [`EcsTasksError`] when ECS refuses or cannot be reached.
    pub async fn running(&self) -> Result<u32, EcsTasksError> {
        let mut count = 0;
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let page = self.page(token.as_deref()).await?;
            count += page.task_arns.len();
            token = page.next_token.filter(|token| !token.is_empty());
            if token.is_none() {
                break;
            }
        }
        Ok(u32::try_from(count).unwrap_or(u32::MAX).max(1))
    }

    async fn page(&self, token: Option<&str>) -> Result<Page, EcsTasksError> {
        let asked = Question {
            cluster: &self.cluster,
            family: &self.family,
            desired_status: "RUNNING",
            next_token: token,
        };
        let body = serde_json::to_string(&asked).map_err(|error| no_answer(&self.url, &error))?;
        let (_, host) = self.url.split_once("://").unwrap_or(("", &self.url));
        let host = host.split('/').next().unwrap_or(host);
        let own = [
            ("host", host),
            ("content-type", JSON),
            ("x-amz-target", TARGET),
        ];
        let signed = self
            .signer
            .post_headers(SERVICE, &self.url, &own, body.as_bytes())
            .await?;
        let mut request = HttpRequest::new(SdkBody::from(body));
        let failed = |error: &dyn std::error::Error| no_answer(&self.url, &error);
        request.set_method("POST").map_err(|error| failed(&error))?;
        request
            .set_uri(self.url.as_str())
            .map_err(|error| failed(&error))?;
        for (name, value) in own.into_iter().skip(1) {
            request.headers_mut().insert(name, value.to_owned());
        }
        for (name, value) in signed {
            request.headers_mut().insert(name, value);
        }
        let body = answer(request, &self.url).await?;
        serde_json::from_slice(&body).map_err(|error| no_answer(&self.url, &error))
    }
}

async fn answer(request: HttpRequest, url: &str) -> Result<Vec<u8>, EcsTasksError> {
    let (status, body) = timeout(CALL, async {
        let response = connector().call(request).await;
        let response = response.map_err(|error| no_answer(url, &causes(&error)))?;
        let status = response.status().as_u16();
        let body = ByteStream::new(response.into_body()).collect().await;
        let body = body.map_err(|error| no_answer(url, &causes(&error)))?;
        Ok::<_, EcsTasksError>((status, body.to_vec()))
    })
    .await
    .map_err(|_| no_answer(url, &format!("no answer in {CALL:?}")))??;
    if status == 200 {
        return Ok(body);
    }
    Err(EcsTasksError::Refused {
        url: url.to_owned(),
        status,
        answer: String::from_utf8_lossy(&body).chars().take(300).collect(),
    })
}

fn no_answer(url: &str, why: &dyn std::fmt::Display) -> EcsTasksError {
    EcsTasksError::NoAnswer {
        url: url.to_owned(),
        why: why.to_string(),
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

    /// Answers one request after the other, and gives what was asked.
    async fn serve(listener: TcpListener, answers: &[(u16, &str)]) -> Vec<String> {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            loop {
                request.push(char::from(stream.read_u8().await.unwrap()));
                let Some((head, body)) = request.split_once("\r\n\r\n") else {
                    continue;
                };
                let head = head.to_ascii_lowercase();
                let length = head.split("content-length: ").nth(1);
                let length = length.and_then(|rest| rest.lines().next());
                if body.len() == length.map_or(0, |length| length.parse().unwrap()) {
                    break;
                }
            }
            let answer = format!(
                "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
            asked.push(request);
        }
        asked
    }

    async fn counted(answers: &[(u16, &str)]) -> (Result<u32, EcsTasksError>, Vec<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("eu-central-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
                "AKID", "secret", None, None, "test",
            )))
            .endpoint_url(&base)
            .build();
        let count = async {
            let tasks = EcsTasks::find(&config, &format!("{base}/v4/abc")).await?;
            tasks.running().await
        };
        tokio::join!(count, serve(listener, answers))
    }

    const METADATA: &str =
        r#"{"Cluster":"shop","TaskARN":"arn:x","Family":"bridge","Revision":"7"}"#;

    #[tokio::test]
    async fn running_tasks_are_counted_over_pages() {
        let (count, asked) = counted(&[
            (200, METADATA),
            (200, r#"{"taskArns":["a","b"],"nextToken":"more"}"#),
            (200, r#"{"taskArns":["c"]}"#),
        ])
        .await;
        assert_eq!(count.unwrap(), 3);
        assert!(asked[0].starts_with("GET /v4/abc/task "), "{}", asked[0]);
        for part in [
            "POST / HTTP/1.1",
            "AmazonEC2ContainerServiceV20141113.ListTasks",
            "/eu-central-1/ecs/aws4_request",
            r#""cluster":"shop""#,
            r#""family":"bridge""#,
        ] {
            assert!(asked[1].contains(part), "{part}: {}", asked[1]);
        }
        assert!(asked[2].contains(r#""nextToken":"more""#), "{}", asked[2]);
    }

    #[tokio::test]
    async fn a_refusal_says_what_to_grant() {
        let (count, _) = counted(&[(200, METADATA), (400, r#"{"__type":"AccessDenied"}"#)]).await;
        let error = count.unwrap_err().to_string();
        assert!(error.contains("ecs:ListTasks"), "{error}");
        let (count, _) = counted(&[(200, "{}")]).await;
        assert!(count.unwrap_err().to_string().contains("Cluster"));
    }
}
