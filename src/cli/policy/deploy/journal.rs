//! The journal of a bulk run: the finished items, so that a rerun skips it without a call.
//!
//! A line for each policy that is as asked for, written when it is: its name and a digest of all
//! that was asked. A request that has changed since then has another digest, and is done again. A
//! line that an interruption cut off is dropped.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::list::UnreadableList;
use crate::cli::input::{self, LIST_BYTES};

/// The subject of a journal, in its first line.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct JournalHeading {
    /// The command, such as `policy apply`.
    pub(super) journal: String,
    pub(super) account: String,
    pub(super) region: String,
}

#[derive(Deserialize, Serialize)]
struct JournalLine<'l> {
    done: &'l str,
    key: &'l str,
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    done: HashSet<String>,
}

/// The key by which a journal identifies a request: a digest of its parts.
pub(super) fn key(parts: &impl Serialize) -> String {
    // Plain data has a JSON text; a request without one would not be skipped.
    let text = serde_json::to_vec(parts).unwrap_or_default();
    let digest = Sha256::digest(text);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Journal {
    /// Opens a journal, or begins one. With `read_only` nothing is written: `None` when there is
    /// none.
    pub(super) fn open(
        path: &Path,
        heading: &JournalHeading,
        read_only: bool,
    ) -> Result<Option<Self>, UnreadableList> {
        let name = path.display();
        let failed = |error: io::Error| UnreadableList {
            what: format!("opening the journal `{name}`: {error}"),
            help: "name a file that can be written with --journal".into(),
        };
        if read_only && !path.exists() {
            return Ok(None);
        }
        let mut options = OpenOptions::new();
        options.read(true);
        if !read_only {
            options.write(true).create(true).truncate(false);
        }
        let file = options.open(path).map_err(failed)?;
        let text = input::text_of(&file, LIST_BYTES).map_err(failed)?;
        // Only whole lines count.
        let whole = text
            .rfind('\n')
            .map_or("", |end| text.get(..=end).unwrap_or_default());
        let mut lines = whole.lines();
        match lines.next().map(serde_json::from_str::<JournalHeading>) {
            Some(Ok(known)) if known == *heading => {}
            Some(Ok(known)) => return Err(other(&name.to_string(), &known, heading)),
            Some(Err(_)) => {
                return Err(UnreadableList {
                    what: format!("`{name}` is no journal of this program's"),
                    help: "name another file with --journal".into(),
                });
            }
            None => {}
        }
        let mut done = HashSet::new();
        for line in lines {
            if let Ok(line) = serde_json::from_str::<JournalLine<'_>>(line) {
                done.insert(line.key.to_owned());
            }
        }
        let mut journal = Self { file, done };
        if !read_only {
            journal.begin(whole, heading).map_err(failed)?;
        }
        Ok(Some(journal))
    }

    /// Cuts off an incomplete line, and writes the heading where there is none.
    fn begin(&mut self, whole: &str, heading: &JournalHeading) -> io::Result<()> {
        self.file.set_len(whole.len() as u64)?;
        self.file.seek(SeekFrom::End(0))?;
        if whole.is_empty() {
            self.write(heading)?;
        }
        Ok(())
    }

    /// Returns `true` where a request was done.
    pub(super) fn has(&self, key: &str) -> bool {
        self.done.contains(key)
    }

    /// Notes that a request is done.
    pub(super) fn note(&mut self, name: &str, key: &str) -> io::Result<()> {
        self.write(&JournalLine { done: name, key })
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        // One write, so that an interruption cuts off a line's end only.
        self.file.write_all(&text)
    }
}

fn other(name: &str, known: &JournalHeading, heading: &JournalHeading) -> UnreadableList {
    let words = |heading: &JournalHeading| {
        format!(
            "`{}` in account {}, Region {}",
            heading.journal, heading.account, heading.region
        )
    };
    UnreadableList {
        what: format!(
            "the journal `{name}` is of {}; this is {}",
            words(known),
            words(heading)
        ),
        help: "name another file with --journal, or use the credentials and the Region it was begun with".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn heading(account: &str) -> JournalHeading {
        JournalHeading {
            journal: "policy apply".into(),
            account: account.into(),
            region: "eu-central-1".into(),
        }
    }

    fn path(name: &str) -> std::path::PathBuf {
        let path =
            std::env::temp_dir().join(format!("eventcast-journal-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        path
    }

    #[test]
    fn what_is_done_is_known_again() {
        let path = path("again");
        let (a, b) = (key(&("a", 1)), key(&("b", 1)));
        assert!(Journal::open(&path, &heading("1"), true).unwrap().is_none());
        let mut journal = Journal::open(&path, &heading("1"), false).unwrap().unwrap();
        assert!(!journal.has(&a));
        journal.note("a", &a).unwrap();
        drop(journal);
        // A line that was cut off.
        let mut text = fs::read_to_string(&path).unwrap();
        text.push_str("{\"done\":\"b\",\"key\":\"");
        fs::write(&path, text).unwrap();
        let looked = Journal::open(&path, &heading("1"), true).unwrap().unwrap();
        assert!(looked.has(&a));
        let mut journal = Journal::open(&path, &heading("1"), false).unwrap().unwrap();
        assert!(journal.has(&a) && !journal.has(&b));
        journal.note("b", &b).unwrap();
        let journal = Journal::open(&path, &heading("1"), false).unwrap().unwrap();
        assert!(journal.has(&a) && journal.has(&b));
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_journal_of_something_else_is_refused() {
        let path = path("other");
        Journal::open(&path, &heading("1"), false).unwrap();
        let error = Journal::open(&path, &heading("2"), false).unwrap_err();
        let file = path.display().to_string();
        insta::assert_snapshot!(error.what.replace(&file, "JOURNAL"), @"the journal `JOURNAL` is of `policy apply` in account 1, Region eu-central-1; this is `policy apply` in account 2, Region eu-central-1");
        fs::write(&path, "name,policy\n").unwrap();
        let error = Journal::open(&path, &heading("1"), false).unwrap_err();
        insta::assert_snapshot!(error.what.replace(&file, "JOURNAL"), @"`JOURNAL` is no journal of this program's");
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn keys_differ_with_what_is_asked() {
        assert_eq!(key(&("a", ["b"])), key(&("a", ["b"])));
        assert_ne!(key(&("a", ["b"])), key(&("a", ["b", "c"])));
    }
}
