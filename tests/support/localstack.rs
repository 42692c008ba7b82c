//! Queues for tests: LocalStack's community edition in a process of its own. Unlike moto it keeps
//! the order of message groups.

#![allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::moto::{cache, environment, free_port, listens};

/// One running LocalStack; ended when dropped.
pub(crate) struct LocalStack {
    port: u16,
    process: Child,
    folder: PathBuf,
}

impl LocalStack {
    /// Starts a server and returns when it accepts connections.
    ///
    /// # Panics
    /// Panics when LocalStack is not installed, or does not start; with its log.
    pub(crate) fn start() -> Self {
        Self::start_with("sqs,events")
    }

    /// As [`start`](Self::start), with services by their names, a comma between them.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub(crate) fn start_with(services: &str) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("eventcast-localstack-{port}"));
        std::fs::create_dir_all(&folder).expect("the temporary folder is writable");
        let log = File::create(folder.join("log")).expect("the temporary folder is writable");
        let process = Command::new(cache().join("localstack/bin/python"))
            .args(["-m", "localstack.runtime.main"])
            .envs([
                ("GATEWAY_LISTEN", format!("127.0.0.1:{port}")),
                ("SERVICES", services.to_owned()),
                ("EAGER_SERVICE_LOADING", "0".into()),
                ("DISABLE_EVENTS", "1".into()),
                ("SKIP_SSL_CERT_DOWNLOAD", "1".into()),
                ("LOCALSTACK_VOLUME_DIR", folder.display().to_string()),
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            // A process that it starts ends with it.
            .process_group(0)
            .spawn()
            .expect("LocalStack can be started; ./tests/run installs it");
        let localstack = Self {
            port,
            process,
            folder,
        };
        if listens(port) {
            return localstack;
        }
        let log = std::fs::read_to_string(localstack.folder.join("log")).unwrap_or_default();
        panic!("LocalStack accepts no connections on port {port}; its log:\n{log}");
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

impl Drop for LocalStack {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
