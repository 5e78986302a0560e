//! One style of modules: `foo.rs` beside `foo/`, no `foo/mod.rs`.

use super::finding::{Finding, Kind};
use super::paths;

/// Directories in which cargo takes each file for a program of its own, so that a module that several share must be a
/// `mod.rs`.
const PROGRAMS: [&str; 3] = ["tests", "benches", "examples"];

pub(crate) fn check(file: &str) -> Option<Finding> {
    let folder = paths::folder(file);
    let is_shared = PROGRAMS.contains(&paths::file_name(paths::folder(folder)));
    let is_at_fault = paths::file_name(file) == "mod.rs" && !is_shared;
    is_at_fault.then(|| {
        let message = format!("a module in a mod.rs, move it to {folder}.rs");
        Finding::new(file, 1, Kind::ModuleStyle, message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mod_rs_is_found() {
        let finding = check("harness/src/vm/mod.rs").expect("a finding").to_string();
        let expected = "harness/src/vm/mod.rs:1: a module in a mod.rs, move it to harness/src/vm.rs";
        assert_eq!(finding, expected);
        // A module of one test only need not be one.
        assert!(check("harness/tests/rig/guest/mod.rs").is_some());
    }

    #[test]
    fn what_tests_share_must_be_one() {
        assert_eq!(check("vhost-blk/tests/common/mod.rs"), None);
        assert_eq!(check("harness/benches/common/mod.rs"), None);
        assert_eq!(check("harness/src/vm.rs"), None);
        assert_eq!(check("harness/src/model.rs"), None);
    }
}
