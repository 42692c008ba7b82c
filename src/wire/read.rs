//! Reading the data types of MQTT (5.0, section 1.5) from bytes that have arrived. Nothing is copied.

use super::ProtocolError;

/// Rest of a packet, still to be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct PacketReader<'a>(pub(super) &'a [u8]);

const SHORT: ProtocolError = ProtocolError::malformed("the packet ends too early");

impl<'a> PacketReader<'a> {
    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// One byte.
    pub(super) fn byte(&mut self) -> Result<u8, ProtocolError> {
        self.array::<1>().map(|[byte]| byte)
    }

    /// A two byte integer.
    pub(super) fn two(&mut self) -> Result<u16, ProtocolError> {
        self.array().map(u16::from_be_bytes)
    }

    /// A four byte integer.
    pub(super) fn four(&mut self) -> Result<u32, ProtocolError> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer, in as few bytes as it can be.
    pub(super) fn variable(&mut self) -> Result<u32, ProtocolError> {
        let mut value = 0;
        for at in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                return match (byte, at) {
                    (0, 1..) => Err(ProtocolError::malformed(
                        "a number with more bytes than it needs",
                    )),
                    _ => Ok(value),
                };
            }
        }
        Err(ProtocolError::malformed("a number of more than four bytes"))
    }

    /// Binary data with its length before it.
    pub(super) fn binary(&mut self) -> Result<&'a [u8], ProtocolError> {
        let length = self.two()?;
        self.take(usize::from(length))
    }

    /// Text with its length before it: UTF-8 without the null character (section 1.5.4).
    pub(super) fn text(&mut self) -> Result<&'a str, ProtocolError> {
        let text = std::str::from_utf8(self.binary()?)
            .map_err(|_| ProtocolError::malformed("a text is not UTF-8"))?;
        if memchr::memchr(0, text.as_bytes()).is_some() {
            return Err(ProtocolError::malformed("a text has the null character"));
        }
        Ok(text)
    }

    /// The block of properties at this place, as it is.
    pub(super) fn properties(&mut self) -> Result<&'a [u8], ProtocolError> {
        let length = self.variable()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }
}
