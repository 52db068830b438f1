//! Our programs, as Cargo built them for the test that asks.

use std::path::PathBuf;

/// A program of ours, built beside this test: `target/release/deps/it-…` and `target/release/NAME`.
pub fn program(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("a program knows its own path");
    let path = here.parent().and_then(|deps| deps.parent()).expect("tests are built into deps").join(name);
    assert!(path.exists(), "{} is missing: `cargo build --release --workspace --bins` makes it", path.display());
    path
}
