//! An error of the SDK in one line: its own text, and the texts of its causes.
//!
//! The SDK's own rendering adds the debug text of everything, responses with their headers
//! included: a page of text, and more than a log should hold.

use std::error::Error;
use std::iter::successors;

/// The messages of an error and its causes, outermost first, each said once.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut line = String::new();
    for cause in successors(Some(error), |error| (*error).source()) {
        let said = cause.to_string();
        if line.ends_with(&said) {
            continue;
        }
        if !line.is_empty() {
            line.push_str(": ");
        }
        line.push_str(&said);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Said {
        said: &'static str,
        #[source]
        cause: Option<Box<Said>>,
    }

    fn said(all: &[&'static str]) -> Option<Box<Said>> {
        let (said_first, rest) = all.split_first()?;
        Some(Box::new(Said {
            said: said_first,
            cause: said(rest),
        }))
    }

    #[test]
    fn each_cause_is_said_once() {
        let error = said(&[
            "dispatch failure",
            "io error: refused",
            "refused",
            "os error 111",
        ]);
        let line = causes(error.as_deref().unwrap());
        assert_eq!(line, "dispatch failure: io error: refused: os error 111");
    }
}
