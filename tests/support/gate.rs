//! A door in the network: connections to a broker that can be cut, or whose answers can be held
//! back.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const OPEN: u8 = 0;
const HOLD: u8 = 1;
const CUT: u8 = 2;
const DARK: u8 = 3;

#[derive(Default)]
struct Shared {
    state: AtomicU8,
    /// Number of connections with bytes that are held back.
    held: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

/// A proxy on a port of its own. Its threads end with the test's process.
pub(crate) struct Gate {
    port: u16,
    shared: Arc<Shared>,
}

impl Gate {
    /// Opens a door to a port of this machine.
    pub(crate) fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let gate = Self {
            port,
            shared: Arc::clone(&shared),
        };
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if shared.state.load(Ordering::SeqCst) == CUT {
                    continue;
                }
                let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)) else {
                    continue;
                };
                for (from, to, holds) in [(&client, &server, false), (&server, &client, true)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || copy(from, to, holds, &shared));
                }
                shared.streams.lock().unwrap().extend([client, server]);
            }
        });
        gate
    }

    /// Port to connect to.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Lets everything pass.
    pub(crate) fn open(&self) {
        self.shared.state.store(OPEN, Ordering::SeqCst);
    }

    /// Holds back bytes from the broker, acknowledgements among them, until the gate is opened.
    pub(crate) fn hold_answers(&self) {
        self.shared.state.store(HOLD, Ordering::SeqCst);
    }

    /// Returns `true` where something is held back now.
    pub(crate) fn holds_something(&self) -> bool {
        self.shared.held.load(Ordering::SeqCst) > 0
    }

    /// Lets nothing pass either way and ends nothing, as a network that drops every packet does.
    pub(crate) fn darken(&self) {
        self.shared.state.store(DARK, Ordering::SeqCst);
    }

    /// Ends all connections and lets no new one through until the gate is opened.
    pub(crate) fn cut(&self) {
        self.shared.state.store(CUT, Ordering::SeqCst);
        for stream in self.shared.streams.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, holds: bool, shared: &Shared) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let stops = || match shared.state.load(Ordering::SeqCst) {
            HOLD => holds,
            state => state == DARK,
        };
        if stops() {
            shared.held.fetch_add(1, Ordering::SeqCst);
            while stops() {
                thread::sleep(Duration::from_millis(5));
            }
            shared.held.fetch_sub(1, Ordering::SeqCst);
        }
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
