//! Principals: the client ids that belong to each.
//!
//! IoT Core ends a connection when another client connects with its client id, and hands a persistent session to the newcomer
//! (developer guide, "MQTT", "Client ID"). So client ids are bound to the name of their principal, no principal's client ids
//! contain another's, and none contains one of the bridge's.

use std::fmt;

use super::claims::{ForbiddenError, check_literal};
use crate::channel::IdFormat;
use crate::channel::limits::CLIENT_ID_BYTES;

/// Length of a UUID in its text form.
const UUID_BYTES: usize = 36;

/// The client ids of a principal, given its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientIdBinding {
    /// The name, alone or followed by `-` and anything: a client id for each device.
    #[default]
    Prefix,
    /// The name alone, such as `eu-west-1:5b0c…` of an identity pool.
    Exact,
}

impl ClientIdBinding {
    /// The binding for principals whose names are ids of this format. Names with hyphens that are not UUIDs are bound
    /// exactly, since `a` with any suffix would contain the client ids of `a-b`.
    pub fn of_format(format: &IdFormat) -> Self {
        match format {
            IdFormat::Uuid => Self::Prefix,
            pattern if pattern.may_contain_hyphen() => Self::Exact,
            IdFormat::Pattern(_) => Self::Prefix,
        }
    }

    /// The binding for one name alone, without a format.
    pub fn of_name(name: &str) -> Self {
        if name.contains('-') && !IdFormat::Uuid.accepts(name) {
            Self::Exact
        } else {
            Self::Prefix
        }
    }
}

/// The client ids of one role's principals.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientIdRules {
    /// The client ids of each principal.
    pub binding: ClientIdBinding,
    /// The bridge's own client id, whose derivatives (`eventcast-<random>-<n>`) no client may have.
    pub reserved: Option<Box<str>>,
}

impl ClientIdRules {
    /// Returns true when a principal of this name could connect with a client id of the bridge, or with its name.
    pub fn is_reserved(&self, name: &str) -> bool {
        self.reserved.as_deref().is_some_and(|reserved| {
            let extends = |long: &str, short: &str| {
                long.strip_prefix(short)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            extends(name, reserved)
                || (self.binding == ClientIdBinding::Prefix && extends(reserved, name))
        })
    }
}

/// The name of a principal, and so the client ids that it may connect with.
///
/// No principal's client ids contain another's of the same binding: a name that others may follow is a UUID, or has no `-`
/// and is not the first group of a UUID; a name that is bound exactly is nobody's beginning, and does not begin with a UUID.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PrincipalName {
    name: Box<str>,
    is_exact: bool,
}

