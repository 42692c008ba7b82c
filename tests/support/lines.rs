//! Processes that report events line by line: subscribers, and waits for their lines.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Looks at something until it is so; two minutes at most.
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    for _ in 0..1_200 {
        if so() {
            return;
        }
        thread::sleep(Duration::from_millis(100));
    }
    panic!("it did not come to be that {what}");
}

/// A process whose lines are kept; killed when dropped.
pub(crate) struct Lines {
    process: Child,
    stdin: Option<ChildStdin>,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Lines {
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let stdout = process.stdout.take().unwrap();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sink.lock().unwrap().push(line);
            }
        });
        Self {
            stdin: process.stdin.take(),
            process,
            lines,
        }
    }

    /// Writes a line to its standard input.
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    pub(crate) fn has(&self, part: &str) -> bool {
        self.all().iter().any(|line| line.contains(part))
    }

    /// Topics and the events that reached them, as `bus.py put` writes them.
    pub(crate) fn messages(&self) -> Vec<String> {
        let number = |line: &str| {
            let rest = line.split("\"n\":").nth(1)?;
            let digits = rest.trim_start().chars().take_while(char::is_ascii_digit);
            Some(digits.collect::<String>())
        };
        let lines = self.all();
        let told = lines.iter().filter_map(|line| {
            let (topic, payload) = line.split_once(' ')?;
            Some(format!("{topic} {}", number(payload)?))
        });
        told.collect()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // A browser closes properly when its input ends; the rest is killed.
        drop(self.stdin.take());
        for _ in 0..20 {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Subscribes to everything on a broker with mosquitto_sub; a probe shows that the subscription is
/// in force.
pub(crate) fn subscriber(port: u16) -> Lines {
    let text = port.to_string();
    let lines = Lines::of(
        Command::new("mosquitto_sub")
            .args(["-h", "127.0.0.1", "-p", &text, "-V", "mqttv5"])
            .args(["-q", "1", "-t", "#", "-F", "%t %p"]),
    );
    probe(&lines, port, "probe-first");
    lines
}

/// Waits until a subscriber has heard all that is on its way to it: nothing new comes between two
/// looks.
pub(crate) fn quiet(subscriber: &Lines) {
    let mut seen = None;
    until("the subscriber has all that was on its way", || {
        let now = subscriber.count();
        seen.replace(now) == Some(now)
    });
}

/// Waits until a subscriber receives a word.
pub(crate) fn probe(subscriber: &Lines, port: u16, word: &str) {
    let port = port.to_string();
    until("the subscription stands", || {
        let _ = Command::new("mosquitto_pub")
            .args(["-h", "127.0.0.1", "-p", &port, "-t", "probe", "-m", word])
            .stderr(Stdio::null())
            .status();
        subscriber.has(word)
    });
}
