//! Hosts and origins that `eventcast dev` accepts: protection against foreign web pages.
//!
//! Any page in a browser on this machine can reach every local listener, in two ways. With DNS
//! rebinding, a site resolves its own name to a loopback address, and the browser takes the answers
//! for the site's own. The `Host` header still has the site's name, so only names of this machine
//! are accepted. With a cross-site request, the page cannot read the answer, but the request takes
//! effect. The browser sends the page's `Origin`, or at least `Sec-Fetch-Site`. The same-origin
//! policy does not cover WebSockets at all, so the origin is the only protection there.
//!
//! Programs send no `Origin` and are never refused because of it. Credentials are not checked here.
//!
//! Sources: RFC 9110 §7.2 (Host), §15.5.20 (421); RFC 6454 §7 and the Fetch Standard, "`Origin`
//! header"; RFC 6455 §10.2; W3C "Fetch Metadata Request Headers", §2; RFC 6761 §6.3 (`localhost`).

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, Uri};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Values of `Sec-Fetch-Site` for requests that no page of another site has sent.
const NEAR: [&[u8]; 3] = [b"same-origin", b"same-site", b"none"];

/// Rules for the hosts of requests, and for the web pages that may send them.
#[derive(Clone, Debug)]
pub struct AllowedSites {
    /// Address of the listeners.
    bound: IpAddr,
    hosts: Vec<AllowedHost>,
    origins: Vec<AllowedOrigin>,
}

/// Host name, in lower case, without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedHost(Box<str>);

/// Origin as browsers send it (`https://app.example:8443`), in lower case, or `null`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowedOrigin(Box<str>);

/// Reason why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SiteRefusal {
    /// `Host` is missing or repeated.
    #[error("the request must have one Host header (RFC 9112 §3.2)")]
    NoHost,
    /// The host is not a name of this machine.
    #[error(
        "host `{0}` is not a name of this machine; start `eventcast dev` with `--allow-host {0}` to answer to it"
    )]
    Host(String),
    /// The page that sent the request has a foreign origin.
    #[error(
        "a web page of origin `{0}` may not call this; start `eventcast dev` with `--allow-origin {0}` to let it"
    )]
    Origin(String),
    /// A foreign page sent the request, and the browser does not name it.
    #[error("a web page of another site may not call this (Sec-Fetch-Site: cross-site)")]
    CrossSite,
}

impl SiteRefusal {
    /// Returns the HTTP status of the refusal.
    pub(in crate::dev) const fn status(&self) -> StatusCode {
        match self {
            Self::NoHost => StatusCode::BAD_REQUEST,
            Self::Host(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Origin(_) | Self::CrossSite => StatusCode::FORBIDDEN,
        }
    }
}

impl AllowedHost {
    /// Parses the value of a flag.
    ///
    /// # Errors
    /// The text is not a bare name or address; one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let authority = if text.parse::<std::net::Ipv6Addr>().is_ok() {
            format!("[{text}]")
        } else {
            text.to_owned()
        };
        let parsed = authority.parse::<Authority>().ok();
        let name =
            parsed.filter(|parsed| parsed.port().is_none() && !authority.contains(['@', '*']));
        let name = name.ok_or_else(|| {
            "a host name is expected, without scheme, port and path, such as dev or host.docker.internal"
                .to_owned()
        })?;
        Ok(Self(normal(name.host())))
    }
}

impl AllowedOrigin {
    /// Parses the value of a flag.
    ///
    /// # Errors
    /// The text is not an origin; one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim_end_matches('/').to_ascii_lowercase();
        if lower == "null" {
            return Ok(Self("null".into()));
        }
        let expected = || {
            "an origin is expected, scheme://host or scheme://host:port without a path, such as http://localhost:5173, or `null`"
                .to_owned()
        };
        let (scheme, rest) = lower.split_once("://").ok_or_else(expected)?;
        let authority = rest
            .parse::<Authority>()
            .ok()
            .filter(|_| !rest.contains(['@', '*', '/']));
        if scheme.is_empty() || authority.is_none() {
            return Err(expected());
        }
        // Browsers omit the default port of the scheme.
        let usual = match scheme {
            "http" | "ws" => ":80",
            "https" | "wss" => ":443",
            _ => "",
        };
        let rest = if usual.is_empty() {
            rest
        } else {
            rest.strip_suffix(usual).unwrap_or(rest)
        };
        Ok(Self(format!("{scheme}://{rest}").into()))
    }
}

impl Default for AllowedSites {
    /// Rules for the loopback interface alone.
    fn default() -> Self {
        Self::new(
            IpAddr::V4(std::net::Ipv4Addr::LOCALHOST),
            Vec::new(),
            Vec::new(),
        )
    }
}

impl AllowedSites {
    /// Rules for ports that are bound to an address, with further names and origins.
    pub fn new(bound: IpAddr, hosts: Vec<AllowedHost>, origins: Vec<AllowedOrigin>) -> Self {
        Self {
            bound,
            hosts,
            origins,
        }
    }

