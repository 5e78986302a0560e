//! Arrows and circles of small crates.

use super::*;
use crate::tidy::{modules, targets};
use crate::workspace;

/// The files of a crate `a`: lib.rs with this text, and others below src.
fn sources(lib: &str, files: &[(&str, &str)]) -> Sources {
    let mut all = vec![("a/src/lib.rs".to_owned(), lib)];
    all.extend(files.iter().map(|(file, text)| (format!("a/src/{file}"), *text)));
    let all: Vec<(&str, &str)> = all.iter().map(|(file, text)| (file.as_str(), *text)).collect();
    Sources::of(&all)
}

fn arrows(lib: &str, files: &[(&str, &str)]) -> Vec<String> {
    let sources = sources(lib, files);
    let parsed = modules::parse(&sources, &mut Vec::new());
    let found = arrows_of(&Crate::of("a/src/lib.rs", &sources, &parsed));
    let short = |file: &str| file.trim_start_matches("a/src/").trim_end_matches(".rs").to_owned();
    found
        .keys()
        .map(|(from, to)| format!("{} -> {}", short(from), short(to)))
        .collect()
}

fn found(lib: &str, files: &[(&str, &str)]) -> Vec<String> {
    let sources = sources(lib, files);
    let parsed = modules::parse(&sources, &mut Vec::new());
    let member = workspace::member("a".as_ref(), "[package]\nname = \"a\"\n", &BTreeMap::new()).expect("a package");
    let findings = check(&member, &targets::of(&member, &sources, &parsed), &sources);
    let mut findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    findings.sort();
    findings
}

const TWO: &str = "mod a; mod b;";
const B: (&str, &str) = ("b.rs", "pub mod c; pub struct B; pub fn b() {}");
const C: (&str, &str) = ("b/c.rs", "pub struct C; pub fn c() {}");

#[test]
fn whatever_way_a_file_names_another_it_is_an_arrow() {
    for text in [
        "use crate::b::B;",
        "use super::b::B as Other;",
        "pub use crate::b::B;",
        "use crate::b::*;",
        "use crate::{b::{self, B}};",
        "fn a() { crate::b::b(); }",
        "use crate::b; fn a() { b::b(); }",
        "use crate::b as x; fn a(_: &x::B) {}",
        "use crate::b::*; fn a(_: B) {}",
        "fn a() { use crate::b; println!(\"{}\", b::b()); }",
        "#[serde(default = crate::b::b)] struct A;",
        "#[derive(crate::b::B)] struct A;",
        "mod inline { use super::super::b::B; }",
        "fn a() { crate::b::made_by_a_macro(); }",
        "#[cfg(not(test))] use crate::b::B;",
        "mod self_path { pub fn x() { self::super::super::b::b() } }",
    ] {
        assert_eq!(arrows(TWO, &[("a.rs", text), B, C]), ["a -> b"], "{text}");
    }
    for text in [
        "use crate::b::c::C;",
        "use crate::b::c; fn a() { c::c() }",
        "use crate::b; fn a() { b::c::c() }",
    ] {
        assert_eq!(arrows(TWO, &[("a.rs", text), B, C]), ["a -> b/c"], "{text}");
    }
}

#[test]
fn what_names_nothing_of_another_file_is_no_arrow() {
    for text in [
        "use crate::b;",
        "use b::B;",
        "use std::b::B;",
        "fn b() {} fn a() { b() }",
        "#[cfg(test)] mod tests { use crate::b::B; }",
        "#[cfg(test)] use crate::b::B;",
        "pub(in crate::b) struct A;",
        "// crate::b::b()\nfn a() -> &'static str { \"crate::b::b()\" }",
    ] {
        assert_eq!(arrows(TWO, &[("a.rs", text), B, C]), [""; 0], "{text}");
    }
    let tests = ("a.rs", "#[cfg(test)] #[path = \"a_tests.rs\"] mod tests;");
    assert_eq!(arrows(TWO, &[tests, ("a_tests.rs", "use crate::b::B;"), B, C]), [""; 0]);
}

