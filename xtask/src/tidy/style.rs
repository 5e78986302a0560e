//! One style of modules: `foo.rs` beside `foo/` in place of a `mod.rs`; no `#[path]` in src/, nor into another
//! package.

use syn::visit::Visit;

use super::finding::{Finding, Kind};
use super::modules::named_path;
use super::sources::Sources;
use crate::paths;
use crate::workspace::Member;

/// Directories of a package in which cargo takes each file for a program of its own, so that a module that several
/// share must be a `mod.rs`.
const PROGRAMS: [&str; 3] = ["tests", "benches", "examples"];

/// A `mod.rs` that could be a file beside its directory.
pub(crate) fn check(file: &str, sources: &Sources) -> Option<Finding> {
    let folder = paths::folder(file);
    let above = paths::folder(folder);
    let package = paths::folder(above);
    let manifest = paths::join(package, "Cargo.toml").unwrap_or_default();
    let is_shared = PROGRAMS.contains(&paths::file_name(above)) && sources.is_there(&manifest);
    let is_at_fault = paths::file_name(file) == "mod.rs" && !is_shared;
    is_at_fault.then(|| {
        let message = format!("a module in a mod.rs, move it to {folder}.rs");
        Finding::new(file, 1, Kind::ModuleStyle, message)
    })
}

/// Modules of a package's file that `#[path]` brings in, where they could be found by their name.
pub(crate) fn check_paths(member: &Member, file: &str, syntax: &syn::File) -> Vec<Finding> {
    let package = format!("{}/", member.folder.display());
    let is_source = file.starts_with(&format!("{package}src/"));
    let mut named = Named::default();
    named.visit_file(syntax);
    let finding = |(line, path): (usize, String)| {
        let target = paths::join(paths::folder(file), &path);
        let message = if target.is_none_or(|target| !target.starts_with(&package)) {
            format!("`#[path = \"{path}\"]` leads into another package, depend on that or copy what is needed")
        } else if is_source {
            format!("`#[path = \"{path}\"]` in src/, move the file to where a plain `mod` finds it")
        } else {
            return None;
        };
        Some(Finding::new(file, line, Kind::ModuleStyle, message))
    };
    named.paths.into_iter().filter_map(finding).collect()
}

/// Paths of `#[path]` with their lines, in modules within the file too.
#[derive(Default)]
struct Named {
    paths: Vec<(usize, String)>,
}

impl Visit<'_> for Named {
    fn visit_item_mod(&mut self, module: &syn::ItemMod) {
        let line = module.mod_token.span.start().line;
        self.paths.extend(named_path(&module.attrs).map(|path| (line, path)));
        syn::visit::visit_item_mod(self, module);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace;

    fn found(file: &str) -> Option<String> {
        let sources = Sources::of(&[("harness/Cargo.toml", ""), ("vhost-blk/Cargo.toml", ""), (file, "")]);
        check(file, &sources).map(|finding| finding.to_string())
    }

    #[test]
    fn a_mod_rs_is_found() {
        let expected = "harness/src/vm/mod.rs:1: a module in a mod.rs, move it to harness/src/vm.rs";
        assert_eq!(found("harness/src/vm/mod.rs").as_deref(), Some(expected));
        for file in [
            // A module of one test only need not be one.
            "harness/tests/rig/guest/mod.rs",
            // These directories are not the package's own.
            "harness/src/tests/a/mod.rs",
            "harness/src/examples/foo/mod.rs",
            "harness/src/benches/foo/mod.rs",
            "harness/tests/rig/tests/a/mod.rs",
        ] {
            assert!(found(file).is_some(), "{file}");
        }
    }

    #[test]
    fn what_tests_share_must_be_one() {
        for file in [
            "vhost-blk/tests/common/mod.rs",
            "harness/benches/common/mod.rs",
            "harness/src/vm.rs",
            "harness/src/model.rs",
        ] {
            assert_eq!(found(file), None, "{file}");
        }
    }

    /// Lines with a finding, and whether it leads into another package.
    fn paths_of(file: &str, text: &str) -> Vec<(usize, bool)> {
        let member = workspace::member("x/a".as_ref(), "[package]\nname = \"a\"\n", &Default::default());
        let syntax = syn::parse_file(text).expect("Rust");
        let findings = check_paths(&member.expect("a package"), file, &syntax);
        let is_other = |finding: &Finding| finding.message.contains("another package");
        findings
            .iter()
            .map(|finding| (finding.line, is_other(finding)))
            .collect()
    }

    #[test]
    fn a_module_by_path_is_found() {
        let plain = "#[path = \"c.rs\"]\nmod b;\n";
        assert_eq!(paths_of("x/a/src/lib.rs", plain), [(2, false)]);
        let tests = "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\n";
        assert_eq!(paths_of("x/a/src/b.rs", tests), [(3, false)]);
        let inner = "mod b {\n#[path = \"c.rs\"] mod c;\n}\n";
        assert_eq!(paths_of("x/a/src/lib.rs", inner), [(2, false)]);
        for text in [
            "#[path = \"../../b/src/c.rs\"] mod c;",
            "#[path = \"../../../y.rs\"] mod c;",
            "#[path = \"../../../../y.rs\"] mod c;",
        ] {
            assert_eq!(paths_of("x/a/tests/t.rs", text), [(1, true)], "{text}");
            assert_eq!(paths_of("x/a/src/t.rs", text), [(1, true)], "{text}");
        }
    }

    #[test]
    fn tests_may_share_a_file_of_their_package() {
        let shared = "#[path = \"../common/clone.rs\"] mod clone; mod b; mod c { mod d; }";
        assert_eq!(paths_of("x/a/tests/t/main.rs", shared), []);
        assert_eq!(paths_of("x/a/src/lib.rs", "mod b; #[cfg(test)] mod tests;"), []);
    }
}
