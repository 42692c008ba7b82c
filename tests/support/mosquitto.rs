//! A real broker for tests: mosquitto with a plain and a WebSocket listener on free ports of the loopback interface.
//!
//! It speaks MQTT as the specification has it and knows nothing of IoT Core's limits. A machine without mosquitto fails
//! the test with a sentence that says what to install; nothing is skipped in silence.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// How often, and how far apart, a start is looked at before it counts as failed: ten seconds in all.
const LOOKS: u32 = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// One running mosquitto; killed when dropped.
pub(crate) struct Mosquitto {
    folder: PathBuf,
    mqtt: u16,
    websocket: u16,
    process: Option<Child>,
}

impl Mosquitto {
    /// Starts a broker and returns when both of its listeners accept connections.
    ///
    /// # Panics
    /// When mosquitto is not installed, or does not start; with its log.
    pub(crate) fn start() -> Self {
        // Between the moment a free port is found and the moment mosquitto binds it, another process may take it.
        for _ in 0..5 {
            let (mqtt, websocket) = two_free_ports();
            let mut broker = Self {
                folder: new_folder(),
                mqtt,
                websocket,
                process: None,
            };
            broker.write_config();
            if broker.launch() {
                return broker;
            }
            assert!(
                broker.log().contains("Address already in use"),
                "mosquitto did not start; its log:\n{}",
                broker.log()
            );
        }
        panic!("mosquitto found its ports taken five times in a row");
    }

    /// The port of the plain MQTT listener on 127.0.0.1.
    pub(crate) fn mqtt_port(&self) -> u16 {
        self.mqtt
    }

    /// The port of the WebSocket listener on 127.0.0.1; it answers on every path.
    pub(crate) fn websocket_port(&self) -> u16 {
        self.websocket
    }

    /// What mosquitto has logged since it was first started.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// Ends the broker as `kill -9` does: no DISCONNECT, no goodbye.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("a child can be killed");
            process.wait().expect("a killed child ends");
        }
    }

    /// Starts the broker again on the same ports, after [`Mosquitto::kill`]. Sessions and retained messages are gone.
    pub(crate) fn restart(&mut self) {
        self.kill();
        assert!(
            self.launch(),
            "mosquitto did not come back; its log:\n{}",
            self.log()
        );
    }

    fn write_config(&self) {
        let config = format!(
            "# root keeps its rights: the folder belongs to whoever runs the test\n\
             user root\n\
             allow_anonymous true\n\
             persistence false\n\
             set_tcp_nodelay true\n\
             # IoT Core takes 100 unacknowledged publications per client; subscribers must not lose any here\n\
             max_inflight_messages 100\n\
             max_queued_messages 0\n\
             log_dest stderr\n\
             listener {} 127.0.0.1\n\
             protocol mqtt\n\
             listener {} 127.0.0.1\n\
             protocol websockets\n",
            self.mqtt, self.websocket
        );
        fs::write(self.folder.join("mosquitto.conf"), config).expect("the folder is writable");
    }

    /// True when both listeners accept; false when the process ended instead.
    fn launch(&mut self) -> bool {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))
            .expect("the folder is writable");
        let process = Command::new(program())
            .arg("-c")
            .arg(self.folder.join("mosquitto.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mosquitto can be started");
        let process = self.process.insert(process);
        for _ in 0..LOOKS {
            if process
                .try_wait()
                .expect("a child can be asked how it is")
                .is_some()
            {
                self.process = None;
                return false;
            }
            if accepts(self.mqtt) && accepts(self.websocket) {
                return true;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        panic!("mosquitto accepts no connections; its log:\n{}", self.log());
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn program() -> &'static Path {
    [
        "/usr/sbin/mosquitto",
        "/usr/local/sbin/mosquitto",
        "/usr/bin/mosquitto",
        "/opt/homebrew/sbin/mosquitto",
    ]
    .iter()
    .map(Path::new)
    .find(|path| path.exists())
    .expect("mosquitto is not installed; on Debian: apt-get install mosquitto")
}

fn new_folder() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = std::env::temp_dir().join(format!(
        "eventcast-mosquitto-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    ));
    fs::create_dir_all(&folder).expect("the temporary folder is writable");
    folder
}

fn two_free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface has a free port")
    });
    let [a, b] = listeners.map(|l| {
        l.local_addr()
            .expect("a bound socket has an address")
            .port()
    });
    (a, b)
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}
