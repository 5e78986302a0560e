//! Files that are no crate's root and that no `mod` names, wherever they are.

use std::collections::BTreeSet;

use super::finding::{Finding, Kind};
use super::sources::Sources;

/// What of the sources is not among the files that the crates of all packages are made of.
pub(crate) fn check(named: &BTreeSet<String>, sources: &Sources) -> Vec<Finding> {
    let files = sources.with_ending(".rs").map(|(file, _)| file);
    let dead = files.filter(|file| !named.contains(*file));
    let finding = |file| {
        let message = "no `mod` names this file, name it or remove it";
        Finding::new(file, 1, Kind::DeadFile, message)
    };
    dead.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::{modules, targets};
    use crate::workspace;

    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let sources = Sources::of(files);
        let parsed = modules::parse(&sources, &mut Vec::new());
        let manifest = "[package]\nname = \"a\"\n";
        let member = workspace::member("a".as_ref(), manifest, &Default::default()).expect("a package");
        let crates = targets::of(&member, &sources, &parsed);
        let named = crates.into_iter().flat_map(|target| target.modules.files).collect();
        let findings = check(&named, &sources);
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_that_nothing_names_is_found() {
        let expected = |file: &str| [format!("{file}:1: no `mod` names this file, name it or remove it")];
        let lib = ("a/src/lib.rs", "mod b;");
        assert_eq!(
            found(&[lib, ("a/src/b.rs", ""), ("a/src/c.rs", "")]),
            expected("a/src/c.rs")
        );
        // It is not enough to be named by one that is dead, or elsewhere.
        assert_eq!(
            found(&[
                lib,
                ("a/src/b.rs", ""),
                ("a/src/b/c.rs", "mod d;"),
                ("a/src/b/c/d.rs", "")
            ])
            .len(),
            2
        );
        let beside = [lib, ("a/src/b.rs", "mod c;"), ("a/src/c.rs", ""), ("a/src/b/c.rs", "")];
        assert_eq!(found(&beside), expected("a/src/c.rs"));
        for file in ["a/tests/b/c.rs", "a/d.rs", "a/extra/d.rs", "extra/d.rs", "d.rs"] {
            assert_eq!(found(&[(file, "")]), expected(file));
        }
    }

    #[test]
    fn whatever_way_a_file_is_named_it_is_not_dead() {
        let clean = found(&[
            ("a/src/lib.rs", "mod b; #[cfg(test)] mod tests; mod inline { mod g; }"),
            ("a/src/main.rs", "#[cfg(test)] #[path = \"main_tests.rs\"] mod tests;"),
            ("a/src/main_tests.rs", ""),
            ("a/src/tests.rs", "mod h;"),
            ("a/src/tests/h.rs", ""),
            (
                "a/src/b.rs",
                "mod c; mod r#d; #[cfg(test)] #[path = \"b_tests.rs\"] mod tests;",
            ),
            ("a/src/b/c/mod.rs", "mod e;"),
            ("a/src/b/c/e.rs", ""),
            ("a/src/b/d.rs", "#[cfg(test)] mod tests { mod f; }"),
            ("a/src/b/d/tests/f.rs", ""),
            ("a/src/b_tests.rs", ""),
            ("a/src/inline/g.rs", ""),
            ("a/tests/x.rs", "mod common; #[path = \"y/z.rs\"] mod z;"),
            ("a/tests/common/mod.rs", "mod i;"),
            ("a/tests/common/i.rs", ""),
            ("a/tests/y/z.rs", ""),
        ]);
        assert_eq!(clean, [""; 0]);
    }
}
