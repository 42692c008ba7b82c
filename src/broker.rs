//! Address of an MQTT broker, as a URL has it: `mqtt://`, `mqtts://`, `ws://`, `wss://`.

use std::fmt;

/// An MQTT broker's address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerAddress {
    /// Transport of the connection.
    pub transport: Transport,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The path of a WebSocket, such as `/mqtt`; empty for other transports.
    pub path: String,
}

/// Transports of MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// MQTT over TCP.
    Tcp,
    /// MQTT over TLS.
    Tls,
    /// MQTT over WebSocket.
    WebSocket,
    /// MQTT over WebSocket over TLS.
    SecureWebSocket,
}

impl Transport {
    const ALL: [Self; 4] = [Self::Tcp, Self::Tls, Self::WebSocket, Self::SecureWebSocket];

    /// The URL's scheme.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Tcp => "mqtt",
            Self::Tls => "mqtts",
            Self::WebSocket => "ws",
            Self::SecureWebSocket => "wss",
        }
    }

    /// The port unless a URL names one (IANA's registry of ports).
    pub fn usual_port(self) -> u16 {
        match self {
            Self::Tcp => 1883,
            Self::Tls => 8883,
            Self::WebSocket => 80,
            Self::SecureWebSocket => 443,
        }
    }

    /// Returns `true` where TLS protects the connection.
    pub fn is_secure(self) -> bool {
        matches!(self, Self::Tls | Self::SecureWebSocket)
    }

    /// Returns `true` where MQTT runs inside a WebSocket.
    pub fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::SecureWebSocket)
    }
}

/// Path at which IoT Core, and most brokers, take WebSockets.
const WEBSOCKET_PATH: &str = "/mqtt";

impl BrokerAddress {
    /// Reads `SCHEME://HOST[:PORT][/PATH]`; a path only for WebSockets. `None` where it is anything else.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let transport = Transport::ALL
            .into_iter()
            .find(|transport| transport.scheme() == scheme)?;
        let (address, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = match (transport.is_websocket(), path) {
            (true, "" | "/") => WEBSOCKET_PATH,
            (true, path) => path,
            (false, "" | "/") => "",
            (false, _) => return None,
        };
        // An IPv6 address is in brackets.
        let (host, port) = match address.strip_prefix('[') {
            Some(rest) => rest.split_once(']')?,
            None => address.split_at(address.find(':').unwrap_or(address.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None if port.is_empty() => transport.usual_port(),
            None => return None,
        };
        let odd = |c: char| c.is_whitespace() || matches!(c, '@' | '?' | '#');
        (!host.is_empty() && !rest.contains(odd)).then(|| Self {
            transport,
            host: host.to_owned(),
            port,
            path: path.to_owned(),
        })
    }

    /// Host and port as the `Host` header has them: the port of the scheme is left out.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        if self.port == self.transport.usual_port() {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            transport, path, ..
        } = self;
        write!(f, "{}://{}{path}", transport.scheme(), self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, host: &str, port: u16, path: &str) {
        let broker = BrokerAddress::parse(url).unwrap();
        assert_eq!(
            (&*broker.host, broker.port, &*broker.path),
            (host, port, path)
        );
        assert_eq!(BrokerAddress::parse(&broker.to_string()), Some(broker));
    }

    #[test]
    fn urls() {
        check("mqtt://broker", "broker", 1883, "");
        check("mqtt://127.0.0.1:1885/", "127.0.0.1", 1885, "");
        check("mqtt://[::1]:1885", "::1", 1885, "");
        check("mqtts://[::1]", "::1", 8883, "");
        check("mqtts://x.example:443", "x.example", 443, "");
        check("ws://x", "x", 80, "/mqtt");
        check("wss://x:8443/", "x", 8443, "/mqtt");
        check("wss://x/a/b", "x", 443, "/a/b");
        for bad in [
            "",
            "x",
            "http://x",
            "mqtt://",
            "mqtt://:1883",
            "mqtt://a:b",
            "mqtt://a:0",
            "mqtt://a:70000",
            "mqtt://u@h",
            "mqtt://a/b",
            "mqtt://[::1",
            "mqtt://[::1]x",
            "ws://a/b?c",
        ] {
            assert_eq!(BrokerAddress::parse(bad), None, "{bad}");
        }
    }
}
