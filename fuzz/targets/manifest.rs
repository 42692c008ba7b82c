//! Any text as a feature's manifest: reading ends, faults have places, and a manifest that is read
//! can be proved.
//!
//! The input is a manifest, or a manifest, a line `---`, and an earlier one.

#![no_main]

use eventcast::config::{Config, ConfigSource, load};
use eventcast::guard::contract::routed::PlatformRoutes;
use eventcast::guard::contract::{BaseContract, ContractInput, check};
use eventcast::guard::manifest::read;
use eventcast::guard::review::review;
use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static PLATFORM: LazyLock<Option<Config>> = LazyLock::new(|| {
    let source = ConfigSource {
        file: "eventcast.yaml",
        text: include_str!("../../policies/eventcast.yaml"),
        ..ConfigSource::default()
    };
    load(&source).config
});

fuzz_target!(|input: &str| {
    let (now, before) = input.split_once("\n---\n").unwrap_or((input, ""));
    let manifest = match read("realtime.yaml", now) {
        Ok(manifest) => manifest,
        Err(faults) => {
            assert!(!faults.is_empty());
            return;
        }
    };
    let Some(platform) = &*PLATFORM else { return };
    let before = read("realtime.yaml", before).ok();
    let found = check(ContractInput {
        manifest: &manifest,
        platform,
        base: before.as_ref().map(|manifest| BaseContract {
            manifest,
            platform: Some(platform),
        }),
    });
    for finding in &found.findings {
        assert!(finding.region.start.line > 0 && !finding.message.contains('\n'));
    }
    let page = review(&manifest, &PlatformRoutes::new(platform), &found);
    assert!(page.starts_with("# "));
});
