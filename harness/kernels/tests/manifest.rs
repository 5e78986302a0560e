//! What a person sees who mistypes something in kernels.toml.
#![allow(clippy::unwrap_used, reason = "a panic here is the test's failure")]

use exit::ExitError;
use std::path::{Path, PathBuf};

use guest_wire::Fs;
use kernels::{Manifest, Source};
use verdict::Cause;

fn error(text: &str) -> String {
    let error = Manifest::parse(Path::new("kernels.toml"), text).unwrap_err();
    assert_eq!(error.exit().code(), 65, "{error}");
    error.to_string()
}

/// A kernel with one line more.
fn with(line: &str) -> String {
    format!("[[kernel]]\nid = \"a\"\nsuite = \"bookworm\"\npackage = \"linux-image-a\"\nversion = \"1-1\"\n{line}\n")
}

#[test]
fn mistyped_keys_and_words_are_pointed_at() {
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsutie = \"bookworm\"\n"), @"
        kernels.toml:3:1: unknown key `sutie` in [[kernel]]
          |
        3 | sutie = \"bookworm\"
          | ^^^^^
          = help: did you mean `suite`? known keys: id, suite, package, version, image, package-file, modules, git, rev, dirty, \
          tarball, sha256, source-package, patches, config, cc, arch, make, line, fs, default, group, expect
        ");
    insta::assert_snapshot!(error("[[kernels]]\nid = \"a\"\n"), @r"
        kernels.toml:1:3: unknown key `kernels` in the file
          |
        1 | [[kernels]]
          |   ^^^^^^^
          = help: did you mean `kernel`? known keys: kernel
        ");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsuite = \"bokworm-security\"\npackage = \"p\"\nversion \
        = \"1\"\n"), @"
        kernels.toml:3:9: unknown suite `bokworm-security`
          |
        3 | suite = \"bokworm-security\"
          |         ^^^^^^^^^^^^^^^^^^
          = help: did you mean `bookworm-security`? a suite is a Debian release (buster, bullseye, bookworm, trixie, \
          forky, duke, sid, oldoldstable, oldstable, stable, testing, unstable), alone or followed by one of \
          -security, -updates, -backports, -backports-sloppy, -proposed-updates
        ");
    let known = Fs::NAMES.join(", ");
    insta::assert_snapshot!(error(&with("fs = [\"btrfs\", \"brtfs\"]")).replace(&known, "[all]"), @r#"
        kernels.toml:6:16: unknown file system `brtfs`
          |
        6 | fs = ["btrfs", "brtfs"]
          |                ^^^^^^^
          = help: did you mean `btrfs`? known file systems: [all]
        "#);
    insta::assert_snapshot!(error(&with("[[kernel.expect]]\ncase = \"x\"\nverdict = \"fial\"\nwhy = \"y\"")), @r#"
        kernels.toml:8:11: unknown verdict `fial`
          |
        8 | verdict = "fial"
          |           ^^^^^^
          = help: did you mean `fail`? known verdicts: fail, inconclusive
        "#);
    insta::assert_snapshot!(error(&with("[[kernel.expect]]\ncase = \"x\"\nverdict = \"fail\"\ncause = \"hangs\"\nwhy \
        = \"y\"")), @r#"
        kernels.toml:9:9: unknown cause `hangs`
          |
        9 | cause = "hangs"
          |         ^^^^^^^
          = help: did you mean `hang`? known causes: corruption, hang, leak, crash, warning, error
        "#);
}

#[test]
fn missing_and_conflicting_keys_are_pointed_at() {
    insta::assert_snapshot!(error("[[kernel]]\nsuite = \"bookworm\"\n"), @r#"
        kernels.toml:1:1: missing key `id` in [[kernel]]
          |
        1 | [[kernel]]
          | ^^^^^^^^^^
          = help: add a line like `id = "debian-6.1.176"`
        "#);
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\n"), @"
        kernels.toml:2:1: this kernel has no source
          |
        2 | id = \"a\"
          | ^^
          = help: give it `suite`, `package` and `version`; or `image`; or `package-file`; or source to build: `git`, \
          `tarball`, or `source-package`
        ");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsuite = \"bookworm\"\npackage = \"linux-image-a\"\n"), @r#"
        kernels.toml:1:1: missing key `version` in [[kernel]]
          |
        1 | [[kernel]]
          | ^^^^^^^^^^
          = help: add a line like `version = "latest"`
        "#);
    insta::assert_snapshot!(
        error("[[kernel]]\nid = \"a\"\npackage-file = \"a.deb\"\nmodules = \"m\"\n"),
        @r#"
    kernels.toml:4:1: `modules` beside `package-file`
      |
    4 | modules = "m"
      | ^^^^^^^
      = help: package files are all that there is of a kernel: list those of its modules there, and take this line out
    "#
    );
    insta::assert_snapshot!(error(&with("image = \"bzImage\"")), @r#"
        kernels.toml:3:1: `suite` beside `image`
          |
        3 | suite = "bookworm"
          | ^^^^^
          = help: a kernel is either a package (suite, package, version) or a file (image, modules)
        "#);
    insta::assert_snapshot!(error(&with("modules = \"dir\"")), @r#"
        kernels.toml:6:1: `modules` without `image`
          |
        6 | modules = "dir"
          | ^^^^^^^
          = help: a package brings its own modules; `modules` belongs to a kernel that is a file
        "#);
    insta::assert_snapshot!(error(&with("[[kernel.expect]]\ncase = \"x\"\nverdict = \"inconclusive\"\ncause \
        = \"hang\"\nwhy = \"y\"")), @r#"
        kernels.toml:9:1: `cause` without verdict "fail"
          |
        9 | cause = "hang"
          | ^^^^^
          = help: only a failure has a cause; take this line out
        "#);
    insta::assert_snapshot!(error(&with("[[kernel]]\nid = \"a\"\nimage = \"x\"")), @r#"
        kernels.toml:7:6: the id `a` is taken
          |
        7 | id = "a"
          |      ^^^
          = help: the kernel at line 2 has it; give this one another
        "#);
}

#[test]
fn values_that_cannot_be_are_pointed_at() {
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a b\"\n"), @r#"
        kernels.toml:2:6: ` ` cannot be part of an id
          |
        2 | id = "a b"
          |      ^^^^^
          = help: use letters, digits and any of - _ . + ~
        "#);
    insta::assert_snapshot!(error("[[kernel]]\nid = 7\n"), @r"
        kernels.toml:2:6: `id` is of type integer
          |
        2 | id = 7
          |      ^
          = help: expected a string in quotes
        ");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\nimage = \"x\"\n"), @r#"
        kernels.toml:2:8: invalid basic string, expected `"`
          |
        2 | id = "a
          |        ^
        "#);
    insta::assert_snapshot!(error("[kernel]\nid = \"a\"\n"), @r"
        kernels.toml:1:1: `kernel` is of type table
          |
        1 | [kernel]
          | ^^^^^^^^
          = help: expected a list of tables; write its header as [[kernel]]
        ");
    insta::assert_snapshot!(error(&with("fs = []")), @r"
        kernels.toml:6:6: `fs` is an empty list
          |
        6 | fs = []
          |      ^^
        ");
    insta::assert_snapshot!(error(&with("default = \"no\"")), @r#"
        kernels.toml:6:11: `default` is of type string
          |
        6 | default = "no"
          |           ^^^^
          = help: expected true or false
        "#);
    insta::assert_snapshot!(error(&with("[[kernel.expect]]\ncase = \"[x\"\nverdict = \"fail\"\nwhy = \"y\"")), @r#"
        kernels.toml:7:8: `[x` is not a valid glob: unclosed character class; missing ']'
          |
        7 | case = "[x"
          |        ^^^^
        "#);
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsuite = \"sid\"\npackage = \"Linux Image\"\nversion \
        = \"1\"\n"), @r#"
        kernels.toml:4:11: `Linux Image` is not a package name
          |
        4 | package = "Linux Image"
          |           ^^^^^^^^^^^^^
          = help: package names are of lower-case letters, digits, + - and .
        "#);
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsuite = \"sid\"\npackage = \"linux\"\nversion \
        = \"newest\"\n"), @r#"
        kernels.toml:5:11: `newest` is not a package version
          |
        5 | version = "newest"
          |           ^^^^^^^^
          = help: write a whole version like "6.1.176-1", or "latest"
        "#);
}

#[test]
fn what_is_right_is_taken_as_it_stands() {
    let text = with(
        "[[kernel.expect]]\nfs = \"b*\"\ncase = \"partial-write*\"\nverdict = \"fail\"\ncause = \"leak\"\nwhy = \"y\"",
    );
    let text = format!("{text}[[kernel]]\nid = \"mine\"\nimage = \"../bzImage\"\ndefault = false\n");
    let text = format!("{text}[[kernel]]\nid = \"packed\"\npackage-file = [\"a.rpm\", \"b.rpm\"]\ndefault = false\n");
    let manifest = Manifest::parse(Path::new("conf/kernels.toml"), &text).unwrap();
    let [packaged, mine, packed] = manifest.kernels() else {
        panic!("{manifest:?}")
    };
    assert_eq!(packaged.fs, [Fs::Btrfs]);
    let expect = packaged.expected(Fs::Btrfs, "partial-write.dsync").unwrap();
    assert_eq!((expect.expected.verdict.cause(), expect.line), (Some(Cause::Leak), 6));
    assert!(packaged.expected(Fs::Ext4, "partial-write").is_none());
    assert!(packaged.expected(Fs::Btrfs, "overlap").is_none());
    assert!(matches!(&mine.source, Source::Image { image, modules: None } if image == Path::new("conf/../bzImage")));
    let files = ["conf/a.rpm", "conf/b.rpm"].map(PathBuf::from);
    assert!(matches!(&packed.source, Source::PackageFiles(found) if *found == files));
    let ids = |patterns: &[&str]| -> Vec<String> {
        manifest
            .select(patterns)
            .unwrap()
            .into_iter()
            .map(|kernel| kernel.id.clone())
            .collect()
    };
    assert_eq!(ids(&[]), ["a"]);
    assert_eq!(ids(&["m*"]), ["mine"]);
    let unknown = manifest.select(&["mime"]).unwrap_err();
    assert_eq!(unknown.exit().code(), 64);
    insta::assert_snapshot!(unknown, @"no kernels match `mime`; did you mean `mine`? known kernels: a, mine, packed");
}

#[test]
fn the_repositorys_own_files_are_right() {
    let root = host::places::root().unwrap();
    let manifest = Manifest::load(&root.join("kernels.toml")).unwrap();
    let lock = kernels::Lock::load(&root.join("kernels.lock")).unwrap();
    for kernel in manifest.kernels() {
        let Source::Package(source) = &kernel.source else {
            continue;
        };
        let pinned = lock
            .get(&kernel.id)
            .unwrap_or_else(|| panic!("{} is not pinned", kernel.id));
        assert!(
            pinned.serves(source),
            "{} is pinned otherwise than kernels.toml has it",
            kernel.id
        );
    }
}
