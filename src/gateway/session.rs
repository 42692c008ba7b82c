//! Sessions, as clients carry them: all that it takes to serve one from any task.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

use super::bearer::TokenHash;
use super::seal::{OpenError, Purpose, SealingKeys};

/// Serial number that distinguishes two sessions, of one client id as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionSerial(pub(super) [u8; 8]);

/// A session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewaySession {
    /// Its identity.
    pub serial: SessionSerial,
    /// Its owner.
    pub principal: Box<str>,
    /// Its client id at the broker.
    pub client_id: Box<str>,
    /// The token that the broker accepted.
    pub token: TokenHash,
    /// `true` where the client brought the client id, and connects with it by itself as well: the
    /// broker's session outlives this one.
    pub adopts: bool,
    /// Moment when it ends, in seconds since 1970.
    pub expires: u64,
    /// Its channels, as the client names them.
    pub channels: Vec<Box<str>>,
}

/// The sealed form. Names are short: clients carry it with every request.
#[derive(Serialize, Deserialize)]
struct SealedSession<'a> {
    s: std::borrow::Cow<'a, str>,
    p: std::borrow::Cow<'a, str>,
    i: std::borrow::Cow<'a, str>,
    t: std::borrow::Cow<'a, str>,
    e: u64,
    a: bool,
    c: Vec<std::borrow::Cow<'a, str>>,
}

/// Random bytes of the operating system; `None` where it has none.
pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(bytes)
}

impl GatewaySession {
    /// Seals it until it ends.
    pub fn seal(&self, keys: &SealingKeys) -> String {
        let written = SealedSession {
            s: URL_SAFE_NO_PAD.encode(self.serial.0).into(),
            p: (&*self.principal).into(),
            i: (&*self.client_id).into(),
            t: URL_SAFE_NO_PAD.encode(self.token.0).into(),
            e: self.expires,
            a: self.adopts,
            c: self.channels.iter().map(|name| (&**name).into()).collect(),
        };
        // Texts and lists of texts are JSON.
        let plain = serde_json::to_vec(&written).unwrap_or_default();
        keys.seal(Purpose::Session, b"", self.expires, &plain)
    }

    /// Opens one.
    ///
    /// # Errors
    /// [`OpenError`] for text that is no session, or that has expired `now`.
    pub fn open(keys: &SealingKeys, text: &str, now: u64) -> Result<Self, OpenError> {
        let plain = keys.open(Purpose::Session, b"", text, now)?;
        let written: SealedSession<'_> =
            serde_json::from_slice(&plain).map_err(|_| OpenError::Broken)?;
        let bytes = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
        let serial = bytes(&written.s).and_then(|bytes| bytes.try_into().ok());
        let token = bytes(&written.t).and_then(|bytes| bytes.try_into().ok());
        let names = written.c.into_iter();
        Ok(Self {
            serial: SessionSerial(serial.ok_or(OpenError::Broken)?),
            principal: written.p.into(),
            client_id: written.i.into(),
            expires: written.e,
            adopts: written.a,
            token: TokenHash(token.ok_or(OpenError::Broken)?),
            channels: names.map(|name| name.into_owned().into()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::seal::SealingSecret;

    #[test]
    fn sessions_open_again() {
        let keys = SealingKeys::try_new(SealingSecret::random().unwrap(), None).unwrap();
        let session = GatewaySession {
            serial: SessionSerial(random().unwrap()),
            principal: "ann \"x\"".into(),
            client_id: "ann-1".into(),
            expires: 100,
            adopts: true,
            token: TokenHash(random().unwrap()),
            channels: vec!["order:1".into(), "tenant/+/é".into()],
        };
        let text = session.seal(&keys);
        assert_eq!(GatewaySession::open(&keys, &text, 99), Ok(session));
        assert_eq!(
            GatewaySession::open(&keys, &text, 100),
            Err(OpenError::Expired)
        );
        let cursor = keys.seal(Purpose::Cursor, b"", 100, b"{}");
        assert_eq!(
            GatewaySession::open(&keys, &cursor, 1),
            Err(OpenError::Broken)
        );
    }
}
