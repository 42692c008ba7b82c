//! The reader of standard output: `| head -1` goes away after one line, and a command that waits
//! for the next message would notice that only at its next write.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use tokio::io::Interest;
use tokio::net::unix::pipe::Sender;

/// Resolves when nobody can read standard output any more. For a file, which has no reader, it
/// never resolves. Cancel safe.
pub(super) async fn has_gone() {
    match io::stdout().as_fd().try_clone_to_owned() {
        Ok(stdout) => gone(stdout).await,
        Err(_) => pending().await,
    }
}

/// The write end of a pipe without a reader, and a terminal or a socket whose other side is closed,
/// are reported by poll(2) as an error, without a write.
async fn gone(stdout: OwnedFd) {
    // Regular files cannot be watched. "Unchecked" leaves the descriptor blocking, as other writers
    // of standard output expect it; nothing is written here.
    let Ok(watched) = Sender::from_owned_fd_unchecked(stdout) else {
        return pending().await;
    };
    match watched.ready(Interest::ERROR).await {
        Ok(ready) if ready.is_error() => {}
        _ => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::pipe;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_pipe_without_a_reader() {
        let (reader, writer) = pipe().unwrap();
        let writer = OwnedFd::from(writer);
        let watched = gone(writer);
        tokio::pin!(watched);
        let soon = Duration::from_millis(50);
        assert!(timeout(soon, &mut watched).await.is_err());
        drop(reader);
        timeout(Duration::from_secs(10), watched).await.unwrap();
    }

    #[tokio::test]
    async fn a_file_has_no_reader() {
        let file = OwnedFd::from(
            File::open(file!())
                .or_else(|_| File::open("Cargo.toml"))
                .unwrap(),
        );
        let soon = Duration::from_millis(50);
        assert!(timeout(soon, gone(file)).await.is_err());
    }
}
