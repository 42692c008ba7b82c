//! A real broker for tests: mosquitto with a plain and a WebSocket listener on free ports of the
//! loopback interface, and on request with TLS.
//!
//! It speaks MQTT as the specification has it and knows nothing of IoT Core's limits. A machine
//! without mosquitto fails the test with a sentence that says what to install; nothing is skipped
//! in silence.

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

/// Number of looks at a start, and the pause between them, before it counts as failed: ten seconds
/// in all.
const LOOKS: u32 = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// One running mosquitto; killed when dropped.
pub(crate) struct Mosquitto {
    folder: PathBuf,
    mqtt: u16,
    websocket: u16,
    secure: Option<Secure>,
    process: Option<Child>,
}

/// Listeners with TLS.
struct Secure {
    mutual: u16,
    websocket: u16,
    files: Files,
}

/// PEM files of a broker with TLS.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) ca: PathBuf,
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Mosquitto {
    /// Starts a broker and returns when both of its listeners accept connections.
    ///
    /// # Panics
    /// Panics when mosquitto is not installed, or does not start; with its log.
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// The same with TLS as well: MQTT for clients with a certificate, and WebSocket.
    pub(crate) fn start_secure(files: &Files) -> Self {
        Self::start_with(Some(files))
    }

    fn start_with(files: Option<&Files>) -> Self {
        // Between the moment a free port is found and the moment mosquitto binds it, another
        // process may take it.
        for _ in 0..5 {
            let [mqtt, websocket, mutual, secure_websocket] = free_ports();
            let secure = files.map(|files| Secure {
                mutual,
                websocket: secure_websocket,
                files: files.clone(),
            });
            let mut broker = Self {
                folder: new_folder(),
                mqtt,
                websocket,
                secure,
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

    /// The ports of the listeners with TLS on 127.0.0.1: MQTT, which asks for a certificate, and
    /// WebSocket, which does not.
    pub(crate) fn secure_ports(&self) -> (u16, u16) {
        let secure = self.secure.as_ref().expect("started with TLS");
        (secure.mutual, secure.websocket)
    }

    /// Log of mosquitto since it was first started.
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

    /// Starts the broker again on the same ports, after [`Mosquitto::kill`]. Sessions and retained
    /// messages are gone.
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
        let secure = self.secure.as_ref().map_or_else(String::new, |secure| {
            let Files {
                ca,
                certificate,
                key,
            } = &secure.files;
            let files = format!(
                "cafile {}\ncertfile {}\nkeyfile {}\n",
                ca.display(),
                certificate.display(),
                key.display()
            );
            format!(
                "listener {} 127.0.0.1\nprotocol mqtt\n{files}require_certificate true\nuse_identity_as_username true\n\
                 listener {} 127.0.0.1\nprotocol websockets\n{files}",
                secure.mutual, secure.websocket
            )
        });
        let config = config + &secure;
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
            let secure = self.secure.iter();
            let secure = secure.flat_map(|secure| [secure.mutual, secure.websocket]);
            if [self.mqtt, self.websocket]
                .into_iter()
                .chain(secure)
                .all(accepts)
            {
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

fn free_ports() -> [u16; 4] {
    let listeners = [(); 4].map(|()| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("the loopback interface has a free port")
    });
    listeners.map(|listener| {
        let address = listener.local_addr();
        address.expect("a bound socket has an address").port()
    })
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok()
}
