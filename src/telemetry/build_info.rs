//! Facts of this build, for logs and the metric `build_info`.

/// The version of the package.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, where the environment of the build names one by `GIT_COMMIT`, as
/// CI servers do.
pub const COMMIT: Option<&str> = option_env!("GIT_COMMIT");

/// The Cargo features that can be left off, in the order of the alphabet, with whether this build
/// has them.
const OPTIONAL: [(&str, bool); 4] = [
    ("admin", cfg!(feature = "admin")),
    ("authorizer", cfg!(feature = "authorizer")),
    ("dev", cfg!(feature = "dev")),
    ("otlp", cfg!(feature = "otlp")),
];

/// The Cargo features of this build, such as `admin,authorizer,dev`.
pub fn features() -> String {
    let built = OPTIONAL.iter().filter(|(_, built)| *built);
    let names: Vec<&str> = built.map(|(name, _)| *name).collect();
    names.join(",")
}

/// The labels of `build_info`. A commit that is not known has none.
pub(super) fn labels() -> Vec<(&'static str, String)> {
    let mut labels = vec![("version", VERSION.to_owned()), ("features", features())];
    let commit = COMMIT.filter(|commit| !commit.is_empty());
    labels.extend(commit.map(|commit| ("commit", commit.to_owned())));
    labels
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A feature that Cargo.toml gains is told too.
    #[test]
    fn every_feature_is_on_the_list() {
        let manifest = include_str!("../../Cargo.toml");
        let (_, rest) = manifest.split_once("[features]\n").unwrap();
        let section = rest.split("\n[").next().unwrap();
        let keys = section.lines().filter_map(|line| line.split_once(" = "));
        let declared: BTreeSet<&str> = keys
            .map(|(key, _)| key)
            .filter(|key| !key.starts_with([' ', '#']) && *key != "default")
            .collect();
        let listed: BTreeSet<&str> = OPTIONAL.iter().map(|(name, _)| *name).collect();
        assert_eq!(declared, listed);
    }
}
