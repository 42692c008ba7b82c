//! ARNs in front of their resources: partitions, Regions and accounts that the patterns of two
//! policies distinguish.

use std::collections::BTreeSet;

use crate::policy::context::Context;
use crate::policy::document::ResourcePattern;
use crate::policy::glob::{Glob, GlobSyntax, GlobToken};

/// The parts of ARNs before the resource.
pub(super) type DiffArnHead = [String; 5];

/// Placeholder in a head for a part that no document names.
const ELSEWHERE: &str = "any";

/// All heads that resources can distinguish.
pub(super) fn heads<'d>(resources: impl Iterator<Item = &'d ResourcePattern>) -> Vec<DiffArnHead> {
    let usual = ["arn", "aws", "iot", ELSEWHERE, ELSEWHERE].map(str::to_owned);
    let mut parts: [BTreeSet<String>; 5] = Default::default();
    for resource in resources {
        let mut written: Vec<&str> = resource.text.splitn(6, ':').collect();
        if written.len() < 6 {
            // The last part goes on past the colons.
            written.pop();
        }
        for ((part, known), usual) in written.iter().zip(&mut parts).zip(&usual) {
            known.insert(match part.contains(['*', '?']) {
                true => usual.clone(),
                false => (*part).to_owned(),
            });
        }
    }
    for (known, usual) in parts.iter_mut().zip(usual) {
        if known.is_empty() {
            known.insert(usual);
        }
    }
    let mut heads: Vec<Vec<String>> = vec![Vec::new()];
    for known in &parts {
        let longer = |head: &Vec<String>| {
            let head = head.clone();
            known
                .iter()
                .map(move |part| [head.as_slice(), std::slice::from_ref(part)].concat())
        };
        heads = heads.iter().flat_map(longer).collect();
    }
    heads
        .into_iter()
        .filter_map(|head| head.try_into().ok())
        .collect()
}

/// The pattern of a resource's last part, where its others fit a head.
pub(super) fn tail(
    resource: &ResourcePattern,
    head: &DiffArnHead,
    action: &str,
    context: &Context,
) -> Option<Vec<GlobToken>> {
    let syntax = GlobSyntax {
        wildcards: true,
        variables: false,
    };
    let written: Vec<&str> = resource.text.splitn(6, ':').collect();
    let whole = written.len() == 6;
    let parts = written.len().min(if whole { 5 } else { written.len() - 1 });
    let fits = written.iter().take(parts).zip(head).all(|(part, text)| {
        Glob::parse(part, syntax).is_ok_and(|glob| glob.matches(text, &Context::default()))
    });
    if !fits {
        return None;
    }
    if !whole {
        // `arn:aws:iot:*`: the star takes in the resource, and the text before it has to fit the
        // next part.
        let next = head.get(parts).map_or("", String::as_str);
        let last = written.last().copied().unwrap_or_default();
        let fits = Glob::parse(last, syntax)
            .is_ok_and(|glob| glob.matches(&format!("{next}:"), &Context::default()));
        return fits.then(|| vec![GlobToken::Run]);
    }
    if action.eq_ignore_ascii_case("iot:Connect") && is_any_client(resource) {
        // The client id is the very name that is asked for.
        let kind = "client/".chars().map(GlobToken::Char);
        return Some(kind.chain([GlobToken::Run]).collect());
    }
    resource.tokens(context)
}

fn is_any_client(resource: &ResourcePattern) -> bool {
    let lower = resource.text.to_ascii_lowercase();
    let name = lower.splitn(6, ':').nth(5);
    name.is_some_and(|name| matches!(name, "client/${iot:clientid}" | "client/${iot:clientid}*"))
}
