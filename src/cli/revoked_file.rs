//! A list of revoked subjects and tokens in a file: JSON lines, read when it is asked for.
//!
//! ```json
//! {"subject": "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11", "issued_before": 1795770000}
//! {"token": "a0c1…", "expires": 1795773600}
//! ```

use std::path::PathBuf;

use serde::Deserialize;

use super::input;
use crate::port::{RevocationAnswer, RevocationList, RevokedEntry};

/// The most bytes of a list: about 100,000 entries.
const MAX_BYTES: usize = 16 << 20;

/// The file of a list.
#[derive(Debug)]
pub(super) struct RevokedFile(pub(super) PathBuf);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevokedLine {
    subject: Option<String>,
    token: Option<String>,
    issued_before: Option<i64>,
    expires: Option<i64>,
}

impl RevocationList for RevokedFile {
    fn find<'a>(&'a self, ids: &'a [String]) -> RevocationAnswer<'a> {
        Box::pin(async move {
            let path = self.0.clone();
            let read = tokio::task::spawn_blocking(move || input::read_text(&path, MAX_BYTES));
            let text = read.await.map_err(|error| error.to_string())?;
            let text = text.map_err(|error| format!("`{}`: {error}", self.0.display()))?;
            let mut all = entries(&text)
                .map_err(|(line, why)| format!("`{}`, line {line}: {why}", self.0.display()))?;
            all.retain(|entry| ids.contains(&entry.id));
            Ok(all)
        })
    }
}

/// The entries of a list, or the first line that is none.
fn entries(text: &str) -> Result<Vec<RevokedEntry>, (usize, String)> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let failed = |why: String| (index + 1, why);
        let line: RevokedLine =
            serde_json::from_str(line).map_err(|error| failed(error.to_string()))?;
        let id = match (line.subject, line.token) {
            (Some(subject), None) => format!("subject:{subject}"),
            (None, Some(token)) => format!("token:{token}"),
            _ => return Err(failed("either `subject` or `token` is wanted".into())),
        };
        entries.push(RevokedEntry {
            id,
            issued_before: line.issued_before,
            expires: line.expires,
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_line_by_line() {
        let read = entries(
            "{\"subject\":\"a b\",\"issued_before\":7}\n\n{\"token\":\"x\",\"expires\":9}\n",
        );
        let entry = |id: &str, issued_before, expires| RevokedEntry {
            id: id.into(),
            issued_before,
            expires,
        };
        assert_eq!(
            read.unwrap(),
            [
                entry("subject:a b", Some(7), None),
                entry("token:x", None, Some(9))
            ]
        );
        for (text, line) in [
            ("{\"subject\":\"a\"}\nb", 2),
            ("{}", 1),
            ("{\"subject\":\"a\",\"token\":\"b\"}", 1),
            ("{\"subjct\":\"a\"}", 1),
            ("\n{\"subject\":7}", 2),
        ] {
            assert_eq!(entries(text).unwrap_err().0, line, "{text}");
        }
    }
}
