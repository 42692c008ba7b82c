//! Clients and topics of an account on AWS, by IoT Core's data plane.

use std::io::Write;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{DevAddress, client as words};
use crate::aws::{client as sdk, endpoint, facts};
use crate::channel::template;
use crate::cli::json::write_json;
use crate::cli::runtime::block_on;
use crate::cli::{OutputFormat, Status};
use crate::config::Config;
use crate::escape::write_line;

/// Opens the data plane, at the address that was named or that the control plane returns.
async fn open(place: &DevAddress) -> anyhow::Result<facts::DataPlaneFacts> {
    let config = sdk::environment().await;
    let endpoint = match &place.data_plane {
        Some(endpoint) => endpoint.clone(),
        None => {
            let host = endpoint::describe(&config).await;
            let host = host.context(
                "asking IoT Core for the account's endpoint, because --data-plane is not given",
            )?;
            format!("https://{host}")
        }
    };
    Ok(facts::DataPlaneFacts::new(&config, &endpoint))
}

/// Writes a client; yes when it is connected.
pub(super) fn client(
    id: &str,
    place: &DevAddress,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let found = block_on(async {
        let facts = open(place).await?;
        let Some(connection) = facts.connection(id).await? else {
            return anyhow::Ok(None);
        };
        let subscriptions = facts.subscriptions(id).await?;
        Ok(Some(told(id, &connection, &subscriptions)))
    })??;
    let Some(told) = found else {
        let line = format_args!(
            "IoT Core knows no connection of client `{id}`; it forgets 30 minutes after one has ended"
        );
        write_line(messages, line)?;
        return Ok(Status::No);
    };
    let mut text = Vec::new();
    let connected = words::write(&told, &mut text)?;
    match place.format {
        OutputFormat::Json => write_json(&told, out)?,
        OutputFormat::Text => {
            out.write_all(&text)?;
            writeln!(
                out,
                "not told by AWS: its role, its policies, what it was denied (IoT Core's logs have that)"
            )?;
        }
    }
    Ok(if connected { Status::Yes } else { Status::No })
}

fn told(id: &str, connection: &facts::KnownConnection, subscriptions: &[(String, u8)]) -> Value {
    let subscriptions: Vec<Value> = subscriptions
        .iter()
        .map(|(filter, qos)| json!({ "filter": filter, "qos": qos }))
        .collect();
    json!({
        "id": id,
        "connected": connection.connected,
        "principal": connection.thing_name,
        "since": connection.since_ms.map(|millis| millis * 1_000),
        "disconnect_reason": connection.disconnect_reason,
        "source": connection.source,
        "keep_alive": connection.keep_alive,
        "session_expiry": connection.session_expiry,
        "clean": connection.clean,
        "subscriptions": subscriptions,
    })
}

/// Writes a topic's retained message; yes when there is one.
pub(super) fn channel(
    channel: &str,
    config: &Config,
    place: &DevAddress,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let topic = match topic(channel, config) {
        Ok(topic) => topic,
        Err(why) => {
            write_line(messages, format_args!("error: {why}"))?;
            return Ok(Status::CannotAnswer);
        }
    };
    let retained = block_on(async {
        let facts = open(place).await?;
        anyhow::Ok(facts.retained(&topic).await?)
    })??;
    let retained = retained.map(|message| {
        json!({
            "at": message.modified_ms * 1_000,
            "qos": message.qos,
            "size_bytes": message.payload.len(),
            "text": String::from_utf8(message.payload).ok(),
        })
    });
    let told = json!({ "topic": topic, "retained": retained });
    match place.format {
        OutputFormat::Json => write_json(&told, out)?,
        OutputFormat::Text => {
            write_line(out, format_args!("topic `{topic}`"))?;
            words::write_retained(retained.as_ref(), out)?;
            writeln!(
                out,
                "not told by AWS: who has subscribed, and how much goes on there"
            )?;
        }
    }
    Ok(if retained.is_some() {
        Status::Yes
    } else {
        Status::No
    })
}

fn topic(text: &str, config: &Config) -> Result<String, String> {
    let named = template::channel(text, &config.kinds).map_err(|error| error.to_string())?;
    let Some((kind, id)) = named else {
        return Ok(text.to_owned());
    };
    if !kind.id().accepts(id) {
        let format = kind.id();
        return Err(format!(
            "`{id}` is no id of channel `{}`, which wants {format}",
            kind.name()
        ));
    }
    let environment = config.environment.as_deref();
    let prefix = environment.map_or_else(String::new, |name| format!("{name}/"));
    Ok(format!("{prefix}{}/{id}", kind.name()))
}
