//! The list of revoked subjects and tokens in a DynamoDB table.
//!
//! One BatchGetItem a question (Amazon DynamoDB API reference, version 2012-08-10). The table's key
//! is the text `id`. Reads are eventually consistent, about a second behind: answers are remembered
//! for longer than that by default.

use std::fmt;

use aws_config::SdkConfig;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::client::SdkLoader;
use super::json_call::{DYNAMODB, JsonConnection};
use crate::port::{RevocationAnswer, RevocationList, RevokedEntry};

/// A table.
pub struct RevokedTable {
    name: String,
    sdk: SdkLoader,
    access: OnceCell<(SdkConfig, JsonConnection)>,
}

impl fmt::Debug for RevokedTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RevokedTable").field(&self.name).finish()
    }
}

impl RevokedTable {
    /// A table of the account that credentials are found for when it is first asked.
    pub fn new(name: &str, sdk: SdkLoader) -> Self {
        Self {
            name: name.to_owned(),
            sdk,
            access: OnceCell::new(),
        }
    }

    async fn entries(&self, ids: &[String]) -> Result<Vec<RevokedEntry>, String> {
        let load = async || ((self.sdk)().await, JsonConnection::default());
        let (config, connection) = self.access.get_or_init(load).await;
        let keys: Vec<Value> = ids.iter().map(|id| json!({ "id": { "S": id } })).collect();
        let input = json!({ "RequestItems": { &self.name: { "Keys": keys } } });
        let answer = DYNAMODB
            .call_over(connection, config, "BatchGetItem", &input)
            .await
            .map_err(|error| error.to_string())?;
        read(&answer, &self.name)
    }
}

/// The entries of an answer, which has to be a whole one.
fn read(answer: &Value, table: &str) -> Result<Vec<RevokedEntry>, String> {
    let is_whole = answer
        .get("UnprocessedKeys")
        .and_then(Value::as_object)
        .is_none_or(serde_json::Map::is_empty);
    if !is_whole {
        return Err("dynamodb:BatchGetItem: the table is asked too often".into());
    }
    let items = answer.get("Responses").and_then(|all| all.get(table));
    let items = items
        .and_then(Value::as_array)
        .ok_or("dynamodb:BatchGetItem: an answer without items")?;
    items.iter().map(entry).collect()
}

fn entry(item: &Value) -> Result<RevokedEntry, String> {
    let id = item.get("id").and_then(|id| id.get("S")?.as_str());
    let id = id.ok_or("dynamodb:BatchGetItem: an item without the text `id`")?;
    let seconds = |name: &str| match item.get(name) {
        None => Ok(None),
        Some(value) => {
            let number = value.get("N").and_then(Value::as_str);
            let seconds = number.and_then(|number| number.parse::<f64>().ok());
            // The cast saturates.
            seconds
                .map(|seconds| Some(seconds as i64))
                .ok_or_else(|| format!("the item `{id}`: `{name}` is no number"))
        }
    };
    Ok(RevokedEntry {
        id: id.to_owned(),
        issued_before: seconds("issued_before")?,
        expires: seconds("expires")?,
    })
}

impl RevocationList for RevokedTable {
    fn find<'a>(&'a self, ids: &'a [String]) -> RevocationAnswer<'a> {
        Box::pin(self.entries(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let of = |answer: Value| read(&answer, "t").map_err(|error| error.to_string());
        let item = json!({ "id": { "S": "subject:a" }, "issued_before": { "N": "7" }, "note": { "S": "x" } });
        let found = of(json!({ "Responses": { "t": [item] }, "UnprocessedKeys": {} })).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(
            (&*found[0].id, found[0].issued_before, found[0].expires),
            ("subject:a", Some(7), None)
        );
        assert!(of(json!({ "Responses": { "t": [] } })).unwrap().is_empty());
        for bad in [
            json!({}),
            json!({ "Responses": {} }),
            json!({ "Responses": { "t": [] }, "UnprocessedKeys": { "t": {} } }),
            json!({ "Responses": { "t": [{ "key": { "S": "subject:a" } }] } }),
            json!({ "Responses": { "t": [{ "id": { "S": "a" }, "expires": { "S": "soon" } }] } }),
        ] {
            assert!(of(bad.clone()).is_err(), "{bad}");
        }
    }
}
