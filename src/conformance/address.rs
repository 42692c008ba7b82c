//! Addresses of gateways: `https://HOST[:PORT][/PATH]`, of which `/rt/v1` is the path unless
//! another is given.

use std::fmt;

/// The path at which a gateway serves.
const BASE_PATH: &str = "/rt/v1";

/// The address of a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAddress {
    /// `true` where TLS protects it.
    pub is_secure: bool,
    /// Host name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The path before `/session`, without a slash at its end.
    pub base: String,
}

impl GatewayAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// A sentence that says what is accepted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            "http:// or https://, a host, and perhaps a port and a path is accepted, such as https://rt.example.com".to_owned()
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let is_secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong()),
        };
        let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '@' | '?' | '#');
        if rest.contains(odd) {
            return Err(wrong());
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => rest.split_once(']').ok_or_else(wrong)?,
            None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
        };
        let port = match port.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port > 0),
            None if port.is_empty() => Some(if is_secure { 443 } else { 80 }),
            None => None,
        };
        let path = path.trim_end_matches('/');
        let base = match path.ends_with(BASE_PATH) {
            true => path.to_owned(),
            false => format!("{path}{BASE_PATH}"),
        };
        if host.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            is_secure,
            host: host.to_owned(),
            port: port.ok_or_else(wrong)?,
            base,
        })
    }

    /// The value of a Host header: without the scheme's own port (RFC 9110, section 7.2).
    pub(super) fn host_header(&self) -> String {
        let host = match self.host.contains(':') {
            true => format!("[{}]", self.host),
            false => self.host.clone(),
        };
        let usual = if self.is_secure { 443 } else { 80 };
        match self.port == usual {
            true => host,
            false => format!("{host}:{}", self.port),
        }
    }

    /// The origin of web pages that the gateway itself serves.
    pub fn origin(&self) -> String {
        let scheme = if self.is_secure { "https" } else { "http" };
        format!("{scheme}://{}", self.host_header())
    }
}

impl fmt::Display for GatewayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.base)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str) {
        assert_eq!(GatewayAddress::parse(text).unwrap().to_string(), shown);
    }

    #[test]
    fn addresses() {
        check("http://127.0.0.1:4566", "http://127.0.0.1:4566/rt/v1");
        check("https://rt.example.com/", "https://rt.example.com/rt/v1");
        check("https://rt.example.com:443", "https://rt.example.com/rt/v1");
        check("http://h/rt/v1/", "http://h/rt/v1");
        check("https://h/live", "https://h/live/rt/v1");
        check("http://[::1]:8080", "http://[::1]:8080/rt/v1");
    }

    #[test]
    fn others_are_refused() {
        for text in [
            "127.0.0.1:4566",
            "ws://h",
            "http://",
            "http://:80",
            "http://h:0",
            "http://h:x",
            "http://[::1",
            "http://[::1]x",
            "http://u:p@h",
            "http://h/?token=x",
            "http://h\n",
        ] {
            let error = GatewayAddress::parse(text).unwrap_err();
            assert!(error.contains("is accepted"), "{text}: {error}");
        }
    }
}
