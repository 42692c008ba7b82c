//! HTTP/1.1 for the load: one request at a time on a connection that stays, answers with a length.

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A connection to a port of this machine.
pub(crate) struct Connection {
    stream: TcpStream,
    port: u16,
    bytes: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(port: u16) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            port,
            bytes: Vec::new(),
        })
    }

    /// Posts JSON; the status and the body.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        token: &str,
        body: &str,
    ) -> anyhow::Result<(u16, Vec<u8>)> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        let head = loop {
            if let Some(at) = self.bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.read().await?;
        };
        let text = std::str::from_utf8(&self.bytes[..head])?.to_lowercase();
        let status = text.split(' ').nth(1).context("no status")?.parse()?;
        let length = text.split("content-length:").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.map_or(Ok(0), |length| length.trim().parse())?;
        while self.bytes.len() < head + length {
            self.read().await?;
        }
        let body = self.bytes[head..head + length].to_vec();
        self.bytes.drain(..head + length);
        // A connection that waits holds nothing.
        self.bytes.shrink_to(0);
        Ok((status, body))
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        if self.stream.read_buf(&mut self.bytes).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}
