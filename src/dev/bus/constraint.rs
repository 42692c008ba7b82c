//! Constraints on the values of a request, and AWS's report of those that are broken: all of them
//! at once, each with the value and the place (EventBridge API reference, "Type", "Length
//! Constraints" and "Pattern" of each member).

use super::super::refusal::ApiRefusal;

/// Constraints on the length and the characters of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextConstraint {
    least: usize,
    most: usize,
    pattern: Option<ConstraintPattern>,
}

/// The regular expression that AWS names, and its meaning for each character.
type ConstraintPattern = (&'static str, fn(char) -> bool);

impl TextConstraint {
    const fn within(least: usize, most: usize) -> Self {
        Self {
            least,
            most,
            pattern: None,
        }
    }

    const fn of(self, expression: &'static str, right: fn(char) -> bool) -> Self {
        Self {
            pattern: Some((expression, right)),
            ..self
        }
    }
}

fn in_names(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_')
}

fn in_bus_names(c: char) -> bool {
    in_names(c) || c == '/'
}

fn in_bus_arns(c: char) -> bool {
    in_bus_names(c) || c == ':'
}

fn in_variables(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_')
}

/// The name of a rule, or the id of a target.
pub(super) const NAME: TextConstraint =
    TextConstraint::within(1, 64).of(r"[\.\-_A-Za-z0-9]+", in_names);
pub(super) const BUS: TextConstraint =
    TextConstraint::within(1, 256).of(r"[/\.\-_A-Za-z0-9]+", in_bus_names);
pub(super) const BUS_OR_ARN: TextConstraint = TextConstraint::within(1, 1_600).of(
    r"(arn:aws[\w-]*:events:[a-z]+-[a-z]+-[\w-]+:[0-9]{12}:event-bus\/)?[/\.\-_A-Za-z0-9]+",
    in_bus_arns,
);
pub(super) const PATTERN: TextConstraint = TextConstraint::within(0, 4_096);
pub(super) const DESCRIPTION: TextConstraint = TextConstraint::within(0, 512);
pub(super) const SCHEDULE: TextConstraint = TextConstraint::within(0, 256);
pub(super) const ARN: TextConstraint = TextConstraint::within(1, 1_600);
pub(super) const INPUT: TextConstraint = TextConstraint::within(0, 8_192);
pub(super) const INPUT_PATH: TextConstraint = TextConstraint::within(0, 256);
pub(super) const TEMPLATE: TextConstraint = TextConstraint::within(1, 8_192);
pub(super) const VARIABLE: TextConstraint =
    TextConstraint::within(1, 256).of(r"[A-Za-z0-9\_\-]+", in_variables);
pub(super) const GROUP: TextConstraint = TextConstraint::within(0, 100);
pub(super) const TRACE_HEADER: TextConstraint = TextConstraint::within(1, 500);
pub(super) const TOKEN: TextConstraint = TextConstraint::within(1, 2_048);
pub(super) const TAG_KEY: TextConstraint = TextConstraint::within(1, 128);
pub(super) const TAG_VALUE: TextConstraint = TextConstraint::within(0, 256);

/// The constraints that were not kept.
#[derive(Debug, Default)]
pub(super) struct ConstraintViolations(Vec<String>);

impl ConstraintViolations {
    /// Checks a member that must be there.
    pub(super) fn required(&mut self, at: &str, value: Option<&str>, text: TextConstraint) {
        match value {
            Some(_) => self.optional(at, value, text),
            None => self.missing(at),
        }
    }

    /// Checks a member that may be left out.
    pub(super) fn optional(&mut self, at: &str, value: Option<&str>, text: TextConstraint) {
        let Some(value) = value else { return };
        let length = value.chars().count();
        let quoted = format!("Value '{value}'");
        if length < text.least {
            let least = text.least;
            let wanted = format!("have length greater than or equal to {least}");
            self.add(&quoted, at, &wanted);
        }
        if length > text.most {
            let wanted = format!("have length less than or equal to {}", text.most);
            self.add(&quoted, at, &wanted);
        }
        if let Some((expression, right)) = text.pattern
            && !(value.chars().all(right) && length > 0)
        {
            let wanted = format!("satisfy regular expression pattern: {expression}");
            self.add(&quoted, at, &wanted);
        }
    }

    /// Checks the number of members of a list. Their values are left out: they may be whole events.
    pub(super) fn list(&mut self, at: &str, length: Option<usize>, (least, most): (usize, usize)) {
        match length {
            None => self.missing(at),
            Some(length) if length < least => {
                let wanted = format!("have length greater than or equal to {least}");
                self.add("Value '[]'", at, &wanted);
            }
            Some(length) if length > most => {
                let wanted = format!("have length less than or equal to {most}");
                self.add("Value", at, &wanted);
            }
            Some(_) => {}
        }
    }

    /// Adds that a list has too many members, which are repeated.
    pub(super) fn longer(&mut self, at: &str, members: &str, most: usize) {
        let wanted = format!("have length less than or equal to {most}");
        self.add(&format!("Value '[{members}]'"), at, &wanted);
    }

    /// Checks a number.
    pub(super) fn number(&mut self, at: &str, value: Option<i64>, (least, most): (i64, i64)) {
        let Some(value) = value else { return };
        let quoted = format!("Value '{value}'");
        if value < least {
            let wanted = format!("have value greater than or equal to {least}");
            self.add(&quoted, at, &wanted);
        }
        if value > most {
            let wanted = format!("have value less than or equal to {most}");
            self.add(&quoted, at, &wanted);
        }
    }

    /// Checks one of some words.
    pub(super) fn choice(&mut self, at: &str, value: Option<&str>, words: &[&str]) {
        let Some(value) = value.filter(|value| !words.contains(value)) else {
            return;
        };
        let wanted = format!("satisfy enum value set: [{}]", words.join(", "));
        self.add(&format!("Value '{value}'"), at, &wanted);
    }

    fn missing(&mut self, at: &str) {
        self.add("Value null", at, "not be null");
    }

    fn add(&mut self, value: &str, at: &str, wanted: &str) {
        self.0.push(format!(
            "{value} at '{at}' failed to satisfy constraint: Member must {wanted}"
        ));
    }

    /// Refuses when some were not kept.
    pub(super) fn refuse(self) -> Result<(), ApiRefusal> {
        if self.0.is_empty() {
            return Ok(());
        }
        let errors = if self.0.len() == 1 { "error" } else { "errors" };
        let found = self.0.join("; ");
        let count = self.0.len();
        Err(invalid(format!(
            "{count} validation {errors} detected: {found}"
        )))
    }
}

/// A refusal of a value that is not valid.
pub(super) fn invalid(message: impl Into<String>) -> ApiRefusal {
    ApiRefusal::new("ValidationException", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_violations_are_told_at_once() {
        let mut found = ConstraintViolations::default();
        found.required("name", None, NAME);
        found.required("rule", Some("a b"), NAME);
        found.optional("eventBusName", Some(""), BUS_OR_ARN);
        found.list("entries", Some(11), (1, 10));
        found.list("ids", Some(0), (1, 100));
        found.number("limit", Some(0), (1, 100));
        found.choice("state", Some("ON"), &["ENABLED", "DISABLED"]);
        found.optional("description", Some(&"x".repeat(512)), DESCRIPTION);
        let told = found.refuse().unwrap_err().message.replace("; ", ";\n");
        insta::assert_snapshot!(told);
        assert!(ConstraintViolations::default().refuse().is_ok());
    }

    /// AWS's own words, as recorded from the service.
    #[test]
    fn the_words_are_those_of_aws() {
        let mut found = ConstraintViolations::default();
        found.required("targets.1.member.id", Some("!@#$@!#$"), NAME);
        assert_eq!(
            found.refuse().unwrap_err().message,
            r"1 validation error detected: Value '!@#$@!#$' at 'targets.1.member.id' failed to satisfy constraint: Member must satisfy regular expression pattern: [\.\-_A-Za-z0-9]+"
        );
    }
}
