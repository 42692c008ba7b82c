//! Files of other kinds than the configuration: checked against a description of their own, with
//! flags of the command line above them.
//!
//! Their reader takes values out by name. A value that the file does not have is the default of its
//! description, so that manual, check and reader cannot disagree.

use std::time::Duration;

use saphyr_parser::ScalarStyle;

use super::check::{self, Faults, ParseDuration, did_you_mean};
use super::fault::{Fault, Severity, ValuePlace};
use super::shape::{DefaultValue, KnownKey, Shape};
use super::{elements, flag, member, overrides, text, unquoted, yaml};
use crate::event::pattern::tree::{NodeValue, TextPosition, TreeValue};

/// A file that agrees with its description.
pub(crate) struct DescribedFile {
    file: String,
    root: TreeValue,
    origins: Vec<String>,
    keys: &'static [KnownKey],
}

/// A section of such a file, which may be absent.
#[derive(Clone, Copy)]
pub(crate) struct DescribedSection<'f> {
    file: &'f DescribedFile,
    node: Option<&'f TreeValue>,
    path: &'f str,
    keys: &'static [KnownKey],
}

impl DescribedFile {
    /// Checks a text. Each of `settings` is `path=value`; the last part of a path is enough where
    /// no other path ends so, and hyphens may replace underscores in it.
    ///
    /// # Errors
    /// All faults, in the order of the file.
    pub(crate) fn read(
        file: &str,
        source: &str,
        settings: &[String],
        keys: &'static [KnownKey],
    ) -> Result<Self, Vec<Fault>> {
        let mut described = Self {
            file: file.to_owned(),
            root: TreeValue::empty_object(TextPosition { line: 1, column: 1 }),
            origins: Vec::new(),
            keys,
        };
        match yaml::parse(source) {
            Ok(Some(root)) => described.root = root,
            Ok(None) => {}
            Err(error) => {
                return Err(vec![Fault {
                    severity: Severity::Error,
                    code: super::NOT_YAML,
                    message: error.message,
                    place: ValuePlace::file(file, error.at),
                    key: String::new(),
                    accepted: None,
                    help: unquoted::advice_for_line(source, error.at.line),
                }]);
            }
        }
        let mut found = described.set(settings);
        let place = |at: TextPosition| described.place(at);
        let mut faults = Faults {
            place: &place,
            found: Vec::new(),
        };
        check::check(&described.root, &Shape::Section(keys), "", &mut faults);
        found.extend(faults.found);
        if found.is_empty() {
            return Ok(described);
        }
        found.sort_by_key(|fault| match &fault.place {
            ValuePlace::Override { .. } => (0, 0),
            ValuePlace::File { line, column, .. } => (*line, *column),
        });
        Err(found)
    }

    /// Puts settings into the tree, and returns their faults.
    fn set(&mut self, settings: &[String]) -> Vec<Fault> {
        let mut faults = Vec::new();
        for setting in settings {
            let Some((name, value)) = setting.split_once('=') else {
                faults.push(Fault {
                    accepted: Some("key=value, such as limits.connect_quota=1000".into()),
                    ..overrides::fault(&format!("--set {setting}"), "there is no `=`")
                });
                continue;
            };
            let mut paths = Vec::new();
            let shape = Shape::Section(self.keys);
            overrides::scalars(&self.root, &shape, "", &mut paths);
            match path_of(name, &paths) {
                Ok((path, shape)) => {
                    let at = TextPosition {
                        line: 0,
                        column: self.origins.len(),
                    };
                    self.origins.push(format!("--set {name}"));
                    let style = match shape {
                        Shape::Text { .. } => ScalarStyle::DoubleQuoted,
                        _ => ScalarStyle::Plain,
                    };
                    let value = yaml::scalar(value, style);
                    overrides::put(&mut self.root, path, TreeValue { value, at });
                }
                Err(fault) => faults.push(*fault),
            }
        }
        faults
    }

    fn place(&self, at: TextPosition) -> ValuePlace {
        match at.line {
            0 => ValuePlace::Override {
                name: self.origins.get(at.column).cloned().unwrap_or_default(),
            },
            _ => ValuePlace::file(&self.file, at),
        }
    }

