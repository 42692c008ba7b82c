//! Files that arguments name, with `-` for standard input, read up to a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// The most bytes that are read of a file, unless its kind has a bound of its own: several times
/// the largest event, policy, key set or bundle of certificates.
pub(super) const INPUT_BYTES: usize = 4 << 20;

/// The most bytes of a list with a line for each of many things, such as policies.
#[cfg(feature = "admin")]
pub(super) const LIST_BYTES: usize = 256 << 20;

/// `true` once standard input has been read: it gives its bytes once.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Returns `true` for the name of standard input.
pub(super) fn is_standard(name: &Path) -> bool {
    name.as_os_str() == "-"
}

/// A name for messages.
pub(super) fn shown(name: &Path) -> String {
    if is_standard(name) {
        "standard input".to_owned()
    } else {
        name.display().to_string()
    }
}

/// Reads a file, or standard input for `-`, of at most `limit` bytes.
pub(super) fn read(name: &Path, limit: usize) -> io::Result<Vec<u8>> {
    if !is_standard(name) {
        return bounded(File::open(name)?, limit);
    }
    if TAKEN.swap(true, Relaxed) {
        return Err(io::Error::other(
            "`-` is given twice, and standard input can be read once",
        ));
    }
    bounded(io::stdin().lock(), limit)
}

/// Reads as [`read`] does, for text.
pub(super) fn read_text(name: &Path, limit: usize) -> io::Result<String> {
    as_text(read(name, limit)?)
}

/// All text of a reader, of at most `limit` bytes.
pub(super) fn text_of(source: impl Read, limit: usize) -> io::Result<String> {
    as_text(bounded(source, limit)?)
}

fn as_text(bytes: Vec<u8>) -> io::Result<String> {
    String::from_utf8(bytes).map_err(|error| {
        let read = error.as_bytes();
        let before = read
            .get(..error.utf8_error().valid_up_to())
            .unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        io::Error::other(format!("it is not UTF-8 (line {line})"))
    })
}

/// All bytes of a reader, of which there may be `limit`. No more than one further byte is read.
pub(super) fn bounded(source: impl Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        return Err(io::Error::other(format!(
            "it has more than {limit} bytes, which is the most that is read"
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds() {
        assert_eq!(bounded(&b"four"[..], 4).unwrap(), b"four");
        let error = bounded(io::repeat(b'x'), 4).unwrap_err();
        assert!(error.to_string().contains("more than 4 bytes"));
        assert_eq!(text_of(&b"four"[..], 4).unwrap(), "four");
        assert!(text_of(io::repeat(b'x'), 4).is_err());
        let error = text_of(&b"a\nb\xff"[..], 4).unwrap_err();
        assert_eq!(error.to_string(), "it is not UTF-8 (line 2)");
    }
}
