//! The bytes of a connection to the broker: TCP, or TLS over TCP.
//!
//! An idle connection holds no buffer of ours: bytes are read into the stack and kept only where a
//! packet is not complete. This, and TLS without the client library's event loop, is most of what a
//! waiting client costs (`docs/gateway.md`, "Memory").

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// The most bytes that one read takes.
const READ_BYTES: usize = 4_096;

/// A connection's bytes.
pub(super) enum BrokerStream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl BrokerStream {
    /// Opens a connection.
    pub(super) async fn open(
        host: &str,
        port: u16,
        tls: Option<Arc<ClientConfig>>,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let Some(config) = tls else {
            return Ok(Self::Plain(stream));
        };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TlsConnector::from(config).connect(name, stream).await?;
        Ok(Self::Tls(Box::new(stream)))
    }

    fn poll_fill(
        &mut self,
        input: &mut BytesMut,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut bytes = [0; READ_BYTES];
        let mut buffer = ReadBuf::new(&mut bytes);
        let polled = match self {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, &mut buffer),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_read(context, &mut buffer),
        };
        polled.map(|read| {
            read?;
            if buffer.filled().is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            input.extend_from_slice(buffer.filled());
            Ok(())
        })
    }

    /// Reads the bytes that have come, at least one. The end of the stream is an error. Cancel
    /// safe.
    pub(super) async fn fill(&mut self, input: &mut BytesMut) -> io::Result<()> {
        poll_fn(|context| self.poll_fill(input, context)).await
    }

    /// Writes everything. Not cancel safe: the connection cannot be used after an early end.
    pub(super) async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|context| match self {
                Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
                Self::Tls(stream) => Pin::new(&mut **stream).poll_write(context, bytes),
            });
            let written = written.await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        poll_fn(|context| match self {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_flush(context),
        })
        .await
    }

    /// Ends it in order: sent bytes arrive.
    pub(super) async fn close(mut self) -> io::Result<()> {
        poll_fn(|context| match &mut self {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(&mut **stream).poll_shutdown(context),
        })
        .await
    }
}
