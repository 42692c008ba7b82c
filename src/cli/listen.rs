//! `eventcast listen`: a client on the command line, as a browser or phone would be one.
//!
//! It connects once, by MQTT 5, and does not reconnect: a lost connection is an answer here.

mod output;
mod platform;

use std::io::{BufRead, Write};
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};
use tokio::time::{Instant, sleep_until};

use self::output::{MessageWriter, Totals};
use self::platform::{AskError, DevPlatform};
use super::policy::generate::arguments::claim;
use super::runtime::block_on;
use super::{Format, Status};
use crate::broker::Broker as BrokerUrl;
use crate::config::duration;
use crate::escape::escaped;
use crate::mqtt::auth::{Access, Credentials, Pem, Tls, TlsFiles, Token};
use crate::mqtt::listener::{Listener, RefusedFilter};

#[derive(Debug, Args)]
#[command(after_help = "\
Connects by MQTT 5 over WebSocket to a running `eventcast dev`, subscribes with QoS 1, and prints a line for each message. A role's \
token is made by the running platform, with its configuration and the development key; without claims the role's example claims are \
taken. Without a channel everything is subscribed to that the token grants. --url connects to another broker, such as IoT Core with a \
custom authorizer; channels are topics there.

Examples:
  eventcast listen --role customer
  eventcast listen --role customer --claims claims.json announcements
  eventcast listen --role backoffice --count 1 --duration 30s --format json
  eventcast token mint --dev --role customer --claims claims.json | eventcast listen --token -
  eventcast listen --url wss://ENDPOINT/mqtt --token TOKEN --client-id ID order/1

Exit status: 0 ended by Ctrl-C, --duration or --count, 1 refused (not let in, no channel that may be subscribed to) or fewer \
messages than --count came in --duration, 2 the question is not right, 3 nobody answers or the connection was lost.")]
pub(super) struct Command {
    /// Channels such as order:ID, topics or topic filters; without one, all that the token grants
    #[arg(value_name = "CHANNEL")]
    channels: Vec<String>,
    /// Mint a development token for this role at the running `eventcast dev`
    #[arg(long, value_name = "NAME", conflicts_with_all = ["token", "url"])]
    role: Option<String>,
    /// The claim `sub`: the identity of the client
    #[arg(long, value_name = "TEXT", requires = "role")]
    sub: Option<String>,
    /// A claim; values with commas between them are a list, none are an empty list (repeatable)
    #[arg(long, value_name = "NAME=VALUE[,VALUE…]", value_parser = claim, requires = "role")]
    claim: Vec<(String, Value)>,
    /// Further claims: JSON text (beginning with `{`), a file, or `-` for standard input; --claim and --sub take precedence
    #[arg(long, value_name = "JSON|FILE", requires = "role")]
    claims: Option<String>,
    /// A token that is there already; `-` reads it from standard input
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// The name under which the broker looks for the token
    #[arg(long, value_name = "NAME", default_value = "token", requires = "token")]
    token_key: String,
    /// The MQTT client id; without it the token's principal and a random part
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The address at which `eventcast dev` is reached
    #[arg(
        long,
        value_name = "URL",
        env = "AWS_ENDPOINT_URL",
        default_value = "http://127.0.0.1:4566"
    )]
    endpoint: String,
    /// A broker's address instead, such as wss://HOST/mqtt, ws://, mqtts:// or mqtt://
    #[arg(long, value_name = "URL", value_parser = broker_url)]
    url: Option<BrokerUrl>,
    /// Certificates of the authorities to trust with wss:// and mqtts://, as PEM; without it those of the system
    #[arg(long, value_name = "FILE", requires = "url")]
    ca: Option<String>,
    /// End after this many messages
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// End after this time, such as 30s
    #[arg(long, value_name = "TIME", value_parser = time)]
    duration: Option<Duration>,
    /// Text is topic and payload, json one object a line
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

fn time(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "a time such as 30s or 5m is expected".to_owned())
}

fn broker_url(text: &str) -> Result<BrokerUrl, String> {
    BrokerUrl::parse(text).ok_or_else(|| {
        "mqtt://, mqtts://, ws:// or wss://, a host, and perhaps a port is expected".to_owned()
    })
}

/// Early end of the command, with the message for the user.
struct Failure(Status, String);

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let status = match &error {
            AskError::Unreachable(_) => Status::Failed,
            AskError::Wrong(_) => Status::CannotAnswer,
        };
        Self(status, format!("error: {error}"))
    }
}

