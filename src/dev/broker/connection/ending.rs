//! Why a connection ended: what MQTT 5 is told, and what life-cycle events call it.

use crate::wire::{ProtocolError, ReasonCode};

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DisconnectReason {
    /// The client said goodbye.
    Left,
    /// The client said goodbye and wants its will published.
    LeftWithWill,
    /// The peer closed, or the connection broke.
    Lost,
    /// The client broke a rule.
    Breach(ProtocolError),
    /// The client exceeded a limit, or sent what a rule of the broker refuses: what MQTT 5 is told, and why, for a developer.
    Refused(ReasonCode, Box<str>),
    /// The client did what it may not; why, for a developer.
    Forbidden(Box<str>),
    /// The client was silent for too long.
    KeepAlive,
    /// Another connection has the client id now.
    TakenOver,
    /// Somebody asked for it; without its will if they asked for that.
    Deleted {
        /// Whether the will is kept back.
        prevent_will: bool,
    },
    /// The WebSocket is as old as one may become.
    WebSocketLife,
    /// The authorizer's identity has ended, or was not given again.
    Expired(Box<str>),
    /// The broker ends.
    ShuttingDown,
    /// A fault that was asked for: the connection breaks.
    Fault,
}

impl DisconnectReason {
    /// The word that life-cycle events have (developer guide, "Connect/Disconnect events").
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Left | Self::LeftWithWill => "CLIENT_INITIATED_DISCONNECT",
            Self::Lost => "CONNECTION_LOST",
            Self::Breach(_) | Self::Refused(..) => "CLIENT_ERROR",
            Self::Forbidden(_) => "AUTH_ERROR",
            Self::KeepAlive => "MQTT_KEEP_ALIVE_TIMEOUT",
            Self::TakenOver => "DUPLICATE_CLIENTID",
            Self::Deleted { .. } => "API_INITIATED_DISCONNECT",
            Self::WebSocketLife => "WEBSOCKET_TTL_EXPIRATION",
            Self::Expired(_) => "CUSTOMAUTH_TTL_EXPIRATION",
            Self::ShuttingDown => "SERVER_INITIATED_DISCONNECT",
            Self::Fault => "SERVER_ERROR",
        }
    }

    /// Whether the broker closed the connection for something that the client or its authorizer did, so that its developer wants to
    /// know.
    pub(crate) fn is_remarkable(&self) -> bool {
        match self {
            Self::Breach(_)
            | Self::Refused(..)
            | Self::Forbidden(_)
            | Self::KeepAlive
            | Self::TakenOver
            | Self::WebSocketLife
            | Self::Expired(_) => true,
            Self::Left
            | Self::LeftWithWill
            | Self::Lost
            | Self::Deleted { .. }
            | Self::ShuttingDown
            | Self::Fault => false,
        }
    }

    /// Whether the client asked for it.
    pub(crate) fn is_clients(&self) -> bool {
        matches!(self, Self::Left | Self::LeftWithWill)
    }

    /// Whether the client's will is published.
    pub(crate) fn publishes_will(&self) -> bool {
        !matches!(self, Self::Left | Self::Deleted { prevent_will: true })
    }

    /// What MQTT 5's DISCONNECT says; `None` where the peer would not hear it, or is not to.
    pub(crate) fn reason(&self) -> Option<ReasonCode> {
        match self {
            Self::Left | Self::LeftWithWill | Self::Lost | Self::Fault => None,
            Self::Breach(breach) => Some(breach.reason),
            Self::Refused(reason, _) => Some(*reason),
            Self::Forbidden(_) | Self::Expired(_) => Some(ReasonCode::NotAuthorized),
            Self::KeepAlive => Some(ReasonCode::KeepAliveTimeout),
            Self::TakenOver => Some(ReasonCode::TakenOver),
            Self::Deleted { .. } | Self::WebSocketLife => Some(ReasonCode::Administrative),
            Self::ShuttingDown => Some(ReasonCode::ShuttingDown),
        }
    }

    /// Why, in words for a developer.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Left => "the client said goodbye",
            Self::LeftWithWill => "the client said goodbye and left its will",
            Self::Lost => "the connection was lost",
            Self::Breach(breach) => breach.what,
            Self::Refused(_, why) | Self::Forbidden(why) | Self::Expired(why) => why,
            Self::KeepAlive => "nothing came for one and a half keep-alives",
            Self::TakenOver => "another connection has the client id now",
            Self::Deleted { .. } => "somebody asked for the connection's end",
            Self::WebSocketLife => "a WebSocket lasts for 24 hours",
            Self::ShuttingDown => "the broker ends",
            Self::Fault => "a fault that was asked for",
        }
    }
}
