//! All checks together, over a small repository.

use super::*;

const CLEAN: [(&str, &str); 6] = [
    ("Cargo.toml", "[workspace]\nmembers = [\"a\", \"b\"]\n"),
    (
        "a/Cargo.toml",
        "[package]\nname = \"a\"\n[dependencies]\nb = { path = \"../b\" }\n",
    ),
    ("a/src/lib.rs", "//! A.\nmod c;\n"),
    ("a/src/c.rs", "fn c() {}\n"),
    ("b/Cargo.toml", "[package]\nname = \"b\"\n"),
    ("b/src/main.rs", "fn main() {}\n"),
];
const DRAWN: (&str, &str) = (
    "ARCHITECTURE.md",
    "# A\n\n[the root](a/src/lib.rs)\n\n```crates\na -> b\n```\n",
);

/// What is found with this file changed or added.
fn found(file: &str, text: &str) -> (Vec<Kind>, String) {
    let mut files = [&CLEAN[..], &[DRAWN]].concat();
    files.retain(|(name, _)| *name != file);
    files.push((file, text));
    let findings = check(&Sources::of(&files));
    (
        findings.iter().map(|finding| finding.kind).collect(),
        summary(&findings),
    )
}

#[test]
fn a_clean_repository_has_no_findings() {
    assert_eq!(found("README.md", "# A\n"), (Vec::new(), "no findings".to_owned()));
}

#[test]
fn each_kind_is_found() {
    let long = "word ".repeat(30);
    let function = format!("fn c() {{\n{}}}\n", "a();\n".repeat(70));
    for (file, text, expected) in [
        ("README.md", format!("# A\n\n{long}\n"), Kind::ProseLine),
        ("a/src/c.rs", format!("// {long}\n"), Kind::CodeLine),
        ("a/src/c.rs", function, Kind::FunctionLength),
        ("a/src/c.rs", "\n".repeat(501), Kind::FileLength),
        ("a/src/c.rs", "fn c( {}".to_owned(), Kind::Unreadable),
        ("a/src/d.rs", String::new(), Kind::DeadFile),
        ("b/Cargo.toml", "[package\n".to_owned(), Kind::Unreadable),
        ("a/Cargo.toml", "[package]\nname = \"a\"\n".to_owned(), Kind::CrateArrow),
        ("ARCHITECTURE.md", "# A\n".to_owned(), Kind::CrateArrow),
        ("README.md", "# A\n".to_owned() + &"\n".repeat(6_141), Kind::FileLength),
        ("README.md", "# A\n\n[b](gone.md)\n".to_owned(), Kind::Link),
        ("README.md", "# A\n\n`a/src/gone.rs`\n".to_owned(), Kind::Mention),
        (DRAWN.0, DRAWN.1.to_owned() + "\n`gone.toml`\n", Kind::Mention),
        ("a/src/c.rs", "//! `docs/gone.md`\n".to_owned(), Kind::Mention),
        ("a/src/c.rs", "//! [b](../gone.md)\n".to_owned(), Kind::Link),
        (
            "a/src/lib.rs",
            "//! A.\n//! ```layers\n//! ```\nmod c;\n".to_owned(),
            Kind::Layer,
        ),
    ] {
        let (kinds, summary) = found(file, &text);
        assert_eq!(kinds, [expected], "{file}: {text}");
        assert_eq!(summary, format!("1 finding: {} 1", expected.name()));
    }
}

#[test]
fn kinds_that_take_two_files() {
    let mut files = [&CLEAN[..], &[DRAWN]].concat();
    files.retain(|(name, _)| !name.starts_with("a/src/"));
    let circle = [
        ("a/src/lib.rs", "mod c; pub fn a() { c::c() }\n"),
        ("a/src/c.rs", "pub fn c() { crate::a() }\n"),
    ];
    let findings = check(&Sources::of(&[&files[..], &circle].concat()));
    assert_eq!(summary(&findings), "1 finding: circles of a parent and its child 1");
    let circle = [
        ("a/src/lib.rs", "mod c; mod d;\n"),
        ("a/src/c.rs", "pub fn c() { crate::d::d() }\n"),
        ("a/src/d.rs", "pub fn d() { crate::c::c() }\n"),
    ];
    let findings = check(&Sources::of(&[&files[..], &circle].concat()));
    assert_eq!(summary(&findings), "1 finding: arrows between files 1");
    let old = [("a/src/lib.rs", "mod c;\n"), ("a/src/c/mod.rs", "")];
    let findings = check(&Sources::of(&[&files[..], &old].concat()));
    assert_eq!(summary(&findings), "1 finding: module style 1");
    for text in [
        "#[path = \"c.rs\"] mod d;\n",
        "#[cfg(test)] mod d { #[path = \"../c.rs\"] mod e; }\n",
        "mod c; mod d { mod e; }\n",
        "mod c; extern crate self as a;\n",
        "#[cfg(test)] #[path = \"c.rs\"] mod tests;\n",
        "#[cfg_attr(all(), path = \"c.rs\")] mod d;\n",
    ] {
        let named = [("a/src/lib.rs", text), ("a/src/c.rs", "")];
        let findings = check(&Sources::of(&[&files[..], &named].concat()));
        assert_eq!(summary(&findings), "1 finding: module style 1", "{text}");
    }
    let up = [
        (
            "a/src/lib.rs",
            "//! A.\n//! ```layers\n//! c\n//! d\n//! ```\nmod c; mod d;\n",
        ),
        ("a/src/c.rs", "pub fn c() { crate::d::d() }\n"),
        ("a/src/d.rs", "pub fn d() {}\n"),
    ];
    let findings = check(&Sources::of(&[&files[..], &up].concat()));
    assert_eq!(summary(&findings), "1 finding: arrows between layers 1");
}

#[test]
fn a_package_of_another_workspace_is_looked_at() {
    let manifest = (
        "fuzz/Cargo.toml",
        "[package]\nname = \"f\"\n[workspace]\n[[bin]]\nname = \"x\"\npath = \"t/x.rs\"\n",
    );
    let found = |files: &[(&str, &str)]| {
        let findings = check(&Sources::of(&[&CLEAN[..], &[DRAWN, manifest], files].concat()));
        findings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(found(&[("fuzz/t/x.rs", "mod y;"), ("fuzz/t/y.rs", "")]), [""; 0]);
    let dead = "fuzz/t/z.rs:1: no `mod` names this file, name it or remove it";
    assert_eq!(found(&[("fuzz/t/x.rs", ""), ("fuzz/t/z.rs", "")]), [dead]);
    let path = "fuzz/t/x.rs:1: `#[path = \"../../a/src/c.rs\"]` leads into another package, \
        depend on that or copy what is needed";
    assert_eq!(
        found(&[("fuzz/t/x.rs", "#[path = \"../../a/src/c.rs\"] mod c;")]),
        [path]
    );
}

#[test]
fn the_harness_does_without_the_packages_of_the_device() {
    let files = [
        ("Cargo.toml", "[workspace]\nmembers = [\"harness/a\"]\n"),
        ("ARCHITECTURE.md", "# A\n\n```crates\na\n```\n"),
        (
            "harness/a/Cargo.toml",
            "[package]\nname = \"a\"\n[dependencies]\nlandlock = \"1\"\n",
        ),
        ("harness/a/src/lib.rs", "//! A.\n"),
    ];
    assert_eq!(
        summary(&check(&Sources::of(&files))),
        "1 finding: arrows between crates 1"
    );
}
