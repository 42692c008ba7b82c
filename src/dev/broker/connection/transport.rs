//! Byte streams of connections, over any transport.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

/// A connection's bytes, both ways.
pub(crate) trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for T {}

/// A connection's bytes, both ways, of whatever kind.
pub(crate) type BoxedStream = Box<dyn ByteStream>;

/// Maximum size of a written frame, so that a large message is not copied as a whole for each
/// subscriber.
const FRAME: usize = 16 * 1024;

/// Returns the configuration of a WebSocket. The read buffer stays allocated for the life of the
/// socket.
pub(crate) fn websocket_config(largest: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0)
        .max_write_buffer_size(256 * 1024)
        .max_message_size(Some(largest))
        .max_frame_size(Some(largest))
}

/// MQTT in the binary frames of a WebSocket; frame boundaries have no meaning (MQTT 5.0, section
/// 6).
pub(crate) struct WebSocketIo<T> {
    socket: WebSocketStream<T>,
    /// Bytes that arrived and are not read yet.
    rest: Bytes,
}

impl<T> WebSocketIo<T> {
    pub(crate) fn new(socket: WebSocketStream<T>) -> Self {
        Self {
            socket,
            rest: Bytes::new(),
        }
    }
}

fn broken(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocketIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.is_empty() {
            match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                Some(Ok(Message::Binary(bytes))) => self.rest = bytes,
                Some(Ok(Message::Text(_))) => {
                    let what = "a text frame: MQTT comes in binary ones";
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, what)));
                }
                Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) | None => {
                    return Poll::Ready(Ok(()));
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
            }
        }
        let count = self.rest.len().min(buffer.remaining());
        buffer.put_slice(self.rest.get(..count).unwrap_or_default());
        self.rest.advance(count);
        if self.rest.is_empty() {
            // The slice shared the socket's read buffer.
            self.rest = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocketIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.socket);
        ready!(socket.as_mut().poll_ready(context)).map_err(broken)?;
        let frame = bytes.get(..FRAME).unwrap_or(bytes);
        let message = Message::Binary(Bytes::copy_from_slice(frame));
        socket.start_send(message).map_err(broken)?;
        Poll::Ready(Ok(frame.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket)
            .poll_flush(context)
            .map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_close(context)) {
            Ok(()) | Err(Error::ConnectionClosed | Error::AlreadyClosed) => {}
            Err(error) => return Poll::Ready(Err(broken(error))),
        }
        // Not every client answers a close frame: AWS's device SDKs wait for the end of the TCP
        // connection (RFC 6455, 7.1.1, has the server close it). The remaining bytes of the client
        // can still be read.
        Pin::new(self.socket.get_mut()).poll_shutdown(context)
    }
}

/// Output buffer: whole packets, then the payload of the last one where it is large, then further
/// packets.
#[derive(Debug, Default)]
pub(crate) struct WriteBuffer {
    before: BytesMut,
    payload: Bytes,
    behind: BytesMut,
    /// `true` where written bytes are not flushed.
    is_written: bool,
}

/// Size from which a payload is written without a copy.
const LARGE: usize = 4 * 1024;

/// Bytes that are collected before a write.
const ENOUGH: usize = 8 * 1024;

/// Unwritten bytes above which nothing more is read from a peer that does not read.
const TOO_MUCH: usize = 64 * 1024;

impl WriteBuffer {
    /// Returns the buffer for new packets, each whole except for a message's payload.
    pub(crate) fn packets(&mut self) -> &mut BytesMut {
        if self.payload.is_empty() {
            &mut self.before
        } else {
            &mut self.behind
        }
    }

    /// Puts a message's payload behind its packet. Called only while there is room for messages.
    pub(crate) fn put_payload(&mut self, payload: &Bytes) {
        if payload.len() < LARGE {
            self.packets().extend_from_slice(payload);
        } else {
            self.payload = payload.clone();
        }
    }

    /// Returns `true` where another message fits.
    pub(crate) fn has_room(&self) -> bool {
        self.payload.is_empty() && self.before.len() < ENOUGH
    }

    /// Returns `true` where the peer reads so little that the broker stops reading from it.
    pub(crate) fn is_stuck(&self) -> bool {
        self.before.len() + self.behind.len() > TOO_MUCH
    }

    fn next(&mut self) -> &[u8] {
        if self.before.is_empty() && self.payload.is_empty() {
            std::mem::swap(&mut self.before, &mut self.behind);
        }
        if self.before.is_empty() {
            &self.payload
        } else {
            &self.before
        }
    }

    fn advance(&mut self, count: usize) {
        if self.before.is_empty() {
            self.payload.advance(count);
        } else {
            self.before.advance(count);
        }
    }

    /// Writes until the buffer is empty; `Pending` once the peer takes no more. Adds the number of
    /// written bytes.
    pub(crate) fn poll_write(
        &mut self,
        io: &mut BoxedStream,
        context: &mut Context<'_>,
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        let mut io = Pin::new(io);
        loop {
            let from = self.next();
            if from.is_empty() {
                break;
            }
            let count = ready!(io.as_mut().poll_write(context, from))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *written += count;
            self.advance(count);
            self.is_written = true;
        }
        if self.is_written {
            ready!(io.poll_flush(context))?;
            // An idle connection holds no memory in reserve.
            *self = Self::default();
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio_tungstenite::tungstenite::protocol::Role;

    use super::*;

    /// The connection itself ends after the last byte, for clients that do not answer a close
    /// frame.
    #[tokio::test]
    async fn a_websocket_that_is_shut_down_ends_without_an_answer() {
        let (near, mut far) = tokio::io::duplex(1_000);
        let socket = WebSocketStream::from_raw_socket(near, Role::Server, None).await;
        let mut near = WebSocketIo::new(socket);
        near.shutdown().await.unwrap();
        let mut read = Vec::new();
        let end = far.read_to_end(&mut read);
        let end = tokio::time::timeout(Duration::from_secs(10), end).await;
        end.expect("the connection ends").unwrap();
        assert_eq!(read, [0x88, 0]);
        // An answer is still read: a close frame with an empty mask.
        far.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
        assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn packets_behind_a_large_payload_stay_behind_it() {
        let (near, mut far) = tokio::io::duplex(1_000);
        let mut near: BoxedStream = Box::new(near);
        let payload = Bytes::from(vec![b'p'; 10_000]);
        let mut output = WriteBuffer::default();
        output.packets().extend_from_slice(b"first");
        output.put_payload(&payload);
        assert!(!output.has_room());
        let mut read = Vec::new();
        let mut written = 0;
        let mut acknowledgements = 0;
        while read.len() < 10_000 {
            let wrote = std::future::poll_fn(|context| {
                Poll::Ready(
                    output
                        .poll_write(&mut near, context, &mut written)
                        .is_ready(),
                )
            })
            .await;
            if acknowledgements < 3 && !wrote {
                acknowledgements += 1;
                output.packets().extend_from_slice(b"ack");
            }
            let mut part = [0; 700];
            let count = far.read(&mut part).await.unwrap();
            read.extend_from_slice(&part[..count]);
        }
        std::future::poll_fn(|context| output.poll_write(&mut near, context, &mut written))
            .await
            .unwrap();
        drop(near);
        far.read_to_end(&mut read).await.unwrap();
        let expected = [b"first", &payload[..], b"ackackack"].concat();
        assert!(read == expected, "{} bytes", read.len());
        assert_eq!(written, expected.len());
    }
}
