//! Facts of this build as the labels of the metric `build_info`.

use crate::version::{COMMIT, FEATURES, VERSION};

/// The labels of `build_info`. A commit that is not known has none.
pub(super) fn labels() -> Vec<(&'static str, String)> {
    let mut labels = vec![
        ("version", VERSION.to_owned()),
        ("features", FEATURES.join(",")),
    ];
    labels.extend(COMMIT.map(|commit| ("commit", commit.to_owned())));
    labels
}
