//! Any policy, asked anything: nothing panics or hangs, faults have places, and the decision fits
//! its grounds.
//!
//! The input is a policy, a context, an action and a resource, a line each; the policy may hold
//! line breaks and comes last.

#![no_main]

use eventcast::policy::arn::ResourceArn;
use eventcast::policy::context::Context;
use eventcast::policy::document::{Document, Effect};
use eventcast::policy::evaluate::{Request, Verdict, decide};
use eventcast::policy::explain::near_misses;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let mut lines = input.splitn(4, '\n');
    let mut next = || lines.next().unwrap_or_default();
    let (action, resource, facts, policy) = (next(), next(), next(), next());
    let document = match Document::parse(policy) {
        Ok(document) => document,
        Err(error) => {
            assert!(!error.faults.is_empty());
            assert!(
                error
                    .faults
                    .iter()
                    .all(|fault| fault.at.line > 0 && fault.at.column > 0)
            );
            return;
        }
    };
    let context: Context = serde_json::from_str(facts).unwrap_or_default();
    let request = Request {
        action,
        resource: ResourceArn::new(resource),
        context: &context,
    };
    let decision = decide([&document], &request);
    let wanted = match decision.verdict {
        Verdict::Allowed => Some(Effect::Allow),
        Verdict::ExplicitDeny => Some(Effect::Deny),
        Verdict::ImplicitDeny => None,
    };
    assert_eq!(wanted.is_none(), decision.statements.is_empty());
    for at in &decision.statements {
        assert_eq!(Some(document.statements[at.statement].effect), wanted);
    }
    // Attached twice, a policy says the same.
    let twice = decide([&document, &document], &request);
    assert_eq!(twice.verdict, decision.verdict);
    assert_eq!(twice.statements.len(), 2 * decision.statements.len());
    assert_eq!(twice.missing, decision.missing);
    // A statement that allowed is no near miss; nothing that allows is left out of both.
    let misses = near_misses([&document], &request);
    assert!(misses.iter().all(|miss| !miss.reasons.is_empty()));
    if decision.verdict == Verdict::Allowed {
        assert!(
            misses
                .iter()
                .all(|miss| !decision.statements.contains(&miss.statement))
        );
    }
});
