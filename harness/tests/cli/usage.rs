//! What a person sees who mistypes something.

use super::place::{self, Place};
use guest_wire::Fs;
use vhost_blk_api::plan::words;

#[test]
fn listing_prints_the_cells_and_touches_nothing() {
    let place = Place::new();
    insta::assert_snapshot!(place.list(&["--case", "partial-write{,.dsync}"]), @"
    debian-6.1.176 btrfs partial-write
    debian-6.1.176 btrfs partial-write.dsync
    2 cells in 1 trial
    exit code 0
    ");
    let mut left: Vec<_> = std::fs::read_dir(place.dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["apt.conf", "kernels.toml"]);
}

#[test]
fn unknown_kernels_cases_and_file_systems_are_answered_with_what_exists() {
    let place = Place::new();
    insta::assert_snapshot!(place.list(&["--kernel", "debian-6.1.177"]), @"
    error: no kernels match `debian-6.1.177`; did you mean `debian-6.1.176`? known kernels: debian-6.1.176
    exit code 64
    ");
    let known = Fs::NAMES.join(", ");
    insta::assert_snapshot!(place.list(&["--fs", "zfs"]).replace(&known, "[all]"), @"
    error: invalid value 'zfs' for '--fs <FS>': unknown file system `zfs`; did you mean `xfs`? known file systems: [all]

    For more information, try '--help'.
    exit code 64
    ");
    insta::assert_snapshot!(place.list(&["--case", "[a"]), @"
    error: `[a` is not a valid glob for cases: unclosed character class; missing ']'
    exit code 64
    ");
    insta::assert_snapshot!(place.list(&["--fs", "ext4", "--case", "partial-write.nocow"]), @"
    error: the selection is empty: no selected case applies to the selected file systems
    exit code 64
    ");
    let all = place.list(&["--case", "partial-wirte"]);
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
    insta::assert_snapshot!(place.list(&[]), @"
    error: kernels.toml:3:1: unknown key `sutie` in [[kernel]]
      |
    3 | sutie = \"bookworm\"
      | ^^^^^
      = help: did you mean `suite`? known keys: id, suite, package, version, image, package-file, modules, git, rev, dirty, \
      tarball, sha256, source-package, patches, config, cc, arch, make, line, fs, default, group, expect
    exit code 65
    ");
    place.file(
        "kernels.toml",
        "[[kernel]]\nid = \"a\"\nimage = \"x\"\n[[kernel]]\nid = \"a\"\nimage = \"y\"\n",
    );
    insta::assert_snapshot!(place.list(&[]), @r#"
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
    let list = |args: &[&str]| place.run(&[&["test", "--list"], args].concat());
    insta::assert_snapshot!(list(&["--image", "nope"]), @"
    error: --image nope: there is no such file; expected a bzImage, a vmlinux, or a package file (.deb, .rpm, .pkg.tar.zst)
    exit code 66
    ");
    insta::assert_snapshot!(list(&["--image", "."]), @"
    error: --image .: that is a directory; expected a bzImage, a vmlinux, or a package file (.deb, .rpm, .pkg.tar.zst)
    exit code 66
    ");
    insta::assert_snapshot!(list(&["--image", "kernels.toml", "--modules", "nope"]), @"
    error: --modules nope: there is no such directory; expected one that holds lib/modules/RELEASE
    exit code 66
    ");
    insta::assert_snapshot!(list(&["--image", "kernels.toml", "--modules", "kernels.toml"]), @"
    error: --modules kernels.toml: that is no directory; expected one that holds lib/modules/RELEASE
    exit code 66
    ");
    insta::assert_snapshot!(list(&["--modules", "x"]), @"
    error: the following required arguments were not provided:
      --image <FILE>

    Usage: cargo xtask test --image <FILE> --list --modules <DIR|FILE>

    For more information, try '--help'.
    exit code 64
    ");
}

#[test]
fn patches_for_what_is_not_source_are_refused() {
    let place = Place::new();
    let patched =
        "\n[[kernel]]\nid = \"mine\"\ngit = \"linux\"\nrev = \"v6.1\"\nconfig = [\"tinyconfig\"]\nfs = [\"btrfs\"]\n";
    insta::assert_snapshot!(place.list(&["--kernel", "debian-6.1.176", "--patch", "fix.patch"]), @"
    error: --patch fix.patch: debian-6.1.176 does not come as source; expected --tree DIR, or kernels that are built \
    from source: kernels.toml has none, and its head shows how to name one
    exit code 64
    ");
    place.file("kernels.toml", &(place::MANIFEST.to_owned() + patched));
    insta::assert_snapshot!(place.list(&["--kernel", "mine", "--patch", "nope"]), @"
    error: --patch nope: there is no such file; expected a patch, a mailbox or a directory of patches
    exit code 66
    ");
    place.file("fix.patch", "");
    insta::assert_snapshot!(place.list(&["--kernel", "*", "--patch", "fix.patch"]), @"
    error: --patch fix.patch: debian-6.1.176 does not come as source; expected --tree DIR, or kernels that are built \
    from source: mine
    exit code 64
    ");
    insta::assert_snapshot!(place.list(&["--patch", "fix.patch"]), @"
    error: --patch fix.patch: no kernel is named for it; expected --tree DIR, or kernels that are built from source: \
    mine
    exit code 64
    ");
    insta::assert_snapshot!(place.list(&["--kernel", "mine", "--case", "overlap", "--patch", "fix.patch"]), @"
    mine btrfs overlap
    1 cell in 1 trial
    exit code 0
    ");
    insta::assert_snapshot!(place.run(&["build", "--manifest", "kernels.toml", "--patch", "fix.patch"]), @"
    error: --patch fix.patch: no kernel is named for it; expected --tree DIR, or kernels that are built from source: \
    mine
    exit code 64
    ");
}

#[test]
fn programs_that_cannot_run_in_the_guest_are_refused() {
    let place = Place::new();
    insta::assert_snapshot!(place.list(&["--exec", "./nope"]), @"
    error: --exec: cannot read ./nope: No such file or directory (os error 2); expected the path of a static program
    exit code 66
    ");
    insta::assert_snapshot!(place.list(&["--exec", "/bin/ls"]), @"
    error: --exec /bin/ls: dynamically linked; the guest runs static x86-64 executables (cc -static, or Rust with -C \
    target-feature=+crt-static)
    exit code 66
    ");
    insta::assert_snapshot!(place.list(&["--exec", "./kernels.toml"]), @"
    error: --exec ./kernels.toml: not an ELF executable; the guest runs static x86-64 executables (cc -static, or \
    Rust with -C target-feature=+crt-static)
    exit code 66
    ");
}

#[test]
fn what_needs_another_flag_is_refused_without_it() {
    let place = Place::new();
    let mut accepted = Vec::new();
    for line in [
        "test --list --case partial-write --plan plan.toml",
        "test --list --case partial-write --rule fail",
        "test --list --case partial-write --seed 1",
        "test --list --profile full --seed 1",
        "test --list --plan plan.toml",
        "test --list --kernel debian-6.1.176 --modules lib",
        "test --list --kernel debian-6.1.176 --rev v6.1",
        "test --list --kernel debian-6.1.176 --config base",
        "test --list --kernel debian-6.1.176 --cc gcc",
        "test --list --patch a.patch --modules lib",
        "test --list --modules lib --cc gcc",
        "test --list --modules lib --config base",
        "test --list --modules lib --rev v6.1",
        "test --list --image bzImage --config base",
        "test --list --config base",
        "test --list --json results.json",
        "test --image bzImage --manifest kernels.toml",
        "test --image bzImage --update",
        "test --list --modules lib --manifest kernels.toml",
        "test --modules lib --update",
        "build --kernel debian-6.1.176 --config base",
        "bisect --bad a --good b --case partial-write --plan plan.toml",
        "bisect --bad a --good b --case partial-write --rule fail",
        "bisect --bad a --good b --case partial-write --config base",
        "bisect --bad a --good b --case partial-write --first-parent",
        "bisect --bad a --good b --case partial-write --base v6.1",
        "bisect --bad a --good b --case partial-write --base v6.1 --delta",
        "bisect --bad a --good b --case partial-write --base v6.1 -- fs/btrfs",
    ] {
        let said = place.run(&line.split(' ').collect::<Vec<_>>());
        // The command line itself must be refused, not what stands behind it.
        if !said.ends_with("exit code 64") || !said.contains("argument") {
            accepted.push(format!("{line}: {said}"));
        }
    }
    assert!(accepted.is_empty(), "{accepted:#?}");
}

#[test]
fn a_bad_rule_is_refused_with_its_place_before_anything_starts() {
    let place = Place::new();
    insta::assert_snapshot!(place.run(&["inject", "fail wrte nth=3"]), @"
    error: bad rule: column 6: unknown operation `wrte`: expected one of read, write, flush, discard, write-zeroes, \
    any, or key=value; did you mean `write`?
     |
     | fail wrte nth=3
     |      ^^^^
    exit code 64
    ");
    let actions: Vec<&str> = words::action_names().collect();
    let unknown = place.run(&["inject", "fial write"]);
    insta::assert_snapshot!(unknown.replace(&actions.join(", "), "[actions]"), @"
    error: bad rule: column 1: unknown action `fial`: expected one of [actions]; did you mean `fail`?
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
    error: `list`, `clear`, `stats`, `subscribe` and `quit` take nothing more, `power` and `disconnect now` neither, \
    `remove` and `release` a rule's name, `mark`, `undecided` and `rollback` a mark's, `set` NAME:VALUE, `resize` a \
    size, `cut now` how, `export` a file and how, `log` a file; a file with blanks in its name is quoted as one word
    exit code 64
    ");
}

#[test]
fn no_machines_at_once_are_too_few() {
    insta::assert_snapshot!(Place::new().list(&["--jobs", "0"]), @r#"
    error: invalid value '0' for '--jobs <N>': expected a number of virtual machines of at least 1

    For more information, try '--help'.
    exit code 64
    "#);
}

#[test]
fn a_soak_that_cannot_end_is_refused() {
    let place = Place::new();
    let soak = |args: &[&str]| place.run(&[&["soak", "--manifest", "kernels.toml"], args].concat());
    insta::assert_snapshot!(soak(&["--minutes", "0"]), @"
    error: invalid value '0' for '--minutes <N>': expected a whole number of at least 1

    For more information, try '--help'.
    exit code 64
    ");
    let kernel = ["--kernel", "debian-6.1.176"];
    insta::assert_snapshot!(soak(&[&kernel[..], &["--rule", "cut write p=0.1"]].concat()), @"
    error: bad rule: `cut write p=0.1` has no end: the guest hands in once more what was never answered, and meets it \
    again; give it limit=N or nth=N
    exit code 64
    ");
    let twice = [
        "--rule",
        "fail write name=a limit=1",
        "--rule",
        "drop write name=a limit=1",
    ];
    insta::assert_snapshot!(soak(&[&kernel[..], &twice].concat()), @"
    error: bad rule: column 12: rule name `a` is taken: give another with name=…
     |
     | drop write name=a limit=1
     |            ^^^^^^
    exit code 64
    ");
    insta::assert_snapshot!(soak(&["--kernel", "debian-6.1.177"]), @"
    error: no kernels match `debian-6.1.177`; did you mean `debian-6.1.176`? known kernels: debian-6.1.176
    exit code 64
    ");
}

#[test]
fn more_days_than_a_clock_counts_are_many_days() {
    let place = Place::new();
    let days = u64::MAX.to_string();
    insta::assert_snapshot!(place.run(&["store", "gc", "--dry-run", "--days", &days]), @"
    0 B would be freed
    exit code 0
    ");
}

#[test]
fn why_of_source_that_is_not_cached_says_what_to_do() {
    let place = Place::new();
    let kernel =
        |source: &str| format!("[[kernel]]\nid = \"mine\"\n{source}\nconfig = [\"tinyconfig\"]\nfs = [\"btrfs\"]\n");
    place.file(
        "kernels.toml",
        &kernel("source-package = \"linux-source-6.1\"\nversion = \"6.1.1-1\"\nsuite = \"bookworm\""),
    );
    insta::assert_snapshot!(place.run(&["store", "why", "mine", "--manifest", "kernels.toml"]), @"
    error: the index of bookworm is not cached, and this command uses no network; `cargo xtask build mine \
    --manifest kernels.toml` fetches and builds it
    exit code 68
    ");
    place.file(
        "kernels.toml",
        &kernel("git = \"https://mirror.invalid/linux.git\"\nrev = \"v6.1\""),
    );
    insta::assert_snapshot!(place.run(&["store", "why", "mine", "--manifest", "kernels.toml"]), @"
    error: v6.1 of https://mirror.invalid/linux.git is not cached, and this command uses no network; `cargo xtask \
    build mine --manifest kernels.toml` fetches and builds it
    exit code 68
    ");
}

#[test]
fn trees_patches_and_files_that_are_not_there_are_named_by_their_flag() {
    let place = Place::new();
    std::fs::create_dir(place.dir().join("folder")).unwrap();
    for command in [&["test", "--list"][..], &["build"]] {
        let run = |args: &[&str]| place.run(&[command, args].concat());
        insta::allow_duplicates! {
            insta::assert_snapshot!(run(&["--tree", "nope"]), @"
            error: --tree nope: there is no such directory; expected the top directory of a Linux tree
            exit code 66
            ");
            insta::assert_snapshot!(run(&["--tree", "kernels.toml"]), @"
            error: --tree kernels.toml: that is no directory; expected the top directory of a Linux tree
            exit code 66
            ");
            insta::assert_snapshot!(run(&["--tree", "folder", "--patch", "nope"]), @"
            error: --patch nope: there is no such file; expected a patch, a mailbox or a directory of patches
            exit code 66
            ");
            insta::assert_snapshot!(run(&["--manifest", "nope"]), @"
            error: cannot read the list of kernels nope; expected a file like kernels.toml (--manifest FILE names one)
              caused by: No such file or directory (os error 2)
            exit code 66
            ");
        }
    }
    std::fs::create_dir(place.dir().join("kernels.lock")).unwrap();
    insta::assert_snapshot!(place.test(&[]), @"
    error: cannot read kernels.lock; mend it, or remove it and run `cargo xtask update`
      caused by: Is a directory (os error 21)
    exit code 66
    ");
}

#[test]
fn nobody_who_reads_is_no_error_and_a_full_disk_is_one() {
    let place = Place::new();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let closed = || std::io::pipe().unwrap().1;
    let list = ["test", "--manifest", "kernels.toml", "--list"];
    place.file("quiet.log", "[    5.1] a\n");
    for args in [&list[..], &["store", "list"], &["log", "quiet.log"]] {
        let output = place.command(args).stdout(full()).output().unwrap();
        let said = place.shown(output);
        assert!(
            said.ends_with(
                "error: cannot write to standard output\n  caused by: No space left on device (os error 28)\nexit code 73"
            ),
            "{said}"
        );
        let output = place.command(args).stdout(closed()).output().unwrap();
        let said = place.shown(output);
        assert!(said.ends_with("exit code 0") && !said.contains("error"), "{said}");
    }
    let unknown = [&list[..], &["--kernel", "nope"]].concat();
    for status in [
        place.command(&unknown).stderr(full()).status().unwrap(),
        place.command(&unknown).stderr(closed()).status().unwrap(),
    ] {
        assert_eq!(status.code(), Some(64));
    }
}
