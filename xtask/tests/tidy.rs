//! `cargo xtask tidy` over a small repository of git: what it prints and how it ends.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

mod common;

use std::path::Path;
use std::process::Command;

fn write(root: &Path, file: &str, text: &str) {
    let file = root.join(file);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(file, text).expect("a file");
}

fn tidy(root: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(common::xtask());
    command
        .arg("tidy")
        .current_dir(root)
        .env("CARGO_MANIFEST_DIR", root.join("xtask"));
    let output = command.output().expect("xtask runs");
    assert!(output.stderr.is_empty(), "{output:?}");
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

#[test]
fn findings_are_printed_and_counted_until_there_are_none() {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path();
    for (file, text) in [
        (".gitignore", "/target\n"),
        ("Cargo.toml", "[workspace]\nmembers = [\"a\"]\n"),
        ("kernels.toml", ""),
        ("ARCHITECTURE.md", "# A\n\n```crates\na\n```\n"),
        ("README.md", "See [this](gone.md).\n"),
        ("a/Cargo.toml", "[package]\nname = \"a\"\n"),
        ("a/src/main.rs", "mod b;\n\nfn main() {}\n"),
        ("a/src/b.rs", ""),
        ("a/src/c.rs", ""),
        ("target/d.rs", "ignored"),
    ] {
        write(root, file, text);
    }
    let init = Command::new("git").args(["init", "--quiet"]).current_dir(root).status();
    assert!(init.expect("git runs").success());
    let expected = "README.md:1: a link to `gone.md`, which is not in the repository, correct it\n\
        a/src/c.rs:1: no `mod` names this file, name it or remove it\n\
        2 findings: dead files 1, links 1\n";
    assert_eq!(tidy(root), (Some(1), expected.to_owned()));
    // What is found matters more than that nobody reads it; without findings a full disk does.
    let full = || {
        std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .expect("/dev/full")
    };
    let ended = |stdout: std::process::Stdio| {
        let mut command = Command::new(common::xtask());
        command
            .arg("tidy")
            .current_dir(root)
            .env("CARGO_MANIFEST_DIR", root.join("xtask"));
        let output = command.stdout(stdout).output().expect("xtask runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), said)
    };
    let closed = || std::io::pipe().expect("a pipe").1;
    assert_eq!(ended(full().into()), (Some(1), String::new()));
    assert_eq!(ended(closed().into()), (Some(1), String::new()));
    std::fs::remove_file(root.join("a/src/c.rs")).expect("a file");
    write(root, "README.md", "See [this](ARCHITECTURE.md#a).\n");
    assert_eq!(tidy(root), (Some(0), "no findings\n".to_owned()));
    assert_eq!(ended(closed().into()), (Some(0), String::new()));
    let (code, said) = ended(full().into());
    assert_eq!(code, Some(73), "{said}");
    assert!(said.starts_with("error: cannot write to standard output"), "{said}");
}
