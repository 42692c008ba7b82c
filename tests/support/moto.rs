//! A bus and a queue for tests: moto's server in a process of its own, driven with boto3
//! (`bus.py`).

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Number of looks at a start, and the pause between them, before it counts as failed: a minute in
/// all.
const LOOKS: u32 = 600;
const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// One running moto; killed when dropped.
pub(crate) struct Moto {
    port: u16,
    process: Child,
}

impl Moto {
    /// Starts a server and returns when it accepts connections.
    ///
    /// # Panics
    /// Panics when moto is not installed, or does not start.
    pub(crate) fn start() -> Self {
        let port = free_port();
        let process = python("moto_server.py")
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("moto can be started; ./tests/run installs it");
        let moto = Self { port, process };
        assert!(listens(port), "moto accepts no connections on port {port}");
        moto
    }

    /// Environment variables that direct an AWS SDK to it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        environment(format!("http://127.0.0.1:{}", self.port))
    }

    /// The command that does one thing with the bus; see `bus.py`.
    pub(crate) fn bus_command(&self, arguments: &[&str]) -> Command {
        let mut command = python("bus.py");
        command.args(arguments).envs(self.environment());
        command
    }

    /// Runs one command on the bus, and returns its output.
    pub(crate) fn bus(&self, arguments: &[&str]) -> String {
        let output = self
            .bus_command(arguments)
            .stderr(Stdio::inherit())
            .output()
            .expect("python can be started");
        assert!(output.status.success(), "bus.py {arguments:?} failed");
        String::from_utf8(output.stdout).expect("bus.py prints text")
    }
}

/// Moto's IAM.
impl Moto {
    /// An access key, id and secret, with the rights of a policy.
    pub(crate) fn user(&self, policy: &str) -> [(&'static str, String); 2] {
        let keys = self.iam(&["user", policy], &[]);
        let (id, secret) = keys.trim().split_once(' ').expect("id and secret");
        [
            ("AWS_ACCESS_KEY_ID", id.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", secret.to_owned()),
        ]
    }

    /// Lets moto check every call against the policies of its key, or none.
    pub(crate) fn enforce(&self, checks: bool) {
        self.iam(&["enforce", if checks { "on" } else { "off" }], &[]);
    }

    fn iam(&self, arguments: &[&str], keys: &[(&'static str, String)]) -> String {
        let output = self.iam_command(arguments, keys).output();
        let output = output.expect("python can be started");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "iam.py {arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("iam.py prints text")
    }

    /// The command that does one thing with IAM; see `iam.py`.
    pub(crate) fn iam_command(
        &self,
        arguments: &[&str],
        keys: &[(&'static str, String)],
    ) -> Command {
        let mut command = python("iam.py");
        command.args(arguments).envs(self.environment());
        command.envs(keys.iter().cloned());
        command
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A port of the loopback interface that nobody has.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("the loopback interface has a free port")
        .port()
}

/// Waits until somebody accepts connections on a port, for a minute.
pub(crate) fn listens(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    (0..LOOKS).any(|_| {
        let up = TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        if !up {
            thread::sleep(BETWEEN_LOOKS);
        }
        up
    })
}

/// Environment variables that direct an AWS SDK to an endpoint on this machine.
pub(crate) fn environment(endpoint: String) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT_URL", endpoint),
        ("AWS_ACCESS_KEY_ID", "testing".into()),
        ("AWS_SECRET_ACCESS_KEY", "testing".into()),
        ("AWS_REGION", "us-east-1".into()),
        ("AWS_DEFAULT_REGION", "us-east-1".into()),
    ]
}

/// Runs a script of this folder in the tests' Python environment.
pub(crate) fn python(script: &str) -> Command {
    let mut command = Command::new(program("python"));
    command.arg(format!(
        "{}/tests/support/{script}",
        env!("CARGO_MANIFEST_DIR")
    ));
    command
}

/// A program of the tests' Python environment.
pub(crate) fn program(name: &str) -> PathBuf {
    let folder =
        std::env::var_os("EVENTCAST_VENV").map_or_else(|| cache().join("venv"), PathBuf::from);
    folder.join("bin").join(name)
}

/// Folder where `tests/run` keeps its installations.
pub(crate) fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    std::env::var_os("EVENTCAST_CACHE").map_or_else(
        || {
            std::env::var_os("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(home)
                .expect("a home folder")
                .join("eventcast")
        },
        PathBuf::from,
    )
}
