//! Amazon Resource Names, in requests and as patterns.
//!
//! `arn:partition:service:region:account:resource`: six parts, split at the first five colons, so that a topic may have more of
//! them. The parts of a pattern are matched one by one (IAM user guide, "Resource"), the resource as a whole. A pattern with
//! fewer parts that ends in `*`, such as `*` or `arn:aws:iot:*`, goes on past the colons.

use super::context::Context;
use super::glob::{Glob, GlobError, GlobSyntax, GlobToken};
use super::variable::ContextKey;

/// The parts before the resource.
const HEAD: usize = 5;

/// The name of a request's resource, split once.
#[derive(Clone, Copy, Debug)]
pub struct ResourceArn<'r> {
    text: &'r str,
    /// Offsets of the first colons; `ends[k]` belongs to part `k`.
    ends: [usize; HEAD],
    colons: usize,
}

impl<'r> ResourceArn<'r> {
    /// Splits a name. Text with fewer parts, such as the `*` of iot:ListRetainedMessages, is matched by short patterns only.
    pub fn new(text: &'r str) -> Self {
        let (mut ends, mut colons) = ([0; HEAD], 0);
        for (end, at) in ends
            .iter_mut()
            .zip(memchr::memchr_iter(b':', text.as_bytes()))
        {
            *end = at;
            colons += 1;
        }
        Self { text, ends, colons }
    }

    /// The name as given.
    pub fn as_str(&self) -> &'r str {
        self.text
    }

    /// Offset at which part `k` begins.
    fn start(&self, k: usize) -> Option<usize> {
        match k.checked_sub(1) {
            None => Some(0),
            Some(before) if before < self.colons => Some(self.ends.get(before)? + 1),
            Some(_) => None,
        }
    }

    /// The text from part `k` to the end.
    fn from(&self, k: usize) -> Option<&'r str> {
        self.text.get(self.start(k)?..)
    }

    /// Part `k` of those before the resource.
    fn part(&self, k: usize) -> Option<&'r str> {
        if k >= self.colons {
            return None;
        }
        self.text.get(self.start(k)?..*self.ends.get(k)?)
    }
}

/// A pattern of names.
#[derive(Clone, Debug)]
pub(super) struct ArnPattern {
    head: ArnHead,
    rest: Glob,
}

#[derive(Clone, Debug)]
enum ArnHead {
    /// All five parts without wildcards, with their colons: the usual case.
    Exact(Box<str>),
    /// One pattern for each part.
    Parts(Box<[Glob]>),
}

/// Reason why text is not a pattern of names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ArnError {
    /// It does not begin with `arn:`, and is not `*`.
    #[error("it does not begin with `arn:`")]
    NotArn,
    /// Too few parts, without a `*` at the end.
    #[error("it has {0} of 6 parts")]
    Short(usize),
    /// A variable in one of the first five parts.
    #[error("a variable stands before the fifth colon")]
    EarlyVariable,
    /// Faults of the resource part.
    #[error(transparent)]
    Glob(#[from] GlobError),
}

impl ArnPattern {
    pub(super) fn parse(text: &str, variables: bool) -> Result<Self, ArnError> {
        let parts: Vec<&str> = text.splitn(HEAD + 1, ':').collect();
        let (rest, head) = parts.split_last().unwrap_or((&text, &[]));
        // A pattern for the word `arn` itself, such as `*`, is one too.
        let plain = GlobSyntax {
            wildcards: true,
            variables: false,
        };
        let first = Glob::parse(parts.first().unwrap_or(&""), plain)?;
        let is_arn = first.matches("arn", &Context::default());
        let is_all = head.is_empty() && first.ends_in_run();
        if !is_arn && !is_all {
            return Err(ArnError::NotArn);
        }
        if variables && head.iter().any(|part| part.contains("${")) {
            return Err(ArnError::EarlyVariable);
        }
        let variables = variables && head.len() == HEAD;
        let rest = Glob::parse(rest, GlobSyntax { variables, ..plain })?;
        if head.len() < HEAD && !rest.ends_in_run() {
            return Err(ArnError::Short(parts.len()));
        }
        let globs: Vec<Glob> = head
            .iter()
            .map(|part| Glob::parse(part, plain))
            .collect::<Result<_, _>>()?;
        let exact = globs.len() == HEAD && globs.iter().all(|glob| glob.literal().is_some());
        let head = if exact {
            ArnHead::Exact(head.iter().flat_map(|part| [part, ":"]).collect())
        } else {
            ArnHead::Parts(globs.into())
        };
        Ok(Self { head, rest })
    }