fn wrong(message: impl Into<String>) -> Failure {
    Failure(Status::CannotAnswer, format!("error: {}", message.into()))
}

/// Client as it connects.
struct Client {
    access: Access,
    id: String,
    filters: Vec<String>,
    /// The platform that explains refusals.
    platform: Option<DevPlatform>,
}

/// Runs the command. `input` is standard input, if it is piped.
pub(super) fn run(
    command: &Command,
    input: Option<impl BufRead>,
    out: &mut impl Write,
    messages: &mut impl Write,
) -> anyhow::Result<Status> {
    let typed = command.typed(input);
    let ended = block_on(async {
        let typed = match typed {
            Ok(typed) => typed,
            Err(failure) => return Ok(Err(failure)),
        };
        let client = match command.client(typed, messages).await {
            Ok(client) => client,
            Err(failure) => return Ok(Err(failure)),
        };
        command.listen(client, out, messages).await
    })??;
    match ended {
        Ok(status) => Ok(status),
        Err(Failure(status, message)) => {
            for line in message.lines() {
                writeln!(messages, "{}", escaped(line))?;
            }
            Ok(status)
        }
    }
}

/// Arguments with their files and standard input read.
struct Typed {
    /// The claims, if any are given.
    claims: Option<Map<String, Value>>,
    token: Option<String>,
}

impl Command {
    fn typed(&self, input: Option<impl BufRead>) -> Result<Typed, Failure> {
        let mut input = input;
        let mut read_input = || {
            let mut text = String::new();
            match &mut input {
                Some(input) => input
                    .read_to_string(&mut text)
                    .map(|_| text)
                    .map_err(|error| wrong(format!("reading standard input: {error}"))),
                None => Err(wrong(
                    "`-` reads standard input, which is a terminal\nhelp: pipe the value in",
                )),
            }
        };
        let token = match self.token.as_deref() {
            Some("-") => Some(read_input()?.trim().to_owned()),
            given => given.map(str::to_owned),
        };
        if token.as_deref() == Some("") {
            return Err(wrong(
                "the token is empty\nhelp: give one with --token, or a role with --role",
            ));
        }
        let mut claims = match self.claims.as_deref() {
            None => None,
            Some(given) => {
                let text = match given {
                    "-" => read_input()?,
                    text if text.trim_start().starts_with('{') => text.to_owned(),
                    file => std::fs::read_to_string(file).map_err(|error| {
                        wrong(format!("reading the claims `{file}`: {error}\nhelp: give --claims '{{\"sub\":\"…\"}}', a file, or `-`"))
                    })?,
                };
                let read = serde_json::from_str::<Map<String, Value>>(&text);
                Some(read.map_err(|error| {
                    wrong(format!("the claims are not a JSON object: {error}\nhelp: give --claims '{{\"sub\":\"…\"}}', a file, or `-`"))
                })?)
            }
        };
        if self.sub.is_some() || !self.claim.is_empty() {
            let claims = claims.get_or_insert_default();
            claims.extend(self.sub.clone().map(|sub| ("sub".to_owned(), sub.into())));
            claims.extend(self.claim.iter().cloned());
        }
        Ok(Typed { claims, token })
    }

