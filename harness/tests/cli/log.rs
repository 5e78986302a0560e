//! `log`: what a kernel log says.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use super::place::Place;

/// A warning with its stack, and what is said of the file system.
const LOG: &str = "\
[    5.100000] EXT4-fs (vda): mounted filesystem\r
[    5.200000] ------------[ cut here ]------------\r
[    5.200000] WARNING: fs/ext4/inode.c:99 at ext4_a+0x12/0x80, CPU#1: repro/71\r
[    5.200000] CPU: 1 UID: 0 PID: 71 Comm: repro Tainted: G        W           7.3.4 #1 PREEMPT\r
[    5.200000] RIP: 0010:ext4_a+0x12/0x80\r
[    5.200000] Call Trace:\r
[    5.200000]  <TASK>\r
[    5.200000]  ? guess+0x1/0x2\r
[    5.200000]  ext4_b.isra.0+0x12/0x80\r
[    5.200000]  </TASK>\r
[    5.200000] ---[ end trace 0000000000000000 ]---\r
[    5.300000] EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm ls: bad\r
";

#[test]
fn reports_are_listed_for_people() {
    let place = Place::new();
    place.file("console.log", LOG);
    insta::assert_snapshot!(place.run(&["log", "console.log"]), @"
     line  kind        place        cpu  task      title
     3     warning     ext4_a       1    repro/71  WARNING: fs/ext4/inode.c:99 at ext4_a+0x12/0x80, CPU#1: repro/71
     12    ext4-error  ext4_lookup                 EXT4-fs error (device vda): ext4_lookup:1855: inode #2: comm ls: bad
    2 reports
    exit code 0
    ");
    place.file("quiet.log", "[    5.100000] EXT4-fs (vda): mounted filesystem\n");
    insta::assert_snapshot!(place.run(&["log", "quiet.log"]), @"
    no report in this log
    exit code 0
    ");
}

#[test]
fn programs_get_a_list_with_nine_keys() {
    let place = Place::new();
    place.file("console.log", LOG);
    let file = place.command(&["log", "--json", "console.log"]).output().unwrap();
    assert_eq!(file.status.code(), Some(0));
    let list: Vec<serde_json::Map<String, Value>> = serde_json::from_slice(&file.stdout).unwrap();
    let keys = [
        "cpu",
        "frames",
        "kind",
        "line",
        "place",
        "taint",
        "task",
        "title",
        "truncated",
    ];
    for report in &list {
        let mut found: Vec<&str> = report.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys);
    }
    let warning = serde_json::json!({
        "kind": "warning",
        "title": "WARNING: fs/ext4/inode.c:99 at ext4_a+0x12/0x80, CPU#1: repro/71",
        "place": "ext4_a",
        "frames": ["ext4_b"],
        "line": 3,
        "cpu": 1,
        "task": "repro/71",
        "taint": "G        W",
        "truncated": false,
    });
    assert_eq!(list.first().cloned().map(Value::Object), Some(warning));
    assert_eq!(
        list.get(1).and_then(|report| report["place"].as_str()),
        Some("ext4_lookup")
    );

    let mut child = place.command(&["log", "--json", "-"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(LOG.as_bytes()).unwrap();
    assert_eq!(child.wait_with_output().unwrap().stdout, file.stdout);
    place.file("quiet.log", "");
    assert_eq!(
        place.command(&["log", "--json", "quiet.log"]).output().unwrap().stdout,
        b"[]\n"
    );
}

#[test]
fn what_is_no_log_is_refused() {
    let place = Place::new();
    insta::assert_snapshot!(place.run(&["log", "none.log"]), @"
    error: there is no none.log; give a kernel log, or `-` for the standard input
    exit code 66
    ");
    insta::assert_snapshot!(place.run(&["log", "."]), @"
    error: . is a directory, expected a kernel log; a cell's log is its console.log
    exit code 66
    ");
    for (content, what) in [
        (&b"\x1f\x8b\x08\0more"[..], "compressed by gzip"),
        (b"LPKSHHRH\0", "a journal of systemd"),
        (b"{\n   \"dmesg\": []}", "JSON"),
        // From `journalctl -o json-seq` and `-o json-sse`, and what this command itself prints.
        (b"\x1e{\"MESSAGE\":\"a\"}\n", "JSON"),
        (b"data: {\"MESSAGE\":\"a\"}\n\n", "JSON"),
        (b"[{\"kind\":\"bug\"}]\n", "JSON"),
        (b"[\n  {\n    \"kind\": \"bug\"}]\n", "JSON"),
        (b"[]\n", "JSON"),
        (b"\xef\xbb\xbf{\"a\": 1}\n", "JSON"),
        (b"__CURSOR=s=1;i=1\nMESSAGE=a\n", "a list of a journal's fields"),
        (
            b"Mon 2026-11-30 03:05:50 UTC [s=1;i=1]\n    PRIORITY=4\n",
            "a list of a journal's fields",
        ),
        (b"\x89PNG\r\n\x1a\n\0\0\0\x0d\xc8\x01\x9f\x02", "no text"),
    ] {
        std::fs::write(place.dir().join("other.log"), content).unwrap();
        let told = place.run(&["log", "other.log"]);
        let expected = format!("other.log is {what}, expected the text of a kernel log; give ");
        assert!(told.contains(&expected) && told.ends_with("exit code 66"), "{told}");
    }
    let noise = [b"\xfe\0\xe0\x80\0\0".repeat(9), b"\0".repeat(99), LOG.into()].concat();
    std::fs::write(place.dir().join("noise.log"), noise).unwrap();
    let told = place.run(&["log", "noise.log"]);
    assert!(told.contains("2 reports"), "{told}");
    // A program's word among the kernel's.
    place.file("field.log", &LOG.replacen("\r\n", "\r\nPRIORITY=4\r\n", 1));
    let told = place.run(&["log", "field.log"]);
    assert!(told.contains("2 reports"), "{told}");
    place.file("empty.log", "");
    let told = place.run(&["log", "empty.log"]);
    assert!(told.contains("empty.log is empty"), "{told}");
    let several = place.run(&["log", "a", "b"]);
    assert!(
        several.contains("unexpected argument 'b'") && several.ends_with("exit code 64"),
        "{several}"
    );
}
