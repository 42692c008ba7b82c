//! Lists of policies: one a line, as CSV with a heading or as JSON lines. A bad line is reported
//! and left out; a bad heading is a question that cannot be answered.

use std::path::Path;

use csv::{ReaderBuilder, StringRecord};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::report::ItemFailure;
use crate::cli::input::{self, LIST_BYTES};

/// Longest excerpt of a bad line, in characters.
const SHOWN: usize = 80;

/// The place where an item was asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListPosition {
    /// The list, where it is one.
    pub(super) file: Option<String>,
    /// The line in it, from 1.
    pub(super) line: Option<u64>,
}

impl ListPosition {
    /// A failure at this place.
    pub(super) fn failure(
        &self,
        name: &str,
        value: &str,
        error: String,
        help: &str,
    ) -> Box<ItemFailure> {
        Box::new(ItemFailure {
            file: self.file.clone(),
            line: self.line,
            name: (!name.is_empty()).then(|| name.to_owned()),
            value: (!value.is_empty()).then(|| value.to_owned()),
            error,
            help: (!help.is_empty()).then(|| help.to_owned()),
        })
    }
}

/// One line as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListRow {
    pub(super) place: ListPosition,
    pub(super) name: String,
    /// A file's name, or a document.
    pub(super) policy: Option<String>,
    pub(super) targets: Vec<String>,
    /// Client ids.
    pub(super) disconnect: Vec<String>,
}

/// The columns that a command understands beside `name`.
#[derive(Clone, Copy, Debug)]
pub(super) struct ListColumns {
    /// The columns in their order.
    pub(super) known: &'static [&'static str],
    /// The columns that must be there.
    pub(super) needed: &'static [&'static str],
}

/// Reason why a list cannot be read at all.
#[derive(Debug)]
pub(super) struct UnreadableList {
    pub(super) what: String,
    pub(super) help: String,
}

/// Reads a list: a row or a failure for each line.
pub(super) fn read(
    path: &Path,
    columns: ListColumns,
) -> Result<Vec<Result<ListRow, Box<ItemFailure>>>, UnreadableList> {
    let file = path.display().to_string();
    let unreadable = |what: String, help: &str| UnreadableList {
        what,
        help: help.to_owned(),
    };
    let kind = path.extension().and_then(|extension| extension.to_str());
    let text = || {
        input::read(path, LIST_BYTES).map_err(|error| {
            unreadable(
                format!("reading the list `{file}`: {error}"),
                "name a file with --from",
            )
        })
    };
    match kind {
        Some("csv") => csv_rows(&text()?, &file, columns),
        Some("jsonl" | "ndjson") => Ok(json_rows(&text()?, &file, columns)),
        _ => Err(unreadable(
            format!("the list `{file}` is of no known kind"),
            "name it .csv (with a heading) or .jsonl (a JSON object a line)",
        )),
    }
}

fn csv_rows(
    text: &[u8],
    file: &str,
    columns: ListColumns,
) -> Result<Vec<Result<ListRow, Box<ItemFailure>>>, UnreadableList> {
    // Spreadsheets write a byte order mark at the beginning.
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
    let heading = reader.headers().cloned().map_err(|error| UnreadableList {
        what: format!("reading the heading of `{file}`: {error}"),
        help: format!("the columns are {}", columns.known.join(",")),
    })?;
    check_heading(&heading, file, columns)?;
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    let mut lines = LineCounter {
        text,
        at: 0,
        line: 1,
    };
    loop {
        let line = lines.from(reader.position().byte());
        match reader.read_record(&mut record) {
            Ok(false) => return Ok(rows),
            Ok(true) => rows.push(Ok(csv_row(&heading, &record, place(file, line)))),
            Err(error) => rows.push(Err(bad_record(&error, &heading, &place(file, line)))),
        }
    }
}

/// Counts lines by byte position. The reader's own count is one behind after lines that end as on
/// Windows.
struct LineCounter<'t> {
    text: &'t [u8],
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The first line from a place on that is not empty; places are asked for in their order.
    fn from(&mut self, byte: u64) -> u64 {
        let byte = usize::try_from(byte).unwrap_or(usize::MAX);
        while let Some(next) = self.text.get(self.at) {
            if self.at >= byte && !matches!(next, b'\r' | b'\n') {
                break;
            }
            self.line += u64::from(*next == b'\n');
            self.at += 1;
        }
        self.line
    }
}