    async fn client(&self, typed: Typed, messages: &mut impl Write) -> Result<Client, Failure> {
        if let Some(url) = &self.url {
            return self.elsewhere(url, typed.token);
        }
        let platform = DevPlatform::reach(&self.endpoint).await?;
        let url = platform.websocket().and_then(BrokerUrl::parse);
        let url = url.ok_or_else(|| {
            Failure(
                Status::Failed,
                "error: the platform names no WebSocket".into(),
            )
        })?;
        let mut granted = Vec::new();
        let (credentials, principal) = match (&self.role, typed.token) {
            (Some(role), _) => {
                let roles = platform.roles();
                if !roles.contains(&role.as_str()) {
                    let help = match roles.as_slice() {
                        [] => "the configuration has no roles: leave --role out".to_owned(),
                        roles => format!("roles are {}", roles.join(", ")),
                    };
                    return Err(wrong(format!("there is no role `{role}`\nhelp: {help}")));
                }
                let claims = typed.claims.unwrap_or_else(|| {
                    let claims = platform.example_claims(role);
                    let text = Value::Object(claims.clone()).to_string();
                    // A note; when it cannot be written, the output cannot either.
                    let _ = writeln!(
                        messages,
                        "note: no claims are given; these are an example: {}",
                        escaped(&text)
                    );
                    claims
                });
                let minted = platform.mint(role, &claims).await?;
                granted = minted.subscribe;
                (token(minted.key, minted.token), Some(minted.principal))
            }
            (None, Some(given)) => {
                // A token is proved by the broker; who it names is needed for the client id.
                let principal = subject(&given);
                (token(self.token_key.clone(), given), principal)
            }
            (None, None) if platform.wants_tokens() => {
                let roles = platform.roles().join(", ");
                return Err(wrong(format!(
                    "clients need a token here\nhelp: name a role with --role (roles are {roles}), or give a token with --token"
                )));
            }
            (None, None) => (Credentials::None, None),
        };
        let mut filters = Vec::new();
        for channel in &self.channels {
            // A filter with wildcards is subscribed to as it is.
            let is_filter = channel.contains(['+', '#']);
            filters.push(if is_filter {
                channel.clone()
            } else {
                platform.topic(channel).await?
            });
        }
        if filters.is_empty() {
            filters = granted
                .into_iter()
                .map(|glob| match glob.strip_suffix('*') {
                    Some(under) => format!("{under}#"),
                    None => glob,
                })
                .collect();
        }
        if filters.is_empty() {
            return Err(wrong(
                "there is no channel to subscribe to\nhelp: name channels or topics, such as order:ID",
            ));
        }
        Ok(Client {
            access: Access {
                broker: url,
                tls: None,
                credentials,
            },
            id: self.client_id(principal.as_deref()),
            filters,
            platform: Some(platform),
        })
    }

    /// A client of another broker.
    fn elsewhere(&self, url: &BrokerUrl, given: Option<String>) -> Result<Client, Failure> {
        if self.channels.is_empty() {
            return Err(wrong(
                "there is no topic to subscribe to\nhelp: name topics or filters, such as order/1",
            ));
        }
        let authorities = match &self.ca {
            None => None,
            Some(file) => {
                let text = std::fs::read(file).map_err(|error| {
                    wrong(format!(
                        "reading `{file}`: {error}\nhelp: name a PEM file with --ca"
                    ))
                })?;
                Some(Pem {
                    name: format!("--ca `{file}`"),
                    text,
                })
            }
        };
        let tls = if url.transport.is_secure() {
            let files = TlsFiles {
                authorities,
                ..TlsFiles::default()
            };
            Some(Tls::try_new(&files).map_err(|error| wrong(error.to_string()))?)
        } else {
            None
        };
        let principal = given.as_deref().and_then(subject);
        Ok(Client {
            id: self.client_id(principal.as_deref()),
            access: Access {
                broker: url.clone(),
                tls,
                credentials: given.map_or(Credentials::None, |given| {
                    token(self.token_key.clone(), given)
                }),
            },
            filters: self.channels.clone(),
            platform: None,
        })
    }

    /// The id that was asked for, or one that belongs to the principal and is used by nobody else.
    fn client_id(&self, principal: Option<&str>) -> String {
        let random = fastrand::u32(..);
        self.client_id.clone().unwrap_or_else(|| match principal {
            Some(principal) => format!("{principal}-listen-{random:08x}"),
            None => format!("listen-{random:08x}"),
        })
    }

