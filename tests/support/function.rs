//! A folder with a configuration and an issuer's key, and the custom authorizer's programs that run
//! in it.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that fails should say where"
)]

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use eventcast::authorizer::key::TokenSigner;
use eventcast::authorizer::token::mint;
use jiff::Timestamp;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};

use crate::runtime_api::RuntimeApi;
use crate::shop::{CUSTOMER, ORDER, configuration};

pub(crate) const ROLES: &str = r#"
roles:
  customer:
    bind: user:{claims.sub}
    subscribe: ["user:{claims.sub}", "order:{claims.orders[*]}"]
"#;

/// A folder with an issuer's key, removed at the end.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pair: KeyPair,
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl Folder {
    pub(crate) fn new(authorizer: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("eventcast-authorizer-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap();
        fs::write(path.join("issuer.pem"), pair.public_key_pem()).unwrap();
        let folder = Self { path, pair };
        folder.configure(authorizer);
        folder
    }

    pub(crate) fn configure(&self, authorizer: &str) {
        let text = configuration(&format!("{ROLES}{authorizer}"));
        fs::write(self.path.join("eventcast.yaml"), text).unwrap();
    }

    pub(crate) fn set(&self, id: &str) -> String {
        let raw = self.pair.public_key_raw();
        let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "keys": [{ "kty": "EC", "crv": "P-256", "kid": id, "x": part(&raw[1..33]), "y": part(&raw[33..65]) }] })
            .to_string()
    }

    pub(crate) fn token(&self, id: Option<&str>, changes: Value) -> String {
        let mut claims = json!({ "sub": CUSTOMER, "role": "customer", "orders": [ORDER] });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let key = TokenSigner::parse(&self.pair.serialize_pem(), id.map(str::to_owned)).unwrap();
        let claims = claims.as_object().unwrap().clone();
        let minted = mint(claims, &key, Timestamp::now(), Duration::from_secs(3_600));
        minted.unwrap_or_else(|error| panic!("{error}")).token
    }

    /// `eventcast authorizer invoke`, or another command, in the folder.
    pub(crate) fn eventcast(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
        input: &str,
    ) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast"));
        command.args(arguments).current_dir(&self.path).env_clear();
        let mut child = command
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap()
    }

    pub(crate) fn invoke(&self, variables: &[(&str, &str)], event: &Value) -> (Option<i32>, Value) {
        let arguments = ["authorizer", "invoke", "--format", "json", "-"];
        let output = self.eventcast(&arguments, variables, &event.to_string());
        let text = String::from_utf8_lossy(&output.stdout);
        let read = serde_json::from_str(&text);
        let messages = String::from_utf8_lossy(&output.stderr);
        let answer = read.unwrap_or_else(|error| panic!("{error}: {text}{messages}"));
        (output.status.code(), answer)
    }

    pub(crate) fn function(&self, api: &RuntimeApi, variables: &[(&str, String)]) -> Function {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eventcast-authorizer"));
        api.environment(&mut command);
        let log = self.path.join("log");
        let file = fs::File::create(&log).unwrap();
        command
            .envs(variables.iter().map(|(name, value)| (*name, value)))
            .current_dir(&self.path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file);
        Function {
            process: command.spawn().unwrap(),
            log,
        }
    }
}

/// A running function; killed when dropped.
pub(crate) struct Function {
    pub(crate) process: Child,
    pub(crate) log: PathBuf,
}

impl Function {
    pub(crate) fn decisions(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.log).unwrap();
        let lines = text.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            line
        });
        lines
            .filter(|line| line["decision"] != Value::Null)
            .collect()
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
