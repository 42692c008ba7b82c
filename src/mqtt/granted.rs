//! Limits that a broker's CONNACK grants (MQTT 5.0, section 3.2.2.3), and properties that it must
//! not have.
//!
//! The client library refuses some of the properties that the specification forbids: a Receive
//! Maximum of 0, a session where a clean start was asked for, an assigned client id, an
//! authentication method or response information that nobody asked for. The rest is refused here: a
//! broker that grants nonsense is not one to hand events to.

use rumqttc::mqttbytes::v5::{ConnAck, ConnAckProperties};

use super::connection::{packet_bytes, permanent};
use crate::port::PublishError;
use crate::route::publication::{Publication, Qos};

/// Limits in the broker's CONNACK.
#[derive(Debug)]
pub(super) struct GrantedLimits {
    pub(super) receive_maximum: Option<u16>,
    /// The largest packet that the broker takes, in bytes.
    packet_bytes: Option<u32>,
    retains: bool,
    acknowledges: bool,
}

impl GrantedLimits {
    /// Reads a CONNACK that accepts the connection.
    ///
    /// # Errors
    /// The rule of MQTT 5 that it breaks, in one line.
    pub(super) fn of(connack: &ConnAck) -> Result<Self, String> {
        let Some(properties) = &connack.properties else {
            return Ok(Self {
                receive_maximum: None,
                packet_bytes: None,
                retains: true,
                acknowledges: true,
            });
        };
        if let Some((what, value)) = forbidden(properties) {
            return Err(format!(
                "the broker's CONNACK breaks MQTT 5: {what} must not be {value}"
            ));
        }
        Ok(Self {
            receive_maximum: properties.receive_max,
            packet_bytes: properties.max_packet_size,
            retains: properties.retain_available != Some(0),
            acknowledges: properties.max_qos != Some(0),
        })
    }

    /// Refuses publications for which the client would end the connection, or that it would drop
    /// without a word.
    pub(super) fn allows(&self, publication: &Publication) -> Result<(), PublishError> {
        let size = packet_bytes(publication);
        if let Some(largest) = self.packet_bytes.filter(|largest| size > *largest as usize) {
            return Err(permanent(
                "too_large",
                format!("the packet has {size} bytes; the broker takes {largest}"),
            ));
        }
        if publication.retain && !self.retains {
            let what = "the broker keeps no retained messages";
            return Err(permanent("retain_unavailable", what));
        }
        if publication.qos != Qos::AtMostOnce && !self.acknowledges {
            let what = "the broker's Maximum QoS is 0: it acknowledges no messages";
            return Err(permanent("qos_unavailable", what));
        }
        Ok(())
    }
}

/// A property with a value that is a protocol error (sections 3.2.2.3.3 to 3.2.2.3.13).
fn forbidden(properties: &ConnAckProperties) -> Option<(&'static str, u32)> {
    let flag = |value: Option<u8>| value.map(u32::from).filter(|value| *value > 1);
    let zero = |value: Option<u32>| value.filter(|value| *value == 0);
    [
        (
            "Receive Maximum",
            zero(properties.receive_max.map(u32::from)),
        ),
        ("Maximum QoS", flag(properties.max_qos)),
        ("Retain Available", flag(properties.retain_available)),
        ("Maximum Packet Size", zero(properties.max_packet_size)),
        (
            "Wildcard Subscription Available",
            flag(properties.wildcard_subscription_available),
        ),
        (
            "Subscription Identifiers Available",
            flag(properties.subscription_identifiers_available),
        ),
        (
            "Shared Subscription Available",
            flag(properties.shared_subscription_available),
        ),
    ]
    .into_iter()
    .find_map(|(what, value)| Some((what, value?)))
}

#[cfg(test)]
mod tests {
    use rumqttc::mqttbytes::v5::ConnectReturnCode;

    use super::*;

    fn connack(change: impl FnOnce(&mut ConnAckProperties)) -> ConnAck {
        let mut properties = ConnAckProperties {
            session_expiry_interval: None,
            receive_max: None,
            max_qos: None,
            retain_available: None,
            max_packet_size: None,
            assigned_client_identifier: None,
            topic_alias_max: None,
            reason_string: None,
            user_properties: Vec::new(),
            wildcard_subscription_available: None,
            subscription_identifiers_available: None,
            shared_subscription_available: None,
            server_keep_alive: None,
            response_information: None,
            server_reference: None,
            authentication_method: None,
            authentication_data: None,
        };
        change(&mut properties);
        ConnAck {
            session_present: false,
            code: ConnectReturnCode::Success,
            properties: Some(properties),
        }
    }

    #[test]
    fn what_the_specification_forbids_is_refused() {
        type LimitChange = fn(&mut ConnAckProperties);
        let wrong: [(LimitChange, &str); 8] = [
            (
                |all| all.max_packet_size = Some(0),
                "Maximum Packet Size must not be 0",
            ),
            (
                |all| all.receive_max = Some(0),
                "Receive Maximum must not be 0",
            ),
            (|all| all.max_qos = Some(2), "Maximum QoS must not be 2"),
            (|all| all.max_qos = Some(255), "Maximum QoS must not be 255"),
            (
                |all| all.retain_available = Some(2),
                "Retain Available must not be 2",
            ),
            (
                |all| all.wildcard_subscription_available = Some(7),
                "Wildcard Subscription Available must not be 7",
            ),
            (
                |all| all.subscription_identifiers_available = Some(2),
                "Subscription Identifiers Available must not be 2",
            ),
            (
                |all| all.shared_subscription_available = Some(2),
                "Shared Subscription Available must not be 2",
            ),
        ];
        for (change, told) in wrong {
            let error = GrantedLimits::of(&connack(change)).unwrap_err();
            assert_eq!(error, format!("the broker's CONNACK breaks MQTT 5: {told}"));
        }
        let fine: [LimitChange; 6] = [
            |_| {},
            |all| all.max_packet_size = Some(1),
            |all| all.receive_max = Some(1),
            |all| all.max_qos = Some(1),
            |all| all.retain_available = Some(0),
            |all| all.wildcard_subscription_available = Some(0),
        ];
        for change in fine {
            assert!(GrantedLimits::of(&connack(change)).is_ok());
        }
    }
}
