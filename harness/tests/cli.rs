//! What a person sees who mistypes something: the whole message and the exit code. No machine is booted and no network used.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic here is the test's failure"
)]

use std::path::Path;
use std::process::{Command, Stdio};

const MANIFEST: &str = "[[kernel]]\nid = \"debian-6.1.176\"\nsuite = \"bookworm\"\npackage = \"linux-image-a\"\nversion = \"6.1.176-1\"\nfs = [\"btrfs\"]\n";

/// A directory with a kernels.toml, and a cache and runs that do not exist yet.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        place.file("kernels.toml", MANIFEST);
        place
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.dir().join(name), text).unwrap();
    }

    /// Runs the command with `--manifest kernels.toml` where it takes one; messages, then the exit code.
    fn run(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bioscope"));
        command
            .args(args)
            .current_dir(self.dir())
            .stdin(Stdio::null())
            .env("NO_COLOR", "1");
        command
            .env("BIOSCOPE_CACHE", self.dir().join("cache"))
            .env("BIOSCOPE_RUNS", self.dir().join("runs"));
        command.env("HOME", self.dir().join("home"));
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr]
            .map(|bytes| String::from_utf8(bytes).unwrap())
            .concat();
        let text = text.replace(&self.dir().display().to_string(), "DIR");
        format!("{text}exit code {}", output.status.code().unwrap())
    }

    /// `test` with our kernels.toml; `--list` guards against anything being started by mistake.
    fn test(&self, args: &[&str]) -> String {
        self.run(&[&["test", "--manifest", "kernels.toml", "--list"], args].concat())
    }
}

