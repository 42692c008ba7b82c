//! From arguments to a client: claims, token, channels and the broker's address.

use std::io::{BufRead, Write};
use std::path::Path;

use serde_json::{Map, Value};

use super::Command;
use super::client::{ListenClient, ListenFailure, wrong};
use super::platform::DevPlatform;
use crate::broker::BrokerAddress;
use crate::cli::Status;
use crate::cli::input::{self, INPUT_BYTES};
use crate::escape::{escaped, write_line};
use crate::mqtt::auth::{BrokerAccess, ConnectCredentials, Pem, TlsConfig, TlsFiles, Token};

const CLAIMS_HELP: &str = "give --claims '{\"sub\":\"…\"}', a file, or `-`";

/// Arguments with their files and standard input read.
pub(super) struct ListenInput {
    /// The claims, if any are given.
    claims: Option<Map<String, Value>>,
    token: Option<String>,
}

impl Command {
    pub(super) fn typed(&self, input: Option<impl BufRead>) -> Result<ListenInput, ListenFailure> {
        let mut input = input;
        let mut read_input = || match &mut input {
            Some(input) => input::text_of(input, INPUT_BYTES).map_err(|error| {
                wrong(format!("reading standard input: {error}"), "pipe UTF-8 in")
            }),
            None => Err(wrong(
                "`-` reads standard input, which is a terminal",
                "pipe the value in",
            )),
        };
        let token = match self.token.as_deref() {
            Some("-") => Some(read_input()?.trim().to_owned()),
            given => given.map(str::to_owned),
        };
        if token.as_deref() == Some("") {
            return Err(wrong(
                "the token is empty",
                "give one with --token, or a role with --role",
            ));
        }
        let mut claims = match self.claims.as_deref() {
            None => None,
            Some(given) => {
                let text = match given {
                    "-" => read_input()?,
                    text if text.trim_start().starts_with('{') => text.to_owned(),
                    file => input::read_text(Path::new(file), INPUT_BYTES).map_err(|error| {
                        wrong(format!("reading the claims `{file}`: {error}"), CLAIMS_HELP)
                    })?,
                };
                let read = serde_json::from_str::<Map<String, Value>>(&text);
                Some(read.map_err(|error| {
                    wrong(
                        format!("the claims are not a JSON object: {error}"),
                        CLAIMS_HELP,
                    )
                })?)
            }
        };
        if self.sub.is_some() || !self.claim.is_empty() {
            let claims = claims.get_or_insert_default();
            claims.extend(self.sub.clone().map(|sub| ("sub".to_owned(), sub.into())));
            claims.extend(self.claim.iter().cloned());
        }
        Ok(ListenInput { claims, token })
    }

    pub(super) async fn client(
        &self,
        typed: ListenInput,
        messages: &mut impl Write,
    ) -> Result<ListenClient, ListenFailure> {
        if let Some(url) = &self.url {
            return self.elsewhere(url, typed.token);
        }
        let platform = DevPlatform::reach(&self.endpoint).await?;
        let url = platform.websocket().and_then(BrokerAddress::parse);
        let url = url.ok_or_else(|| {
            ListenFailure::new(Status::Failed, "error: the platform names no WebSocket")
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
                    return Err(wrong(format!("there is no role `{role}`"), help));
                }
                let claims = typed.claims.unwrap_or_else(|| {
                    let claims = platform.example_claims(role);
                    let text = Value::Object(claims.clone()).to_string();
                    // A note; when it cannot be written, the output cannot either.
                    let _ = write_line(
                        messages,
                        format_args!(
                            "note: no claims are given; these are an example: {}",
                            escaped(&text)
                        ),
                    );
                    claims
                });
                let minted = platform.mint(role, &claims).await?;
                granted = minted.subscribe;
                (token(minted.key, minted.token), Some(minted.principal))
            }
            (None, Some(given)) => {
                // The broker verifies the token; its subject is needed for the client id.
                let principal = subject(&given);
                (token(self.token_key.clone(), given), principal)
            }
            (None, None) if platform.wants_tokens() => {
                let roles = platform.roles().join(", ");
                return Err(wrong(
                    "clients need a token here",
                    format!(
                        "name a role with --role (roles are {roles}), or give a token with --token"
                    ),
                ));
            }
            (None, None) => (ConnectCredentials::None, None),
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
                "there is no channel to subscribe to",
                "name channels or topics, such as order:ID; without them --role subscribes to all that the role grants",
            ));
        }
        Ok(ListenClient {
            access: BrokerAccess {
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
    fn elsewhere(
        &self,
        url: &BrokerAddress,
        given: Option<String>,
    ) -> Result<ListenClient, ListenFailure> {
        if self.channels.is_empty() {
            return Err(wrong(
                "there is no topic to subscribe to",
                "name topics or filters, such as order/1",
            ));
        }
        let authorities = match &self.ca {
            None => None,
            Some(file) => {
                let text = input::read(Path::new(file), INPUT_BYTES).map_err(|error| {
                    wrong(
                        format!("reading `{file}`: {error}"),
                        "name a PEM file with --ca",
                    )
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
            Some(
                TlsConfig::try_new(&files)
                    .map_err(|error| wrong(error.to_string(), "name a PEM file with --ca"))?,
            )
        } else {
            None
        };
        let principal = given.as_deref().and_then(subject);
        Ok(ListenClient {
            id: self.client_id(principal.as_deref()),
            access: BrokerAccess {
                broker: url.clone(),
                tls,
                credentials: given.map_or(ConnectCredentials::None, |given| {
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
}

fn token(key: String, token: String) -> ConnectCredentials {
    ConnectCredentials::Token(Token {
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
    claims.get("sub")?.as_str().map(str::to_owned)
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
