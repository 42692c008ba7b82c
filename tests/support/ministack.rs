//! AWS on this machine for tests: ministack in a process of its own, a second opinion beside moto
//! and LocalStack. It has an MQTT broker that decides by policies.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::process::{Child, Command, Stdio};

use crate::moto::{cache, environment, free_port, listens};

/// One running ministack; killed when dropped.
pub(crate) struct MiniStack {
    port: u16,
    process: Child,
}

impl MiniStack {
    /// Starts a server on the loopback interface and returns when it accepts connections. With
    /// `authorize` it checks signatures and policies; the keys of [`environment`] are the account's
    /// root, which may do everything.
    ///
    /// # Panics
    /// Panics when ministack is not installed, or does not start.
    pub(crate) fn start(authorize: bool) -> Self {
        let port = free_port();
        let script = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/ministack_server.py"
        );
        let process = Command::new(cache().join("ministack/bin/python"))
            .arg(script)
            .envs([
                ("BIND_HOST", "127.0.0.1"),
                ("GATEWAY_PORT", &*port.to_string()),
                // This listener would take connections on all addresses.
                ("IOT_MTLS_ENABLED", "0"),
                ("AUTH", if authorize { "true" } else { "false" }),
                ("AWS_ACCESS_KEY_ID", "testing"),
                ("AWS_SECRET_ACCESS_KEY", "testing"),
                ("LOG_LEVEL", "WARNING"),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("ministack can be started; ./tests/run installs it");
        let ministack = Self { port, process };
        assert!(
            listens(port),
            "ministack accepts no connections on port {port}"
        );
        ministack
    }

    /// The port of everything, MQTT over WebSocket included.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Address of its endpoint.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Environment variables that direct an AWS SDK to it.
    pub(crate) fn environment(&self) -> [(&'static str, String); 5] {
        environment(self.endpoint())
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