    /// The whole file as a section.
    pub(crate) fn top(&self) -> DescribedSection<'_> {
        DescribedSection {
            file: self,
            node: Some(&self.root),
            path: "",
            keys: self.keys,
        }
    }
}

/// The path that a setting means.
fn path_of<'p>(
    name: &str,
    paths: &'p [(String, &'p Shape)],
) -> Result<(&'p str, &'p Shape), Box<Fault>> {
    let wanted = name.replace('-', "_");
    let exact = paths
        .iter()
        .find(|(path, _)| path == name || path.replace('-', "_") == wanted);
    if let Some((path, shape)) = exact {
        return Ok((path, shape));
    }
    let mut ending = paths
        .iter()
        .filter(|(path, _)| path.rsplit('.').next() == Some(&*wanted));
    let fault = |message: String| overrides::fault(&format!("--set {name}"), &message);
    match (ending.next(), ending.next()) {
        (Some((path, shape)), None) => Ok((path, shape)),
        (Some((first, _)), Some((second, _))) => Err(Box::new(Fault {
            accepted: Some(format!("a whole path, such as {first} or {second}")),
            ..fault(format!("`{name}` is the end of several paths"))
        })),
        _ => Err(Box::new(Fault {
            accepted: Some(format!(
                "the path of a value, such as {}",
                paths
                    .iter()
                    .take(3)
                    .map(|(path, _)| path.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )),
            help: did_you_mean(&wanted, paths.iter().map(|(path, _)| path.as_str())).or_else(
                || {
                    let ends = paths.iter().filter_map(|(path, _)| path.rsplit('.').next());
                    did_you_mean(&wanted, ends)
                },
            ),
            ..fault(format!("there is no value `{name}` to set"))
        })),
    }
}

impl<'f> DescribedSection<'f> {
    /// Returns `true` where the file has the section.
    pub(crate) fn is_there(&self) -> bool {
        self.node.is_some()
    }

    /// A section inside this one.
    pub(crate) fn section(&self, key: &'static str) -> Self {
        let keys = match self.key(key).map(|key| &key.shape) {
            Some(Shape::Section(keys)) => keys,
            _ => &[][..],
        };
        DescribedSection {
            node: self.node.and_then(|node| member(node, key)),
            path: key,
            keys,
            ..*self
        }
    }

    /// The sections of a list.
    pub(crate) fn list(&self, key: &'static str) -> Vec<Self> {
        let keys = match self.key(key).map(|key| &key.shape) {
            Some(
                Shape::List(Shape::Section(keys)) | Shape::PossiblyEmptyList(Shape::Section(keys)),
            ) => keys,
            _ => &[][..],
        };
        let nodes = self.node.map_or(&[][..], |node| elements(node, key));
        let sections = nodes.iter().map(|node| DescribedSection {
            node: Some(node),
            path: key,
            keys,
            ..*self
        });
        sections.collect()
    }

    fn key(&self, name: &str) -> Option<&'static KnownKey> {
        self.keys.iter().find(|key| key.name == name)
    }

    fn default_of(&self, name: &str) -> Option<DefaultValue> {
        self.key(name).and_then(|key| key.default)
    }

    /// Returns `true` where the file says something of a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.node.and_then(|node| member(node, key)).is_some()
    }

    /// A whole number: the file's, or the default.
    pub(crate) fn number(&self, key: &str) -> u64 {
        let written = self.node.and_then(|node| member(node, key));
        match (written.map(|node| &node.value), self.default_of(key)) {
            (Some(NodeValue::Number(digits)), _) => digits.parse().unwrap_or_default(),
            (_, Some(DefaultValue::Number(number))) => number,
            _ => 0,
        }
    }

    /// A whole number that is known to fit 32 bits by its description.
    pub(crate) fn number32(&self, key: &str) -> u32 {
        u32::try_from(self.number(key)).unwrap_or(u32::MAX)
    }

    /// A time: the file's, or the default.
    pub(crate) fn time(&self, key: &str) -> Duration {
        let written = self.node.and_then(|node| text(node, key));
        let default = match self.default_of(key) {
            Some(DefaultValue::Text(text)) => Some(text.to_owned()),
            _ => None,
        };
        let time = written.or(default).and_then(|text| text.parse_duration());
        time.unwrap_or_default()
    }

    /// A time in milliseconds.
    pub(crate) fn time_ms(&self, key: &str) -> u32 {
        u32::try_from(self.time(key).as_millis()).unwrap_or(u32::MAX)
    }

    /// Text: the file's, or the default.
    pub(crate) fn text(&self, key: &str) -> String {
        let written = self.node.and_then(|node| text(node, key));
        written.unwrap_or_else(|| match self.default_of(key) {
            Some(DefaultValue::Text(text)) => text.to_owned(),
            _ => String::new(),
        })
    }

    /// `true` or `false`: the file's, or the default.
    pub(crate) fn flag(&self, key: &str) -> bool {
        if self.has(key) {
            return self.node.is_some_and(|node| flag(node, key));
        }
        matches!(self.default_of(key), Some(DefaultValue::Bool(true)))
    }

    /// A fault of a key's value, or of the section where the file does not have the key.
    pub(crate) fn fault(
        &self,
        code: &'static str,
        key: &str,
        message: String,
        help: String,
    ) -> Fault {
        let node = self.node.and_then(|node| member(node, key)).or(self.node);
        let at = node.map_or(TextPosition { line: 1, column: 1 }, |node| node.at);
        Fault {
            severity: Severity::Error,
            code,
            message,
            place: self.file.place(at),
            key: check::join(self.path, key),
            accepted: None,
            help: Some(help),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::shape::optional;

    const INNER: &[KnownKey] = &[
        optional("quota", Shape::Integer { least: 1, most: 9 }, "")
            .default(DefaultValue::Number(3)),
        optional("wait", Shape::Duration, "").default(DefaultValue::Text("5s")),
    ];
    const KEYS: &[KnownKey] = &[
        optional("limits", Shape::Section(INNER), ""),
        optional("more", Shape::Section(INNER), ""),
        optional("connect_quota", Shape::Integer { least: 1, most: 9 }, ""),
    ];

    fn read(text: &str, settings: &[&str]) -> Result<DescribedFile, Vec<Fault>> {
        let settings: Vec<String> = settings.iter().map(|one| (*one).to_owned()).collect();
        DescribedFile::read("f.yaml", text, &settings, KEYS)
    }

    #[test]
    fn what_is_missing_has_its_default() {
        let file = read("limits: { quota: 4 }", &[]).unwrap();
        let limits = file.top().section("limits");
        assert_eq!((limits.number("quota"), limits.time_ms("wait")), (4, 5_000));
        assert!(!file.top().section("more").is_there());
        assert_eq!(file.top().section("more").number("quota"), 3);
    }

    #[test]
    fn settings_go_by_path_or_by_a_unique_end() {
        let file = read("", &["limits.quota=7", "connect-quota=2"]).unwrap();
        assert_eq!(file.top().section("limits").number("quota"), 7);
        assert_eq!(file.top().number("connect_quota"), 2);
        for (setting, said) in [
            ("quota=1", "`quota` is the end of several paths"),
            ("none=1", "there is no value `none` to set"),
            ("limits.quota", "there is no `=`"),
            ("limits.quota=10", "`limits.quota` is 10"),
        ] {
            let faults = read("", &[setting]).err().unwrap();
            assert_eq!(faults[0].message, said);
            assert!(faults[0].place.to_string().contains("--set"));
        }
    }

    #[test]
    fn faults_have_their_line() {
        let faults = read("limits:\n  quota: 4\n  wait: 5\nother: 1\n", &[])
            .err()
            .unwrap();
        let shown: Vec<String> = faults.iter().map(|fault| fault.place.to_string()).collect();
        assert_eq!(shown, ["f.yaml:3:9", "f.yaml:4:1"]);
    }
}
