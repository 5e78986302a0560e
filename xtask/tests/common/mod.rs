//! What the tests of the program share.

use std::path::PathBuf;

/// The program, looked for at run time, so that the tests of a copied clone run the copy's.
pub fn xtask() -> PathBuf {
    let named = std::env::var_os("NEXTEST_BIN_EXE_xtask").or_else(|| std::env::var_os("CARGO_BIN_EXE_xtask"));
    named.map_or_else(
        || {
            let test = std::env::current_exe().expect("the test's own place");
            test.ancestors().nth(2).expect("cargo's folders").join("xtask")
        },
        PathBuf::from,
    )
}
