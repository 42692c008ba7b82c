//! Any bytes under any name: the guard's readers return, and say nothing of a secret in them.
//!
//! The first byte chooses the name, the others are the file.

#![no_main]

use eventcast::guard::code::RepositoryLinks;
use eventcast::guard::redact::redacted;
use eventcast::guard::scan::scan_file;
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 18] = [
    "a.ts", "a.tsx", "a.js", "a.py", "a.go", "A.java", "a.rs", "t.yaml", "t.json", "plan.json",
    "a.tf", "a.tf.json", "serverless.yml", "package.json", "pnpm-lock.yaml", "Cargo.toml",
    "uv.lock", "pom.xml",
];

fuzz_target!(|input: &[u8]| {
    let Some((first, bytes)) = input.split_first() else {
        return;
    };
    let Some(name) = NAMES.get(usize::from(*first) % NAMES.len()) else {
        return;
    };
    let links = RepositoryLinks::default();
    // As linked, so that code is parsed whatever words it has.
    let scan = scan_file(name, bytes, &links, true, &|| false);
    for finding in scan.findings {
        assert!(finding.region.start.line >= 1 && finding.region.start.column >= 1);
        redacted(&finding.matched);
    }
});
