//! A call as received: the values in its path, query, headers and body. Also the format of times
//! and pages in answers.

use std::collections::HashMap;
use std::time::SystemTime;

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::dev::rest::refusal::RestError;
use crate::dev::rest::{self, milliseconds};

/// The largest page of a list (IoT API model, PageSize), which is also the default.
const PAGE: usize = 250;

/// A call's parts.
pub(super) struct ApiRequest {
    pub(super) path: HashMap<String, String>,
    pub(super) query: HashMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl ApiRequest {
    /// A part of the path.
    pub(super) fn named(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// A parameter of the query.
    pub(super) fn of_query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    /// A parameter of the query that is true or false; false where it is left out.
    pub(super) fn flag(&self, name: &str) -> Result<bool, RestError> {
        match self.of_query(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(RestError::invalid(format!(
                "{name} is `{other}`; true or false is wanted"
            ))),
        }
    }

    /// A header that the call cannot do without.
    pub(super) fn header(&self, name: &str) -> Result<&str, RestError> {
        let value = self.headers.get(name);
        let value = value.and_then(|value| value.to_str().ok());
        value.ok_or_else(|| RestError::invalid(format!("the header `{name}` is missing")))
    }

    /// The body as the model has it; no body is an empty one.
    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, RestError> {
        let body: &[u8] = if self.body.is_empty() {
            b"{}"
        } else {
            &self.body
        };
        serde_json::from_slice(body)
            .map_err(|error| RestError::invalid(format!("the body cannot be read: {error}")))
    }

    /// One page of the items, and the marker of the next page. Both follow the order of the numbers
    /// that `number` returns.
    pub(super) fn page<T>(
        &self,
        mut all: Vec<T>,
        (size, marker): (&str, &str),
        number: impl Fn(&T) -> u64,
    ) -> Result<(Vec<T>, Option<String>), RestError> {
        let asked = self.of_query(size).map(str::parse).transpose();
        let asked = asked.map_err(|_| RestError::invalid(format!("{size} is no number")))?;
        let count = rest::page(size, asked, PAGE, PAGE)?;
        let ascending = self.flag("isAscendingOrder")?;
        let behind = rest::behind(marker, self.of_query(marker))?;
        all.sort_by_key(&number);
        if !ascending {
            all.reverse();
        }
        if !behind.is_empty() {
            let last: u64 = behind
                .parse()
                .map_err(|_| RestError::invalid(format!("{marker} is none that was given out")))?;
            all.retain(|item| match ascending {
                true => number(item) > last,
                false => number(item) < last,
            });
        }
        let has_more = all.len() > count;
        all.truncate(count);
        let next = all.last().filter(|_| has_more);
        let next = next.map(|last| rest::token(&number(last).to_string()));
        Ok((all, next))
    }
}

/// Names in order, a page of them, by the marker that the last one makes.
pub(super) fn page_of_names(
    asked: &ApiRequest,
    (size, marker): (&str, &str),
    names: impl Iterator<Item = String>,
) -> Result<(Vec<String>, Option<String>), RestError> {
    let count = asked.of_query(size).map(str::parse).transpose();
    let count = count.map_err(|_| RestError::invalid(format!("{size} is no number")))?;
    let count = rest::page(size, count, PAGE, PAGE)?;
    let behind = rest::behind(marker, asked.of_query(marker))?;
    let mut names: Vec<String> = names.filter(|name| *name > behind).collect();
    names.sort_unstable();
    let has_more = names.len() > count;
    names.truncate(count);
    let next = names.last().filter(|_| has_more);
    let next = next.map(|last| rest::token(last));
    Ok((names, next))
}

/// A time as the API writes it: seconds since 1970, with milliseconds behind the point.
#[expect(
    clippy::cast_precision_loss,
    reason = "milliseconds of this century fit"
)]
pub(super) fn seconds(time: SystemTime) -> Value {
    json!(milliseconds(time) as f64 / 1_000.0)
}
