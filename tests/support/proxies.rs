//! Real reverse proxies for tests: Debian's nginx, haproxy, Apache, varnish, caddy and lighttpd,
//! each on a free port of the loopback interface in front of two servers, an HTTP server and a MQTT
//! broker with WebSockets.
//!
//! The files in `tests/proxies/` are their configurations: as a distribution or a first example has
//! them, and with the settings that streams, polls and WebSockets do best with (`docs/proxies.md`).
//! A machine without one of the programs fails the test with a sentence that says what to install;
//! nothing is skipped in silence.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Number of looks at a start or an end, and the pause between them, before it counts as failed:
/// twenty seconds in all. varnish compiles its configuration with a C compiler first.
const LOOKS: u32 = 1_000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);

/// A proxy between clients and servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    Haproxy,
    Apache,
    Varnish,
    Caddy,
    Lighttpd,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Nginx,
        Self::Haproxy,
        Self::Apache,
        Self::Varnish,
        Self::Caddy,
        Self::Lighttpd,
    ];

    /// The program, and the Debian package that has it.
    fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Nginx => ("nginx", "nginx-light"),
            Self::Haproxy => ("haproxy", "haproxy"),
            Self::Apache => ("apache2", "apache2-bin"),
            Self::Varnish => ("varnishd", "varnish"),
            Self::Caddy => ("caddy", "caddy"),
            Self::Lighttpd => ("lighttpd", "lighttpd"),
        }
    }

    fn configuration(self, setting: Setting) -> &'static str {
        macro_rules! both {
            ($default:literal, $best:literal) => {
                match setting {
                    Setting::Default => include_str!(concat!("../proxies/", $default)),
                    Setting::Best => include_str!(concat!("../proxies/", $best)),
                }
            };
        }
        match self {
            Self::Nginx => both!("nginx.default.conf", "nginx.best.conf"),
            Self::Haproxy => both!("haproxy.default.cfg", "haproxy.best.cfg"),
            Self::Apache => both!("apache2.default.conf", "apache2.best.conf"),
            Self::Varnish => both!("varnish.default.vcl", "varnish.best.vcl"),
            Self::Caddy => both!("caddy.default.Caddyfile", "caddy.best.Caddyfile"),
            Self::Lighttpd => both!("lighttpd.default.conf", "lighttpd.best.conf"),
        }
    }

    /// The command that runs it in the foreground, until it is ended.
    fn command(self, folder: &Path, file: &Path, front: u16, idle: u64) -> Command {
        let mut command = Command::new(self.path());
        match self {
            Self::Nginx => {
                // Faults that come before the configuration is read go to the same log.
                command.arg("-e").arg(folder.join("log"));
                command.arg("-c").arg(file);
            }
            Self::Haproxy => {
                command.arg("-db").arg("-f").arg(file);
            }
            Self::Apache => {
                command.arg("-DFOREGROUND").arg("-f").arg(file);
            }
            Self::Varnish => {
                command
                    .args(["-F", "-j", "none", "-s", "malloc,16m"])
                    .args(["-a", &format!("127.0.0.1:{front}")])
                    // Both 60 s by default.
                    .args(["-p", &format!("first_byte_timeout={idle}")])
                    .args(["-p", &format!("between_bytes_timeout={idle}")])
                    .arg("-n")
                    .arg(folder.join("varnish"))
                    .arg("-f")
                    .arg(file);
            }
            Self::Caddy => {
                command
                    .args(["run", "--adapter", "caddyfile", "--config"])
                    .arg(file)
                    .env("HOME", folder)
                    .env("XDG_DATA_HOME", folder)
                    .env("XDG_CONFIG_HOME", folder);
            }
            Self::Lighttpd => {
                command.arg("-D").arg("-f").arg(file);
            }
        }
        command
    }

    fn path(self) -> PathBuf {
        let (program, package) = self.program();
        ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"]
            .iter()
            .map(|folder| Path::new(folder).join(program))
            .find(|path| path.exists())
            .unwrap_or_else(|| {
                panic!("{program} is not installed; on Debian: apt-get install {package}")
            })
    }
}

/// Configuration of a proxy, one of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// As a distribution or a first example has it.
    Default,
    /// With the settings that are best for streams, polls and WebSockets.
    Best,
}

