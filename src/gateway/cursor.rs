//! Cursors: a client's place in its session's messages.
//!
//! A cursor names the last message that came with it twice: by its number on the connection that
//! the message came from, and by the keys of all messages that the client was given and had not
//! confirmed before. The number is exact and holds on its own connection only; on any other the
//! broker has sent the messages again with other packet identifiers, and the keys identify those
//! that the client has.

use super::seal::{OpenError, Purpose, SealingKeys};
use super::session::SessionSerial;

/// The key of a message: a hash of its payload, its topic and its event's id.
pub type MessageKey = u64;

/// The most keys in a cursor: unacknowledged messages of one connection.
pub const MAX_KEYS: usize = 128;

/// Position of a client in its messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// The connection whose numbers it has.
    pub epoch: u64,
    /// The number of the last message.
    pub number: u64,
    /// Moment when the session's client id connected last, in seconds since 1970.
    pub connected: u64,
    /// The keys of messages that the client has once it has this cursor.
    pub keys: Vec<MessageKey>,
}

impl Cursor {
    /// Seals it for its session.
    pub fn seal(&self, keys: &SealingKeys, serial: SessionSerial, expires: u64) -> String {
        let head = [self.epoch, self.number, self.connected];
        let all = head.iter().chain(&self.keys);
        let plain: Vec<u8> = all.flat_map(|number| number.to_be_bytes()).collect();
        keys.seal(Purpose::Cursor, &serial.0, expires, &plain)
    }

    /// Opens one that was sealed for a session.
    ///
    /// # Errors
    /// [`OpenError`] for anything else.
    pub fn open(
        keys: &SealingKeys,
        serial: SessionSerial,
        text: &str,
        now: u64,
    ) -> Result<Self, OpenError> {
        let plain = keys.open(Purpose::Cursor, &serial.0, text, now)?;
        let (numbers, rest) = plain.as_chunks::<8>();
        let numbers: Vec<u64> = numbers.iter().map(|it| u64::from_be_bytes(*it)).collect();
        let [epoch, number, connected, keys @ ..] = &*numbers else {
            return Err(OpenError::Broken);
        };
        if !rest.is_empty() || keys.len() > MAX_KEYS {
            return Err(OpenError::Broken);
        }
        Ok(Self {
            epoch: *epoch,
            number: *number,
            connected: *connected,
            keys: keys.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::seal::SealingSecret;

    #[test]
    fn cursors_belong_to_their_session() {
        let keys = SealingKeys::try_new(SealingSecret::random().unwrap(), None).unwrap();
        let cursor = Cursor {
            epoch: u64::MAX,
            number: 7,
            connected: 1,
            keys: (0..100).collect(),
        };
        let serial = SessionSerial([1; 8]);
        let text = cursor.seal(&keys, serial, 100);
        assert!(text.len() < 1_300, "{}", text.len());
        assert_eq!(Cursor::open(&keys, serial, &text, 1), Ok(cursor));
        let other = Cursor::open(&keys, SessionSerial([2; 8]), &text, 1);
        assert_eq!(other, Err(OpenError::Broken));
    }
}
