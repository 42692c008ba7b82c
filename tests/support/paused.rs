//! The IoT Core stand-in behind clients that come through memory, for tests whose clock is paused:
//! it moves on when nothing else can happen.

#![allow(dead_code, reason = "each test uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use eventcast::dev::broker::Broker;
use eventcast::dev::broker::door::ListenerProtocol;
use eventcast::dev::broker::everybody::AllowAll;
use eventcast::dev::broker::limits::{BrokerLimits, BrokerRules};
use eventcast::port::Authorizer;
use tokio::io::DuplexStream;
use tokio::task::JoinSet;

use crate::raw::{Connect, Raw};

/// A broker whose clients come through memory.
pub(crate) struct Paused {
    pub(crate) broker: Broker,
    connections: JoinSet<()>,
}

impl Paused {
    pub(crate) fn start(limits: BrokerLimits) -> Self {
        Self::with(limits, Arc::new(AllowAll))
    }

    pub(crate) fn with(limits: BrokerLimits, authorizer: Arc<dyn Authorizer>) -> Self {
        Self::by(limits, BrokerRules::iot_core(), authorizer)
    }

    pub(crate) fn by(
        limits: BrokerLimits,
        rules: BrokerRules,
        authorizer: Arc<dyn Authorizer>,
    ) -> Self {
        Self {
            broker: Broker::start(limits, rules, authorizer),
            connections: JoinSet::new(),
        }
    }

    pub(crate) fn open(&mut self, carrier: ListenerProtocol) -> DuplexStream {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let broker = self.broker.clone();
        let source = SocketAddr::from(([127, 0, 0, 1], 1));
        self.connections
            .spawn(async move { broker.receive(far, source, carrier).await });
        near
    }

    pub(crate) fn raw(&mut self) -> Raw<DuplexStream> {
        Raw::new(self.open(ListenerProtocol::Plain))
    }

    pub(crate) async fn join(&mut self, connect: &Connect) -> Raw<DuplexStream> {
        let mut raw = self.raw();
        raw.login(connect).await;
        raw
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
