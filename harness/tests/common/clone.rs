//! The clone that a test works on, looked for at run time: paths that a compiler wrote down are those of another one
//! when a clone was copied or moved.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::expect_used, reason = "a test without its clone has nothing to test")]

use std::path::{Path, PathBuf};

/// This package's directory.
pub fn package() -> PathBuf {
    // cargo and nextest name it; a test that is started by hand has a place of its own in target/.
    let named = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| {
        let test = own_place();
        let root = test.ancestors().find(|dir| dir.join("kernels.toml").is_file());
        root.expect("a clone above the test").join("harness")
    })
}

/// The repository's root.
pub fn root() -> PathBuf {
    let package = package();
    let root = package.ancestors().find(|dir| dir.join("kernels.toml").is_file());
    root.expect("a clone above the package").to_owned()
}

/// A binary of this package.
pub fn program(name: &str) -> PathBuf {
    let named = |variable: &str| std::env::var_os(format!("{variable}_{name}")).map(PathBuf::from);
    named("NEXTEST_BIN_EXE")
        .or_else(|| named("CARGO_BIN_EXE"))
        .unwrap_or_else(|| {
            // target/debug/deps/test-0123456789abcdef
            let folder = own_place().parent().and_then(Path::parent).map(Path::to_owned);
            folder.expect("cargo's folders").join(name)
        })
}

/// The binary of the command line.
pub fn bioscope() -> PathBuf {
    program("bioscope")
}

fn own_place() -> PathBuf {
    std::env::current_exe().expect("the test's own place")
}
