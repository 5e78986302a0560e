//! What a person sees who mistypes something in kernels.toml.

use std::path::Path;

use harness::kernels::{ExpectedCause, Manifest, Source};

fn error(text: &str) -> String {
    let error = Manifest::parse(Path::new("kernels.toml"), text).unwrap_err();
    assert_eq!(error.exit_code(), 65, "{error}");
    error.to_string()
}

/// A kernel with one line more.
fn with(line: &str) -> String {
    format!("[[kernel]]\nid = \"a\"\nsuite = \"bookworm\"\npackage = \"linux-image-a\"\nversion = \"1-1\"\n{line}\n")
}

#[test]
fn mistyped_keys_and_words_are_pointed_at() {
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsutie = \"bookworm\"\n"), @"");
    insta::assert_snapshot!(error("[[kernels]]\nid = \"a\"\n"), @"");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsuite = \"bokworm-security\"\npackage = \"p\"\nversion = \"1\"\n"), @"");
    insta::assert_snapshot!(error(&with("fs = [\"btrfs\", \"brtfs\"]")), @"");
    insta::assert_snapshot!(error(&with("[[kernel.expect]]\ncase = \"x\"\nverdict = \"fial\"\nwhy = \"y\"")), @"");
    insta::assert_snapshot!(error(&with("[[kernel.expect]]\ncase = \"x\"\nverdict = \"fail\"\ncause = \"hangs\"\nwhy = \"y\"")), @"");
}

#[test]
fn missing_and_conflicting_keys_are_pointed_at() {
    insta::assert_snapshot!(error("[[kernel]]\nsuite = \"bookworm\"\n"), @"");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\n"), @"");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsuite = \"bookworm\"\npackage = \"linux-image-a\"\n"), @"");
    insta::assert_snapshot!(error(&with("image = \"bzImage\"")), @"");
    insta::assert_snapshot!(error(&with("modules = \"dir\"")), @"");
    insta::assert_snapshot!(error(&with("[[kernel.expect]]\ncase = \"x\"\nverdict = \"inconclusive\"\ncause = \"hang\"\nwhy = \"y\"")), @"");
    insta::assert_snapshot!(error(&with("[[kernel]]\nid = \"a\"\nimage = \"x\"")), @"");
}

#[test]
fn values_that_cannot_be_are_pointed_at() {
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a b\"\n"), @"");
    insta::assert_snapshot!(error("[[kernel]]\nid = 7\n"), @"");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\nimage = \"x\"\n"), @"");
    insta::assert_snapshot!(error("[kernel]\nid = \"a\"\n"), @"");
    insta::assert_snapshot!(error(&with("fs = []")), @"");
    insta::assert_snapshot!(error(&with("default = \"no\"")), @"");
    insta::assert_snapshot!(error(&with("[[kernel.expect]]\ncase = \"[x\"\nverdict = \"fail\"\nwhy = \"y\"")), @"");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsuite = \"sid\"\npackage = \"Linux Image\"\nversion = \"1\"\n"), @"");
    insta::assert_snapshot!(error("[[kernel]]\nid = \"a\"\nsuite = \"sid\"\npackage = \"linux\"\nversion = \"newest\"\n"), @"");
}

#[test]
fn what_is_right_is_taken_as_it_stands() {
    let text = with(
        "[[kernel.expect]]\nfs = \"b*\"\ncase = \"partial-write*\"\nverdict = \"fail\"\ncause = \"leak\"\nwhy = \"y\"",
    );
    let text = format!("{text}[[kernel]]\nid = \"mine\"\nimage = \"../bzImage\"\ndefault = false\n");
    let manifest = Manifest::parse(Path::new("conf/kernels.toml"), &text).unwrap();
    let [packaged, mine] = manifest.kernels() else {
        panic!("{manifest:?}")
    };
    assert_eq!(packaged.fs, ["btrfs"]);
    let expect = packaged.expected("btrfs", "partial-write.dsync").unwrap();
    assert_eq!((expect.cause, expect.line), (Some(ExpectedCause::Leak), 6));
    assert!(packaged.expected("ext4", "partial-write").is_none());
    assert!(packaged.expected("btrfs", "overlap").is_none());
    assert!(matches!(&mine.source, Source::Image { image, modules: None } if image == Path::new("conf/../bzImage")));
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
    assert_eq!(unknown.exit_code(), 64);
    insta::assert_snapshot!(unknown, @"");
}

#[test]
fn the_repositorys_own_files_are_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = Manifest::load(&root.join("kernels.toml")).unwrap();
    let lock = harness::kernels::Lock::load(&root.join("kernels.lock")).unwrap();
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