fn place(file: &str, line: u64) -> ListPosition {
    ListPosition {
        file: Some(file.to_owned()),
        line: Some(line),
    }
}

fn check_heading(
    heading: &StringRecord,
    file: &str,
    columns: ListColumns,
) -> Result<(), UnreadableList> {
    let help = format!("the columns are {}", columns.known.join(","));
    let unknown = heading.iter().find(|name| !columns.known.contains(name));
    if let Some(unknown) = unknown {
        return Err(UnreadableList {
            what: format!("the list `{file}` has a column `{unknown}`"),
            help,
        });
    }
    let missing = columns
        .needed
        .iter()
        .find(|name| !heading.iter().any(|known| known == **name));
    if let Some(missing) = missing {
        return Err(UnreadableList {
            what: format!("the list `{file}` has no column `{missing}`"),
            help,
        });
    }
    let twice = (0..heading.len()).find(|at| {
        heading
            .iter()
            .take(*at)
            .any(|name| heading.get(*at) == Some(name))
    });
    match twice.and_then(|at| heading.get(at)) {
        Some(twice) => Err(UnreadableList {
            what: format!("the list `{file}` has the column `{twice}` twice"),
            help,
        }),
        None => Ok(()),
    }
}

fn csv_row(heading: &StringRecord, record: &StringRecord, place: ListPosition) -> ListRow {
    let cell = |name: &str| {
        let at = heading.iter().position(|known| known == name);
        at.and_then(|at| record.get(at)).unwrap_or_default()
    };
    let words = |name: &str| cell(name).split_whitespace().map(str::to_owned).collect();
    ListRow {
        place,
        name: cell("name").to_owned(),
        policy: Some(cell("policy").to_owned()).filter(|text| !text.is_empty()),
        targets: words("targets"),
        disconnect: words("disconnect"),
    }
}