/// The servers behind a proxy, as ports of 127.0.0.1.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Upstreams {
    /// Every path but those below `/mqtt`.
    pub(crate) http: u16,
    /// The paths below `/mqtt`.
    pub(crate) websocket: u16,
}

/// One running proxy; ended when dropped.
pub(crate) struct Proxy {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    process: Option<Child>,
}

impl Proxy {
    /// Starts a proxy and returns when it answers. `idle` replaces the time without a byte after
    /// which it cuts by default, 50 to 300 s, in whole seconds; caddy has none.
    ///
    /// # Panics
    /// Moment when the program is not installed, or does not start; with its log.
    pub(crate) fn start(
        kind: Kind,
        setting: Setting,
        upstreams: Upstreams,
        idle: Duration,
    ) -> Self {
        // Between the moment a free port is found and the moment the proxy binds it, another
        // process may take it.
        for _ in 0..5 {
            let mut proxy = Self {
                kind,
                folder: new_folder(kind),
                port: free_port(),
                process: None,
            };
            if proxy.launch(setting, upstreams, idle) {
                return proxy;
            }
            let log = proxy.log();
            let log_text = log.to_lowercase();
            let is_taken = ["address already in use", "cannot bind", "could not bind"]
                .iter()
                .any(|words| log_text.contains(words));
            assert!(is_taken, "{kind:?} did not start; its log:\n{log}");
        }
        panic!("{kind:?} found its port taken five times in a row");
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its address for HTTP, without a path.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its address for MQTT over WebSockets.
    pub(crate) fn websocket_url(&self) -> String {
        format!("ws://127.0.0.1:{}/mqtt", self.port)
    }

    /// Log of the proxy.
    pub(crate) fn log(&self) -> String {
        let read = |name: &str| fs::read(self.folder.join(name)).unwrap_or_default();
        let bytes = [read("log"), read("output")].concat();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// True when it answers; false when the process ended instead.
    fn launch(&mut self, setting: Setting, upstreams: Upstreams, idle: Duration) -> bool {
        let seconds = idle.as_secs().max(1);
        let text = self
            .kind
            .configuration(setting)
            .replace("@FOLDER@", &self.folder.display().to_string())
            .replace("@MODULES@", "/usr/lib/apache2/modules")
            .replace("@FRONT@", &self.port.to_string())
            .replace("@HTTP@", &upstreams.http.to_string())
            .replace("@WEBSOCKET@", &upstreams.websocket.to_string())
            .replace("@IDLE@", &seconds.to_string());
        let file = self.folder.join("configuration");
        fs::write(&file, text).expect("the folder is writable");
        let output = fs::File::create(self.folder.join("output")).expect("the folder is writable");
        let errors = output.try_clone().expect("a file can be opened twice");
        let process = self
            .kind
            .command(&self.folder, &file, self.port, seconds)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .expect("the proxy can be started");
        let process = self.process.insert(process);
        for _ in 0..LOOKS {
            let ended = process
                .try_wait()
                .expect("a child can be asked how it is")
                .is_some();
            if ended {
                self.process = None;
                return false;
            }
            if answers(self.port) {
                return true;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        panic!("{:?} does not answer; its log:\n{}", self.kind, self.log());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // Those with processes of their own end them when they are asked to end, not when they
            // are killed.
            let _ = Command::new("kill")
                .args(["-TERM", &process.id().to_string()])
                .status();
            for _ in 0..LOOKS / 4 {
                if !matches!(process.try_wait(), Ok(None)) {
                    break;
                }
                thread::sleep(BETWEEN_LOOKS);
            }
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn new_folder(kind: Kind) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let folder = std::env::temp_dir().join(format!(
        "eventcast-{}-{}-{}",
        kind.program().0,
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    ));
    fs::create_dir_all(&folder).expect("the temporary folder is writable");
    folder
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .expect("the loopback interface has a free port");
    let address = listener.local_addr();
    address.expect("a bound socket has an address").port()
}

/// Returns `true` where a request gets an answer of any kind. varnish accepts connections before it
/// can answer.
fn answers(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(mut stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let mut first = [0];
    let waits = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let asked = waits.and_then(|()| {
        write!(
            stream,
            "GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n"
        )
    });
    asked.is_ok() && stream.read_exact(&mut first).is_ok()
}
