//! One question over plain HTTP, to a process on this machine or beside it.

use std::fmt;

use anyhow::Context as _;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, ToSocketAddrs};

use crate::config::secret::masked_url;
use crate::escape::escaped;

/// An address of HTTP for messages, without user information and query.
pub(super) fn shown(endpoint: &str) -> String {
    let text = escaped(endpoint);
    if text.contains("://") {
        return masked_url(&text).into_owned();
    }
    let address = format!("http://{text}");
    masked_url(&address)
        .trim_start_matches("http://")
        .to_owned()
}

/// Asks for a path; gives the status and the body.
pub(super) async fn get(
    address: impl ToSocketAddrs + fmt::Display,
    path: &str,
) -> anyhow::Result<(u16, Bytes)> {
    send(Method::GET, address, path, String::new()).await
}

/// Posts JSON to a path; gives the status and the body.
#[cfg(feature = "dev")]
pub(super) async fn post(
    address: impl ToSocketAddrs + fmt::Display,
    path: &str,
    json: String,
) -> anyhow::Result<(u16, Bytes)> {
    send(Method::POST, address, path, json).await
}

async fn send(
    method: Method,
    address: impl ToSocketAddrs + fmt::Display,
    path: &str,
    body: String,
) -> anyhow::Result<(u16, Bytes)> {
    let stream = TcpStream::connect(&address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))
        .with_context(|| format!("the path `{path}`"))?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let status = answer.status().as_u16();
        anyhow::Ok((status, answer.into_body().collect().await?.to_bytes()))
    };
    tokio::select! {
        answer = answer => answer,
        ended = connection => {
            ended?;
            anyhow::bail!("it hung up")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_secrets() {
        for (endpoint, expected) in [
            ("http://127.0.0.1:4566", "http://127.0.0.1:4566"),
            ("127.0.0.1:4566", "127.0.0.1:4566"),
            ("http://u:S3CRET@h:1/?t=S3CRET", "http://…@h:1/?…"),
            ("u:S3CRET@h:1?t=S3CRET", "…@h:1?…"),
            ("http://h\nhelp: x", "http://h\\nhelp: x"),
        ] {
            assert_eq!(shown(endpoint), expected);
        }
    }
}