    pub(super) fn matches(&self, arn: &ResourceArn<'_>, context: &Context) -> bool {
        let rest = match &self.head {
            ArnHead::Exact(head) => arn.text.strip_prefix(&**head),
            ArnHead::Parts(globs) => {
                let fits = globs
                    .iter()
                    .enumerate()
                    .all(|(k, glob)| arn.part(k).is_some_and(|part| glob.matches(part, context)));
                if fits { arn.from(globs.len()) } else { None }
            }
        };
        rest.is_some_and(|rest| self.rest.matches(rest, context))
    }

    /// Resource parts that the pattern matches and that may begin with `prefix`, with each of `runs` for `*`. None for a pattern
    /// of fewer parts, which says nothing of the resource.
    pub(super) fn samples(
        &self,
        prefix: &str,
        runs: &[&str],
        context: &Context,
    ) -> impl Iterator<Item = String> {
        let is_whole = match &self.head {
            ArnHead::Exact(_) => true,
            ArnHead::Parts(parts) => parts.len() == HEAD,
        };
        let runs = if is_whole && self.rest.may_begin_with(prefix) {
            runs
        } else {
            &[]
        };
        runs.iter()
            .filter_map(|run| self.rest.sample(run, "x", context))
    }

    /// The keys of its variables that have no value in this request.
    pub(super) fn unresolved<'g>(
        &'g self,
        context: &'g Context,
    ) -> impl Iterator<Item = &'g ContextKey> {
        self.rest.unresolved(context)
    }

    /// Text that the resource part matches: `run` for each `*`, variables replaced; `None` when one has no value.
    pub(super) fn sample(&self, run: &str, context: &Context) -> Option<String> {
        self.rest.sample(run, "x", context)
    }

    /// The resource part as tokens, its variables replaced; `None` when one has no value.
    pub(super) fn tokens(&self, context: &Context) -> Option<Vec<GlobToken>> {
        self.rest.tokens(context)
    }

    /// The resource part as tokens, each variable as a run.
    pub(super) fn shape(&self) -> Vec<GlobToken> {
        self.rest.shape()
    }

    /// The variables of the resource part that are straight before a wildcard.
    pub(super) fn spilling(&self) -> impl Iterator<Item = &ContextKey> {
        self.rest.spilling()
    }

    /// The keys of its variables.
    pub(super) fn keys(&self) -> impl Iterator<Item = &ContextKey> {
        self.rest.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let context = Context::of_client("c:1");
        let parsed = ArnPattern::parse(pattern, true).unwrap();
        for text in yes {
            assert!(
                parsed.matches(&ResourceArn::new(text), &context),
                "{pattern} {text}"
            );
        }
        for text in no {
            assert!(
                !parsed.matches(&ResourceArn::new(text), &context),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn patterns() {
        let topic = "arn:aws:iot:us-east-1:1:topic/a";
        check("*", &[topic, "*", "", "x"], &[]);
        check(
            "arn:aws:iot:*",
            &[topic],
            &["arn:aws:s3:x:1:y", "arn:aws:iot", "*"],
        );
        check(
            topic,
            &[topic],
            &[
                "arn:aws:iot:us-east-1:1:topic/ab",
                "arn:aws:iot:us-east-1:1",
            ],
        );
        check(
            "arn:aws:iot:*:*:topic/*",
            &[topic],
            &["arn:aws:iot:us-east-1:1:client/a"],
        );
        check(
            "arn:aws:iot:*:topic/a:*:*",
            &["arn:aws:iot:r:topic/a:x:y"],
            &[topic],
        );
        check(
            "arn:aws:iot:us-*-1:?:topic/a",
            &[topic],
            &["arn:aws:iot:us-east-1:12:topic/a"],
        );
        check(
            "arn:aws:iot:r:1:topic/*/z",
            &["arn:aws:iot:r:1:topic/x:y/z"],
            &["arn:aws:iot:r:1:topic/z"],
        );
        check(
            "arn:aws:iot:r:1:topic/${iot:ClientId}",
            &["arn:aws:iot:r:1:topic/c:1"],
            &["arn:aws:iot:r:1:topic/c"],
        );
        // A star in one part does not swallow the next.
        check(
            "arn:aws:iot:*:1:topic/a",
            &[topic],
            &["arn:aws:iot:x:y:1:topic/a"],
        );
    }

    #[test]
    fn faults() {
        let error = |text| ArnPattern::parse(text, true).unwrap_err();
        assert_eq!(error("topic/a"), ArnError::NotArn);
        assert_eq!(error(""), ArnError::NotArn);
        assert_eq!(error("arn:aws:iot:us-east-1:topic/a"), ArnError::Short(5));
        assert_eq!(error("arn:aws:iot:${a}:1:topic/a"), ArnError::EarlyVariable);
        assert!(matches!(
            error("arn:aws:iot:r:1:topic/${a"),
            ArnError::Glob(_)
        ));
        assert!(ArnPattern::parse("arn:aws:iot:r:1:topic/${a", false).is_ok());
    }
}
