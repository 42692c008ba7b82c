//! An issuer on this machine: its key set by https, at addresses of which each has another fault.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// An issuer.
pub(crate) struct KeyServer {
    pub(crate) port: u16,
    /// The certificate of its authority, as a file.
    pub(crate) authority: PathBuf,
    /// Requests so far.
    asked: Arc<AtomicUsize>,
    set: Arc<Mutex<String>>,
    _tasks: JoinSet<()>,
}

impl KeyServer {
    /// Serves a set at `https://localhost:PORT/jwks.json`.
    pub(crate) async fn start(folder: &Path, set: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = folder.join("authority.pem");
        let mut written = std::fs::File::create(&file).unwrap();
        written.write_all(authority.pem().as_bytes()).unwrap();
        let pair = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.signed_by(&pair, &authority).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(pair.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, set) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(Mutex::new(set.to_owned())),
        );
        let mut tasks = JoinSet::new();
        let (count, text) = (Arc::clone(&asked), Arc::clone(&set));
        tasks.spawn(async move {
            let mut open = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, count) = (acceptor.clone(), Arc::clone(&count));
                let text = Arc::clone(&text);
                open.spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else {
                        return;
                    };
                    let mut request = [0; 4_096];
                    let read = stream.read(&mut request).await.unwrap_or(0);
                    let request = String::from_utf8_lossy(&request[..read]).into_owned();
                    count.fetch_add(1, Ordering::SeqCst);
                    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                    let set = text.lock().unwrap().clone();
                    let Some(answer) = answer(&path, &set) else {
                        std::future::pending::<()>().await;
                        return;
                    };
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
        Self {
            port,
            authority: file,
            asked,
            set,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("https://localhost:{}/{path}", self.port)
    }

    /// The number of requests so far.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Serves another set from now on.
    pub(crate) fn publish(&self, set: &str) {
        set.clone_into(&mut self.set.lock().unwrap());
    }
}

/// The answer at a path; `None` for one that never comes.
fn answer(path: &str, set: &str) -> Option<String> {
    let with = |status: &str, header: &str, body: &str| {
        let length = body.len();
        Some(format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n{header}\r\n{body}"
        ))
    };
    match path {
        "/jwks.json" => with("200 OK", "", set),
        "/moved" => with("302 Found", "location: /jwks.json\r\n", ""),
        "/moved-for-ever" => with("308 Permanent Redirect", "location: /jwks.json\r\n", set),
        "/error" => with("500 Internal Server Error", "", set),
        "/huge" => with("200 OK", "", &format!("{set}{}", " ".repeat(300 << 10))),
        "/html" => with("200 OK", "", "<html>sign in</html>"),
        "/empty" => with("200 OK", "", r#"{"keys":[]}"#),
        "/mute" => None,
        _ => with("404 Not Found", "", ""),
    }
}
