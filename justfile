# The project's verbs: `just --list`. Each also works without just.

# Print the verbs
default:
    @just --list --unsorted

# Run the whole platform on this machine, with a shop that plays
demo:
    cargo run --locked -- dev --demo

# Run what a change has to pass
check:
    .ci/run

# Format and lint
lint:
    cargo fmt --check
    cargo clippy --locked --all-targets --all-features -- -D warnings
    cargo clippy --locked --no-default-features -- -D warnings

# Run the tests, or a part of them: just test --lib event::
test *arguments:
    ./tests/run {{ arguments }}

# Count the vocabulary: names of types, openings of comments
counts *folder:
    tests/counts {{ folder }}

# Build every fuzz target
fuzz-build:
    cargo +nightly fuzz build --sanitizer none

# Run one fuzz target for a minute
fuzz target:
    cargo +nightly fuzz run --sanitizer none {{ target }} -- -max_total_time=60

# Run the benchmarks of the pure parts
bench:
    cargo bench --locked --bench route --bench policy

# Build the documentation site into target/site
site:
    mdbook build --dest-dir target/site

# Open the documentation of the library
doc:
    cargo doc --locked --no-deps --all-features --open

# Write manual pages and completions into target/share
share:
    cargo run --locked --release -- man --directory target/share/man/man1

# Build both container images into target/image
image:
    image/build

# Check dependencies, advisories too
deny:
    cargo deny --all-features check

# Check that the package can be published
publish-check:
    cargo publish --dry-run --locked
