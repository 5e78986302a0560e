//! Mentions of files in a small repository.

use super::*;

const FILES: [(&str, &str); 7] = [
    ("kernels.toml", ""),
    ("docs/design/b.md", ""),
    ("kernels/patches/a.patch", ""),
    ("x/a/Cargo.toml", ""),
    ("x/a/src/c.rs", ""),
    ("x/a/src/c/d.rs", ""),
    ("x/a/tests/t/e.rs", ""),
];

fn found(file: &str, text: &str) -> Vec<String> {
    let sources = Sources::of(&[&FILES[..], &[(file, text)]].concat());
    let member = workspace::member("x/a".as_ref(), "[package]\nname = \"a\"\n", &Default::default());
    let members = [member.expect("a package")];
    let findings = if file.ends_with(".md") {
        in_page(file, text, &members, &sources)
    } else {
        in_comments(file, text, &members, &sources)
    };
    findings.iter().map(ToString::to_string).collect()
}

fn gone(file: &str, line: usize, path: &str) -> [String; 1] {
    [format!("{file}:{line}: `{path}` is not in the repository, correct it")]
}

#[test]
fn a_row_of_the_map_that_leads_nowhere_is_found() {
    for path in [
        "x/a/src/gone.rs",
        "src/gone.rs",
        "gone.toml",
        "x/gone/",
        "docs/gone",
        "x/a/src/c.sh",
    ] {
        let table = format!("# A\n\n| to add | start in |\n|---|---|\n| a rule | `{path}` |\n");
        assert_eq!(found(MAP, &table), gone(MAP, 5, path));
        let block = format!("# A\n\n```text\nfirst\n ring ─▶ {path}   more\n```\n");
        assert_eq!(found(MAP, &block), gone(MAP, 5, path));
    }
}

#[test]
fn a_file_that_a_page_or_comment_names_and_that_is_gone_is_found() {
    for path in [
        "docs/gone.md",
        "c/gone.rs",
        "docs/gone/",
        "tests/gone.sh",
        "../gone.lock",
        "kernels/patches/gone.patch",
        "kernels/configs/gone.config",
        "docs/gone.json",
        "docs/gone.md#x",
    ] {
        let page = format!("# A\n\nsee `{path}`, and `cat {path}`\n");
        let twice = [gone("docs/p.md", 3, path), gone("docs/p.md", 3, path)].concat();
        assert_eq!(found("docs/p.md", &page), twice);
        for comment in ["//!", "///", "//", "fn a() {} //"] {
            let text = format!("{comment} see `{path}`\nfn b() {{}}\n");
            assert_eq!(found("x/a/src/f.rs", &text), gone("x/a/src/f.rs", 1, path));
        }
    }
    let line = "// as in `c/gone.rs:12`\n";
    assert_eq!(found("x/a/src/f.rs", line), gone("x/a/src/f.rs", 1, "c/gone.rs"));
    let link = "x/a/src/f.rs:1: a link to `../../docs/gone.md`, which is not in the repository, correct it";
    assert_eq!(found("x/a/src/f.rs", "//! See [this](../../docs/gone.md).\n"), [link]);
    for target in ["gone.md#a", "./gone", "../tests/gone.rs"] {
        assert_eq!(
            found("x/a/src/f.rs", &format!("/// [a]: {target}\n")).len(),
            1,
            "{target}"
        );
    }
    assert_eq!(
        found("x/a/src/f.rs", "/// [a](mod@gone) [b](gone) [c](crate::gone)\n"),
        [""; 0]
    );
}

#[test]
fn files_that_are_there_are_clean() {
    let paths =
        "`kernels.toml` `docs/design/b.md` `x/a/src/` `c/d.rs` `tests/t/e.rs` `src/c.rs` `design/b.md` `x/a/src`";
    assert_eq!(found(MAP, &paths.replace("`design/b.md`", "")), [""; 0]);
    assert_eq!(found("docs/p.md", paths), [""; 0]);
    assert_eq!(
        found("x/a/src/c.rs", "// `d.rs`, `c/d.rs:3`, `tests/t/e.rs`, `src/c.rs`\n"),
        [""; 0]
    );
    assert_eq!(
        found("x/a/src/c.rs", "// `../../a/src/c.rs` and `docs/design/b.md`\n"),
        [""; 0]
    );
    assert_eq!(found("x/a/src/c.rs", "/// [b](../../../docs/design/b.md#c)\n"), [""; 0]);
}

#[test]
fn what_names_no_file_of_the_repository_is_clean() {
    for path in [
        "src/*.rs",
        "src/<name>.rs",
        "src/{a,b}.rs",
        "~/x/gone.toml",
        "/etc/gone.toml",
        "x/a/src/bin/NAME.rs",
        "DIR/gone.md",
        "$HOME/gone.sh",
        "https://example.org/gone.md",
        "…/gone.rs",
        "target/gone/",
        "a/b",
        "foo/",
        "gone.rs",
    ] {
        assert_eq!(found("docs/p.md", &format!("`{path}`\n")), [""; 0], "{path}");
        assert_eq!(found("x/a/src/f.rs", &format!("// `{path}`\n")), [""; 0], "{path}");
    }
    assert_eq!(found("docs/p.md", "docs/gone.md\n\n```\ndocs/gone.md\n```\n"), [""; 0]);
    assert_eq!(
        found("x/a/src/f.rs", "const A: &str = \"// `docs/gone.md`\";\n"),
        [""; 0]
    );
    assert_eq!(found(PAST, "- `docs/gone.md` is gone\n"), [""; 0]);
}
