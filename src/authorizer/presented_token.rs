//! The place where a client puts its token.
//!
//! Clients of IoT Core put it (developer guide, "Connecting to AWS IoT Core by using custom
//! authentication") in the WebSocket's query string or a header, under the name that the
//! configuration gives it, in the query that follows the MQTT user name, or as the MQTT password.

use crate::port::Presented;

/// The token that a client presents under a name; `None` where there is none, or an empty one.
pub(super) fn find(presented: &Presented, token_key: &str) -> Option<String> {
    let upgrade = presented.upgrade.as_ref();
    let login = presented.login.as_ref();
    let in_query = || of_query(upgrade?.query.as_deref()?, token_key);
    let in_header = || {
        let named = |(name, _): &&(String, String)| name.eq_ignore_ascii_case(token_key);
        let (_, value) = upgrade?.headers.iter().find(named)?;
        Some(value.clone())
    };
    let in_user_name = || {
        let (_, query) = login?.user_name.as_deref()?.split_once('?')?;
        of_query(query, token_key)
    };
    let in_password = || {
        let password = login?.password.as_deref()?;
        std::str::from_utf8(password).ok().map(str::to_owned)
    };
    let found = in_query()
        .or_else(in_header)
        .or_else(in_user_name)
        .or_else(in_password);
    found.filter(|token| !token.is_empty())
}

fn of_query(query: &str, token_key: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.find(|(name, _)| *name == token_key)?;
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8();
    Some(decoded.ok()?.into_owned())
}
