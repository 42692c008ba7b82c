//! From the configuration to a way to the broker: files are read, credentials found, the endpoint
//! asked for.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use aws_config::SdkConfig;

use super::input::{self, INPUT_BYTES};
use crate::aws::{endpoint, sign::Signer};
use crate::broker::{BrokerAddress, Transport};
use crate::config::bridge::{self, BridgeConfig};
use crate::mqtt::auth::{BrokerAccess, ConnectCredentials, Pem, Sign, TlsConfig, TlsFiles, Token};

/// Address, TLS and credentials of the broker.
pub(super) async fn access(
    section: &BridgeConfig,
    aws: &SdkConfig,
) -> anyhow::Result<BrokerAccess> {
    let broker = match &section.broker {
        Some(broker) => broker.clone(),
        None => endpoint_of_account(section, aws).await?,
    };
    let tls = if broker.transport.is_secure() {
        Some(tls(&section.tls)?)
    } else {
        None
    };
    let credentials = match &section.credentials {
        bridge::BrokerCredentials::None => ConnectCredentials::None,
        bridge::BrokerCredentials::Aws => ConnectCredentials::Signed(signing(aws)?),
        bridge::BrokerCredentials::Authorizer(authorizer) => ConnectCredentials::Token(Token {
            authorizer: authorizer.name.clone(),
            key: authorizer.token_key.clone(),
            token: authorizer.token.0.clone(),
            signature: authorizer
                .signature
                .as_ref()
                .map(|signature| signature.0.clone()),
        }),
    };
    Ok(BrokerAccess {
        broker,
        tls,
        credentials,
    })
}

async fn endpoint_of_account(
    section: &BridgeConfig,
    aws: &SdkConfig,
) -> anyhow::Result<BrokerAddress> {
    let host = endpoint::describe(aws)
        .await
        .context("asking IoT Core for the account's endpoint, because bridge.broker is not set")?;
    let transport = match &section.credentials {
        bridge::BrokerCredentials::None => Transport::Tls,
        _ => Transport::SecureWebSocket,
    };
    let url = format!("{}://{host}", transport.scheme());
    BrokerAddress::parse(&url).with_context(|| format!("IoT Core's endpoint is `{host}`"))
}

fn signing(aws: &SdkConfig) -> anyhow::Result<Sign> {
    let signer = Arc::new(Signer::try_new(aws)?);
    Ok(Arc::new(move |host, path| {
        let signer = Arc::clone(&signer);
        Box::pin(async move {
            let query = signer.query(&host, &path, SystemTime::now()).await;
            query.map_err(|error| error.to_string())
        })
    }))
}

fn tls(files: &bridge::Tls) -> anyhow::Result<TlsConfig> {
    let read = |key: &str, file: &String| {
        let name = format!("bridge.tls.{key} `{file}`");
        let text = input::read(Path::new(file), INPUT_BYTES).with_context(|| name.clone())?;
        anyhow::Ok(Pem { name, text })
    };
    let authorities = files.ca.as_ref().map(|file| read("ca", file));
    let identity = files.identity.as_ref().map(|(certificate, key)| {
        anyhow::Ok((read("certificate", certificate)?, read("key", key)?))
    });
    Ok(TlsConfig::try_new(&TlsFiles {
        authorities: authorities.transpose()?,
        identity: identity.transpose()?,
        protocol: files.alpn.clone(),
    })?)
}
