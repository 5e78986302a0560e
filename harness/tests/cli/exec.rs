//! What a person sees who gives a program of their own, or wants a prompt, in words that are not understood.

use super::place::Place;

/// A static x86-64 executable as far as it is looked at before a guest runs it.
fn static_elf() -> Vec<u8> {
    let mut head = vec![0; 64 + 56];
    head[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    // e_type, e_machine, e_version, e_phoff, e_ehsize, e_phentsize, e_phnum, and a segment's p_type, p_filesz.
    for (at, value) in [
        (16, 2),
        (18, 62),
        (20, 1),
        (32, 64),
        (52, 64),
        (54, 56),
        (56, 1),
        (64, 1),
        (96, 120),
    ] {
        head[at] = value;
    }
    head
}

/// A place with such programs.
fn place(programs: &[&str]) -> Place {
    let place = Place::new();
    for name in programs {
        let path = place.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, static_elf()).unwrap();
    }
    place
}

#[test]
fn arguments_are_quoted_as_in_a_shell() {
    let place = place(&["args", "my dir/args", "inject"]);
    let cell = "debian-6.1.176 btrfs exec\n1 cell in 1 trial\nexit code 0";
    for line in [
        "./args 'a b' c\\ d \"e f\" ''",
        "'my dir/args' x",
        "\"./my dir/args\"",
        "my\\ dir/args",
    ] {
        assert_eq!(place.list(&["--exec", line]), cell, "{line}");
    }
    insta::assert_snapshot!(place.list(&["--exec", "./args 'a b"]), @"
    error: --exec './args '\\''a b': a quote is not closed, or nothing follows the last backslash; arguments are \
    quoted as in a shell: --exec \"./repro 'two words' it\\\\'s\"
    exit code 64
    ");
    insta::assert_snapshot!(place.list(&["--exec", "./args 1 #2"]), @r"
    error: --exec './args 1 #2': what follows the `#` is a comment; quote the word that begins with it: '#1'
    exit code 64
    ");
    insta::assert_snapshot!(place.list(&["--exec", " "]), @r"
    error: --exec names no program; expected 'PROGRAM ARG…'
    exit code 64
    ");
    insta::assert_snapshot!(place.list(&["--exec", "my dir/args x"]), @"
    error: --exec: cannot read my: No such file or directory (os error 2); expected the path of a static program; \
    `my dir/args` is a file: a path with blanks is quoted, --exec \"'my dir/args' x\"
    exit code 66
    ");
    insta::assert_snapshot!(place.list(&["--exec", "./inject"]), @r"
    error: --exec ./inject: the guest has a program `inject` of its own in the same place; give yours another name
    exit code 64
    ");
    std::fs::write(place.dir().join("cut"), &static_elf()[..100]).unwrap();
    insta::assert_snapshot!(place.list(&["--exec", "./cut"]), @"
    error: --exec ./cut: an ELF that is cut off: its headers tell of more than the file has; the guest runs static \
    x86-64 executables (cc -static, or Rust with -C target-feature=+crt-static)
    exit code 66
    ");
    let made = std::process::Command::new("mkfifo")
        .arg(place.dir().join("fifo"))
        .status();
    assert!(made.unwrap().success());
    insta::assert_snapshot!(place.list(&["--exec", "./fifo"]), @"
    error: --exec: cannot read ./fifo: it is no regular file; expected the path of a static program
    exit code 66
    ");
    let said = place.list(&["--exec", "./args 1 #2\n3"]);
    assert!(said.contains("what follows the `#` is a comment"), "{said}");
    place.file("script", "#!/bin/sh\nexit 1\n");
    insta::assert_snapshot!(place.list(&["--exec", "./script"]), @"
    error: --exec ./script: a script, and the guest has no interpreter and no shell; the guest runs static x86-64 \
    executables (cc -static, or Rust with -C target-feature=+crt-static)
    exit code 66
    ");
}

#[test]
fn how_long_a_program_and_a_case_may_go_on() {
    let place = place(&["args"]);
    let list = |more: &[&str]| place.list(&[&["--exec", "./args"], more].concat());
    let cell = "debian-6.1.176 btrfs exec\n1 cell in 1 trial\nexit code 0";
    for more in [
        &["--exec-time", "10s"][..],
        &["--exec-time", "10s", "--exec-time-is", "fail"],
        &["--exec-time", "10s", "--exec-time-is", "pass", "--case-limit", "600s"],
        // As it was once written.
        &["--exec-time", "500ms,error"],
        &["--exec-time", "3s,pass"],
    ] {
        assert_eq!(list(more), cell, "{more:?}");
    }
    insta::assert_snapshot!(list(&["--exec-time", "10"]), @"
    error: invalid value '10' for '--exec-time <TIME>': expected a time of at most 3600 s, like `30s` or `500ms`; what \
    it means that the program still runs then is said with --exec-time-is: `pass` (the default) or `fail`

    For more information, try '--help'.
    exit code 64
    ");
    insta::assert_snapshot!(list(&["--exec-time", "10s,pass", "--exec-time-is", "fail"]), @"
    error: --exec-time and --exec-time-is say different things of a program that still runs then; give the time alone: \
    --exec-time 30s --exec-time-is fail
    exit code 64
    ");
    insta::assert_snapshot!(list(&["--exec-time-is", "fail"]), @"
    error: the following required arguments were not provided:
      --exec-time <TIME>

    Usage: cargo xtask test --exec <PROGRAM ARG…> --exec-time <TIME> --manifest <FILE> --list --exec-time-is <MEANING>

    For more information, try '--help'.
    exit code 64
    ");
    insta::assert_snapshot!(list(&["--exec-time", "1s", "--exec-time-is", "broken"]), @r"
    error: invalid value 'broken' for '--exec-time-is <MEANING>'
      [possible values: pass, fail]

    For more information, try '--help'.
    exit code 64
    ");
    insta::assert_snapshot!(list(&["--case-limit", "10m"]), @r"
    error: invalid value '10m' for '--case-limit <TIME>': expected a time from 1 s to 3600 s, like `600s`

    For more information, try '--help'.
    exit code 64
    ");
}

#[test]
fn the_help_says_what_a_guest_offers() {
    let place = Place::new();
    for command in ["test", "bisect"] {
        let help = place.run(&[command, "--help"]);
        // Wrapped as the terminal is wide.
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for fact in [
            "quoted as in a shell",
            &format!("one CPU, {} MiB of memory", machine::MEMORY_MIB),
            "no network, no shell and no libraries",
            "as root in /mnt",
            "PATH=/bin, HOME=/ and BIOSCOPE_FD",
            "output.log",
            "125 a skip",
            "any other code or a signal a failure",
            "--exec-time-is",
            "--case-limit",
            "[default: 150s]",
        ] {
            assert!(help.contains(fact), "{command}: {fact}\n{help}");
        }
    }
}

#[test]
fn a_shell_takes_a_kernel_an_image_or_a_tree() {
    let place = Place::new();
    let shell = |args: &[&str]| place.run(&[&["shell", "--manifest", "kernels.toml"], args].concat());
    insta::assert_snapshot!(place.run(&["shell"]), @"
    error: the following required arguments were not provided:
      <--kernel <ID>|--image <FILE>|--tree <DIR>>

    Usage: cargo xtask shell <--kernel <ID>|--image <FILE>|--tree <DIR>>

    For more information, try '--help'.
    exit code 64
    ");
    insta::assert_snapshot!(place.run(&["shell", "--image", "nope"]), @"
    error: --image nope: there is no such file; expected a bzImage, a vmlinux, or a package file (.deb, .rpm, .pkg.tar.zst)
    exit code 66
    ");
    insta::assert_snapshot!(place.run(&["shell", "--image", "kernels.toml", "--modules", "nope"]), @"
    error: --modules nope: there is no such directory; expected one that holds lib/modules/RELEASE
    exit code 66
    ");
    insta::assert_snapshot!(place.run(&["shell", "--tree", "nope"]), @"
    error: --tree nope: there is no such directory; expected the top directory of a Linux tree
    exit code 66
    ");
    for pair in [["--image", "--tree"], ["--kernel", "--image"], ["--kernel", "--tree"]] {
        let said = place.run(&["shell", pair[0], "a", pair[1], "b"]);
        assert!(
            said.contains("cannot be used with") && said.ends_with("exit code 64"),
            "{said}"
        );
    }
    insta::assert_snapshot!(shell(&["--kernel", "debian-6.1.177"]), @"
    error: no kernels match `debian-6.1.177`; did you mean `debian-6.1.176`? known kernels: debian-6.1.176
    exit code 64
    ");
    place.file(
        "kernels.toml",
        "[[kernel]]\nid = \"a\"\nimage = \"x\"\n[[kernel]]\nid = \"b\"\nimage = \"y\"\n",
    );
    insta::assert_snapshot!(shell(&["--kernel", "{a,b}"]), @"
    error: a shell boots one kernel; `{a,b}` matches 2
    exit code 64
    ");
    insta::assert_snapshot!(shell(&["--kernel", "a", "--patch", "x.patch"]), @"
    error: --patch x.patch: a does not come as source; expected --tree DIR, or kernels that are built from source: \
    kernels.toml has none, and its head shows how to name one
    exit code 64
    ");
}
