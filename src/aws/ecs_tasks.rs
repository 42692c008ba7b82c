//! Number of running tasks that share an account's quota, as ECS counts them.
//!
//! A task learns its cluster and family from the metadata that its agent serves (ECS developer
//! guide, "Amazon ECS task metadata endpoint version 4",
//! <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4.html>),
//! and asks ECS for the running tasks of its family (ECS API reference, ListTasks).

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use serde::Deserialize;
use serde_json::{Value, json};

use super::exchange::{exchange, quoted};
use super::json_call::{CallError, ECS};

/// A service of a thousand tasks has as many pages as this.
const MOST_PAGES: usize = 10;

/// Reason why tasks cannot be counted.
#[derive(Debug, thiserror::Error)]
pub enum EcsTasksError {
    /// The task's own metadata cannot be read.
    #[error("{url}: {why}")]
    Metadata {
        /// Address of the metadata.
        url: String,
        /// One line.
        why: String,
    },
    /// ECS does not list the tasks.
    #[error("{0}{advice}", advice = advice(.0))]
    Call(#[from] CallError),
}

/// Advice on what may be missing, for a refusal of ECS.
fn advice(error: &CallError) -> &'static str {
    match error {
        CallError::Refused { .. } => "; the task role needs ecs:ListTasks",
        CallError::Sign(_) | CallError::Unreachable { .. } => "",
    }
}

/// Counts the running tasks of this task's family.
#[derive(Debug)]
pub struct EcsTasks {
    config: SdkConfig,
    cluster: String,
    family: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    cluster: String,
    family: String,
}

impl EcsTasks {
    /// Reads the task's identity from the metadata at `metadata`, the value of
    /// ECS_CONTAINER_METADATA_URI_V4.
    ///
    /// # Errors
    /// [`EcsTasksError::Metadata`] when it cannot be read.
    pub async fn find(config: SdkConfig, metadata: &str) -> Result<Self, EcsTasksError> {
        let url = format!("{}/task", metadata.trim_end_matches('/'));
        let unread = |why: String| EcsTasksError::Metadata {
            url: url.clone(),
            why,
        };
        let request = HttpRequest::get(&url).map_err(|error| unread(error.to_string()))?;
        let (status, body) = exchange(request).await.map_err(unread)?;
        if status != 200 {
            return Err(unread(format!("HTTP {status}: {}", quoted(&body))));
        }
        let Metadata { cluster, family } =
            serde_json::from_slice(&body).map_err(|error| unread(error.to_string()))?;
        Ok(Self {
            config,
            cluster,
            family,
        })
    }

    /// The number of tasks that ECS runs, or is about to run, of the family: one at least, which
    /// asks.
    ///
    /// # Errors
    /// [`EcsTasksError::Call`] when ECS refuses or cannot be reached.
    pub async fn running(&self) -> Result<u32, EcsTasksError> {
        let mut input = json!({
            "cluster": self.cluster, "family": self.family, "desiredStatus": "RUNNING"
        });
        let mut count = 0;
        for _ in 0..MOST_PAGES {
            let answer = ECS.call(&self.config, "ListTasks", &input).await?;
            count += answer
                .get("taskArns")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            match answer.get("nextToken") {
                Some(token @ Value::String(_)) => {
                    if let Value::Object(members) = &mut input {
                        members.insert("nextToken".into(), token.clone());
                    }
                }
                _ => break,
            }
        }
        Ok(u32::try_from(count).unwrap_or(u32::MAX).max(1))
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

    /// Answers one request after the other; returns the requests.
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
            let tasks = EcsTasks::find(config, &format!("{base}/v4/abc")).await?;
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
