//! The bounds of the server, with real sockets and short limits.

use std::net::SocketAddr;

use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use super::*;

/// Short limits, so that no test waits for long.
const LIMITS: HttpLimits = HttpLimits {
    connections: 4,
    head_timeout: Duration::from_millis(400),
    body_timeout: Duration::from_millis(400),
    idle_timeout: Duration::from_millis(800),
    buffer_bytes: 8_192,
};

/// More than any limit, less than a person would wait.
const IN_TIME: Duration = Duration::from_secs(10);

const LARGE: usize = 3 * 1024 * 1024;

struct Served {
    address: SocketAddr,
    _server: JoinSet<io::Result<()>>,
}

async fn served(limits: HttpLimits) -> Served {
    let router = Router::new()
        .route("/livez", get(|| async { "live\n" }))
        .route(
            "/wait",
            get(|| async { std::future::pending::<()>().await }),
        )
        .route("/large", get(|| async { vec![b'x'; LARGE] }))
        .route("/echo", post(|body: Bytes| async { body }));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut server = JoinSet::new();
    server.spawn(serve(listener, router, limits));
    Served {
        address,
        _server: server,
    }
}

impl Served {
    async fn connect(&self, sends: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(sends.as_bytes()).await.unwrap();
        stream
    }

    async fn ask(&self, sends: &str) -> String {
        let mut stream = self.connect(sends).await;
        answer(&mut stream).await
    }
}

/// Reads until the server closes, or until the end of a short answer.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = [0; 4_096];
    let read = async {
        while !text.ends_with(b"live\n") {
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => break,
                Ok(count) => text.extend_from_slice(&buffer[..count]),
            }
        }
    };
    timeout(IN_TIME, read).await.expect("an answer or the end");
    String::from_utf8_lossy(&text).into_owned()
}

const LIVEZ: &str = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";

#[tokio::test]
async fn connections_past_the_bound_keep_nobody_out() {
    let server = served(LIMITS).await;
    for begins in ["", "GET /livez HTT", "GET /livez HTTP/1.1\r\nX: ", "\r\n"] {
        let mut held = Vec::new();
        for _ in 0..10 * LIMITS.connections {
            held.push(server.connect(begins).await);
        }
        let began = Instant::now();
        let told = server.ask(LIVEZ).await;
        assert!(told.ends_with("live\n"), "{begins:?}: {told}");
        assert!(began.elapsed() < LIMITS.head_timeout, "{begins:?}");
        let mut open = 0;
        for stream in &mut held {
            // The end of the stream, or a reset, where the server has closed it.
            let still = timeout(Duration::from_millis(1), stream.read(&mut [0; 64])).await;
            open += usize::from(still.is_err());
        }
        assert!(open < LIMITS.connections, "{begins:?}: {open} are open");
    }
}

#[tokio::test]
async fn a_peer_that_lets_its_time_pass_is_closed() {
    let server = served(LIMITS).await;
    for begins in [
        "",
        "GET /livez HTTP/1.1\r\nX: ",
        "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
        "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ] {
        let mut stream = server.connect(begins).await;
        let ended = timeout(IN_TIME, stream.read(&mut [0; 64])).await;
        assert!(matches!(ended, Ok(Ok(0) | Err(_))), "{begins:?}: {ended:?}");
    }
    let mut stream = server.connect(LIVEZ).await;
    answer(&mut stream).await;
    let began = Instant::now();
    assert_eq!(answer(&mut stream).await, "", "it is idle");
    assert!(began.elapsed() >= LIMITS.idle_timeout / 2);
}

/// One byte now and then makes no head complete: the limit is on the whole of it.
#[tokio::test]
async fn a_head_that_drips_is_closed_too() {
    let server = served(LIMITS).await;
    let mut stream = server.connect("GET /livez HTTP/1.1\r\nX: ").await;
    let drip = async {
        loop {
            tokio::select! {
                ended = stream.read_u8() => return ended.is_err(),
                () = sleep(LIMITS.head_timeout / 10) => {}
            }
            if stream.write_all(b"x").await.is_err() {
                return true;
            }
        }
    };
    assert!(timeout(IN_TIME, drip).await.expect("an end"));
}

#[tokio::test]
async fn a_connection_serves_several_requests() {
    let server = served(LIMITS).await;
    let mut stream = server.connect("").await;
    for _ in 0..5 {
        sleep(LIMITS.head_timeout / 2).await;
        stream.write_all(LIVEZ.as_bytes()).await.unwrap();
        assert!(answer(&mut stream).await.ends_with("live\n"));
    }
}

#[tokio::test]
async fn requests_that_are_being_answered_are_not_cut_off() {
    let server = served(LIMITS).await;
    let wait = "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut busy = Vec::new();
    for _ in 0..LIMITS.connections {
        busy.push(server.connect(wait).await);
    }
    // They were accepted in turn; the last one's request may not have been read yet.
    let full = async {
        while !server.ask(LIVEZ).await.is_empty() {
            busy.push(server.connect(wait).await);
        }
    };
    timeout(IN_TIME, full).await.expect("no room");
    sleep(LIMITS.idle_timeout * 2).await;
    let mut open = 0;
    for stream in &mut busy {
        let still = timeout(Duration::from_millis(1), stream.read(&mut [0; 64])).await;
        open += usize::from(still.is_err());
    }
    assert_eq!(open, LIMITS.connections);
    drop(busy);
    let room = async { while server.ask(LIVEZ).await.is_empty() {} };
    timeout(IN_TIME, room).await.expect("room again");
}

/// Slower than the limits allow a pause to be in sum, but never pausing for that long.
#[tokio::test]
async fn a_slow_client_gets_and_sends_everything() {
    let server = served(LIMITS).await;
    let mut stream = server
        .connect("GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await;
    let mut buffer = vec![0; LARGE / 12];
    let mut count = 0;
    loop {
        sleep(LIMITS.idle_timeout / 6).await;
        match stream.read(&mut buffer).await.unwrap() {
            0 => break,
            read => count += read,
        }
    }
    assert!(count > LARGE, "{count}");
    let head = "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n";
    let mut stream = server.connect(head).await;
    for part in ["l", "i", "v", "e", "\n"] {
        sleep(LIMITS.body_timeout / 2).await;
        stream.write_all(part.as_bytes()).await.unwrap();
    }
    assert!(answer(&mut stream).await.ends_with("live\n"));
}

#[tokio::test]
async fn http_2_is_not_spoken() {
    let server = served(LIMITS).await;
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let told = server.ask(preface).await;
    assert!(
        told.is_empty() || told.starts_with("HTTP/1.1 400"),
        "{told}"
    );
}
