//! Receipt handles: one for each receive of each message, and of no use to another queue.
//!
//! A handle names the queue by a random number that each queue draws when it is made, so that the
//! handles of a deleted queue are not those of its successor with the same name.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::message::SequenceNumber;

/// The bytes of a handle before they are written as Base64.
const BYTES: usize = 20;

/// One receive of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReceiptHandle {
    /// The queue's own number.
    pub(super) queue: u64,
    pub(super) sequence: SequenceNumber,
    /// The receive, counted from 1.
    pub(super) lease: u32,
}

impl ReceiptHandle {
    pub(super) fn encode(self) -> String {
        let mut bytes = [0; BYTES];
        let parts = self.queue.to_be_bytes().into_iter();
        let parts = parts.chain(self.sequence.to_be_bytes());
        let parts = parts.chain(self.lease.to_be_bytes());
        for (byte, part) in bytes.iter_mut().zip(parts) {
            *byte = part;
        }
        STANDARD.encode(bytes)
    }

    /// The handle in a text; `None` for any other text.
    pub(super) fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; BYTES] = STANDARD.decode(text).ok()?.try_into().ok()?;
        let (queue, rest) = bytes.split_first_chunk()?;
        let (sequence, rest) = rest.split_first_chunk()?;
        Some(Self {
            queue: u64::from_be_bytes(*queue),
            sequence: u64::from_be_bytes(*sequence),
            lease: u32::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_are_read_as_they_were_written() {
        let handle = ReceiptHandle {
            queue: u64::MAX - 1,
            sequence: 7,
            lease: 3,
        };
        assert_eq!(ReceiptHandle::decode(&handle.encode()), Some(handle));
        for other in [
            ReceiptHandle { queue: 1, ..handle },
            ReceiptHandle {
                sequence: 8,
                ..handle
            },
            ReceiptHandle { lease: 4, ..handle },
        ] {
            assert_ne!(other.encode(), handle.encode());
        }
        for text in ["", "garbage", "7-3", "AAAA", &handle.encode()[1..]] {
            assert_eq!(ReceiptHandle::decode(text), None, "{text}");
        }
    }
}
