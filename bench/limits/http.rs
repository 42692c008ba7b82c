//! Calls of the endpoints of `eventcast dev`, and the daemon's own port: HTTP/1.1 over connections
//! that stay open.

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// One connection.
pub(crate) struct Http {
    address: String,
    sender: SendRequest<Full<Bytes>>,
    /// The task that moves its bytes; it ends with this value.
    _driver: JoinSet<()>,
}

impl Http {
    /// Connects to `HOST:PORT`.
    pub(crate) async fn open(address: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        let mut driver = JoinSet::new();
        driver.spawn(async move {
            // Its end shows in the next call.
            let _ = connection.await;
        });
        Ok(Self {
            address: address.to_owned(),
            sender,
            _driver: driver,
        })
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        target: Option<&str>,
        body: Bytes,
    ) -> anyhow::Result<(u16, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address);
        if let Some(target) = target {
            let version = if target.starts_with("AmazonSQS") {
                "application/x-amz-json-1.0"
            } else {
                "application/x-amz-json-1.1"
            };
            request = request
                .header("x-amz-target", target)
                .header("content-type", version);
        }
        // The platform closes connections on which nothing was asked for two minutes.
        if self.sender.is_closed() {
            *self = Self::open(&self.address.clone()).await?;
        }
        self.sender.ready().await?;
        let answer = self
            .sender
            .send_request(request.body(Full::new(body))?)
            .await?;
        let status = answer.status().as_u16();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }

    /// Calls an action such as `AmazonSQS.CreateQueue`.
    pub(crate) async fn call(&mut self, target: &str, body: Bytes) -> anyhow::Result<Bytes> {
        let (status, answer) = self.send(Method::POST, "/", Some(target), body).await?;
        if status != 200 {
            let told = String::from_utf8_lossy(&answer);
            bail!("{target} was answered with {status}: {told}");
        }
        Ok(answer)
    }

    /// The same with JSON in and out.
    pub(crate) async fn json(&mut self, target: &str, body: &Value) -> anyhow::Result<Value> {
        let answer = self.call(target, body.to_string().into()).await?;
        if answer.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Posts JSON to a path.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<()> {
        let body = body.to_string().into();
        let (status, answer) = self.send(Method::POST, path, None, body).await?;
        if !(200..300).contains(&status) {
            let told = String::from_utf8_lossy(&answer);
            bail!("POST {path} was answered with {status}: {told}");
        }
        Ok(())
    }

    /// Status and body of a path.
    pub(crate) async fn read(&mut self, path: &str) -> anyhow::Result<(u16, Bytes)> {
        self.send(Method::GET, path, None, Bytes::new()).await
    }
}