#[test]
fn a_re_export_leads_to_where_it_is_defined() {
    let facade = ("b.rs", "mod c; pub use c::C; pub(crate) use self::c::c as other;");
    assert_eq!(arrows(TWO, &[A_USES, facade, C]), ["a -> b/c"]);
    let all = ("b.rs", "mod c; pub use c::*;");
    assert_eq!(arrows(TWO, &[A_USES, all, C]), ["a -> b/c"]);
    let renamed = ("a.rs", "fn a() { crate::b::other() }");
    assert_eq!(arrows(TWO, &[renamed, facade, C]), ["a -> b/c"]);
    // Two facades that each export all of the other end somewhere.
    let (a, b) = (
        ("a.rs", "pub use crate::b::*;"),
        ("b.rs", "pub use crate::a::*; fn b() { X::y() }"),
    );
    assert_eq!(arrows(TWO, &[a, b]), ["a -> b", "b -> a"]);
}

const A_USES: (&str, &str) = ("a.rs", "use crate::b::C;");

#[test]
fn parents_and_children() {
    let child = ("b/c.rs", "pub struct C; use super::B;");
    // Declared and re-exported only: no circle, whatever the child knows of its parent.
    let facade = ("b.rs", "mod c; pub use c::C; pub struct B;");
    assert_eq!(arrows(TWO, &[("a.rs", ""), facade, child]), ["b/c -> b"]);
    for text in [
        "mod c; use c::C; pub struct B;",
        "mod c; pub struct B(c::C);",
        "mod c; pub use c::C; pub struct B(C);",
    ] {
        assert_eq!(
            arrows(TWO, &[("a.rs", ""), ("b.rs", text), child]),
            ["b -> b/c", "b/c -> b"],
            "{text}"
        );
    }
    // What the parent only exports leads past it.
    let (facade, sibling) = (("b.rs", "mod c; mod d; pub use d::D;"), ("b/d.rs", "pub struct D;"));
    let child = ("b/c.rs", "use super::D;");
    assert_eq!(arrows(TWO, &[("a.rs", ""), facade, child, sibling]), ["b/c -> b/d"]);
}

#[test]
fn a_circle_is_found() {
    let (a, b) = (
        ("a.rs", "\nuse crate::b::B;\npub struct A;"),
        ("b.rs", "pub struct B;\nfn b(_: crate::a::A) {}"),
    );
    let expected = "a/src/a.rs:2: a circle of files (a/src/a.rs:2 names crate::b::B, a/src/b.rs:2 names crate::a::A), \
        turn one arrow or move what both need to a file of its own";
    assert_eq!(found(TWO, &[a, b]), [expected]);
    // By way of a third, and through a facade.
    let three = [
        ("a.rs", "use crate::b::C; pub struct A;"),
        ("b.rs", "pub mod c; pub use c::C;"),
        ("b/c.rs", "pub struct C; fn c() { crate::d::d() }"),
        ("d.rs", "pub fn d() { crate::a::A; }"),
    ];
    let circles = found("mod a; mod b; mod d;", &three);
    assert_eq!(circles.len(), 1);
    assert!(circles[0].contains("a/src/b/c.rs:1 names crate::d::d"), "{circles:?}");
    // Of tests only.
    let tests = ("b.rs", "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }");
    assert_eq!(found(TWO, &[a, tests]), [""; 0]);
}

#[test]
fn a_parent_and_its_child_are_told_apart() {
    let (parent, child) = (
        ("b.rs", "mod c;\npub struct B(c::C);"),
        ("b/c.rs", "pub struct C(super::B);"),
    );
    let expected = "a/src/b.rs:2: a circle of files (a/src/b.rs:2 names c::C, a/src/b/c.rs:1 names super::B), \
        move what the child needs to a file of its own";
    assert_eq!(found(TWO, &[("a.rs", ""), parent, child]), [expected]);
    // A third in the circle, whichever of the two names it.
    let third = ("a.rs", "pub struct A; fn a() { crate::b::b() }");
    let (parent, child) = (
        ("b.rs", "mod c; pub struct B(c::C); pub fn b() {}"),
        ("b/c.rs", "pub struct C(super::B, crate::a::A);"),
    );
    let circles = found(TWO, &[third, parent, child]);
    assert_eq!(circles.len(), 2, "{circles:?}");
    assert!(circles[0].starts_with("a/src/a.rs:1: a circle of files") && circles[0].contains("turn one arrow"));
    let (third, parent, child) = (
        ("a.rs", "pub struct A; fn a() { crate::b::c::c() }"),
        ("b.rs", "pub mod c; pub struct B(c::C, crate::a::A);"),
        ("b/c.rs", "pub struct C(super::B); pub fn c() {}"),
    );
    assert_eq!(found(TWO, &[third, parent, child]).len(), 2);
}
