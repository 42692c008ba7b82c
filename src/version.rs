//! What this build is: version, commit and features.

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
    #[cfg(feature = "otlp")]
    "otlp",
];
