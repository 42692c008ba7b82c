//! Exports of the repository's own files, so that an alias is followed from file to file.

use std::collections::HashMap;

use super::origin::{CodeOrigin, OriginRoot};

/// The longest chain of files that is followed.
const MAX_FILES: usize = 8;

/// Exports by file and name. A file has the path of it without an extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RepositoryLinks {
    exports: HashMap<String, Vec<(String, CodeOrigin)>>,
}

impl RepositoryLinks {
    /// Adds the exports of a file. Only those that lead out of the repository or to another file
    /// are of use.
    pub(crate) fn add(&mut self, path: &str, exports: Vec<(String, CodeOrigin)>) {
        if !exports.is_empty() {
            self.exports.insert(stem(path).to_owned(), exports);
        }
    }

    /// Returns `true` where no file exports anything that matters.
    pub fn is_empty(&self) -> bool {
        self.exports.is_empty()
    }

    /// Last parts of the files' names, by which other files name them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.exports.keys().map(|key| {
            let last = key.rsplit('/').next().unwrap_or(key);
            let folder = key.rsplit('/').nth(1).unwrap_or(".");
            if last == "index" { folder } else { last }
        })
    }

    /// Returns `true` where everything of another file is exported, and that has something.
    pub(crate) fn has_exports(&self, path: &str, origin: &CodeOrigin) -> bool {
        match &origin.root {
            OriginRoot::Module(specifier) => self.file(&joined(stem(path), specifier)).is_some(),
            OriginRoot::Package(_) => true,
            OriginRoot::Global => false,
        }
    }

    /// An origin in another file, followed to the file that makes it.
    pub(crate) fn follow(&self, path: &str, origin: CodeOrigin) -> CodeOrigin {
        let mut at = stem(path).to_owned();
        let mut origin = origin;
        for _ in 0..MAX_FILES {
            let OriginRoot::Module(specifier) = &origin.root else {
                return origin;
            };
            let [name, rest @ ..] = &*origin.path else {
                return origin;
            };
            let target = joined(&at, specifier);
            let Some((file, exports)) = self.file(&target) else {
                return origin;
            };
            let exact = exports.iter().find(|(export, _)| export == name);
            let mut next = match exact {
                Some((_, next)) => next.clone(),
                None => match exports.iter().find(|(export, _)| export == "*") {
                    Some((_, all)) => all.clone().member(name),
                    None => return origin,
                },
            };
            next.path.extend(rest.iter().cloned());
            at = file.to_owned();
            origin = next;
        }
        origin
    }

    fn file(&self, target: &str) -> Option<(&str, &Vec<(String, CodeOrigin)>)> {
        let index = format!("{target}/index");
        let found = self.exports.get_key_value(target);
        let found = found.or_else(|| self.exports.get_key_value(&index))?;
        Some((found.0, found.1))
    }
}

/// A path without the extension of a script.
fn stem(path: &str) -> &str {
    match path.rsplit_once('.') {
        Some((stem, "js" | "jsx" | "mjs" | "cjs" | "ts" | "mts" | "cts" | "tsx")) => stem,
        _ => path,
    }
}

/// A relative name, from the folder of a file.
fn joined(from: &str, specifier: &str) -> String {
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in stem(specifier).split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}
