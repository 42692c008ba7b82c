//! A broker under a test's control: it takes one MQTT 5 connection at a time and answers nothing by
//! itself but CONNECT.
//!
//! It reads and writes the few packets that it needs by hand (MQTT 5.0, sections 2 and 3), so that
//! it shares no code with the client under test.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "each test uses a part of it, and a test that fails should say where"
)]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const CONNECT: u8 = 1;
const PUBLISH: u8 = 3;
pub(crate) const PING: u8 = 12;

/// The listener.
pub(crate) struct ScriptedBroker(TcpListener);

impl ScriptedBroker {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind(("127.0.0.1", 0)).await.unwrap())
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Takes the next connection and accepts it, with properties of CONNACK as they stand on the
    /// wire.
    pub(crate) async fn accept(&self, properties: &[u8]) -> Session {
        let mut stream = self.0.accept().await.unwrap().0;
        let (kind, _, _) = packet(&mut stream).await.expect("a CONNECT");
        assert_eq!(kind, CONNECT);
        let length = u8::try_from(properties.len()).unwrap();
        let mut answer = vec![0x20, length + 3, 0, 0, length];
        answer.extend_from_slice(properties);
        stream.write_all(&answer).await.unwrap();
        Session(stream)
    }

    /// Takes the next connection and accepts it, with the client id that its CONNECT names (MQTT
    /// 5.0, section 3.1.3.1).
    pub(crate) async fn accept_and_name(&self) -> (String, Session) {
        let mut stream = self.0.accept().await.unwrap().0;
        let (_, _, body) = packet(&mut stream).await.expect("a CONNECT");
        // Protocol name, version, flags, keep alive; then properties, shorter than 128 bytes, and
        // the id.
        let at = 11 + usize::from(body[10]);
        let length = usize::from(u16::from_be_bytes([body[at], body[at + 1]]));
        let id = body[at + 2..at + 2 + length].to_vec();
        stream.write_all(&[0x20, 3, 0, 0, 0]).await.unwrap();
        (String::from_utf8(id).unwrap(), Session(stream))
    }

    /// Takes the next connection, answers its CONNECT with some bytes, and closes it.
    pub(crate) async fn answer(&self, bytes: &[u8]) {
        let mut stream = self.0.accept().await.unwrap().0;
        packet(&mut stream).await.expect("a CONNECT");
        stream.write_all(bytes).await.unwrap();
    }

    /// Takes the next connection and refuses it.
    pub(crate) async fn refuse(&self, reason: u8) {
        let mut stream = self.0.accept().await.unwrap().0;
        packet(&mut stream).await.expect("a CONNECT");
        stream.write_all(&[0x20, 3, 0, reason, 0]).await.unwrap();
    }
}

/// One accepted connection; dropping it drops the connection.
pub(crate) struct Session(TcpStream);

/// A publication as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// Its packet identifier; 0 with QoS 0.
    pub(crate) id: u16,
    pub(crate) topic: String,
    pub(crate) retain: bool,
}

impl Session {
    /// The next publication; `None` when the client has gone.
    pub(crate) async fn next(&mut self) -> Option<Published> {
        loop {
            let (kind, flags, body) = packet(&mut self.0).await?;
            match kind {
                PUBLISH => {
                    let qos = (flags & 0b110) >> 1;
                    assert!(qos < 2, "QoS {qos}");
                    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    let topic = String::from_utf8(body[2..2 + length].to_vec()).unwrap();
                    let id = match qos {
                        0 => 0,
                        _ => u16::from_be_bytes([body[2 + length], body[3 + length]]),
                    };
                    let retain = flags & 1 == 1;
                    return Some(Published { id, topic, retain });
                }
                PING => self.0.write_all(&[0xd0, 0]).await.unwrap(),
                _ => {}
            }
        }
    }

    /// Several publications.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Published> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await.expect("more publications"));
        }
        taken
    }

    /// The client's next packet of any kind; `None` when the client has gone.
    pub(crate) async fn next_kind(&mut self) -> Option<u8> {
        Some(packet(&mut self.0).await?.0)
    }

    /// Ends the connection with a reason code.
    pub(crate) async fn disconnect(mut self, reason: u8) {
        self.0.write_all(&[0xe0, 2, reason, 0]).await.unwrap();
    }

    /// Acknowledges a publication with a reason code.
    pub(crate) async fn acknowledge(&mut self, id: u16, reason: u8) {
        let [high, low] = id.to_be_bytes();
        self.0
            .write_all(&[0x40, 4, high, low, reason, 0])
            .await
            .unwrap();
    }
}

/// Kind, flags and body of one packet; `None` at the end of the connection.
async fn packet(stream: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let first = stream.read_u8().await.ok()?;
    let mut length = 0;
    for shift in [0, 7, 14, 21] {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((first >> 4, first & 0x0f, body))
}