impl PrincipalName {
    /// Checks a principal's name.
    ///
    /// # Errors
    /// [`PrincipalError`] when its client ids could be another's or the bridge's, or IoT Core takes none of them.
    pub fn parse(name: &str, rules: &ClientIdRules) -> Result<Self, PrincipalError> {
        check_literal(name)?;
        let is_exact = rules.binding == ClientIdBinding::Exact;
        // A suffix is a `-` and at least one more character.
        let suffix = if is_exact { 0 } else { 2 };
        if name.len() + suffix > CLIENT_ID_BYTES {
            return Err(PrincipalError::TooLong(name.len()));
        }
        if rules.is_reserved(name) {
            return Err(PrincipalError::Reserved {
                name: name.into(),
                bridge: rules.reserved.clone().unwrap_or_default(),
            });
        }
        let begins_with_uuid = name
            .get(..UUID_BYTES)
            .is_some_and(|begin| IdFormat::Uuid.accepts(begin));
        if is_exact {
            if begins_with_uuid && name.as_bytes().get(UUID_BYTES) == Some(&b'-') {
                return Err(PrincipalError::Suffixed(name.into()));
            }
        } else {
            let is_uuid = begins_with_uuid && name.len() == UUID_BYTES;
            if !is_uuid && name.contains('-') {
                return Err(PrincipalError::Hyphen(name.into()));
            }
            if name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(PrincipalError::Prefix(name.into()));
            }
        }
        Ok(Self {
            name: name.into(),
            is_exact,
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Returns true for a name that is the only client id of its principal.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }

    /// Returns true for a client id that belongs to the principal.
    pub fn owns(&self, client_id: &str) -> bool {
        match client_id.strip_prefix(&*self.name) {
            Some("") => true,
            Some(suffix) => !self.is_exact && suffix.starts_with('-'),
            None => false,
        }
    }

    /// The client ids, as names in a policy's `client/` resources.
    pub fn client_globs(&self) -> Vec<String> {
        let mut globs = vec![self.name.to_string()];
        if !self.is_exact {
            globs.push(format!("{}-*", self.name));
        }
        globs
    }
}

impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Reason why client ids cannot be bound to a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// A character that means more than itself.
    #[error(transparent)]
    Forbidden(#[from] ForbiddenError),
    /// No room for client ids.
    #[error("{0} bytes are too long: client ids are at most {CLIENT_ID_BYTES}, and begin with it")]
    TooLong(usize),
    /// `a` may connect as `a-…`, and so as `a-b`.
    #[error(
        "`{0}` has a `-` and is not a UUID, so that the client ids of another principal could contain it; `client_ids: exact` binds \
         the client id to the whole name"
    )]
    Hyphen(Box<str>),
    /// `0a1b2c3d` may connect as `0a1b2c3d-…`, and so as a UUID that begins with it.
    #[error("`{0}` could be the beginning of a UUID, whose client ids it would contain")]
    Prefix(Box<str>),
    /// A UUID's principal may connect with its name, a `-` and anything.
    #[error("`{0}` is a UUID with a suffix, which is a client id of that UUID's principal")]
    Suffixed(Box<str>),
    /// The bridge's connections have these client ids.
    #[error(
        "`{name}` would share client ids with the bridge, whose own begin with `{bridge}` (bridge.client_id)"
    )]
    Reserved {
        /// The principal's name.
        name: Box<str>,
        /// The bridge's client id.
        bridge: Box<str>,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules(binding: ClientIdBinding) -> ClientIdRules {
        ClientIdRules {
            binding,
            reserved: Some("live-bridge".into()),
        }
    }

    fn names(binding: ClientIdBinding) -> String {
        let verdict = |name: &str| match PrincipalName::parse(name, &rules(binding)) {
            Ok(principal) => format!("ok: {}", principal.client_globs().join(", ")),
            Err(error) => error.to_string(),
        };
        let names = [
            "u1",
            "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11",
            "auth0|7",
            "",
            "*",
            "u?",
            "a/b",
            "+",
            "$a",
            "a$b",
            "a-b",
            "eu-west-1:5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11",
            "google-oauth2|1035",
            "mary-ann@example.com",
            "5b0c7e0e-4f0b-4d3e-9f51-6a4f0c6c2a11-phone",
            "5b0c7e0e",
            "5b0c7e0g",
            "live",
            "live-bridge",
            "live-bridge-0a1b2c3d4e5f6071-0",
            "live-bridges",
            &"x".repeat(126),
            &"x".repeat(127),
            &"x".repeat(129),
        ];
        names.map(verdict).join("\n")
    }

    #[test]
    fn names_that_a_suffix_may_follow() {
        insta::assert_snapshot!(names(ClientIdBinding::Prefix));
    }

    #[test]
    fn names_that_are_bound_exactly() {
        insta::assert_snapshot!(names(ClientIdBinding::Exact));
    }

    #[test]
    fn the_format_of_ids_decides_the_binding() {
        let of = |pattern: &str| ClientIdBinding::of_format(&IdFormat::pattern(pattern).unwrap());
        assert_eq!(
            ClientIdBinding::of_format(&IdFormat::Uuid),
            ClientIdBinding::Prefix
        );
        assert_eq!(of("[a-z]+"), ClientIdBinding::Prefix);
        assert_eq!(of("auth0\\|[0-9a-f]+"), ClientIdBinding::Prefix);
        assert_eq!(of("[a-z0-9-]+:[0-9a-f-]{36}"), ClientIdBinding::Exact);
        assert_eq!(of(".+"), ClientIdBinding::Exact);
    }

    fn owns(principal: &PrincipalName, id: &str) -> bool {
        let globs = principal.client_globs();
        globs.iter().any(|glob| match glob.strip_suffix('*') {
            Some(begin) => id.len() > begin.len() && id.starts_with(begin),
            None => id == glob,
        })
    }

    proptest! {
        /// Two principals of one binding never share a client id; nor do a UUID's and one that is bound exactly.
        #[test]
        fn client_ids_are_of_one_principal(
            a in "[0-9a-f]{1,9}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-b-]{1,4}",
            b in "[0-9a-f]{1,9}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-b-]{1,4}",
            cut in 1_usize..40,
            suffix in "(-[a-f0-9-]{0,30})?",
            exact in any::<(bool, bool)>(),
        ) {
            // Near each other, as only near ones can collide.
            let near = a.get(..cut).unwrap_or(&b).to_owned();
            let binding = |exact| if exact { ClientIdBinding::Exact } else { ClientIdBinding::Prefix };
            for b in [near, b, format!("{a}{suffix}")] {
                if exact.0 != exact.1 && !IdFormat::Uuid.accepts(if exact.0 { &b } else { &a }) {
                    continue;
                }
                let (Ok(first), Ok(second)) = (
                    PrincipalName::parse(&a, &rules(binding(exact.0))),
                    PrincipalName::parse(&b, &rules(binding(exact.1))),
                ) else {
                    continue;
                };
                let id = format!("{first}{suffix}");
                let is_shared = owns(&first, &id) && owns(&second, &id);
                prop_assert!(first.as_str() == second.as_str() || !is_shared, "{id}");
            }
        }

        /// Nobody is granted a client id of the bridge.
        #[test]
        fn client_ids_of_the_bridge_are_its_own(
            bridge in "[ab](-[ab]){0,3}",
            name in "[ab](-[ab]){0,4}",
            random in "[0-9a-f]{16}",
            exact in any::<bool>(),
        ) {
            let rules = ClientIdRules {
                binding: if exact { ClientIdBinding::Exact } else { ClientIdBinding::Prefix },
                reserved: Some(bridge.as_str().into()),
            };
            if let Ok(principal) = PrincipalName::parse(&name, &rules) {
                for id in [bridge.clone(), format!("{bridge}-{random}-3")] {
                    prop_assert!(!owns(&principal, &id), "{principal} {id}");
                }
            }
        }
    }
}
