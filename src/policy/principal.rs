//! Principals: whose client ids are whose.
//!
//! IoT Core ends a connection when another client connects with its client id, and hands a persistent session to whoever does. So
//! client ids are bound to the name of their principal, and no principal's client ids may contain another's.

use std::fmt;

use super::claims::{ForbiddenError, check_literal};
use crate::channel::IdFormat;
use crate::channel::limits::CLIENT_ID_BYTES;

/// Whose client ids a client may connect with: its own name, alone or followed by `-` and anything.
///
/// No principal's client ids contain another's: a principal is a UUID, or has no `-`, and is not the first group of a UUID either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrincipalName(Box<str>);

impl PrincipalName {
    /// Checks a principal's name.
    ///
    /// # Errors
    /// [`PrincipalError`] when its client ids could be another's, or IoT Core takes none of them.
    pub fn parse(name: &str) -> Result<Self, PrincipalError> {
        check_literal(name)?;
        // The name, a `-` and at least one more character.
        if name.len() + 2 > CLIENT_ID_BYTES {
            return Err(PrincipalError::TooLong(name.len()));
        }
        let uuid = IdFormat::Uuid.accepts(name);
        if !uuid && name.contains('-') {
            return Err(PrincipalError::Hyphen(name.into()));
        }
        if name.len() == 8 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(PrincipalError::Prefix(name.into()));
        }
        Ok(Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The client ids, as names in a policy's `client/` resources.
    pub fn client_globs(&self) -> [String; 2] {
        [self.0.to_string(), format!("{}-*", self.0)]
    }
}

impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why client ids cannot be bound to a name.
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
        "`{0}` has a `-` and is no uuid, so that the client ids of another principal could contain it"
    )]
    Hyphen(Box<str>),
    /// `0a1b2c3d` may connect as `0a1b2c3d-…`, and so as a UUID that begins with it.
    #[error("`{0}` could be the beginning of a uuid, whose client ids it would contain")]
    Prefix(Box<str>),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        let fault = |name: &str| match PrincipalName::parse(name) {
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
            "5b0c7e0e",
            "5b0c7e0g",
            &"x".repeat(126),
            &"x".repeat(127),
        ];
        let told: Vec<String> = names.into_iter().map(fault).collect();
        insta::assert_snapshot!(told.join("\n"));
    }

    proptest! {
        /// Two principals never share a client id.
        #[test]
        fn client_ids_are_of_one_principal(
            a in "[0-9a-f]{1,9}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-b-]{1,4}",
            b in "[0-9a-f]{1,9}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[a-b-]{1,4}",
            cut in 1_usize..40,
            suffix in "(-[a-f0-9-]{0,30})?",
        ) {
            // Near each other, as only near ones can collide.
            let near = a.get(..cut).unwrap_or(&b).to_owned();
            for b in [near, b] {
                let (Ok(first), Ok(second)) = (PrincipalName::parse(&a), PrincipalName::parse(&b)) else {
                    continue;
                };
                let owns = |principal: &PrincipalName, id: &str| {
                    id == principal.as_str() || id.starts_with(&format!("{principal}-"))
                };
                let id = format!("{first}{suffix}");
                prop_assert!(first == second || !owns(&second, &id), "{id}");
            }
        }
    }
}
