//! What the binary is asked without a disk: a rule in a sentence, a trace as a listing.
#![allow(clippy::expect_used, reason = "a panic here is the test's failure")]

#[path = "common/clone.rs"]
mod clone;

use std::process::{Command, Output, Stdio};

fn ask(args: &[&str]) -> Output {
    Command::new(clone::vhost_blk())
        .args(args)
        .output()
        .expect("the binary")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_rule_is_one_word_or_several() {
    let sentence = "The third write fails with an I/O error; the disk is not touched.\n";
    for args in [
        &["explain", "fail write nth=3"][..],
        &["explain", "fail", "write", "nth=3"],
        &["explain", "fail write", "nth=3"],
    ] {
        let output = ask(args);
        assert!(output.status.success(), "{args:?}: {}", said(&output));
        assert_eq!(said(&output), sentence, "{args:?}");
    }
    assert_eq!(ask(&["explain"]).status.code(), Some(64));
    let bad = ask(&["explain", "fail", "wirte"]);
    assert_eq!(bad.status.code(), Some(64));
    assert!(said(&bad).contains("did you mean `write`?"), "{}", said(&bad));
}

#[test]
fn a_rule_that_the_trace_does_not_have_is_told() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("trace");
    let lines = [
        r#"{"ev":"start","version":1,"disk_bytes":1048576,"seed":0}"#,
        r#"{"ev":"rule-added","t_us":5,"name":"late","text":"delay write for=1ms"}"#,
    ];
    std::fs::write(&path, lines.join("\n") + "\n").expect("a trace");
    let file = path.to_str().expect("a path");
    for more in [&[][..], &["--summary"]] {
        let output = ask(&[&["trace", file, "--rule", "latte"], more].concat());
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert_eq!(said(&output), "vhost-blk: no rule `latte` in the trace: it has late\n");
        assert!(
            ask(&[&["trace", file, "--rule", "late"], more].concat())
                .status
                .success()
        );
    }
}

#[test]
fn a_trace_is_not_written_over_what_the_device_reads() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("a path").to_owned();
    std::fs::write(path("image"), [7; 4096]).expect("an image");
    std::fs::write(path("trace"), "what was there\n").expect("a trace");
    std::fs::hard_link(path("image"), path("link")).expect("a link");
    let serve = |more: &[&str]| {
        let (socket, image) = (path("socket"), path("image"));
        ask(&[&["--socket", &socket, "--image", &image][..], more].concat())
    };
    for (name, option, more) in [
        ("link", "--image", &[][..]),
        ("trace", "--replay", &["--replay", &path("trace")]),
        ("trace", "--plan", &["--plan", &path("trace")]),
    ] {
        let output = serve(&[&["--trace", &path(name)], more].concat());
        assert_eq!(output.status.code(), Some(64), "{}", said(&output));
        assert!(
            said(&output).contains(&format!("the file of `{option}`: expected another name")),
            "{}",
            said(&output)
        );
    }
    assert_eq!(std::fs::read(path("image")).expect("the image"), [7; 4096]);
    assert_eq!(std::fs::read(path("trace")).expect("the trace"), b"what was there\n");
}

#[test]
fn nobody_who_reads_is_no_error_and_a_full_disk_is_one() {
    let full = std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("/dev/full");
    let closed = std::io::pipe().expect("a pipe").1;
    let explain = |stdout: Stdio| {
        let mut command = Command::new(clone::vhost_blk());
        command
            .args(["explain", "fail write"])
            .stdout(stdout)
            .output()
            .expect("the binary")
    };
    let output = explain(full.into());
    assert_eq!(output.status.code(), Some(73), "{}", said(&output));
    assert!(
        said(&output).contains("cannot write to standard output"),
        "{}",
        said(&output)
    );
    let output = explain(closed.into());
    assert_eq!((output.status.code(), said(&output).as_str()), (Some(0), ""));
}

#[test]
fn an_error_has_one_code_wherever_it_occurs() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = |name: &str| dir.path().join(name).to_str().expect("a path").to_owned();
    std::fs::write(path("image"), [7; 4096]).expect("an image");
    std::fs::write(path("bad"), "what\nis\nthis\n").expect("a file");
    std::fs::create_dir(path("folder")).expect("a folder");
    let (socket, image, bad, nope) = (path("socket"), path("image"), path("bad"), path("nope"));
    let served = ["--socket", &socket, "--image", &image];
    let serve = |more: &[&str]| ask(&[&served[..], more].concat());
    let file = ["--storage", "file", "--storage-dir"];
    for (output, code) in [
        (ask(&["trace", &nope]), 66),
        (ask(&["trace", &bad]), 65),
        (serve(&["--replay", &nope]), 66),
        (serve(&["--replay", &bad]), 65),
        (serve(&["--plan", &nope]), 66),
        (serve(&["--plan", &path("folder")]), 66),
        (serve(&["--plan", &bad]), 65),
        (ask(&["explain", "fail wrte"]), 64),
        (serve(&["--rule", "fail wrte"]), 64),
        (serve(&[&file[..], &[&nope]].concat()), 66),
        (serve(&[&file[..], &[&bad]].concat()), 66),
        // No user may make a file there, whoever it is.
        (serve(&[&file[..], &["/proc"]].concat()), 73),
        (serve(&["--storage-dir", &path("folder")]), 64),
        (serve(&["--trace", &path("folder/nope/trace")]), 73),
        (ask(&["--socket", &socket, "--image", &nope]), 66),
    ] {
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
    }
}
