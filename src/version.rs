//! Identity of this build: version, commit and features.

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit, in release builds that know it (`build.rs`).
pub const COMMIT: Option<&str> = option_env!("EVENTCAST_BUILD_COMMIT");

/// The Cargo features of this build.
pub const FEATURES: &[&str] = &[
    #[cfg(feature = "admin")]
    "admin",
    #[cfg(feature = "authorizer")]
    "authorizer",
    #[cfg(feature = "dev")]
    "dev",
    #[cfg(feature = "gateway")]
    "gateway",
    #[cfg(feature = "guard")]
    "guard",
    #[cfg(feature = "lambda")]
    "lambda",
    #[cfg(feature = "otlp")]
    "otlp",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A feature that Cargo.toml gains is on the list too.
    #[test]
    #[cfg(all(
        feature = "admin",
        feature = "authorizer",
        feature = "dev",
        feature = "gateway",
        feature = "guard",
        feature = "lambda",
        feature = "otlp"
    ))]
    fn every_feature_is_on_the_list() {
        let manifest = include_str!("../Cargo.toml");
        let (_, rest) = manifest.split_once("[features]\n").unwrap();
        let section = rest.split("\n[").next().unwrap();
        let keys = section.lines().filter_map(|line| line.split_once(" = "));
        let declared: BTreeSet<&str> = keys
            .map(|(key, _)| key)
            .filter(|key| !key.starts_with([' ', '#']) && *key != "default")
            .collect();
        // The tests run with every feature, as the lints do.
        let listed: BTreeSet<&str> = FEATURES.iter().copied().collect();
        assert_eq!(declared, listed);
    }
}
