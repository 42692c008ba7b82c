//! Reasons for the end of a connection: the reason code for MQTT 5, and the name in life-cycle
//! events.

use crate::wire::{ProtocolError, ReasonCode};

/// Reason for the end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DisconnectReason {
    /// The client sent DISCONNECT.
    Left,
    /// The client sent DISCONNECT and wants its will published.
    LeftWithWill,
    /// The peer closed the connection, or it broke.
    Lost,
    /// The client made a protocol error.
    Breach(ProtocolError),
    /// The client exceeded a limit, or broke a rule of the broker: the reason code for MQTT 5, and
    /// the reason in words for a developer.
    Refused(ReasonCode, Box<str>),
    /// A policy denied what the client did; the reason for a developer.
    Forbidden(Box<str>),
    /// The client was silent for too long.
    KeepAlive,
    /// Another connection took over the client id.
    TakenOver,
    /// `DeleteConnection` ended the connection, with or without the will.
    Deleted {
        /// `true` where the will is not published.
        prevent_will: bool,
    },
    /// The WebSocket reached its maximum lifetime.
    WebSocketLife,
    /// The client's authentication expired, or was not renewed.
    Expired(Box<str>),
    /// The broker is shutting down.
    ShuttingDown,
    /// An injected fault broke the connection.
    Fault,
}

impl DisconnectReason {
    /// Returns the name in life-cycle events (developer guide, "Connect/Disconnect events").
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

    /// Returns `true` where the broker closed the connection because of its client or authorizer.
    /// The developer then needs a notice.
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

    /// Returns `true` where the client requested the end.
    pub(crate) fn is_clients(&self) -> bool {
        matches!(self, Self::Left | Self::LeftWithWill)
    }

    /// Returns `true` where the client's will is published.
    pub(crate) fn publishes_will(&self) -> bool {
        !matches!(self, Self::Left | Self::Deleted { prevent_will: true })
    }

    /// Returns the reason code of MQTT 5's DISCONNECT; `None` where the broker sends no DISCONNECT.
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

    /// Returns the reason in words for a developer.
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