    async fn listen(
        &self,
        client: Client,
        out: &mut impl Write,
        messages: &mut impl Write,
    ) -> anyhow::Result<Result<Status, Failure>> {
        let begin = Instant::now();
        let interrupt = tokio::signal::ctrl_c();
        tokio::pin!(interrupt);
        let opened = tokio::select! {
            opened = Listener::open(&client.access, &client.id) => opened,
            _ = &mut interrupt => return Ok(Ok(Status::Yes)),
        };
        let mut listener = match opened {
            Ok(listener) => listener,
            Err(error) => return Ok(Err(client.not_let_in(&error).await)),
        };
        let refused = match listener.subscribe(&client.filters).await {
            Ok(refused) => refused,
            Err(error) => {
                let why = listener.why_ended().unwrap_or(error);
                return Ok(Err(client.lost_while_subscribing(&why).await));
            }
        };
        for filter in &refused {
            client.explain(filter, messages).await?;
        }
        if refused.len() == client.filters.len() {
            listener.leave().await;
            return Ok(Ok(Status::No));
        }
        let heard: Vec<&str> = client
            .filters
            .iter()
            .filter(|filter| !refused.iter().any(|other| other.filter == **filter))
            .map(String::as_str)
            .collect();
        writeln!(
            messages,
            "listening to {} at {} as client {}; Ctrl-C ends it",
            escaped(&heard.join(", ")),
            client.access.broker,
            escaped(&client.id)
        )?;
        let end = self.duration.map(|duration| begin + duration);
        let mut writer = MessageWriter::new(out, self.format);
        let mut totals = Totals::default();
        let status = loop {
            let over = async {
                match end {
                    Some(end) => sleep_until(end).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                message = listener.next() => match message {
                    Some(message) => {
                        writer.write(&message)?;
                        totals.messages += 1;
                        if self.count.is_some_and(|count| totals.messages >= count) {
                            break Status::Yes;
                        }
                    }
                    None => {
                        let why = listener.why_ended();
                        let why = why.unwrap_or_else(|| "the broker closed it".to_owned());
                        return Ok(Err(Failure(Status::Failed, format!("error: the connection was lost: {why}"))));
                    }
                },
                () = over => break if self.count.is_some() { Status::No } else { Status::Yes },
                _ = &mut interrupt => break Status::Yes,
            }
        };
        listener.leave().await;
        if let (Status::No, Some(count)) = (status, self.count) {
            writeln!(messages, "{} of {count} messages came", totals.messages)?;
        }
        Ok(Ok(status))
    }
}

impl Client {
    /// The reason why the broker does not answer or let it in.
    async fn not_let_in(&self, error: &str) -> Failure {
        let why = match &self.platform {
            Some(platform) => platform.last_refusal(&self.id).await,
            None => None,
        };
        let broker = &self.access.broker;
        match why {
            Some(why) => Failure(
                Status::No,
                format!(
                    "client `{}` is not let in: {why}\nhelp: its token must be signed with the development key or one of authorizer.keys, and the client id must be its principal, or begin with it and `-`",
                    self.id
                ),
            ),
            None if error.contains("refused, return code")
                || error.contains("403")
                || error.contains("401") =>
            {
                Failure(
                    Status::No,
                    format!(
                        "client `{}` is not let in at {broker}: {error}\nhelp: check the token with `eventcast token verify`, and the client id",
                        self.id
                    ),
                )
            }
            None => Failure(
                Status::Failed,
                format!(
                    "error: connecting to {broker}: {error}\nhelp: check the address with --url or --endpoint"
                ),
            ),
        }
    }

    async fn lost_while_subscribing(&self, error: &str) -> Failure {
        let why = match &self.platform {
            Some(platform) => platform.last_refusal(&self.id).await,
            None => None,
        };
        match why {
            Some(why) => Failure(
                Status::No,
                format!("the broker closed the connection at SUBSCRIBE: {why}"),
            ),
            None => Failure(Status::Failed, format!("error: subscribing: {error}")),
        }
    }

    async fn explain(
        &self,
        refused: &RefusedFilter,
        messages: &mut impl Write,
    ) -> std::io::Result<()> {
        let RefusedFilter { filter, reason } = refused;
        writeln!(
            messages,
            "`{}` is refused: {}",
            escaped(filter),
            escaped(reason)
        )?;
        let advice = match &self.platform {
            Some(platform) if !filter.contains(['+', '#']) => {
                platform.advice(&self.id, filter).await
            }
            _ => Vec::new(),
        };
        if advice.is_empty() {
            return writeln!(
                messages,
                "help: the client's policies must allow iot:Subscribe on it and iot:Receive on its topics"
            );
        }
        for line in advice {
            writeln!(messages, "help: {}", escaped(&line))?;
        }
        Ok(())
    }
}

fn token(key: String, token: String) -> Credentials {
    Credentials::Token(Token {
        authorizer: None,
        key,
        token,
        signature: None,
    })
}

/// The claim `sub` of a JSON Web Token that is not checked here: the broker does that.
fn subject(token: &str) -> Option<String> {
    use base64::Engine as _;
    let claims = token.split('.').nth(1)?;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims: Value = serde_json::from_slice(&engine.decode(claims).ok()?).ok()?;
    claims["sub"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_of_tokens() {
        assert_eq!(subject("e30.eyJzdWIiOiJhIn0.x").as_deref(), Some("a"));
        for none in ["", "a.b", "e30.e30.x", "e30.!!.x"] {
            assert_eq!(subject(none), None, "{none}");
        }
    }
}
