//! `eventcast policy test -`: decisions as JSON lines, one question and one answer a line.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::cli::Status;
use crate::cli::lines::answer_each;
use crate::policy::arn::ResourceArn;
use crate::policy::context::Context;
use crate::policy::document::{Document, DocumentFault};
use crate::policy::evaluate::{PolicyDecision, Request, decide};

/// A question. Other members of a line are ignored.
#[derive(Deserialize)]
struct LineQuestion<'l> {
    /// Documents as values or as JSON text.
    #[serde(borrow)]
    policies: Vec<&'l RawValue>,
    action: String,
    resource: String,
    #[serde(default)]
    context: Context,
}

/// The member that every line may have, a question or not.
#[derive(Default, Deserialize)]
struct NamedLine<'l> {
    #[serde(borrow, default)]
    id: Option<&'l RawValue>,
}

#[derive(Serialize)]
struct PolicyLineAnswer<'l> {
    id: Option<&'l RawValue>,
    decision: &'static str,
    statements: Vec<DecidingStatement>,
    missing: Vec<Box<str>>,
}

/// A statement that decided.
#[derive(Serialize)]
struct DecidingStatement {
    document: usize,
    statement: usize,
    sid: Option<Box<str>>,
}

#[derive(Serialize)]
struct LineRefusal<'l> {
    id: Option<&'l RawValue>,
    error: LineProblem,
}

#[derive(Serialize)]
struct LineProblem {
    /// The line of the input, counted from 1.
    line: usize,
    message: String,
    /// The faults of its policies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    faults: Vec<PolicyFault>,
}

/// A fault of a policy, with its place in the policy's own text.
#[derive(Serialize)]
struct PolicyFault {
    document: usize,
    line: usize,
    column: usize,
    key: String,
    code: &'static str,
    message: String,
    accepted: String,
    help: String,
}

/// Answers every line; a line that is no question is answered with its fault.
pub(super) fn answer(input: impl BufRead, out: &mut impl Write) -> anyhow::Result<Status> {
    answer_each(input, out, |number, line, out| {
        let id = serde_json::from_slice::<NamedLine<'_>>(line)
            .unwrap_or_default()
            .id;
        match decided(number, line) {
            Ok((decision, documents)) => {
                serde_json::to_writer(out, &told(id, decision, &documents))?;
                Ok(true)
            }
            Err(error) => {
                serde_json::to_writer(out, &LineRefusal { id, error })?;
                Ok(false)
            }
        }
    })
}

fn decided(number: usize, line: &[u8]) -> Result<(PolicyDecision, Vec<Document>), LineProblem> {
    let problem = |message: String, faults| LineProblem {
        line: number,
        message,
        faults,
    };
    let question: LineQuestion<'_> = serde_json::from_slice(line)
        .map_err(|error| problem(format!("line {number}: {error}"), Vec::new()))?;
    let (mut documents, mut faults) = (Vec::new(), Vec::new());
    for (index, policy) in question.policies.iter().enumerate() {
        match parse(policy) {
            Ok(document) => documents.push(document),
            Err(found) => faults.extend(found.into_iter().map(|fault| placed(index, fault))),
        }
    }
    if !faults.is_empty() {
        let message = format!("line {number}: its policies are not right");
        return Err(problem(message, faults));
    }
    let request = Request {
        action: &question.action,
        resource: ResourceArn::new(&question.resource),
        context: &question.context,
    };
    Ok((decide(&documents, &request), documents))
}

fn parse(policy: &RawValue) -> Result<Document, Vec<DocumentFault>> {
    let text = serde_json::from_str::<String>(policy.get());
    let parsed = match &text {
        Ok(text) => Document::parse(text),
        Err(_) => Document::parse(policy.get()),
    };
    parsed.map_err(|error| error.faults)
}

fn placed(document: usize, fault: DocumentFault) -> PolicyFault {
    PolicyFault {
        document,
        line: fault.at.line,
        column: fault.at.column,
        key: fault.key,
        code: fault.code,
        message: fault.message,
        accepted: fault.accepted,
        help: fault.help,
    }
}

fn told<'l>(
    id: Option<&'l RawValue>,
    decision: PolicyDecision,
    documents: &[Document],
) -> PolicyLineAnswer<'l> {
    let ground = |at: &crate::policy::evaluate::StatementRef| DecidingStatement {
        document: at.document,
        statement: at.statement,
        sid: documents
            .get(at.document)
            .and_then(|document| document.statements.get(at.statement))
            .and_then(|statement| statement.sid.clone()),
    };
    PolicyLineAnswer {
        id,
        decision: decision.verdict.as_str(),
        statements: decision.statements.iter().map(ground).collect(),
        missing: decision.missing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_answered() {
        let input = concat!(
            r#"{"id":1,"policies":[{"Statement":[{"Sid":"A","Effect":"Allow","Action":"iot:*","Resource":"*"}]}],"action":"iot:Connect","resource":"arn:aws:iot:r:1:client/c","context":{"clientId":"c"},"note":"ignored"}"#,
            "\n\n",
            r#"{"id":"two","policies":["{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"Allow\",\"Action\":\"iot:Publish\",\"Resource\":\"arn:aws:iot:r:1:topic/${iot:ClientId}\"}}"],"action":"iot:Publish","resource":"arn:aws:iot:r:1:topic/c"}"#,
            "\n",
            r#"{"id":3,"policies":[{"Statement":[]},{"Statement":{"Effect":"Alow","Action":"iot:*"}}],"action":"iot:Connect","resource":"*","context":{}}"#,
            "\n",
            r#"{"id":4,"policies":[],"action":"iot:Connect","resource":"*","context":{"client":"c"}}"#,
            "\nnonsense\n",
            r#"{"id":6,"policies":[],"action":"iot:Connect","resource":"*"}"#,
        );
        let mut out = Vec::new();
        let status = answer(input.as_bytes(), &mut out).unwrap();
        assert_eq!(status, Status::CannotAnswer);
        insta::assert_snapshot!(String::from_utf8(out).unwrap());
    }
}
