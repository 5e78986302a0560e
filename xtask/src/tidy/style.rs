//! One style of modules: `foo.rs` beside `foo/` in place of a `mod.rs`; no `#[path]` or `include!` in src/,
//! nor into another package; and nothing that hides from where arrows between files are looked for.

use super::finding::{Finding, Kind};
use super::modules::{Named, is_test, named_files};
use super::sources::Sources;
use crate::paths;
use crate::workspace::{self, Member};

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

/// Code that a package's file brings in by the name of its file, where a `mod` could do.
pub(crate) fn check_paths(member: &Member, packages: &[Member], file: &str, text: &str) -> Vec<Finding> {
    let package = format!("{}/", member.folder.display());
    let is_source = file.starts_with(&format!("{package}src/"));
    let finding = |named: Named| {
        let path = &named.path;
        let target = paths::join(paths::folder(file), path);
        let code = if named.is_include {
            format!("include!(\"{path}\")")
        } else {
            format!("#[path = \"{path}\"]")
        };
        let is_ours = |target: &String| {
            target.starts_with(&package)
                && workspace::home(target, packages).is_none_or(|home| home.name == member.name)
        };
        let message = if !target.as_ref().is_some_and(is_ours) {
            format!("`{code}` leads into another package, depend on that or copy what is needed")
        } else if is_source {
            format!("`{code}` in src/, move the file to where a plain `mod` finds it")
        } else {
            return None;
        };
        Some(Finding::new(file, named.line, Kind::ModuleStyle, message))
    };
    // What is no Rust is told of elsewhere.
    let code = text.parse().unwrap_or_default();
    named_files(code).into_iter().filter_map(finding).collect()
}

/// What in a file of src/ would hide arrows between files: modules with files of their own within a module that has
/// none, which all count as one, and another name for the crate.
pub(crate) fn check_hidden(file: &str, syntax: &syn::File) -> Vec<Finding> {
    let mut findings = Vec::new();
    for item in &syntax.items {
        match item {
            syn::Item::Mod(module) if !is_test(&module.attrs) && has_files(module, false) => {
                let message = format!(
                    "`mod {}` is in this file and has modules with files of their own, move it to a file",
                    module.ident
                );
                let line = module.mod_token.span.start().line;
                findings.push(Finding::new(file, line, Kind::ModuleStyle, message));
            }
            syn::Item::ExternCrate(named) if named.ident == "self" => {
                let message = "`extern crate self` gives the crate another name, write `crate`";
                let line = named.extern_token.span.start().line;
                findings.push(Finding::new(file, line, Kind::ModuleStyle, message));
            }
            _ => {}
        }
    }
    findings
}

/// Whether a module within a file, or one within it, has a child in another file.
fn has_files(module: &syn::ItemMod, is_child: bool) -> bool {
    let children = |item: &syn::Item| match item {
        syn::Item::Mod(child) => !is_test(&child.attrs) && has_files(child, true),
        _ => false,
    };
    match &module.content {
        Some((_, items)) => items.iter().any(children),
        None => is_child,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_arrows_is_found() {
        let lines = |text: &str| {
            let findings = check_hidden("a/src/lib.rs", &syn::parse_file(text).expect("Rust"));
            findings.iter().map(|finding| finding.line).collect::<Vec<_>>()
        };
        assert_eq!(lines("mod a;\nmod all { mod b; }"), [2]);
        assert_eq!(lines("mod all { mod more { pub mod b; } }"), [1]);
        assert_eq!(lines("mod a;\nextern crate self as a;"), [2]);
        for text in [
            "mod a; mod b { mod c {} fn d() {} }",
            "#[cfg(test)] mod tests { mod a; }",
            "mod b { #[cfg(test)] mod tests; }",
            "extern crate alloc;",
        ] {
            assert_eq!(lines(text), [], "{text}");
        }
    }

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
        let package = |name: &str, folder: &str| {
            let manifest = format!("[package]\nname = \"{name}\"\n");
            workspace::member(folder.as_ref(), &manifest, &Default::default()).expect("a package")
        };
        let packages = [package("a", "x/a"), package("b", "x/a/b")];
        let findings = check_paths(&packages[0], &packages, file, text);
        let is_other = |finding: &Finding| finding.message.contains("another package");
        findings
            .iter()
            .map(|finding| (finding.line, is_other(finding)))
            .collect()
    }

    #[test]
    fn a_module_by_path_is_found() {
        let plain = "#[path = \"c.rs\"]\nmod b;\n";
        assert_eq!(paths_of("x/a/src/lib.rs", plain), [(1, false)]);
        let tests = "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;\n";
        assert_eq!(paths_of("x/a/src/b.rs", tests), [(2, false)]);
        let inner = "mod b {\n#[path = \"c.rs\"] mod c;\n}\n";
        assert_eq!(paths_of("x/a/src/lib.rs", inner), [(2, false)]);
        let include = "mod b {\ninclude!(\"c.rs\");\n}\n";
        assert_eq!(paths_of("x/a/src/lib.rs", include), [(2, false)]);
        for text in [
            "#[cfg_attr(all(), path = \"../../b/src/c.rs\")] mod c;",
            "macro_rules! m { () => { #[path = \"../../b/src/c.rs\"] mod c; } }",
            "include!(\"../../b/src/c.rs\");",
            // A package within this one.
            "#[path = \"../b/src/c.rs\"] mod c;",
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