#[test]
fn listing_prints_the_cells_and_touches_nothing() {
    let place = Place::new();
    insta::assert_snapshot!(place.test(&["--case", "partial-write{,.dsync}"]), @"
    debian-6.1.176 btrfs partial-write
    debian-6.1.176 btrfs partial-write.dsync
    2 cells in 1 trial
    exit code 0
    ");
    let left: Vec<_> = std::fs::read_dir(place.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["kernels.toml"]);
}

#[test]
fn unknown_kernels_cases_and_file_systems_are_answered_with_what_exists() {
    let place = Place::new();
    insta::assert_snapshot!(place.test(&["--kernel", "debian-6.1.177"]), @"
    error: no kernels match `debian-6.1.177`; did you mean `debian-6.1.176`? known kernels: debian-6.1.176
    exit code 64
    ");
    insta::assert_snapshot!(place.test(&["--fs", "zfs"]), @"
    error: invalid value 'zfs' for '--fs <FS>': unknown file system `zfs`; did you mean `xfs`? known file systems: btrfs, ext4, xfs

    For more information, try '--help'.
    exit code 64
    ");
    insta::assert_snapshot!(place.test(&["--case", "[a"]), @"
    error: `[a` is not a valid glob for cases: unclosed character class; missing ']'
    exit code 64
    ");
    insta::assert_snapshot!(place.test(&["--fs", "ext4", "--case", "partial-write.nocow"]), @"
    error: the selection is empty: no selected case applies to the selected file systems
    exit code 64
    ");
    let all = place.test(&["--case", "partial-wirte"]);
    assert!(
        all.starts_with("error: no cases match `partial-wirte`; did you mean `partial-write`? known cases: rw-verify"),
        "{all}"
    );
    assert!(all.ends_with("exit code 64"), "{all}");
}

#[test]
fn a_bad_list_of_kernels_is_pointed_at() {
    let place = Place::new();
    place.file("kernels.toml", "[[kernel]]\nid = \"a\"\nsutie = \"bookworm\"\n");
    insta::assert_snapshot!(place.test(&[]), @r#"
    error: kernels.toml:3:1: unknown key `sutie` in [[kernel]]
      |
    3 | sutie = "bookworm"
      | ^^^^^
      = help: did you mean `suite`? known keys: id, suite, package, version, image, modules, line, fs, default, expect
    exit code 65
    "#);
    place.file(
        "kernels.toml",
        "[[kernel]]\nid = \"a\"\nimage = \"x\"\n[[kernel]]\nid = \"a\"\nimage = \"y\"\n",
    );
    insta::assert_snapshot!(place.test(&[]), @r#"
    error: kernels.toml:5:6: the id `a` is taken
      |
    5 | id = "a"
      |      ^^^
      = help: the kernel at line 2 has it; give this one another
    exit code 65
    "#);
}

#[test]
fn images_that_are_not_there_are_named() {
    let place = Place::new();
    insta::assert_snapshot!(place.test(&["--image", "nope"]), @"
    error: --image nope: there is no such file; expected a bzImage or a vmlinux
    exit code 66
    ");
    insta::assert_snapshot!(place.test(&["--image", "kernels.toml", "--modules", "nope"]), @"
    error: --modules nope: there is no such directory; expected one that holds lib/modules/RELEASE
    exit code 66
    ");
    insta::assert_snapshot!(place.test(&["--modules", "x"]), @"
    error: the following required arguments were not provided:
      --image <FILE>

    Usage: cargo xtask test --image <FILE> --manifest <FILE> --list --modules <DIR>

    For more information, try '--help'.
    exit code 64
    ");
}

#[test]
fn programs_that_cannot_run_in_the_guest_are_refused() {
    let place = Place::new();
    insta::assert_snapshot!(place.test(&["--exec", "./nope"]), @"
    error: --exec: cannot read ./nope: No such file or directory (os error 2); expected the path of a static program
    exit code 66
    ");
    insta::assert_snapshot!(place.test(&["--exec", "/bin/ls"]), @"
    error: --exec /bin/ls: dynamically linked; the guest runs static x86-64 executables (cc -static, or Rust with -C target-feature=+crt-static)
    exit code 64
    ");
    insta::assert_snapshot!(place.test(&["--exec", "./kernels.toml"]), @"
    error: --exec ./kernels.toml: not an ELF executable; the guest runs static x86-64 executables (cc -static, or Rust with -C target-feature=+crt-static)
    exit code 64
    ");
}

#[test]
fn a_bad_rule_is_refused_with_its_place_before_anything_starts() {
    let place = Place::new();
    insta::assert_snapshot!(place.run(&["inject", "fail wrte nth=3"]), @"
    error: bad rule: column 6: unknown operation `wrte`: expected one of read, write, flush, discard, write-zeroes, any, or key=value; did you mean `write`?
     |
     | fail wrte nth=3
     |      ^^^^
    exit code 64
    ");
    insta::assert_snapshot!(place.run(&["inject", "fial write"]), @"
    error: bad rule: column 1: unknown action `fial`: expected one of fail, delay, hold, reorder, short; did you mean `fail`?
     |
     | fial write
     | ^^^^
    exit code 64
    ");
}

#[test]
fn inject_needs_a_running_shell() {
    let place = Place::new();
    insta::assert_snapshot!(place.run(&["inject", "list"]), @"
    error: no shell is running; start one with `cargo xtask shell --kernel ID`, or name a device with --control SOCKET
    exit code 66
    ");
    insta::assert_snapshot!(place.run(&["inject", "stats", "--control", "nosock"]), @"
    error: no device answers at nosock; start one with `cargo xtask shell --kernel ID`
      caused by: No such file or directory (os error 2)
    exit code 69
    ");
    insta::assert_snapshot!(place.run(&["inject", "list", "more"]), @"
    error: `list`, `clear` and `stats` take nothing more, `release` a rule's name, `mark` a name
    exit code 64
    ");
}

#[test]
fn no_machines_at_once_are_too_few() {
    insta::assert_snapshot!(Place::new().test(&["--jobs", "0"]), @"
    error: invalid value '0' for '--jobs <N>': number would be zero for non-zero type

    For more information, try '--help'.
    exit code 64
    ");
}
