//! A server of an AWS API with scripted answers, in a thread of its own. It records the calls that
//! it gets.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The next answers: a status, an error's code, a body.
type Answers = VecDeque<(u16, String, String)>;

/// A running server. It lives as long as the test's process.
pub(crate) struct Scripted {
    url: String,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Scripted {
    /// Answers calls in their order; further ones with 400.
    pub(crate) fn start(answers: &[(u16, &str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answers: Answers = answers
            .iter()
            .map(|(status, code, body)| (*status, (*code).to_owned(), (*body).to_owned()))
            .collect();
        let answers = Arc::new(Mutex::new(answers));
        let calls = Arc::new(Mutex::new(Vec::new()));
        let known = Arc::clone(&calls);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, calls) = (Arc::clone(&answers), Arc::clone(&known));
                // A client that goes away in the middle is no failure of the server's.
                thread::spawn(move || serve(stream.unwrap(), &answers, &calls).unwrap_or_default());
            }
        });
        Self { url, calls }
    }

    /// URL of the server.
    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// Calls so far: methods and targets.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

/// Serves one connection until it ends.
fn serve(
    stream: TcpStream,
    answers: &Mutex<Answers>,
    calls: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut stream = stream;
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        let call = first.trim().trim_end_matches(" HTTP/1.1");
        calls.lock().unwrap().push(call.to_owned());
        let next = answers.lock().unwrap().pop_front();
        let (status, code, body) = next.unwrap_or_else(|| (400, "NotScripted".into(), "{}".into()));
        write!(
            stream,
            "HTTP/1.1 {status} scripted\r\ncontent-type: application/json\r\nx-amzn-errortype: {code}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}
