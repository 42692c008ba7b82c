//! Lists by pages, as all of EventBridge's lists are.

use serde::Serialize;
use serde_json::json;

use super::super::{ApiResult, body_of};
use super::constraint::{ConstraintViolations, TOKEN, invalid};
use super::wire::EventsRequest;

/// Maximum number of items on a page, also used without a limit.
const PAGE: i64 = 100;

pub(super) fn check_page(request: &EventsRequest, found: &mut ConstraintViolations) {
    found.number("limit", request.limit, (1, PAGE));
    found.optional("nextToken", request.next_token.as_deref(), TOKEN);
}

/// One page of a list that is ordered by names. The token for the next is the last name of this one, in hexadecimal.
pub(super) fn page<'i, T: 'i, U: Serialize>(
    of: &str,
    request: &EventsRequest,
    items: impl IntoIterator<Item = (&'i String, &'i T)>,
    told: impl Fn(&str, &T) -> U,
) -> ApiResult {
    let after = match &request.next_token {
        None => None,
        Some(token) => {
            Some(from_hex(token).ok_or_else(|| invalid("Parameter NextToken is not valid."))?)
        }
    };
    let rest = items.into_iter().filter(|(name, _)| {
        let bytes = name.as_bytes();
        after.as_deref().is_none_or(|after| bytes > after)
    });
    let most = usize::try_from(request.limit.unwrap_or(PAGE)).unwrap_or(1);
    let mut rest = rest.peekable();
    let mut listed = Vec::new();
    let mut last = None;
    while let Some((name, item)) = (listed.len() < most).then(|| rest.next()).flatten() {
        listed.push(told(name, item));
        last = Some(name);
    }
    let mut answer = serde_json::Map::new();
    if let (Some(last), Some(_)) = (last, rest.peek()) {
        let token: String = last.bytes().map(|byte| format!("{byte:02x}")).collect();
        answer.insert("NextToken".into(), token.into());
    }
    answer.insert(of.to_owned(), json!(listed));
    body_of(&answer)
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? * 16 + digit(*low)?).ok(),
        _ => None,
    };
    pairs.map(byte).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn listed(limit: Option<i64>, token: Option<String>) -> (Vec<String>, Option<String>) {
        let names = ["a", "b/é", "c", "d"].map(|name| (name.to_owned(), ()));
        let items = BTreeMap::from(names);
        let request = EventsRequest {
            limit,
            next_token: token,
            ..EventsRequest::default()
        };
        let answer = page("Names", &request, &items, |name, ()| json!(name)).unwrap();
        let answer: serde_json::Value = serde_json::from_slice(&answer).unwrap();
        let names = answer["Names"].as_array().unwrap().iter();
        let names = names.map(|name| name.as_str().unwrap().to_owned());
        let token = answer["NextToken"].as_str().map(str::to_owned);
        (names.collect(), token)
    }

    #[test]
    fn pages_follow_each_other() {
        assert_eq!(listed(None, None).0.len(), 4);
        assert_eq!(listed(Some(4), None).1, None);
        let (first, token) = listed(Some(2), None);
        assert_eq!(first, ["a", "b/é"]);
        assert_eq!(
            listed(Some(2), token),
            (vec!["c".to_owned(), "d".to_owned()], None)
        );
        let request = EventsRequest {
            next_token: Some("x".into()),
            ..EventsRequest::default()
        };
        let items = BTreeMap::<String, ()>::new();
        let refused = page("Names", &request, &items, |name, ()| json!(name)).unwrap_err();
        assert_eq!(refused.message, "Parameter NextToken is not valid.");
    }
}
