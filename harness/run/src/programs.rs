//! The programs that a run's guests have.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cases;

/// The programs that a kept guest has: all tests, since it is kept for all of them, or the user's own.
#[must_use]
pub fn programs(guest_bins: &Path, exec: Option<&Path>) -> Vec<PathBuf> {
    if let Some(program) = exec {
        return vec![program.to_owned()];
    }
    let tests: BTreeSet<&str> = cases::all().map(cases::Case::test).collect();
    tests.into_iter().map(|test| guest_bins.join(test)).collect()
}

#[cfg(test)]
mod tests {
    use machine::snapshot;

    use super::*;

    #[test]
    fn another_program_is_another_guest() {
        let dir = tempfile::tempdir().unwrap();
        for name in programs(dir.path(), None).iter().chain([&dir.path().join("init")]) {
            std::fs::write(name, "v1").unwrap();
        }
        let first = snapshot::identity(dir.path(), &programs(dir.path(), None), "7.2").unwrap();
        assert_eq!(
            first,
            snapshot::identity(dir.path(), &programs(dir.path(), None), "7.2").unwrap()
        );
        assert_ne!(
            first,
            snapshot::identity(dir.path(), &programs(dir.path(), None), "10.0").unwrap()
        );
        std::fs::write(dir.path().join("overlap"), "v2").unwrap();
        let second = snapshot::identity(dir.path(), &programs(dir.path(), None), "7.2").unwrap();
        assert_ne!(first, second);
        // A user's own program does not change when a test does, nor the other way round.
        let own = dir.path().join("repro");
        std::fs::write(&own, "mine").unwrap();
        let exec = snapshot::identity(dir.path(), &programs(dir.path(), Some(&own)), "7.2").unwrap();
        std::fs::write(dir.path().join("overlap"), "v3").unwrap();
        assert_eq!(
            exec,
            snapshot::identity(dir.path(), &programs(dir.path(), Some(&own)), "7.2").unwrap()
        );
    }
}