    /// Checks the head of a request.
    ///
    /// # Errors
    /// A page of another site sent the request, or its host is another machine's name.
    pub(in crate::dev) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), SiteRefusal> {
        let host = self.host(uri, headers)?;
        let mut origins = headers.get_all(ORIGIN).iter();
        if let Some(origin) = origins.next() {
            let text = String::from_utf8_lossy(origin.as_bytes()).into_owned();
            return match origins.next() {
                None if self.is_allowed_origin(&text, &host) => Ok(()),
                _ => Err(SiteRefusal::Origin(text)),
            };
        }
        let is = |name: &HeaderName, value: &str| {
            let mut sent = headers.get_all(name).iter();
            sent.next().is_some_and(|sent| sent == value) && sent.next().is_none()
        };
        // A link to the page may be followed from anywhere.
        let is_navigation =
            method == Method::GET && is(&FETCH_MODE, "navigate") && is(&FETCH_DEST, "document");
        if is_cross_site(headers) && !is_navigation {
            return Err(SiteRefusal::CrossSite);
        }
        Ok(())
    }

    /// Returns the origin of a request, where its pages may also read answers.
    pub(crate) fn readable_by<'h>(&self, headers: &'h HeaderMap) -> Option<&'h str> {
        let origin = headers.get(ORIGIN)?.to_str().ok()?;
        self.lists(origin).then_some(origin)
    }

    /// Returns the host of a request, if it is a name of this machine.
    fn host(&self, uri: &Uri, headers: &HeaderMap) -> Result<Box<str>, SiteRefusal> {
        let mut hosts = headers.get_all(HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(SiteRefusal::NoHost);
        };
        let host = String::from_utf8_lossy(host.as_bytes());
        // The absolute form of a request target takes precedence over the header (RFC 9112 §3.2.2);
        // here both must be right.
        let target = uri.authority().map(Authority::as_str);
        for text in target.into_iter().chain([&*host]) {
            if !host_of(text).is_some_and(|name| self.is_own_name(&name)) {
                return Err(SiteRefusal::Host(name_only(text)));
            }
        }
        host_of(&host).ok_or(SiteRefusal::NoHost)
    }

    fn is_own_name(&self, host: &str) -> bool {
        match address(host) {
            // DNS rebinding needs a name; an address in the Host header is the one that the browser
            // connected to. A listener on all interfaces accepts any address.
            Some(address) => {
                address.is_loopback()
                    || self.bound.is_unspecified()
                    || address == self.bound
                    || self.has_host(host)
            }
            None => is_localhost(host) || self.has_host(host),
        }
    }

    /// Accepts pages from this machine, from the host of the request, and from listed origins.
    fn is_allowed_origin(&self, origin: &str, host: &str) -> bool {
        if self.lists(origin) {
            return true;
        }
        let name = origin.split_once("://").and_then(|(_, rest)| host_of(rest));
        name.is_some_and(|name| {
            let is_here = address(&name).is_some_and(|address| {
                address.is_loopback() || address.is_unspecified() || address == self.bound
            });
            is_here || is_localhost(&name) || *name == *host || self.has_host(&name)
        })
    }

    fn lists(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        self.origins
            .iter()
            .any(|AllowedOrigin(allowed)| **allowed == *origin)
    }

    fn has_host(&self, host: &str) -> bool {
        self.hosts
            .iter()
            .any(|AllowedHost(allowed)| **allowed == *host)
    }
}

/// Returns `true` where a page of another site may have sent a request, by `Sec-Fetch-Site`.
/// Programs omit the header; an unknown or repeated value counts as another site's.
pub(in crate::dev) fn is_cross_site(headers: &HeaderMap) -> bool {
    headers.get_all(FETCH_SITE).iter().any(|line| {
        line.as_bytes().split(|byte| *byte == b',').any(|value| {
            let value = value.trim_ascii();
            !NEAR.iter().any(|near| value.eq_ignore_ascii_case(near))
        })
    })
}

/// Returns the host of `host` or `host:port`, normalized.
fn host_of(authority: &str) -> Option<Box<str>> {
    let parsed = authority.parse::<Authority>().ok()?;
    let host = parsed.host();
    (!authority.contains('@') && !host.is_empty()).then(|| normal(host))
}

/// Normalizes a name: lower case, without the dot of the root, an IPv6 address without brackets.
fn normal(host: &str) -> Box<str> {
    let host = host.strip_suffix('.').unwrap_or(host);
    host.trim_matches(['[', ']']).to_ascii_lowercase().into()
}

/// Returns a name in the form that a flag accepts, from text that may be no host at all.
fn name_only(authority: &str) -> String {
    host_of(authority).map_or_else(|| authority.to_owned(), String::from)
}

fn address(host: &str) -> Option<IpAddr> {
    host.parse::<IpAddr>()
        .ok()
        .map(|address| address.to_canonical())
}

fn is_localhost(host: &str) -> bool {
    host == "localhost" || host.ends_with(".localhost")
}

#[cfg(test)]
#[path = "sites/tests.rs"]
mod tests;
