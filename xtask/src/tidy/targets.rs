//! The crates of a package: its library, programs, tests, benches and examples, as cargo finds them.

use std::collections::BTreeSet;

use super::modules::{Crate, Parsed};
use super::sources::Sources;
use crate::paths;
use crate::workspace::Member;

/// Directories of which each file, and each directory with a main.rs, is a program.
const OF_PROGRAMS: [&str; 4] = ["src/bin", "tests", "benches", "examples"];

/// A crate, and the file at its root.
pub(crate) struct Target {
    pub(crate) root: String,
    pub(crate) modules: Crate,
}

/// All crates of a package.
pub(crate) fn of(member: &Member, sources: &Sources, parsed: &Parsed<'_>) -> Vec<Target> {
    let target = |root: String| Target {
        modules: Crate::of(&root, sources, parsed),
        root,
    };
    roots(member, sources).into_iter().map(target).collect()
}

fn roots(member: &Member, sources: &Sources) -> BTreeSet<String> {
    let folder = member.folder.display().to_string();
    let named = member.targets.iter().filter_map(|path| path.to_str());
    let usual = ["src/lib.rs", "src/main.rs", "build.rs"].into_iter();
    let mut roots: BTreeSet<String> = usual
        .chain(named)
        .filter_map(|path| paths::join(&folder, path))
        .collect();
    for programs in OF_PROGRAMS {
        let programs = format!("{folder}/{programs}");
        let is_root = |file: &&str| {
            let at = paths::folder(file);
            at == programs || (paths::folder(at) == programs && paths::file_name(file) == "main.rs")
        };
        roots.extend(sources.below(&programs, ".rs").filter(is_root).map(str::to_owned));
    }
    roots.retain(|root| sources.get(root).is_some());
    roots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    #[test]
    fn targets_are_found_as_cargo_finds_them() {
        let manifest = "[package]\nname = \"a\"\n[[bin]]\nname = \"x\"\npath = \"fuzz_targets/x.rs\"\n";
        let member = workspace::member("a".as_ref(), manifest, &Default::default()).expect("a package");
        let sources = Sources::of(&[
            ("a/src/lib.rs", ""),
            ("a/src/b.rs", ""),
            ("a/src/bin/c.rs", ""),
            ("a/src/bin/d/main.rs", ""),
            ("a/src/bin/d/e.rs", ""),
            ("a/tests/f.rs", ""),
            ("a/tests/common/mod.rs", ""),
            ("a/fuzz_targets/x.rs", ""),
            ("a/b/src/lib.rs", ""),
        ]);
        let expected = [
            "fuzz_targets/x.rs",
            "src/bin/c.rs",
            "src/bin/d/main.rs",
            "src/lib.rs",
            "tests/f.rs",
        ];
        assert!(
            roots(&member, &sources)
                .iter()
                .eq(expected.map(|file| format!("a/{file}")).iter())
        );
    }
}
