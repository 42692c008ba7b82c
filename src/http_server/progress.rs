//! Progress of one connection: the side that has the turn, and the time of the last progress.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::HttpLimits;

/// The next thing that a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    /// A request, the rest of its head, or the peer to take the answer before it.
    Head,
    /// The rest of a request's body.
    Body,
    /// The answer.
    Response,
}

#[derive(Debug)]
struct ProgressState {
    phase: ConnectionPhase,
    /// The last moment when bytes went either way.
    moved: Instant,
    /// Moment when a request's head began to come.
    head: Option<Instant>,
}

/// Progress of one connection, shared by its parts.
#[derive(Debug)]
pub(super) struct ConnectionProgress {
    limits: HttpLimits,
    state: Mutex<ProgressState>,
}

impl ConnectionProgress {
    /// A connection that was accepted now: its first request is due.
    pub(super) fn new(limits: HttpLimits) -> Self {
        let now = Instant::now();
        let state = Mutex::new(ProgressState {
            phase: ConnectionPhase::Head,
            moved: now,
            head: Some(now),
        });
        Self { limits, state }
    }

    pub(super) fn limits(&self) -> &HttpLimits {
        &self.limits
    }

    /// Since when the connection waits for its peer; `None` while it is the server's turn.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let state = self.lock();
        (state.phase != ConnectionPhase::Response).then_some(state.moved)
    }

    /// Notes that a request's head is complete, and perhaps the whole request.
    pub(super) fn request_begins(self: &Arc<Self>, complete: bool) -> ResponseGuard {
        let mut state = self.lock();
        state.head = None;
        state.phase = if complete {
            ConnectionPhase::Response
        } else {
            ConnectionPhase::Body
        };
        ResponseGuard(Arc::clone(self))
    }

    /// Resolves when the peer has let a time limit pass.
    pub(super) async fn overdue(&self) {
        loop {
            let due = self.due();
            if due <= Instant::now() {
                return;
            }
            // Any progress meanwhile moves the moment, never to an earlier one than the shortest
            // limit from now: a head that begins is due in `head_timeout`.
            sleep_until(due.min(Instant::now() + self.limits.head_timeout)).await;
        }
    }

    fn due(&self) -> Instant {
        let state = self.lock();
        match (state.phase, state.head) {
            (ConnectionPhase::Head, Some(began)) => began + self.limits.head_timeout,
            (ConnectionPhase::Head, None) => state.moved + self.limits.idle_timeout,
            (ConnectionPhase::Body, _) => state.moved + self.limits.body_timeout,
            (ConnectionPhase::Response, _) => Instant::now() + self.limits.idle_timeout,
        }
    }

    fn bytes_read(&self) {
        let now = Instant::now();
        let mut state = self.lock();
        state.moved = now;
        if state.phase == ConnectionPhase::Head {
            state.head.get_or_insert(now);
        }
    }

    fn bytes_written(&self) {
        self.lock().moved = Instant::now();
    }

    fn body_complete(&self) {
        let mut state = self.lock();
        if state.phase == ConnectionPhase::Body {
            state.phase = ConnectionPhase::Response;
        }
    }

    fn response_complete(&self) {
        let mut state = self.lock();
        state.phase = ConnectionPhase::Head;
        state.head = None;
        state.moved = Instant::now();
    }

    fn lock(&self) -> MutexGuard<'_, ProgressState> {
        // Nothing in here panics half-way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the server's turn when it is dropped.
pub(super) struct ResponseGuard(Arc<ConnectionProgress>);

impl Drop for ResponseGuard {
    fn drop(&mut self) {
        self.0.response_complete();
    }
}

/// A stream whose bytes are noticed.
pub(super) struct Tracked<S> {
    stream: S,
    progress: Arc<ConnectionProgress>,
}

impl<S> Tracked<S> {
    pub(super) fn new(stream: S, progress: Arc<ConnectionProgress>) -> Self {
        Self { stream, progress }
    }

    fn note_written(&self, written: &std::io::Result<usize>) {
        if matches!(written, Ok(1..)) {
            self.progress.bytes_written();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tracked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, buffer));
        if buffer.filled().len() > before {
            self.progress.bytes_read();
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tracked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(context, bytes));
        self.note_written(&written);
        Poll::Ready(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(context, slices));
        self.note_written(&written);
        Poll::Ready(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// A request's body, whose end is noticed.
pub(super) struct TrackedRequest {
    body: Incoming,
    progress: Arc<ConnectionProgress>,
}

impl TrackedRequest {
    pub(super) fn new(body: Incoming, progress: Arc<ConnectionProgress>) -> Self {
        Self { body, progress }
    }
}

impl Body for TrackedRequest {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_none() || self.body.is_end_stream() {
            self.progress.body_complete();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body, whose end is the end of the server's turn.
pub(super) struct TrackedResponse {
    body: axum::body::Body,
    _guard: ResponseGuard,
}

impl TrackedResponse {
    pub(super) fn new(body: axum::body::Body, guard: ResponseGuard) -> Self {
        Self {
            body,
            _guard: guard,
        }
    }
}

impl Body for TrackedResponse {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