fn bad_record(
    error: &csv::Error,
    heading: &StringRecord,
    place: &ListPosition,
) -> Box<ItemFailure> {
    let (what, help) = match error.kind() {
        csv::ErrorKind::UnequalLengths { len, .. } => (
            format!(
                "the line has {len} cells; the heading has {}",
                heading.len()
            ),
            "put a cell that has a comma or a quote into quotes, and double the quotes within",
        ),
        csv::ErrorKind::Utf8 { .. } => ("the line is not UTF-8".into(), "save the list as UTF-8"),
        _ => (error.to_string(), ""),
    };
    place.failure("", "", what, help)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonRow {
    name: Option<String>,
    policy: Option<Box<RawValue>>,
    #[serde(default)]
    targets: Vec<String>,
    #[serde(default)]
    disconnect: Vec<String>,
}

fn json_rows(
    text: &[u8],
    file: &str,
    columns: ListColumns,
) -> Vec<Result<ListRow, Box<ItemFailure>>> {
    let lines = text.split(|byte| *byte == b'\n').zip(1..);
    lines
        .filter(|(line, _)| !line.trim_ascii().is_empty())
        .map(|(line, number)| json_row(line, place(file, number), columns))
        .collect()
}

fn json_row(
    line: &[u8],
    place: ListPosition,
    columns: ListColumns,
) -> Result<ListRow, Box<ItemFailure>> {
    let shown = || -> String {
        let line = String::from_utf8_lossy(line);
        line.trim().chars().take(SHOWN).collect()
    };
    let help = format!("a line is a JSON object with {}", columns.known.join(", "));
    // serde would take an array for the fields in their order.
    if !line.trim_ascii_start().starts_with(b"{") {
        return Err(place.failure("", &shown(), "the line is no JSON object".into(), &help));
    }
    let row: JsonRow = serde_json::from_slice(line)
        .map_err(|error| place.failure("", &shown(), in_line(&error), &help))?;
    let name = row.name.unwrap_or_default();
    let unknown = [
        ("policy", row.policy.is_some()),
        ("targets", !row.targets.is_empty()),
        ("disconnect", !row.disconnect.is_empty()),
    ];
    let unknown = unknown
        .iter()
        .find(|(key, used)| *used && !columns.known.contains(key));
    if let Some((key, _)) = unknown {
        let what = format!("unknown field `{key}`");
        return Err(place.failure(&name, &shown(), what, &help));
    }
    // A JSON string's content, or a document's own text.
    let policy = row.policy.map(|policy| {
        serde_json::from_str::<String>(policy.get()).unwrap_or_else(|_| policy.get().to_owned())
    });
    Ok(ListRow {
        place,
        name,
        policy,
        targets: row.targets,
        disconnect: row.disconnect,
    })
}

/// serde_json's words with the column only: it counts lines within the line.
fn in_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // The caller reports what is accepted, which depends on the command.
    let what = text.split(" at line ").next().unwrap_or_default();
    let what = what.split(", expected one of ").next().unwrap_or_default();
    format!("{what} at column {}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: ListColumns = ListColumns {
        known: &["name", "policy", "targets"],
        needed: &["name", "policy"],
    };

    fn told(rows: Vec<Result<ListRow, Box<ItemFailure>>>) -> String {
        let row = |row: Result<ListRow, Box<ItemFailure>>| match row {
            Ok(row) => format!(
                "{} {:?} {:?} {:?}",
                row.place.line.unwrap(),
                row.name,
                row.policy.unwrap_or_default(),
                row.targets
            ),
            Err(failure) => {
                let mut lines = Vec::new();
                failure.write(&mut lines).unwrap();
                String::from_utf8(lines).unwrap().trim_end().to_owned()
            }
        };
        rows.into_iter().map(row).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn csv() {
        let text = "\u{feff}name, policy ,targets\n\
            customer,customer.json,a b\n\
            \n\
            courier,\"{\"\"Version\"\":\n\"\"2012-10-17\"\"}\",\n\
            four,cells,a,b\n\
            five,5.json,a\r\n\
            last,last.json,a\r\n";
        let mut text = text.as_bytes().to_vec();
        text.extend(b"\xff,x,y\n");
        insta::assert_snapshot!(told(csv_rows(&text, "list.csv", COLUMNS).unwrap()), @r#"
        2 "customer" "customer.json" ["a", "b"]
        4 "courier" "{\"Version\":\n\"2012-10-17\"}" []
        error: list.csv:6: the line has 4 cells; the heading has 3
        help: put a cell that has a comma or a quote into quotes, and double the quotes within
        7 "five" "5.json" ["a"]
        8 "last" "last.json" ["a"]
        error: list.csv:9: the line is not UTF-8
        help: save the list as UTF-8
        "#);
    }

    #[test]
    fn headings() {
        let told = |text: &str| {
            csv_rows(text.as_bytes(), "list.csv", COLUMNS)
                .unwrap_err()
                .what
        };
        assert_eq!(
            told("name,polcy\n"),
            "the list `list.csv` has a column `polcy`"
        );
        assert_eq!(
            told("name,targets\n"),
            "the list `list.csv` has no column `policy`"
        );
        assert_eq!(
            told("name,policy,name\n"),
            "the list `list.csv` has the column `name` twice"
        );
        assert_eq!(told(""), "the list `list.csv` has no column `name`");
    }

    #[test]
    fn json_lines() {
        let text = r#"{"name":"customer","policy":"customer.json","targets":["a","b"]}

{"name":"courier","policy":{"Version": "2012-10-17"}}
{"name":"inline","policy":"{\"Version\":\"2012-10-17\"}"}
{"name":"nothing"}
{"name":"x","polcy":1}
{"name":"x","disconnect":["c"]}
{"name":
["a","b"]"#;
        insta::assert_snapshot!(told(json_rows(text.as_bytes(), "list.jsonl", COLUMNS)), @r#"
        1 "customer" "customer.json" ["a", "b"]
        3 "courier" "{\"Version\": \"2012-10-17\"}" []
        4 "inline" "{\"Version\":\"2012-10-17\"}" []
        5 "nothing" "" []
        error: list.jsonl:6: unknown field `polcy` at column 19: `{"name":"x","polcy":1}`
        help: a line is a JSON object with name, policy, targets
        error: list.jsonl:7: unknown field `disconnect`: `{"name":"x","disconnect":["c"]}`
        help: a line is a JSON object with name, policy, targets
        error: list.jsonl:8: EOF while parsing a value at column 8: `{"name":`
        help: a line is a JSON object with name, policy, targets
        error: list.jsonl:9: the line is no JSON object: `["a","b"]`
        help: a line is a JSON object with name, policy, targets
        "#);
    }

    #[test]
    fn what_is_no_list() {
        let unreadable = |path: &str| read(Path::new(path), COLUMNS).unwrap_err();
        let error = unreadable("list.yaml");
        assert_eq!(error.what, "the list `list.yaml` is of no known kind");
        let error = unreadable("no-such.csv");
        assert!(
            error.what.starts_with("reading the list `no-such.csv`: "),
            "{}",
            error.what
        );
    }
}
